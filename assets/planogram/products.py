"""Products of planograms in a catalogue: their keys and sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from assets.catalog.types import Catalog, Sku
from assets.errors import SynthError
from assets.planogram.types import PlanogramProduct, PlanogramSet, PlanogramShelf, Size
from assets.planogram.units import SizeOf
from assets.plurals import count_of, first_few

EXPORT_HINT = (
    "add width_m, height_m and depth_m; for meshes 'synth catalog export' writes a list that states the sizes they have"
)


def stated_size(sku: Sku) -> Size | None:
    """Return width, height and depth of a SKU in metres; None if the list does not state all three."""
    if sku.width_m is None or sku.height_m is None or sku.depth_m is None:
        return None
    return sku.width_m, sku.height_m, sku.depth_m


def sizes_of(planograms: PlanogramSet, catalog: Catalog | None = None) -> SizeOf:
    """Return a function from a product key to its size: that of the catalogue, else that of the planogram file.

    Neither knows it: None.
    """
    sizes = {product.keys[0]: product.size for product in planograms.products}
    known = frozenset(catalog.keys) if catalog is not None else frozenset()

    @cache
    def size_of(key: str) -> Size | None:
        listed = stated_size(catalog.find(key)) if catalog is not None and key in known else None
        return listed or sizes.get(key)

    return size_of


def match_catalog(planograms: PlanogramSet, catalog: Catalog) -> PlanogramSet:
    """Replace the keys of products by those of the catalogue, where another key or the barcode of a SKU is the same.

    A key that is in the catalogue stays, and so does one that nothing matches.
    """
    known = frozenset(catalog.keys)
    others = {product.keys[0]: product.keys for product in planograms.products}
    used = {position.sku for planogram in planograms.planograms for _, position in planogram.positions()}
    missing = (used | others.keys()) - known
    if not missing:
        return planograms
    barcodes = {sku.barcode: sku.sku for sku in catalog if sku.barcode}
    new = {}
    for key in missing:
        found = [one if one in known else barcodes.get(one) for one in others.get(key, (key,))]
        new[key] = next(filter(None, found), key)
    return _renamed(planograms, new)


def _renamed(planograms: PlanogramSet, new: dict[str, str]) -> PlanogramSet:
    def shelf_renamed(shelf: PlanogramShelf) -> PlanogramShelf:
        return replace(shelf, positions=tuple(replace(one, sku=new.get(one.sku, one.sku)) for one in shelf.positions))

    plans = [replace(plan, shelves=tuple(map(shelf_renamed, plan.shelves))) for plan in planograms.planograms]
    products = [
        replace(product, keys=tuple(dict.fromkeys((new.get(product.keys[0], product.keys[0]), *product.keys))))
        for product in planograms.products
    ]
    return replace(planograms, planograms=tuple(plans), products=tuple(products))


def sizes_missing(keys: Iterable[str], where: str) -> SynthError:
    """Return the error for products that neither the SKU list nor the planogram states a size of."""
    names = sorted(set(keys))
    return SynthError(
        f"{count_of(len(names), 'product')} without a stated size",
        code="planogram-sizes-missing",
        where=where,
        expected="width, height and depth of each: a planogram is about room",
        hint=EXPORT_HINT,
        problems=first_few([repr(name)[:80] for name in names], 20),
    )


def product_of(sku: Sku) -> PlanogramProduct:
    """Describe a SKU of a catalogue as a product of a planogram."""
    return PlanogramProduct((sku.sku,), sku.name, sku.brand, stated_size(sku))
