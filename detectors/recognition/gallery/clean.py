"""Delete old versions of a gallery, and the files that no remaining version needs."""

from __future__ import annotations

import shutil
from pathlib import Path

from detectors.recognition.gallery.embedders import EMBEDDERS, embedder_path
from detectors.recognition.gallery.index import INDEXES_FOLDER, read_note
from detectors.recognition.gallery.open import open_gallery
from detectors.recognition.gallery.parts import PARTS
from detectors.recognition.gallery.photos import PHOTOS, photo_path
from detectors.recognition.gallery.versions import VERSIONS, forget_versions, version_ids


def clean_gallery(folder: Path, keep: int) -> tuple[int, int]:
    """Delete all versions but the current one and the `keep` before it; returns their number and the bytes freed.

    To be called under the gallery's lock. Processes that have a deleted version open can continue to search it.
    """
    kept = forget_versions(folder, keep)
    gone = [version for version in version_ids(folder) if version not in kept]
    for version in gone:
        shutil.rmtree(folder / VERSIONS / version)
    needed = set()
    for version in version_ids(folder):
        gallery = open_gallery(folder, version)
        manifest, note = gallery.manifest, read_note(gallery)
        # An index also needs the parts it was built from, to map its entries to SKUs.
        digests = {part.digest for part in manifest.parts} | set(note.parts if note else ())
        needed |= {folder / PARTS / f"{digest}{end}" for digest in digests for end in (".npy", ".jsonl", ".fronts")}
        needed.add(embedder_path(folder, manifest.embedder.fingerprint))
        needed |= {photo_path(folder, digest) for photos in gallery.photos.values() for digest in photos}
        needed |= {folder / INDEXES_FOLDER / f"{note.file}.faiss"} if note else set()
    freed = 0
    for inner in (PARTS, INDEXES_FOLDER, EMBEDDERS, PHOTOS):
        for file in (folder / inner).glob("*"):
            if file not in needed:
                freed += file.stat().st_size
                file.unlink()
    return len(gone), freed
