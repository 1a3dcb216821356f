"""The categories of a catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from assets.catalog.category_ids import CategoryIds, in_order
from assets.catalog.types import Catalog
from dataset.records import CategoryRecord

Names = dict[str, str]


def catalog_categories(catalog: Catalog, ids: CategoryIds) -> list[CategoryRecord]:
    """Categories of all SKUs of the catalogue by rising id, whatever the images show."""
    skus = [(number, catalog[position]) for number, position in in_order(catalog, ids)]
    names = unique_names((sku.sku, sku.name or sku.sku) for _, sku in skus)
    return [
        CategoryRecord(
            id=number,
            name=names[sku.sku],
            supercategory=sku.category,
            sku=sku.sku,
            display_name=sku.name or sku.sku,
        )
        for number, sku in skus
    ]


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
