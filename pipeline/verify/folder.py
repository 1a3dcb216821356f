"""Proof of a data set: everything is read back as a stranger would, and each disagreement told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from assets.catalog.sku_lists import SkuSource
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.json_input import stream_json
from assets.interrupt import never
from assets.library import Library
from assets.limits import COCO_BYTES, DATASET_INSTANCES, PICTURE_BYTES, read_file
from dataset.layout import Layout, split_of, stem_of
from dataset.records import CategoryRecord
from pipeline.run.dataset_fields import identity_problems, read_splits
from pipeline.run.dataset_info import DatasetInfo, read_info
from pipeline.verify.checksums import NO_CHECKSUMS, check_checksums
from pipeline.verify.extras import EXTRA_CHECKS, read_png
from pipeline.verify.pictures import PictureSources, check_pictures
from pipeline.verify.products import KnownProducts, Product, check_products
from pipeline.verify.records import MALFORMED, Record, Violation, check_image, check_picture
from pipeline.verify.report import Tally, VerifyReport
from pipeline.verify.scenes import Sources, check_scenes, open_sources
from pipeline.verify.stored import check_folders, check_stored
from pipeline.workers.mesh_process import MeshProcess


def verify_dataset(
    folder: Path,
    *,
    sku_list: SkuSource | None = None,
    sample: int = 10,
    cache: Path,
    plugins: Sequence[Path] = (),
    stop: Callable[[], bool] = never,
) -> VerifyReport:
    """All violations of the data set in `folder`; `sample` scenes are drawn and traced again.

    plugins: Python files of recipes and backends that it was made with, whose code may be run. stop: asked between
    pictures; once it says True the report is of what was checked until then. Raises SynthError where the folder holds
    no data set at all; damage inside one is a violation, never an error.
    """
    layout = Layout(folder)
    info = read_info(layout)
    tally = Tally(stop)
    tally.add(Violation("dataset.json", problem) for problem in identity_problems(info.identity, info.scenes))
    if tally.violations:  # nothing below means anything
        return VerifyReport(tuple(tally.violations), 0, 0, 0, ("everything but dataset.json",))
    with MeshProcess() as load:
        return _verify_all(layout, info, open_sources(layout, info, sku_list, cache, load, plugins), sample, tally)


def _verify_all(layout: Layout, info: DatasetInfo, sources: Sources, sample: int, tally: Tally) -> VerifyReport:
    catalog = sources.library.catalog if sources.library else None
    for split, _ in read_splits(info.identity["split"]) or ():
        _verify_split(layout, info, split, catalog, tally)
    if not tally.ended:
        tally.add(check_folders(layout, info, tally.stems))
        _verify_checksums(layout, info, tally)
    if sources.library is None or sources.pictures is None:
        tally.skipped.append(f"drawing scenes and pictures again: {sources.why_not}")
    elif sample:
        indices = sorted({int(i) for i in np.linspace(0, info.scenes - 1, min(sample, info.scenes))})
        _sample_again(layout, info, sources.library, sources.pictures, indices, tally)
    return tally.report()


def _sample_again(
    layout: Layout, info: DatasetInfo, library: Library, pictures: PictureSources, indices: list[int], tally: Tally
) -> None:
    """Some scenes drawn, traced and rendered once more."""
    for index in indices:
        if tally.ended:
            return
        tally.add(check_scenes(layout, info, library, [index], pictures.recipe_files))
        tally.scenes += 1
    if tally.ended:
        return
    checked = check_pictures(layout, info, pictures, indices, stop=lambda: tally.ended)
    tally.add(checked.found)
    tally.skipped += checked.skipped
    tally.pictures = checked.rendered


def _verify_split(layout: Layout, info: DatasetInfo, split: str, catalog: Catalog | None, tally: Tally) -> None:
    """One COCO file: read in a stream, so that a million annotations need no more memory than one picture's."""
    path = layout.annotations(split)
    name = f"annotations/{path.name}"
    try:
        if not path.exists():
            tally.add([Violation(name, "is missing")])
            return
        entries = list(stream_json(path, "categories.item", COCO_BYTES, "the COCO file"))
        tally.add(_check_head(path, info, name))
        categories = {item["id"]: item["sku"] for item in entries}
        if catalog is not None:
            tally.add(_check_categories(entries, catalog, name))
        groups = _Groups(path, name, tally)
        images = stream_json(path, "images.item", COCO_BYTES, "the COCO file")
        for number, image in enumerate(images, start=1):
            if tally.ended:
                return
            _verify_image(layout, info, split, image, number, groups, categories, tally)
        groups.finish()
    except (SynthError, OSError, *MALFORMED) as error:
        words = " ".join(str(error).split())
        tally.add([Violation(name, f"cannot be read as COCO: {type(error).__name__}: {words}")])


def _verify_checksums(layout: Layout, info: DatasetInfo, tally: Tally) -> None:
    """That no file is another than the one that was written, and none is missing or more than there were."""
    if not info.checksums and not layout.checksums.exists():
        tally.skipped.append(NO_CHECKSUMS)
        return
    # Of a scene that failed only its spec is there.
    folders = layout.folders(info.extras)
    for found in check_checksums(layout.root, folders, PICTURE_BYTES, may_lack=lambda path: path.startswith("scenes/")):
        tally.add(found)
        if tally.ended:
            return


