"""Planogram files as no program should write them."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from itertools import islice

from hypothesis import strategies as st

from assets.catalog.load import load_catalog
from assets.catalog.types import Catalog
from assets.demo import demo_list
from assets.errors import SynthError
from assets.planogram import load_planograms
from assets.planogram.check import find_misfits
from assets.planogram.products import sizes_of
from assets.planogram.stocked import StockedPlanogram
from pipeline.planograms.draw import PlanogramDrawing, draw_planogram
from render.choice import SceneProducts
from render.recipes import load_recipe
from render.sample import sample_scene
from support.fuzzing.files import Files, Sandbox, broken, changed_words, nothing_written
from support.scenes import StubLibrary, can, cube
from support.sets.planograms import CSV, TOML, psa_text

GOOD = {"a.psa": psa_text(), "a.toml": TOML, "a.csv": CSV}


@st.composite
def planograms(draw: st.DrawFn) -> Files:
    """A planogram of one of the formats, broken."""
    name = draw(st.sampled_from(sorted(GOOD)))
    return {name: draw(broken(GOOD[name].encode(), changed_words))}


@cache
def _catalog() -> Catalog:
    return load_catalog(demo_list())


@cache
def _library() -> StubLibrary:
    """Products with the keys that the good files have."""
    return StubLibrary({"0042": cube(0.08, "0042"), "43": can(0.03, 0.2, "43"), "demo-0001": cube(0.1, "demo-0001")})


def check_planogram_is_read_or_told(files: Files, box: Sandbox) -> None:
    """What can be read can be checked, drawn and stood up as well, or its mistake is told."""
    path = box.write(files)
    with nothing_written(box), suppress(SynthError):
        found = load_planograms(path, _catalog())
        list(islice(find_misfits(found, _catalog()), 1000))
        size_of = sizes_of(found, _catalog())
        for planogram in found.planograms:
            draw_planogram(planogram, PlanogramDrawing(size_of, lambda sku, orientation: None, pixels=20))
            skus = tuple({one.sku: 0 for one in planogram.shown_positions() if one.sku in _library().catalog.keys})
            if skus:
                _stand_up(StockedPlanogram(planogram, skus, {}))


def _stand_up(stocked: StockedPlanogram) -> None:
    library = _library()
    library.planograms = (stocked,)
    for recipe in ("shelf", "fridge"):
        products = SceneProducts(stocked.skus, planogram=0)
        sample_scene(
            library,  # type: ignore[arg-type]
            load_recipe(recipe),
            seed=0,
            index=0,
            view=0,
            width=64,
            height=48,
            products=products,
        )
