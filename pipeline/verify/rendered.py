"""The folder of a `synth render`: COCO files against dataset.json, the catalogue, and the files of each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.catalog.category_ids import ids_of
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.json_input import read_json, stream_json
from assets.limits import COCO_BYTES, DATASET_JSON, read_file
from dataset.categories import catalog_categories, same_category
from dataset.find import CocoSplit
from dataset.layout import SHOP, Layout, split_of, stem_of, suffix_of
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels
from dataset.store import CocoPart
from dataset.values import short
from pipeline.run.dataset_info import DatasetInfo, read_info
from pipeline.run.identity import splits_of
from pipeline.verify.agreement import ShownImage, check_agreement
from pipeline.verify.checksums import is_leftover
from pipeline.verify.coco import check_list, walk_file
from pipeline.verify.extras import EXTRA_CHECKS, read_png
from pipeline.verify.images import check_images
from pipeline.verify.products import KnownProducts
from pipeline.verify.records import MALFORMED, Extras, Record, Violation
from pipeline.verify.report import ImageFindings, Tally
from pipeline.verify.scenes import Sources, check_scenes, open_sources
from pipeline.verify.settings import VerifySettings
from pipeline.verify.shop import check_merged, check_shop
from pipeline.verify.walk import check_labelled
from pipeline.workers.mesh_process import MeshProcess

if TYPE_CHECKING:
    from render.scene import SceneSpec


@contextmanager
def open_rendered(layout: Layout, settings: VerifySettings) -> Iterator[RenderedChecks]:
    """Open the checks of a rendered folder, with what it was made from if that is available.

    Raises SynthError if its dataset.json cannot be read.
    """
    info = read_info(layout)
    with MeshProcess() as load:
        sources = open_sources(layout, info, settings.sku_list, settings.mesh_cache, load, settings.plugins)
        yield RenderedChecks(layout, info, sources, settings.sample)


@dataclass(frozen=True)
class RenderedChecks:
    """A folder of `synth render`.

    sample: number of scenes to sample again. stems: of the images so far.
    """

    layout: Layout
    info: DatasetInfo
    sources: Sources
    sample: int
    stems: set[str] = field(default_factory=set)
    parallel = False

    @property
    def parts(self) -> Sequence[CocoPart]:
        root, names = self.layout.root, dict(splits_of(self.info.identity.split))
        return [CocoPart(CocoSplit(name, self.layout.annotations(name), root, root / "images")) for name in names]

    def check_set(self, tally: Tally) -> None:
        """dataset.json was checked when it was read."""
        if self.info.refined is not None:
            tally.note_refined(self.info.refined)

    def check_part(self, part: CocoPart) -> Iterator[ImageFindings]:
        name = f"annotations/{part.source.file.name}"

        def stray(record: AnnotationRecord, _of_image: bool) -> ImageFindings:
            text = f"image_id {short(record.value('image_id'))} is no image of the file, or out of the images' order"
            return ImageFindings([Violation(f"{name} annotation {short(record.value('id'))}", text)])

        return walk_file(part, name, partial(self._check_head, part, name), partial(self._check_labels, part), stray)

    def _check_labels(
        self, part: CocoPart, labels: ImageLabels, known: KnownProducts, number: int, first: int
    ) -> ImageFindings:
        name = f"annotations/{part.source.file.name}"
        where = f"{name} image {short(labels.image.value('id'))}"
        found = check_labelled(
            labels,
            lambda: part.stored(labels).read(),
            known,
            where,
            f"{name} annotation",
            rendered=True,
            number=number,
            first=first,
            extras=self._extras,
            own=partial(self._check_own, part, labels, where),
        )
        return ImageFindings(list(found), 1, len(labels.annotations))

    def _extras(self, image: Record) -> Extras:
        stem = stem_of(image["index"], image["view"])
        kinds = [kind for kind in self.info.extras if kind in EXTRA_CHECKS]
        return {kind: read_png(self.layout.file(kind, stem), EXTRA_CHECKS[kind][1]) for kind in kinds}

    def _check_own(
        self, part: CocoPart, labels: ImageLabels, where: str, image: Record, records: list[Record], extras: Extras
    ) -> Iterator[Violation]:
        """Check an image against dataset.json, its own labels and its scene."""
        stem = stem_of(image["index"], image["view"])
        if image["file_name"] != f"{stem}.jpg":
            told = f"file {image['file_name']} does not match index {image['index']}, view {image['view']}"
            yield Violation(where, told)
            return
        if stem in self.stems:
            yield Violation(where, f"file {image['file_name']} also belongs to another image")
        self.stems.add(stem)
        yield from _check_place(self.info, part.split, image, where)
        yield from _check_fragment(self.layout, stem, image, records, where)
        scene = None
        try:
            scene = _read_scene(self.layout, stem)
            yield from _check_scene(scene, stem, image, records, where)
            if SHOP in self.info.extras:
                yield from _check_shop(self.layout, stem, image, records, scene)
        except (SynthError, *MALFORMED) as error:
            yield Violation(where, f"scenes/{stem}.json cannot be used: {error}")
        if self.info.refined is None:
            with suppress(SynthError):  # reported with the file
                size, picture = (image["width"], image["height"]), part.stored(labels).read()
                shown = ShownImage(picture, *size, records, extras, where)
                yield from check_agreement(shown, scene, self.sources.library)

    def _check_head(self, part: CocoPart, name: str, records: Sequence[CategoryRecord]) -> Iterator[Violation]:
        """Check licence and creator against dataset.json, categories against the catalogue."""
        path, licence, creator = part.source.file, self.info.identity.licence, self.info.identity.creator
        # Both stand before the records: no more than that is read of the file.
        keys = ("licenses", "info")
        licenses, said = (next(stream_json(path, key, COCO_BYTES, "the COCO file"), None) for key in keys)
        expected = [{"id": 1, "name": licence, "url": ""}] if licence else []
        if licenses != expected:
            yield Violation(name, f"licenses {licenses}, but dataset.json says {licence!r}")
        if not isinstance(said, dict) or said.get("contributor") != creator:
            yield Violation(name, f"info {said!r}, but dataset.json says {creator!r}")
        if self.sources.library is not None:
            keypoints = self.info.identity.keypoints
            yield from _check_categories(records, self.sources.library.catalog, name, keypoints=keypoints)

    def check_rest(self, tally: Tally) -> None:
        if not tally.ended:
            tally.add(_check_folders(self.layout, self.info, self.stems))
            for part in self.parts if SHOP in self.info.extras else ():
                tally.add(check_merged(self.layout, part.split))
            folders = self.layout.folders(self.info.extras)
            check_list(self.layout.root, folders, tally, required=bool(self.info.checksums))
        if self.sources.library is None or self.sources.images is None:
            tally.skipped.append(f"sampling scenes and rendering images again: {self.sources.why_not}")
        elif self.sample:
            self._sample_again(tally)

    def _sample_again(self, tally: Tally) -> None:
        """Sample, trace and render some scenes again."""
        library, images, scenes = self.sources.library, self.sources.images, self.info.scenes
        assert library is not None and images is not None
        indices = sorted({int(i) for i in np.linspace(0, scenes - 1, min(self.sample, scenes))})
        for index in indices:
            if tally.ended:
                return
            tally.add(check_scenes(self.layout, self.info, library, [index], images.recipe_files))
            tally.scenes += 1
        if tally.ended or self.info.refined is not None:
            return
        checked = check_images(self.layout, self.info, images, indices, stop=lambda: tally.ended)
        tally.add(checked.found)
        tally.skipped += checked.skipped
        tally.rendered = checked.rendered


def _check_categories(
    records: Sequence[CategoryRecord], catalog: Catalog, name: str, *, keypoints: bool
) -> Iterator[Violation]:
    """Check ids, names and groups of the categories against the catalogue."""
    if len(records) != len(catalog):
        yield Violation(name, f"categories differ from the catalogue: {len(records)} instead of {len(catalog)}")
    pairs = zip(records, catalog_categories(catalog, ids_of(catalog), keypoints=keypoints), strict=False)
    for record, expected in islice((pair for pair in pairs if not same_category(*pair)), 3):
        told = f"categories differ from the catalogue: {record.content()}, expected {expected.content()}"
        yield Violation(name, told)


def _check_place(info: DatasetInfo, split: str, image: Record, where: str) -> Iterator[Violation]:
    for name in ("seed", "width", "height", "backend"):
        if image[name] != (said := getattr(info.identity, name)):
            yield Violation(where, f"{name} {image[name]!r}, but dataset.json says {said!r}")
    if image.get("license") != (1 if info.identity.licence else None):
        yield Violation(where, f"license {image.get('license')!r} does not match the licence of dataset.json")
    if split != split_of(image["index"], splits_of(info.identity.split)):
        yield Violation(where, f"scene {image['index']} belongs to a different split than {split}")


def _check_fragment(layout: Layout, stem: str, image: Record, records: list[Record], where: str) -> Iterator[Violation]:
    """The image's own labels say the same as the COCO file."""
    try:
        fragment: dict[str, Any] = read_json(layout.labels(stem), DATASET_JSON, "the labels")
        own = [{k: v for k, v in record.items() if k not in ("id", "image_id", "category_id")} for record in records]
        if fragment["annotations"] != own:
            yield Violation(where, f"labels/{stem}.json holds different annotations")
        if {**image, **fragment["image"]} != image:
            yield Violation(where, f"labels/{stem}.json holds a different image entry")
    except (SynthError, *MALFORMED) as error:
        yield Violation(where, f"labels/{stem}.json cannot be used: {type(error).__name__}: {error}")


