"""The categories of a catalogue, and the keypoints of their objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from assets.catalog.category_ids import CategoryIds, in_order
from assets.catalog.types import Catalog
from dataset.records import CategoryRecord

Names = dict[str, str]

# The corners of an object's bounding cuboid, the keypoints of categories, in the object's frame: x to the right, y away
# from the front, z up; -1 is the lower bound of an axis, 1 the upper one. First the bottom, then the top, each
# counter-clockwise seen from above, from the front's left corner on.
CORNERS = np.array(
    [(-1, -1, -1), (1, -1, -1), (1, 1, -1), (-1, 1, -1), (-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)], np.float64
)
CORNER_NAMES = (
    *("bottom_front_left", "bottom_front_right", "bottom_back_right", "bottom_back_left"),
    *("top_front_left", "top_front_right", "top_back_right", "top_back_left"),
)
# Pairs of corners that an edge joins, counted from 1 as COCO does.
SKELETON = (
    *((1, 2), (2, 3), (3, 4), (4, 1)),
    *((5, 6), (6, 7), (7, 8), (8, 5)),
    *((1, 5), (2, 6), (3, 7), (4, 8)),
)
# A mirrored image shows a mirrored product, whose left is right: which corner takes the place of each, from 0.
MIRRORED = (1, 0, 3, 2, 5, 4, 7, 6)
# COCO's flags: not in the image, with the coordinates 0, 0; in the image behind something; seen.
ABSENT, HIDDEN, VISIBLE = 0, 1, 2


def catalog_categories(catalog: Catalog, ids: CategoryIds, *, keypoints: bool = False) -> list[CategoryRecord]:
    """Categories of all SKUs of the catalogue by rising id, whatever the images show.

    keypoints: with the names of the corners of cuboids, and their edges.
    """
    skus = [(number, catalog[position]) for number, position in in_order(catalog, ids)]
    names = unique_names((sku.sku, sku.name or sku.sku) for _, sku in skus)
    records = [
        CategoryRecord(
            id=number,
            name=names[sku.sku],
            supercategory=sku.category,
            sku=sku.sku,
            display_name=sku.name or sku.sku,
        )
        for number, sku in skus
    ]
    return [with_cuboid(record) for record in records] if keypoints else records


def with_cuboid(record: CategoryRecord) -> CategoryRecord:
    """Return a category whose keypoints are the corners of its objects' bounding cuboids."""
    return replace(record, keypoints=list(CORNER_NAMES), skeleton=[list(pair) for pair in SKELETON])


def same_category(record: CategoryRecord, expected: CategoryRecord) -> bool:
    """Whether a category is as expected, or as earlier versions wrote it: with the display name as `name`."""
    return record in (expected, replace(expected, name=expected.shown, display_name=None))


def unique_names(products: Iterable[tuple[str, str]], before: Mapping[str, tuple[str, str]] | None = None) -> Names:
    """Return a unique category name per SKU key; readers such as supervision and Datumaro reject duplicates.

    products: (key, display name) in ascending category id. The first SKU with a display name keeps it, later ones get
    their key appended, so names do not change when SKUs with higher ids are added. before: key -> (name, display name)
    of an earlier version of the set, whose names are kept if the display name is unchanged.
    """
    products = list(products)
    names: Names = {}
    taken: set[str] = set()
    for key, shown in products:
        name, before_shown = (before or {}).get(key, ("", ""))
        if name and before_shown == shown and name not in taken:
            names[key] = name
            taken.add(name)
    for key, shown in products:
        if key in names:
            continue
        name = shown
        while name in taken:
            name = f"{name} ({key})"
        names[key] = name
        taken.add(name)
    return {key: names[key] for key, _ in products}


def bare_name(name: str, key: str) -> str:
    """Return a name without the key that `unique_names` appended."""
    return name.removesuffix(f" ({key})")
