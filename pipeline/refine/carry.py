"""What a refined data set has beside its pictures: the labels and files of the set that it was made from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assets.files.atomic import write_atomic
from assets.files.json_input import parse_json, read_json
from assets.limits import COCO_BYTES, DATASET_JSON, IMAGE_BYTES, Limit, read_file
from dataset.checksums import CHECKSUMS, ChecksumSpool, sha256, sha256_of, spool_checksums, write_checksums
from dataset.coco_writer import write_coco
from dataset.find import CocoSplit
from dataset.layout import SHOP, Layout, stem_in
from dataset.records import ImageLabels
from dataset.store import CocoPart, CocoStore
from pipeline.refine.journal import JOURNAL, OutcomeList
from pipeline.run.dataset_info import DatasetInfo
from pipeline.run.refinement import REFINEMENT, Refinement

# Files of a rendered set, beside those in its folders.
OTHER_FILES = ("sources.jsonl", "failures.jsonl")


@dataclass(frozen=True)
class RefinedLayout:
    """Where the files of a refined set are. rendered: dataset.json of the set it is made from, if `synth` rendered it.

    new_labels: whether the pictures have other labels than those of that set.
    """

    store: CocoStore
    out: Path
    rendered: DatasetInfo | None
    new_labels: bool

    def image_folder(self, part: CocoPart) -> Path:
        """Return the folder of the images of a split: images, with one for each split where theirs are apart."""
        folders = {one.source.images for one in self.store.parts}
        return self.out / "images" if len(folders) == 1 else self.out / "images" / part.split

    def image(self, part: CocoPart, name: str) -> Path:
        return self.image_folder(part) / name.replace("\\", "/")

    def labels(self, part: CocoPart, name: str) -> Path:
        """Return the file of the new labels of an image."""
        return self.out / "labels" / part.split / f"{stem_in(name)}.json"

    def refined_part(self, part: CocoPart) -> CocoPart:
        """Return a split of the refined set."""
        file = Layout(self.out).annotations(part.split)
        return CocoPart(CocoSplit(part.split, file, self.out, self.image_folder(part)))


def complete_set(layout: RefinedLayout, refinement: Refinement, journal: OutcomeList) -> None:
    """Write everything but the pictures, and the checksums of all. Raises SynthError if a file cannot be read."""
    (layout.out / "annotations").mkdir(parents=True, exist_ok=True)
    with spool_checksums(layout.out) as checksums:
        carrier = _Carrier(layout, checksums)
        for outcome in journal.outcomes():
            part = next(one for one in layout.store.parts if one.split == outcome.split)
            path = layout.image(part, outcome.file)
            checksums.add(path.relative_to(layout.out).as_posix(), outcome.sha256)
            carrier.carry_image(part, outcome.file, outcome.sha256)
        for part in layout.store.parts:
            carrier.write_annotations(part)
        carrier.write_others(refinement)
        write_checksums(layout.out, checksums)


@dataclass(frozen=True)
class _Carrier:
    layout: RefinedLayout
    checksums: ChecksumSpool

    def carry_image(self, part: CocoPart, name: str, digest: str) -> None:
        """Copy what stands beside an image; its own labels get the digest of the new picture."""
        if self.layout.new_labels:
            self._list(self.layout.labels(part, name))
            return
        source, out, stem = Layout(part.source.root), Layout(self.layout.out), stem_in(name)
        if self.layout.rendered is None:
            self._copy(source.file(SHOP, stem), out.file(SHOP, stem), DATASET_JSON)
            return
        for folder in ("scenes", *self.layout.rendered.extras):
            self._copy(source.file(folder, stem), out.file(folder, stem), IMAGE_BYTES)
        data = read_file(source.labels(stem), DATASET_JSON, "an image's labels")
        content: Any = parse_json(data, "an image's labels", str(source.labels(stem)))
        if isinstance(content, dict) and isinstance(content.get("sha256"), dict):
            content["sha256"]["images"] = digest
        text = json.dumps(content, allow_nan=False, separators=(",", ":"))
        self._write(out.labels(stem), text.encode())

    def write_annotations(self, part: CocoPart) -> None:
        """Copy the COCO files of a split, or write one with the new labels."""
        out, source = Layout(self.layout.out), part.source.file
        if self.layout.new_labels:
            head = self.layout.store.head(part.split)
            write_coco(out.annotations(part.split), self._new_labels(part), head)
            self._list(out.annotations(part.split))
            return
        self._copy(source, out.annotations(part.split), COCO_BYTES)
        shop = source.with_name(f"{SHOP}_{part.split}.json")
        self._copy(shop, out.shop(part.split), COCO_BYTES)

    def _new_labels(self, part: CocoPart) -> Iterator[ImageLabels]:
        before = 0
        for labels in part.labels():
            file = self.layout.labels(part, str(labels.image.file_name))
            own = ImageLabels.parse(read_json(file, DATASET_JSON, "an image's labels"))
            image = replace(own.image, id=labels.image.id)
            records = [
                replace(one, id=number, image_id=image.id) for number, one in enumerate(own.annotations, before + 1)
            ]
            before += len(records)
            yield ImageLabels(image, records)

    def write_others(self, refinement: Refinement) -> None:
        """Write what says of the whole set what it is."""
        out = Layout(self.layout.out)
        if self.layout.rendered is not None and not self.layout.new_labels:
            source = self.layout.store.path
            for name in OTHER_FILES:
                self._copy(source / name, out.root / name, COCO_BYTES, listed=False)
            info = refined_info(self.layout.rendered, source, out.root, refinement)
            self._write(out.info, info.to_json().encode())
        for name in (REFINEMENT, JOURNAL):
            self._list(out.root / name)

    def _copy(self, source: Path, target: Path, limit: Limit, *, listed: bool = True) -> None:
        if source.is_file():
            self._write(target, read_file(source, limit, "a file of the data set"), listed=listed)

    def _write(self, target: Path, data: bytes, *, listed: bool = True) -> None:
        """Write a file unless it is there with this very content, from a call that was interrupted."""
        with suppress(FileNotFoundError):
            if target.stat().st_size == len(data) and target.read_bytes() == data:
                if listed:
                    self._add(target, sha256(data))
                return
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, data)
        if listed:
            self._add(target, sha256(data))

    def _list(self, target: Path) -> None:
        self._add(target, sha256_of(target))

    def _add(self, target: Path, digest: str) -> None:
        self.checksums.add(target.relative_to(self.layout.out).as_posix(), digest)


def refined_info(info: DatasetInfo, source: Path, out: Path, refinement: Refinement) -> DatasetInfo:
    """Return dataset.json of a refined set: that of its source, with paths relative to it and what was done."""
    sources = {
        name: Path(os.path.relpath((source / path).resolve(), out.resolve())).as_posix()
        for name, path in info.sources.items()
    }
    return info.model_copy(update={"sources": sources, "refined": refinement, "checksums": CHECKSUMS})