def _read_scene(layout: Layout, stem: str) -> SceneSpec:
    """Read the scene of an image. Raises SynthError, or one of MALFORMED, if it cannot be used."""
    from render.scene import SceneSpec

    text = read_file(layout.scene(stem), DATASET_JSON, "the scene").decode()
    return SceneSpec.from_json(text, where=f"scenes/{stem}.json")


def _check_scene(scene: SceneSpec, stem: str, image: Record, records: list[Record], where: str) -> Iterator[Violation]:
    """The image's SceneSpec says the same as the COCO file."""
    from render.coco import camera_record

    if not np.array_equal(scene.camera.K, image["camera"]["K"]):
        yield Violation(where, f"camera.K differs from scenes/{stem}.json")
    if not np.array_equal(scene.camera.world_from_camera, image["camera"]["world_from_camera"]):
        yield Violation(where, f"camera.world_from_camera differs from scenes/{stem}.json")
    expected = camera_record(scene.camera)
    for name in ("distortion", "rolling_shutter"):
        if image["camera"].get(name) != expected.get(name):
            yield Violation(where, f"camera.{name} differs from scenes/{stem}.json")
    for record in records:
        yield from _check_placement(scene, record, stem, where)


def _check_shop(
    layout: Layout, stem: str, image: Record, records: list[Record], scene: SceneSpec
) -> Iterator[Violation]:
    file = layout.file(SHOP, stem)
    name = f"{SHOP}/{file.name}"
    try:
        data = read_file(file, DATASET_JSON, "labels of a shop")
    except (SynthError, OSError) as error:
        yield Violation(name, str(error))
    else:
        yield from check_shop(data, image, records, name, scene)


