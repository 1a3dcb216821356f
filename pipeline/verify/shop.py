"""Checks of labels of shops: of single images, and of the COCO files that they are merged into.

As for products, no arithmetic is shared with the code that wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from assets.errors import SynthError
from assets.files.json_input import parse_json, read_json, stream_json
from assets.limits import COCO_BYTES, DATASET_JSON
from dataset.coco_reader import categories_of, images_of, records_of
from dataset.layout import SHOP, Layout, stem_of
from dataset.records import ImageRecord, LinkRecord, MarkRecord
from dataset.shop import CATEGORIES, KINDS, SIDES
from dataset.values import short
from pipeline.verify.masks import sound_mask, tight_box
from pipeline.verify.records import MALFORMED, Record, Violation, is_number, matrix_of

if TYPE_CHECKING:
    from render.scene import SceneSpec

# Shares of sides are stored with six decimals.
ROUNDING = 6e-6
MAX_DIFFERENT = 20


def check_shop(
    data: bytes, image: Record, products: Sequence[Record], where: str, scene: SceneSpec | None = None
) -> Iterator[Violation]:
    """Check the labels of shops of an image, whose size and annotations of products have been checked.

    scene: what the image was rendered from, if it is available.
    """
    try:
        content: Any = parse_json(data, "labels of a shop", where)
        marks, links = content["annotations"], content["links"]
        for number, record in enumerate(marks, 1):
            yield from _check_mark(record, image, f"{where} annotation {number}")
        yield from _check_links(links, marks, products, where)
        if scene is not None:
            yield from _check_scene(scene, marks, links, where)
    except (SynthError, *MALFORMED) as error:
        yield Violation(where, f"cannot be used: {type(error).__name__}: {error}")


def _check_mark(record: Record, image: Record, where: str) -> Iterator[Violation]:
    from pycocotools import mask as codec

    kind = record.get("kind")
    if kind not in KINDS:
        yield Violation(where, f"kind {short(kind)}, expected one of {', '.join(KINDS)}")
    for name, wanted in (("position", True), ("text", kind == "price_tag")):
        if isinstance(record.get(name), str) != wanted:
            yield Violation(where, f"{name} {short(record.get(name))}, expected {'a text' if wanted else 'none'}")
    if (type(record.get("instance")) is int) != (kind == "price_tag") or record.get("iscrowd") != 0:
        yield Violation(where, "only price tags have an instance, and iscrowd is 0")
    if "ends" in record and (kind != "shelf_line" or matrix_of([record["ends"]], (1, 4)) is None):
        yield Violation(where, f"ends {short(record['ends'])}, expected x1, y1, x2, y2 of a shelf line")
    mask = sound_mask(record.get("segmentation"), image["height"], image["width"])
    if isinstance(mask, str):
        yield Violation(where, f"segmentation: {mask}")
    elif record.get("area") != (area := int(codec.area(mask))) or not area:
        yield Violation(where, f"area {record.get('area')!r}, but the mask has {area} pixels")
    elif record.get("bbox") != (box := tight_box(mask)):
        yield Violation(where, f"bbox {record.get('bbox')!r}, but the mask's is {box}")


def _check_links(
    links: Sequence[Record], marks: Sequence[Record], products: Sequence[Record], where: str
) -> Iterator[Violation]:
    """One link per product, to the first tag of its position."""
    if [link["instance"] for link in links] != [record.get("instance") for record in products]:
        yield Violation(where, f"the links are of other products than the {len(products)} annotations of the image")
    tags = {record.get("position"): record.get("instance") for record in reversed(marks) if record.get("text")}
    for link in links:
        there = f"{where} link of instance {short(link['instance'])}"
        if link.get("tag_instance") != (tag := tags.get(link.get("position"))):
            yield Violation(there, f"tag_instance {short(link.get('tag_instance'))}, but its position's is {tag}")
        shares = [link["sides"].get(side) for side in SIDES]
        if len(link["sides"]) != len(SIDES) or not all(is_number(share) and 0 <= share <= 1 for share in shares):
            yield Violation(there, f"sides {short(link['sides'])}, expected shares of {', '.join(SIDES)}")
        elif abs(sum(shares) - 1) > ROUNDING:
            yield Violation(there, f"the shares of the sides are {sum(shares):.6f} together")


def _check_scene(scene: SceneSpec, marks: Sequence[Record], links: Sequence[Record], where: str) -> Iterator[Violation]:
    """Positions, texts and SKUs are those of the scene."""
    own: set[tuple[object, ...]] = set()
    positions: Mapping[int, str] = {}
    if scene.marks is not None:
        own |= {("price_tag", tag.position, tag.text, None, tag.instance) for tag in scene.marks.tags}
        own |= {("gap", gap.position, None, gap.sku or None, None) for gap in scene.marks.gaps}
        own |= {("shelf_line", line.name, None, None, None) for line in scene.marks.lines}
        instances = (number for number, one in enumerate(scene.placements, 1) if one.kind == "product")
        positions = dict(zip(instances, scene.marks.positions, strict=False))
    for number, record in enumerate(marks, 1):
        said = tuple(record.get(name) for name in ("kind", "position", "text", "sold_out", "instance"))
        if said not in own:
            yield Violation(f"{where} annotation {number}", f"no mark of the scene is {short(said)}")
    for link in links:
        if link.get("position", "") != (position := positions.get(link["instance"], "")):
            there = f"{where} link of instance {short(link['instance'])}"
            yield Violation(there, f"position {short(link.get('position'))}, but {position!r} in the scene")


def check_merged(layout: Layout, split: str) -> Iterator[Violation]:
    """Check the COCO file of a split against the labels of its images and the file of products."""
    name = f"annotations/{layout.shop(split).name}"
    try:
        yield from _compare_heads(layout, split, name)
        yield from islice(_compare_records(layout, split, name), MAX_DIFFERENT)
    except (SynthError, OSError, *MALFORMED) as error:
        yield Violation(name, f"cannot be used: {type(error).__name__}: {error}")


def _compare_heads(layout: Layout, split: str, name: str) -> Iterator[Violation]:
    for key in ("info", "licenses"):
        said, expected = (
            next(stream_json(file, key, COCO_BYTES, "the COCO file"), None)
            for file in (layout.shop(split), layout.annotations(split))
        )
        if said != expected:
            yield Violation(name, f"{key} {short(said)}, but {short(expected)} in {layout.annotations(split).name}")
    if categories_of(layout.shop(split)) != [*CATEGORIES]:
        yield Violation(name, f"the categories are not {', '.join(KINDS)} with ids from 1")


def _compare_records(layout: Layout, split: str, name: str) -> Iterator[Violation]:
    merged = layout.shop(split)
    stored: dict[str, Iterator[ImageRecord | MarkRecord | LinkRecord]] = {
        "images": images_of(merged),
        "annotations": records_of(merged, "annotations", MarkRecord),
        "links": records_of(merged, "links", LinkRecord),
    }
    counts = dict.fromkeys(stored, 0)
    for image in (one.content() for one in images_of(layout.annotations(split))):
        stem = stem_of(image["index"], image["view"])
        file = layout.file(SHOP, stem)
        expected = _merged(image, read_json(file, DATASET_JSON, "labels of a shop"), counts)
        for key, records in expected.items():
            for record in records:
                counts[key] += 1
                there = one.content() if (one := next(stored[key], None)) is not None else {}
                if off := [field for field in {**record, **there} if record.get(field) != there.get(field)]:
                    source = layout.annotations(split).name if key == "images" else f"{SHOP}/{file.name}"
                    yield Violation(f"{name} {key}[{counts[key] - 1}]", f"{', '.join(off)} not as in {source}")
    for key, rest in stored.items():
        if next(rest, None) is not None:
            yield Violation(name, f"more than the {counts[key]} {key} of its images")


def _merged(image: Record, own: Any, before: Mapping[str, int]) -> dict[str, list[Record]]:
    """Return the records that the merged file must have of an image. before: numbers of those of earlier images."""
    marks: list[Record] = [
        {**record, "id": id, "image_id": image["id"], "category_id": 1 + KINDS.index(record["kind"])}
        for id, record in enumerate(own["annotations"], before["annotations"] + 1)
    ]
    tags = {record["instance"]: {"tag_id": record["id"]} for record in marks if "instance" in record}
    links = [
        {**link, "image_id": image["id"], "annotation_id": id, **tags.get(link.get("tag_instance"), {})}
        for id, link in enumerate(own["links"], before["links"] + 1)
    ]
    return {"images": [image], "annotations": marks, "links": links}
