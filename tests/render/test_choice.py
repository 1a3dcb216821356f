"""Scenes of products chosen beforehand: they show those and no others, turned evenly over their appearances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.choice import SceneProducts, orientation_of
from render.recipes import load_recipe, recipe_names
from render.sample import sample_scene
from render.scene import SceneSpec
from support.scenes import StubLibrary, cube

LIBRARY = StubLibrary({key: cube(0.08, key) for key in ("a", "b", "c")})
# Recipes whose products lie as they fall or are put down, whatever orientation is their turn.
AS_THEY_FALL = ("bin", "checkout")
STANDING = "recipe: tabletop\nproducts: {manner: {stand: 1, lie: 0, lean: 0}}\n"


def draw(recipe: object, chosen: SceneProducts, index: int = 3, view: int = 0) -> SceneSpec:
    return sample_scene(LIBRARY, recipe, seed=1, index=index, view=view, width=64, height=48, products=chosen)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", recipe_names())
def test_a_scene_shows_its_products_and_nothing_else(name: str) -> None:
    chosen = SceneProducts(("c", "a"), (orientation_of(1, 0), orientation_of(2, 0)))
    for view in (0, 1):
        scene = draw(load_recipe(name), chosen, view=view)
        shown = [placement.key for placement in scene.placements if placement.kind == "product"]
        assert set(shown) == {"a", "c"}
        assert shown[:2] == ["c", "a"] or scene.marks  # shelves are sorted by brand and size
    assert draw(load_recipe(name), chosen).to_json() == draw(load_recipe(name), chosen).to_json()
    free = draw(load_recipe(name), SceneProducts(("c", "a"))).to_json()
    assert (free == draw(load_recipe(name), chosen).to_json()) == (name in AS_THEY_FALL)


def azimuth_seen(scene: SceneSpec) -> float:
    """From where the first product is seen, in its own frame: radians from its front, -y."""
    placement = next(placement for placement in scene.placements if placement.kind == "product")
    pose = np.linalg.inv(placement.world_from_object)
    eye = scene.camera.world_from_camera[:3, 3] - placement.world_from_object[:3, 3]
    x, y, _ = pose[:3, :3] @ eye
    return float(np.arctan2(x, -y))


def test_a_product_on_the_table_is_seen_from_every_side_equally_often() -> None:
    from render.recipes import recipe_from_yaml

    recipe = recipe_from_yaml(STANDING, where="here")
    seen = [azimuth_seen(draw(recipe, SceneProducts(("a",), (orientation_of(5, n),)), index=n)) for n in range(12)]
    sides = np.floor(np.mod(np.array(seen) + np.pi / 4, 2 * np.pi) / (np.pi / 2)).astype(int)
    assert np.bincount(sides, minlength=4).min() >= 2
    front = draw(recipe, SceneProducts(("a",), ((0.0, 0.0, 0.0),)))
    assert abs(azimuth_seen(front)) < np.radians(45)


def test_a_flying_product_is_seen_from_all_six_sides_equally_often() -> None:
    counts = np.zeros(6, int)
    for number in range(36):
        scene = draw(load_recipe("scatter"), SceneProducts(("a",), (orientation_of(7, number),)), index=2)
        turned = scene.placements[0].world_from_object[:3, :3].T @ scene.camera.world_from_camera[:3, 2]
        axis = int(np.abs(turned).argmax())
        counts[axis * 2 + int(turned[axis] < 0)] += 1
    assert counts.min() >= 4 and counts.max() <= 8


@given(st.integers(0, 2**31), st.integers(0, 10_000))
def test_successive_orientations_fill_the_range(product: int, first: int) -> None:
    orientations = np.array([orientation_of(product, first + step) for step in range(20)])
    assert (orientations >= 0).all() and (orientations < 1).all()
    for column in orientations.T:
        assert np.bincount((column * 4).astype(int), minlength=4).min() >= 4


@pytest.mark.parametrize(("skus", "orientations"), [((), ()), (("a", "b"), ((0.0, 0.0, 0.0),))])
def test_no_products_or_too_few_orientations_are_refused(skus: tuple, orientations: tuple) -> None:
    with pytest.raises(ValueError, match="products with"):
        SceneProducts(skus, orientations)
