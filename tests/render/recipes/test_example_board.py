"""The board example: facings of the asked products on two boards, which occlude and are never annotated."""

from __future__ import annotations

import numpy as np

from assets.mesh.rest import rest_from_mesh
from render.labels import annotate, trace_geometry
from render.placement.arrangement import Arrangement
from render.recipes import load_recipe
from render.sample import sample_scene
from render.scene import SceneSpec
from support.paths import ROOT
from support.scenes import StubLibrary, cube

FILE = ROOT / "examples" / "recipe_board.py"
LIBRARY = StubLibrary({key: cube(side, key) for key, side in (("a", 0.08), ("b", 0.12), ("c", 0.1), ("d", 0.09))})


def sampled(index: int, view: int = 0) -> SceneSpec:
    recipe = load_recipe(str(FILE))
    return sample_scene(LIBRARY, recipe, seed=2, index=index, view=view, width=96, height=72)  # type: ignore[arg-type]


def test_products_stand_in_facings_on_boards_that_are_never_annotated() -> None:
    for index in range(4):
        scene = sampled(index)
        arrangement = Arrangement()
        products = [placement for placement in scene.placements if placement.kind == "product"]
        assert len(products) > len({product.key for product in products})
        assert {placement.key for placement in scene.placements if placement.kind == "prop"} == {
            "board-1",
            "board-2",
            "panel",
        }
        tops = {p.world_from_object[2, 3] for p in scene.placements if p.key.startswith("board")}
        for product in products:
            rest = rest_from_mesh(LIBRARY.product(product.key))
            assert np.abs(np.array(sorted(tops)) - product.world_from_object[2, 3]).min() < 1e-6
            assert arrangement.distance(rest, product.world_from_object) >= 0
            arrangement.add(rest, product.world_from_object)
        found = annotate(scene, trace_geometry(scene, LIBRARY))  # type: ignore[arg-type]
        assert found and {one.sku for one in found} <= set("abcd")
