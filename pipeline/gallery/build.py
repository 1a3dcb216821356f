"""`synth gallery build|add|remove`: versions of a gallery made from a SKU list."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from assets.catalog.load import load_catalog
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.atomic import sweep_cache, write_atomic
from assets.files.identity import first_named
from assets.plurals import count_of
from detectors.recognition.gallery.embedders import embedder_info_of_run, embedder_path, keep_embedder
from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.versions import EmbedderInfo, current_version, is_gallery, write_gallery
from pipeline.gallery.digest import digest_skus
from pipeline.gallery.photos import with_photos
from pipeline.gallery.render import make_results, plan_folder
from pipeline.gallery.settings import GalleryBuildSettings
from pipeline.gallery.summary import GallerySummary, summary_of
from pipeline.gallery.task import GalleryTask, TaskResult
from pipeline.gallery.version import (
    VectorKind,
    give_ids,
    join_small,
    make_manifest,
    parts_without,
    publish,
    records_of,
    write_parts,
)
from pipeline.workers.pool import never_stop
from render.views import VIEWS_FORMAT

FAILURES = "failures.jsonl"


def build_gallery(
    settings: GalleryBuildSettings, console: Console, *, stop: Callable[[int], bool] = never_stop
) -> GallerySummary:
    """A version with every SKU of the list, rendered and embedded, in use once it is complete.

    SKUs that cannot be rendered are left out and named in the summary. Raises SynthError for a list with mistakes,
    without an embedder, and where not one SKU could be rendered.
    """
    begun = time.monotonic()
    catalog = load_catalog(settings.sku_list)
    with write_gallery(settings.out) as lock:
        parent = open_gallery(settings.out) if is_gallery(settings.out) else None
        note = _settle_embedder(settings, parent)
        digests = digest_skus(catalog, catalog.keys, cache=settings.cache)
        work = _Work(settings, note, console, stop, lock)
        results = work.render(catalog, digests)
        if results is None:
            return _stopped(settings.out, begun)
        ids, next_id = give_ids(catalog, catalog.keys, parent)
        records = with_photos(
            records_of(results, catalog, digests, ids, settings.views), parent, note, device=settings.device
        )
        parts = write_parts(settings.out, records, most=settings.part_skus, precision=settings.precision)
        kind = VectorKind(note, settings.views, settings.precision)
        manifest = make_manifest(settings.out, parts, kind, next_id=next_id, parent=parent)
        publish(settings.out, manifest, parent, index=settings.index)
        work.tidy(results)
        return summary_of(settings.out, begun, parent, results)


def add_to_gallery(
    settings: GalleryBuildSettings,
    console: Console,
    *,
    keys: Sequence[str] = (),
    prune: bool = False,
    stop: Callable[[int], bool] = never_stop,
) -> GallerySummary:
    """A version with the new and changed SKUs of a list (or those of `keys`) rendered, all others kept as they are.

    prune: SKUs that the list lacks are dropped. Views, precision and embedder are those of the version in use. Raises
    SynthError for another embedder and for keys that the list lacks.
    """
    begun = time.monotonic()
    catalog = load_catalog(settings.sku_list)
    with write_gallery(settings.out) as lock:
        parent = open_gallery(settings.out)
        _check_views(parent)
        held, note = parent.manifest, parent.manifest.embedder
        if settings.embedder is not None:
            parent.check_embedder(embedder_info_of_run(settings.embedder).fingerprint, str(settings.embedder))
        settings = replace(settings, views=held.views, precision=held.precision)
        digests = digest_skus(catalog, keys or catalog.keys, cache=settings.cache)
        digests = {key: digest for key, digest in digests.items() if _digest_in(parent, key) != digest}
        gone = set(parent.keys) - set(catalog.keys) if prune else set()
        if not digests and not gone:
            return summary_of(settings.out, begun, parent, [])
        work = _Work(settings, note, console, stop, lock)
        results = work.render(catalog, digests)
        if results is None:
            return _stopped(settings.out, begun)
        ids, next_id = give_ids(catalog, digests.keys(), parent)
        made = records_of(results, catalog, digests, ids, settings.views)
        fresh = list(with_photos(made, parent, note, device=settings.device))
        old = parts_without(parent, gone | {sku.sku for sku, _, _ in fresh})
        old, joined = join_small(settings.out, old, most=settings.part_skus, dim=parent.dim)
        parts = write_parts(settings.out, [*joined, *fresh], most=settings.part_skus, precision=settings.precision)
        kind = VectorKind(note, held.views, held.precision)
        manifest = make_manifest(settings.out, (*old, *parts), kind, next_id=next_id, parent=parent)
        publish(settings.out, manifest, parent, index=None)
        work.tidy(results)
        return summary_of(settings.out, begun, parent, results, dropped=len(gone))


def remove_from_gallery(folder: Path, keys: Sequence[str]) -> GallerySummary:
    """A version without these SKUs. Raises SynthError for keys that the gallery lacks."""
    begun = time.monotonic()
    with write_gallery(folder):
        parent = open_gallery(folder)
        missing = sorted(set(keys) - parent.positions.keys())
        if missing:
            raise SynthError(
                "the gallery has no such SKU", code="unknown-sku", where=str(folder), problems=missing[:20]
            )
        held = parent.manifest
        kind = VectorKind(held.embedder, held.views, held.precision)
        parts = parts_without(parent, set(keys))
        manifest = make_manifest(folder, parts, kind, next_id=held.next_id, parent=parent)
        publish(folder, manifest, parent, index=None)
        return summary_of(folder, begun, parent, [], dropped=len(set(keys)))


@dataclass
class _Work:
    """The rendering of one command, in a folder of its own inside the gallery."""

    settings: GalleryBuildSettings
    note: EmbedderInfo
    console: Console
    stop: Callable[[int], bool]
    lock: int

    def render(self, catalog: Catalog, digests: Mapping[str, str]) -> list[TaskResult] | None:
        """What became of the SKUs, in sorted order; None where it was stopped.

        Raises SynthError where files of the products were changed meanwhile: the gallery would mix two versions.
        """
        settings, note = self.settings, self.note
        sweep_cache(settings.cache)
        # The product is shown as large as in the crop of a photograph, whose margin is part of it.
        side = round(note.side / (1 + 2 * note.margin))
        how = {"views": settings.views, "side": side, "task_skus": settings.task_skus}
        self.folder = plan_folder(settings.out, digests, note.fingerprint, **how)
        task = GalleryTask(
            sku_list=settings.sku_list.absolute(),
            out=self.folder.absolute(),
            embedder=embedder_path(settings.out, note.fingerprint).absolute(),
            **how,
            cache=settings.cache.absolute(),
            workers=min(settings.workers, max(-(-len(digests) // settings.task_skus), 1)),
            device=settings.device,
        )
        results = make_results(task, sorted(digests), self.console, stop=self.stop, lock=self.lock)
        if results is not None:
            _check_unchanged(digests, digest_skus(catalog, digests, cache=settings.cache))
        return results

    def tidy(self, results: Sequence[TaskResult]) -> None:
        """Once the version is in use: notes which SKUs failed, and takes the results away."""
        lines = [json.dumps({"sku": key, "reason": reason}) for result in results for key, reason in result.failed]
        write_atomic(self.settings.out / FAILURES, "".join(f"{line}\n" for line in lines).encode())
        shutil.rmtree(self.folder, ignore_errors=True)


def _check_unchanged(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    changed = [f"SKU {key!r}" for key in sorted(before) if now[key] != before[key]]
    if changed:
        hint = "when they no longer change, run the same command again: it renders what is needed"
        what = f"the files of {count_of(len(changed), 'product')} changed while the gallery was built"
        raise SynthError(what, code="product-files-changed", problems=first_named(changed), hint=hint)


def _settle_embedder(settings: GalleryBuildSettings, parent: Gallery | None) -> EmbedderInfo:
    """Which embedder a gallery is built with; one that is given is kept in its folder."""
    if settings.embedder is None:
        if parent is None:
            hint = "give --embedder RUN, from 'synth embedder train'"
            raise SynthError(
                "a new gallery needs an embedder", code="option-missing", where=str(settings.out), hint=hint
            )
        return parent.manifest.embedder
    note = embedder_info_of_run(settings.embedder)
    keep_embedder(settings.out, settings.embedder, note.fingerprint)
    return note


def _check_views(parent: Gallery) -> None:
    if parent.manifest.views_format != VIEWS_FORMAT:
        raise SynthError(
            "the views of the gallery have an unsupported format",
            code="format-version-unsupported",
            where=str(parent.folder),
            found=f"format {parent.manifest.views_format}",
            expected=f"format {VIEWS_FORMAT}",
            hint="'synth gallery build' builds a new version",
        )


def _digest_in(parent: Gallery, key: str) -> str:
    return parent.digests[parent.positions[key]] if key in parent.positions else ""


def _stopped(folder: Path, begun: float) -> GallerySummary:
    version = current_version(folder) if is_gallery(folder) else ""
    return GallerySummary(folder, version, interrupted=True, seconds=time.monotonic() - begun)
