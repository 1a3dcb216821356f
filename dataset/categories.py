"""The categories of a catalogue."""

from __future__ import annotations

from dataclasses import replace

from assets.catalog.categories import unique_names
from assets.catalog.category_ids import CategoryIds, in_order
from assets.catalog.types import Catalog
from dataset.records import CategoryRecord


def catalog_categories(catalog: Catalog, ids: CategoryIds) -> list[CategoryRecord]:
    """Categories of all SKUs of the catalogue by rising id, whatever the pictures show."""
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
