"""Misfits of planograms: each kind found where it was made, to a millimetre, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.planogram.bay_sizes import STANDARDS, BayUnits
from assets.planogram.check import find_misfits
from assets.planogram.generate import generate_planograms
from assets.planogram.types import (
    MerchCap,
    Planogram,
    PlanogramPosition,
    PlanogramProduct,
    PlanogramSet,
    PlanogramShelf,
)

PRODUCTS = (PlanogramProduct(("can",), size=(0.08, 0.11, 0.08)), PlanogramProduct(("box",), size=(0.2, 0.28, 0.06)))
BOARD = PlanogramShelf("1", "shelf", *(0.0, 0.1, 0.0, 1.0, 0.03, 0.4))


def misfits(*positions: PlanogramPosition, shelf: PlanogramShelf = BOARD, above: float = 0.5) -> list[tuple[str, str]]:
    """Kind and text of each misfit of one shelf; another one is `above` metres over the floor."""
    upper = replace(BOARD, id="2", y=above)
    plan = Planogram("a", 1.0, 1.5, 0.4, (replace(shelf, positions=positions), upper))
    return [(one.kind, one.found) for one in find_misfits(PlanogramSet((plan,), PRODUCTS))]


def at(sku: str, **changes: object) -> PlanogramPosition:
    return PlanogramPosition(**{"id": sku, "sku": sku, **changes})  # type: ignore[arg-type]


def test_what_fits_is_no_misfit() -> None:
    assert not misfits(at("can", wide=5, high=3, deep=5), at("box", wide=3, deep=6, y_cap=MerchCap(1, "top")))
    assert not misfits(at("can", x=0.0), at("box", x=0.0795))  # less than a millimetre
    assert not misfits(at("can", x=0.0), at("can", id="2", x=0.0, y=0.11))  # on top of it
    assert not misfits(at("can", wide=2, deep=2, size=(0.16, 0.11, 0.16)), at("box", wide=2, size=(0.2, 0.28, 0.06)))


@pytest.mark.parametrize(
    ("positions", "kind", "found"),
    [
        ((at("can", high=4),), "high", "440 mm over the shelf"),
        ((at("can", y=0.262),), "high", "372 mm over the shelf"),
        ((at("can", x=0.1), at("box", x=0.17)), "overlap", "an overlap of 10 x 110 x 60 mm with position can"),
        (
            (at("can", x=0.1), at("can", id="2", x=0.1, y=0.1)),
            "overlap",
            "an overlap of 80 x 10 x 80 mm with position can",
        ),
        ((at("can", x=0.922),), "outside", "2 mm beyond the right end of the shelf"),
        ((at("can", x=-0.01),), "outside", "10 mm beyond the left end of the shelf"),
        ((at("can", deep=5, z=-0.02),), "outside", "20 mm beyond the front edge of the shelf"),
        ((at("box", deep=7),), "outside", "20 mm beyond the back of the shelf"),
        ((at("can", y=-0.01),), "outside", "10 mm beyond the underside of the shelf"),
        ((at("can", wide=3, size=(0.242, 0.11, 0.08)),), "size", "a block of 242 x 110 x 80 mm"),
        ((at("tea"),), "unsized", "no size"),
    ],
)
def test_each_kind_is_found_and_no_other(positions: tuple, kind: str, found: str) -> None:
    assert misfits(*positions) == [(kind, found)]


def test_an_overhang_is_room_and_what_hangs_comes_forward() -> None:
    assert not misfits(at("can", x=0.98, z=-0.02), shelf=replace(BOARD, overhang=(0.0, 0.1, 0.05)))
    pegs = PlanogramShelf("1", "pegboard", *(0.0, 0.3, 0.38, 1.0, 0.6, 0.02))
    assert not misfits(at("can", x=0.1, y=0.3, deep=4), shelf=pegs, above=1.2)
    assert misfits(at("can", x=0.1, y=0.3, deep=5), shelf=pegs, above=1.2)[0][0] == "outside"


def test_products_are_held_against_the_list() -> None:
    catalog = load_catalog(demo_list())
    sku = next(one for one in catalog if one.height_m and one.width_m and one.depth_m)
    size = (sku.width_m or 0, (sku.height_m or 0) + 0.002, sku.depth_m or 0)
    shelf = replace(BOARD, positions=(at(sku.sku), at("elsewhere", row=7)))
    product = PlanogramProduct((sku.sku,), size=size)
    found = list(find_misfits(PlanogramSet((Planogram("a", 1.0, 1.5, 0.4, (shelf,)),), (product,)), catalog))
    assert [(one.kind, one.sku, one.row) for one in found] == [("size", sku.sku, 0), ("missing", "elsewhere", 7)]


@pytest.mark.parametrize("units", ["eu", "us"])
def test_made_up_bays_hold_each_product_once_and_fit(units: BayUnits) -> None:
    catalog = load_catalog(demo_list())
    plans = tuple(generate_planograms(catalog, STANDARDS[units], seed=3))
    places = [position.sku for plan in plans for _, position in plan.positions()]
    assert sorted(places) == sorted(sku.sku for sku in catalog)
    assert not list(find_misfits(PlanogramSet(plans), catalog))
    assert plans == tuple(generate_planograms(catalog, STANDARDS[units], seed=3))
    assert all(plan.shelves[0].surface == pytest.approx(STANDARDS[units].base) for plan in plans)
    for plan in plans:
        masses = [
            sum(catalog.find(one.sku).mass_kg or 0 for one in shelf.positions) / len(shelf.positions)
            for shelf in plan.shelves
        ]
        assert masses == sorted(masses, reverse=True)  # heavy products low


def test_large_products_get_bays_of_their_own() -> None:
    from assets.catalog.types import Sku

    sizes = {"door": (2.0, 2.3, 0.05), "plank": (3.0, 0.2, 0.1), "crate": (0.6, 0.5, 1.4), "cup": (0.08, 0.1, 0.08)}
    skus = [Sku(key, key, width_m=w, height_m=h, depth_m=d) for key, (w, h, d) in sizes.items()]
    plans = tuple(generate_planograms(skus, STANDARDS["eu"], seed=0))
    assert sorted(one.sku for plan in plans for _, one in plan.positions()) == sorted(sizes)
    products = tuple(PlanogramProduct((key,), size=size) for key, size in sizes.items())
    assert not list(find_misfits(PlanogramSet(plans, products)))