def _check_placement(scene: Any, record: Record, stem: str, where: str) -> Iterator[Violation]:
    instance = record.get("instance")
    if type(instance) is not int or not 1 <= instance <= len(scene.placements):
        return  # reported with the annotation
    placement = scene.placements[instance - 1]
    if placement.kind != "product" or placement.key != record.get("sku"):
        yield Violation(
            where, f"instance {instance} is {placement.key!r} in scenes/{stem}.json, not {record.get('sku')!r}"
        )
        return
    pose = np.linalg.inv(scene.camera.world_from_camera) @ placement.world_from_object
    try:
        close = np.allclose(pose, np.array(record.get("camera_from_object"), dtype=float), atol=1e-9)
    except (TypeError, ValueError):
        return  # reported with the annotation
    if not close:
        yield Violation(where, f"camera_from_object of instance {instance} differs from scenes/{stem}.json")


def _check_folders(layout: Layout, info: DatasetInfo, stems: set[str]) -> Iterator[Violation]:
    """No image without a record, no record without its files, nothing half written."""
    for name in layout.folders(info.extras):
        folder = layout.root / name
        there = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        for file in sorted(there):
            if is_leftover(file):
                yield Violation(
                    f"{name}/{file}", "left half written by a run that was killed: render again to clean up"
                )
            elif name not in ("annotations", "scenes") and file.removesuffix(suffix_of(name)) not in stems:
                yield Violation(f"{name}/{file}", "belongs to no image of any annotation file")
    wanted = (stem_of(index, view) for index in range(info.scenes) for view in range(info.identity.views))
    missing = (stem for stem in wanted if stem not in stems)
    for stem in islice(missing, 20):
        yield Violation(f"images/{stem}.jpg", "is in no annotation file: the run is not finished, or the scene failed")
    if more := sum(1 for _ in missing):
        yield Violation("images", f"and {more} more images are missing")
