"""Checkouts: as many products of as many kinds as the level says, seen from above. Totes hold what is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.recipes import load_recipe
from render.recipes.checkout import LEVELS, CheckoutRecipe
from support.scenes import THREE_PRODUCTS as LIBRARY
from support.scenes import draw


@pytest.mark.parametrize("level", LEVELS)
def test_levels_say_how_many_products_and_kinds_there_are(level: str, tmp_path: Path) -> None:
    file = tmp_path / "level.yaml"
    file.write_text(f"recipe: checkout\nproducts: {{level: {level}}}\n")
    recipe = load_recipe(str(file))
    assert isinstance(recipe, CheckoutRecipe) and recipe.product_count() == LEVELS[level][0]
    low, high = LEVELS[level][1]
    for index in range(3):
        shown = sum(placement.kind == "product" for placement in draw(str(file), index).placements)
        assert low <= shown <= high


def test_the_camera_looks_down() -> None:
    for index in range(4):
        assert draw("checkout", index).camera.world_from_camera[2, 2] < -0.99


def test_the_walls_of_a_tote_reach_over_every_middle() -> None:
    scene = draw("bin", 1)
    (tote,) = (placement for placement in scene.placements if placement.fixture is not None)
    height = dict(tote.fixture.settings)["height"]  # type: ignore[union-attr]
    assert isinstance(height, float)
    for placement in scene.placements:
        if placement.kind == "product":
            middle = placement.world_from_object @ [*LIBRARY.product(placement.key).bounds.mean(axis=0), 1]
            assert middle[2] < height


def test_a_folder_named_like_a_recipe_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_recipe("bin").recipe == "bin"  # type: ignore[union-attr]
