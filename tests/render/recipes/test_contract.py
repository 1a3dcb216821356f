"""What every recipe owes: each entry of the table, and a third party's in a Python file, runs through all of this."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from assets.mesh.rest import rest_from_mesh
from render.choice import scene_products
from render.placement.arrangement import Arrangement
from render.recipes import load_recipe, recipe_from_yaml, recipe_hash, recipe_names, recipe_yaml
from render.recipes.mix import RecipeMix
from render.recipes.parts import SceneRecipe
from render.scene import SceneSpec, mesh_of
from support.paths import ROOT
from support.scenes import THREE_PRODUCTS as LIBRARY
from support.scenes import draw as draw_full

BOARD = ROOT / "examples" / "recipe_board.py"
# Surfaces that carry products touch them.
CARRIERS = ("table", "board-1", "board-2", "panel")
# Recipes that show more copies than they have different products.
FACINGS = (str(BOARD), "shelf", "fridge", "endcap")

# Where many products take long, a file that asks for few.
SMALL = {"bin": str(ROOT / "tests" / "support" / "small_bin.yaml")}

recipes = pytest.mark.parametrize("name", [*recipe_names(), str(BOARD)], ids=[*recipe_names(), BOARD.name])


def draw(name: str, index: int, *, seed: int = 0, view: int = 0) -> SceneSpec:
    return draw_full(SMALL.get(name, name), index, seed=seed, view=view)


def settings_of(name: str) -> SceneRecipe:
    recipe = load_recipe(SMALL.get(name, name))
    assert not isinstance(recipe, RecipeMix)
    return recipe


@recipes
def test_a_shown_recipe_reads_back_equal(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe_from_yaml(recipe_yaml(recipe), where="shown", files={BOARD.name: BOARD}) == recipe
    assert f"recipe: {Path(name).name}" in recipe_yaml(recipe)


@recipes
def test_a_file_that_changes_one_range_keeps_the_rest(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shutil.copy(BOARD, tmp_path)
    path.write_text(f"recipe: {Path(name).name}\nlights: {{strength: [1, 2]}}\n")
    changed = settings_of(str(path))
    assert changed.lights.strength == (1, 2)
    assert changed.lights.area_count == settings_of(name).lights.area_count
    assert recipe_hash(changed) != recipe_hash(load_recipe(name))


@recipes
def test_the_same_seed_and_index_give_the_same_bytes(name: str) -> None:
    assert draw(name, 3).to_json() == draw(name, 3).to_json()
    assert draw(name, 3).to_json() != draw(name, 4).to_json()
    assert draw(name, 3).to_json() != draw(name, 3, seed=1).to_json()
    assert SceneSpec.from_json(draw(name, 3).to_json()).to_json() == draw(name, 3).to_json()


@recipes
def test_views_share_the_arrangement_and_differ_in_the_camera(name: str) -> None:
    first, second = draw(name, 5), draw(name, 5, view=1)
    assert [p.world_from_object.tolist() for p in first.placements] == [
        p.world_from_object.tolist() for p in second.placements
    ]
    assert first.environment == second.environment
    assert not np.allclose(first.camera.world_from_camera, second.camera.world_from_camera)
    assert first.sensor.seed != second.sensor.seed


@recipes
def test_products_come_first_and_are_those_asked_for(name: str) -> None:
    """At most as many as stated; only a recipe of facings shows more copies."""
    recipe = settings_of(name)
    low, high = recipe.products.count  # type: ignore[attr-defined]
    for index in range(6):
        keys = LIBRARY.catalog.keys
        wanted = Counter(scene_products(keys, recipe.product_count(), seed=0, index=index).skus)
        placements = draw(name, index).placements
        shown = Counter(placement.key for placement in placements if placement.kind == "product")
        assert shown >= wanted and shown.keys() == wanted.keys()
        assert low <= shown.total() <= high or name in FACINGS
        assert all(placement.kind == "product" for placement in placements[: shown.total()])


@recipes
def test_nothing_intersects(name: str) -> None:
    for index in range(5):
        scene = draw(name, index)
        arrangement = Arrangement()
        for placement in scene.placements:
            if placement.key in CARRIERS or placement.fixture is not None:
                continue
            known = placement.kind == "product"
            rest = LIBRARY.rest(placement.key) if known else rest_from_mesh(mesh_of(LIBRARY, placement))
            assert arrangement.distance(rest, placement.world_from_object) >= 0
            arrangement.add(rest, placement.world_from_object)


@recipes
def test_sensors_stay_within_their_ranges_and_vary(name: str) -> None:
    ranges = settings_of(name).sensor
    sensors = [draw(name, index).sensor for index in range(8)]
    for sensor in sensors:
        assert ranges.tone[0] <= sensor.tone <= ranges.tone[1]
        assert ranges.sharpen[0] <= sensor.sharpen <= ranges.sharpen[1]
        assert max(map(abs, sensor.crosstalk)) <= ranges.crosstalk
    assert len({sensor.tone for sensor in sensors}) == len({sensor.crosstalk for sensor in sensors}) == 8
