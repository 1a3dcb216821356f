"""Labels of shops beyond products as they are stored: of each image, and of a split as a COCO file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

from assets.errors import SynthError
from assets.files.json_input import parse_json
from assets.limits import DATASET_INSTANCES
from dataset.records import CategoryRecord, ImageLabels, LinkRecord, MarkRecord, parse_all

MarkKind = Literal["price_tag", "gap", "shelf_line"]
KINDS: tuple[MarkKind, ...] = get_args(MarkKind)
CATEGORIES = tuple(CategoryRecord(id=id, name=kind, supercategory="shop") for id, kind in enumerate(KINDS, 1))
# The labels of an image in the tar of a shard.
SHOP_MEMBER = "shop.json"
# The sides of a product; its front faces -Y of its own frame.
SIDES = ("front", "back", "left", "right", "top", "bottom")


@dataclass(frozen=True)
class ShopRecords:
    """The labels of an image beyond its products, without ids. links: one per annotation of a product, in order."""

    marks: Sequence[MarkRecord]
    links: Sequence[LinkRecord]

    @classmethod
    def parse(cls, data: bytes, where: str, hint: str | None = None) -> Self:
        """Parse the file of an image. Raises SynthError if it is damaged."""
        try:
            content: Any = parse_json(data, "labels of a shop", where, hint=hint)
            marks, links = (content[name] for name in ("annotations", "links"))
            if not isinstance(marks, list) or not isinstance(links, list):
                raise TypeError("no lists of records")
            DATASET_INSTANCES.check(max(len(marks), len(links)), where)
            return cls(parse_all(MarkRecord, marks), parse_all(LinkRecord, links))
        except (ValueError, KeyError, TypeError) as error:
            raise SynthError(
                "the labels of a shop are damaged", code="labels-damaged", where=where, found=str(error), hint=hint
            ) from error

    def content(self) -> dict[str, Any]:
        """Return the JSON object of the file."""
        return {
            "annotations": [record.content() for record in self.marks],
            "links": [record.content() for record in self.links],
        }


def numbered_marks(images: Iterable[tuple[ImageLabels, ShopRecords]]) -> Iterator[ImageLabels]:
    """Number marks densely from 1 and let links refer to them and to products, whose records have ids."""
    numbers = {one.name: one.id for one in CATEGORIES}
    before = 0
    for labels, shop in images:
        image = labels.image.id
        marks = [
            replace(record, id=id, image_id=image, category_id=numbers.get(record.kind))
            for id, record in enumerate(shop.marks, before + 1)
        ]
        before += len(marks)
        products = {record.instance: record.id for record in labels.annotations}
        tags: dict[int | None, int | None] = {one.instance: one.id for one in marks if one.kind == "price_tag"}
        links = [
            replace(link, image_id=image, annotation_id=products.get(link.instance), tag_id=tags.get(link.tag_instance))
            for link in shop.links
        ]
        yield ImageLabels(labels.image, marks, links)
