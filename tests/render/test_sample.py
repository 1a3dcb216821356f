"""The shared part of scenes: what a layout leaves open is sampled alike for every recipe, what it says is kept."""

from __future__ import annotations

import numpy as np
import pytest

from assets.props.look import Shape, Texture
from render.choice import SceneProducts
from render.framing import Framing, frame_camera
from render.geometry import project
from render.labels import annotate, trace_geometry
from render.layout import LightWish, PlacedProduct, SceneLayout, SceneRequest, Support
from render.recipes import load_recipe
from render.recipes.mix import RecipeMix
from render.recipes.parts import SceneRecipe
from render.sample import assemble_scene
from render.scene import Finish, Placement, SceneSpec
from render.streams import Streams
from support.scenes import StubLibrary, camera_at, cube, pose_at

LIBRARY = StubLibrary({"a": cube(0.1, "a"), "b": cube(0.1, "b")})
CAMERA = camera_at((0, -1, 0.4), (0, 0, 0))


def recipe(text: str = "tabletop") -> SceneRecipe:
    loaded = load_recipe(text)
    assert not isinstance(loaded, RecipeMix)
    return loaded


def assembled(layout: SceneLayout, settings: SceneRecipe | None = None, index: int = 0) -> SceneSpec:
    request = SceneRequest(LIBRARY, SceneProducts(("a", "b")), Streams(1, index, 0, 5), 64, 48)  # type: ignore[arg-type]
    return assemble_scene(settings or recipe(), request, layout)


def slab(kind: str = "prop") -> Placement:
    return Placement(kind, "board", pose_at(0, 0, 0), shape=Shape("slab", 1, 1, 0.02), texture=Texture("solid"))  # type: ignore[arg-type]


def test_ids_run_over_products_props_and_what_carries_them() -> None:
    products = tuple(PlacedProduct(sku, pose_at(x)) for sku, x in (("a", -0.2), ("a", 0.0), ("b", 0.2)))
    prop = Placement("prop", "sign", pose_at(0, 0.3), shape=Shape("box", 0.1, 0.1, 0.1), texture=Texture("solid"))
    scene = assembled(SceneLayout(products, CAMERA, (prop,), (Support(np.eye(4), props=(slab(),)),)))
    assert [placement.key for placement in scene.placements] == ["a", "a", "b", "sign", "board"]
    # Facings of one SKU are annotations of their own; fixtures are none.
    found = annotate(scene, trace_geometry(scene, LIBRARY))  # type: ignore[arg-type]
    assert [(one.instance, one.sku) for one in found] == [(1, "a"), (2, "a"), (3, "b")]


def test_a_finish_of_the_layout_is_kept_and_others_are_sampled() -> None:
    own = Finish(roughness=0.123)
    scene = assembled(SceneLayout((PlacedProduct("a", pose_at(), own), PlacedProduct("b", pose_at(0.3))), CAMERA))
    assert scene.placements[0].finish == own
    low, high = recipe().finish.roughness
    assert scene.placements[1].finish.roughness is not None and low <= scene.placements[1].finish.roughness <= high


def test_a_framing_becomes_the_camera_that_just_holds_its_points() -> None:
    points = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.2, 0.2) for z in (0, 1.0)])
    framing = Framing(points, points.mean(axis=0), np.array([0.0, -1.0, 0.0]), lens_mm=26)
    scene = assembled(SceneLayout((PlacedProduct("a", pose_at()),), framing))
    assert np.array_equal(scene.camera.world_from_camera, frame_camera(framing, 64, 48).world_from_camera)
    pixels, _ = project(scene.camera, points)
    assert pixels[:, 1].min() == pytest.approx(0, abs=1e-6) and pixels[:, 1].max() == pytest.approx(48, abs=1e-6)


def test_lights_stand_where_the_layout_wishes() -> None:
    wish = LightWish(np.array([0.0, 0.0, 1.0]), (-np.pi * 3 / 4, -np.pi / 4), (0.0, 0.9))
    layout = SceneLayout((PlacedProduct("a", pose_at()),), CAMERA, lights=wish)
    lights = [light for index in range(12) for light in assembled(layout, index=index).lights]
    assert len(lights) > 5
    for light in lights:
        centre, axis = light.world_from_light[:3, 3], light.world_from_light[:3, 2]
        assert centre[1] < 0 and centre[2] >= 1.0  # before and above the target
        assert axis == pytest.approx((wish.target - centre) / np.linalg.norm(wish.target - centre))


def test_only_props_carry_products() -> None:
    with pytest.raises(ValueError, match="only props"):
        Support(np.eye(4), props=(Placement("product", "a", pose_at()),))