def _check_head(path: Path, info: DatasetInfo, name: str) -> Iterator[Violation]:
    """Licence and creator as dataset.json has them."""
    licence, creator = (str(info.identity.get(key, "")) for key in ("licence", "creator"))
    # Both stand before the records: no more than that is read of the file.
    licenses, said = (next(stream_json(path, key, COCO_BYTES, "the COCO file"), None) for key in ("licenses", "info"))
    expected = [{"id": 1, "name": licence, "url": ""}] if licence else []
    if licenses != expected:
        yield Violation(name, f"licenses {licenses}, but dataset.json says {licence!r}")
    if not isinstance(said, dict) or said.get("contributor") != creator:
        yield Violation(name, f"info {said!r}, but dataset.json says that {creator!r} is its contributor")


def _check_categories(entries: list[Record], catalog: Catalog, name: str) -> Iterator[Violation]:
    """Ids from the registry or the sorted SKUs, each with its own name and group."""
    from assets.catalog.category_ids import ids_of
    from dataset.categories import catalog_categories, same_category

    if len(entries) != len(catalog):
        yield Violation(name, f"categories differ from the catalogue: {len(entries)} instead of {len(catalog)}")
    told = 0
    for entry, expected in zip(entries, catalog_categories(catalog, ids_of(catalog)), strict=False):
        if not same_category(CategoryRecord.parse(entry), expected) and told < 3:
            told += 1
            yield Violation(name, f"categories differ from the catalogue: {entry}, expected {expected.content()}")


class _Groups:
    """The annotations of a COCO file, handed out image by image as they stand in it."""

    def __init__(self, path: Path, name: str, tally: Tally) -> None:
        self._stream: Iterator[Record] = stream_json(path, "annotations.item", COCO_BYTES, "the COCO file")
        self._next: Record | None = next(self._stream, None)
        self._name, self._tally, self.number = name, tally, 0

    def take(self, image_id: object) -> list[Record]:
        """The next annotations, as long as they are of that image."""
        taken: list[Record] = []
        while self._next is not None and self._next.get("image_id") == image_id:
            DATASET_INSTANCES.check(len(taken) + 1, f"{self._name} image {image_id}")
            taken.append(self._next)
            self._next = next(self._stream, None)
        return taken

    def finish(self) -> None:
        """Whatever is left belongs to no image, or stands out of order."""
        self._tally.add(map(self._left_over, chain([] if self._next is None else [self._next], self._stream)))

    def _left_over(self, record: Record) -> Violation:
        text = f"image_id {record.get('image_id')!r} is no image of the file, or out of the images' order"
        return Violation(f"{self._name} annotation {record.get('id')}", text)


def _verify_image(
    layout: Layout,
    info: DatasetInfo,
    split: str,
    image: Record,
    number: int,
    groups: _Groups,
    categories: dict[int, str],
    tally: Tally,
) -> None:
    where = f"annotations/instances_{split}.json image {image.get('id')}"
    tally.images += 1
    found = list(check_image(image, number, where))
    records = groups.take(image.get("id"))
    tally.violations.extend(found)
    tally.annotations += len(records)
    if found:
        return  # without sound fields nothing below means anything
    stem = stem_of(image["index"], image["view"])
    if image["file_name"] != f"{stem}.jpg":
        told = f"file {image['file_name']} does not fit index {image['index']}, view {image['view']}"
        tally.add([Violation(where, told)])
        return  # the name may lead anywhere
    if stem in tally.stems:
        tally.add([Violation(where, f"file {image['file_name']} belongs to another image as well")])
    tally.stems.add(stem)
    tally.add(_check_place(info, split, image, where))
    tally.add(_check_file(layout.image(stem), image, where))
    products = []
    for record in records:
        groups.number += 1
        there = f"annotations/instances_{split}.json annotation {record.get('id')}"
        products.append(Product(record, groups.number, there))
    extras = {kind: read_png(layout.extra(kind, stem), EXTRA_CHECKS[kind][1]) for kind in info.extras}
    tally.add(check_products(products, image, KnownProducts(categories), extras, where))
    tally.add(check_stored(layout, stem, image, records, where))


def _check_file(path: Path, image: Record, where: str) -> Iterator[Violation]:
    if not path.exists():
        yield Violation(where, f"file {path.name} is missing")
        return
    try:
        data = read_file(path, PICTURE_BYTES, "the picture", path.name)
    except SynthError as error:
        yield Violation(where, f"file {path.name}: {' '.join(str(error).split())}")
        return
    yield from check_picture(data, (image["width"], image["height"]), where, rendered=True)


def _check_place(info: DatasetInfo, split: str, image: Record, where: str) -> Iterator[Violation]:
    for name in ("seed", "width", "height", "backend"):
        if image[name] != info.identity.get(name):
            yield Violation(where, f"{name} {image[name]!r}, but dataset.json says {info.identity.get(name)!r}")
    if image.get("license") != (1 if info.identity.get("licence") else None):
        yield Violation(where, f"license {image.get('license')!r} does not fit the licence of dataset.json")
    if split != split_of(image["index"], read_splits(info.identity["split"]) or ()):
        yield Violation(where, f"scene {image['index']} belongs to another split than {split}")
