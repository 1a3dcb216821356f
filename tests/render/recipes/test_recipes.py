"""The built-in recipes: errors of YAML, and scenes in which products rest, hide and fill the image as stated."""

from __future__ import annotations

import numpy as np
import pytest

from assets.catalog.types import Sku
from render.geometry import project, transform
from render.labels import annotate, trace_geometry
from render.recipes import load_recipe, recipe_from_yaml, recipe_hash
from render.sample import sample_scene
from render.scene import mesh_of
from render.streams import StreamPurpose, Streams
from support.errors import raises
from support.scenes import THREE_PRODUCTS as LIBRARY
from support.scenes import StubLibrary, can, cube, draw


def test_a_number_in_place_of_a_range_is_that_number() -> None:
    number = recipe_from_yaml("recipe: tabletop\nproducts: {count: 5, density: 0.5}\nlights: {strength: 2}", where="a")
    both = "recipe: tabletop\nproducts: {count: [5, 5], density: [0.5, 0.5]}\nlights: {strength: [2, 2]}"
    assert number == recipe_from_yaml(both, where="b")
    assert number.products.count == (5, 5)  # type: ignore[attr-defined]
    assert recipe_hash(number) == recipe_hash(recipe_from_yaml(both, where="b"))


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("", "recipe-invalid", "expected: a mapping with the key 'recipe'"),  # an empty file
        ("- a\n- b", "recipe-invalid", ""),  # a list
        ("recipe: [", "recipe-unreadable", ""),  # broken YAML
        ("recipe: !!python/object/apply:os.system ['true']", "recipe-unreadable", ""),  # a tag that would run code
        ("recipe: tabeltop", "unknown-name", "did you mean 'tabletop'"),  # a typing error in the name
        (
            "recipe: tabletop\nproducts: {cont: [1, 2]}",
            "recipe-invalid",
            "products.cont: unknown key, did you mean 'count'?",
        ),
        (
            "recipe: tabletop\nproducts: {lean_deg: [9, 1]}",
            "recipe-invalid",
            r"lean_deg: a range is \[lowest, highest\]",
        ),  # reversed
        ("recipe: tabletop\nproducts: {count: [0, 2]}", "recipe-invalid", "must lie within 1 and 500"),
        ("recipe: tabletop\nlights: {strength: [0, .inf]}", "recipe-invalid", "finite"),
        ("recipe: tabletop\nlights: {strength: [0, .nan]}", "recipe-invalid", "finite"),
        ("recipe: tabletop\nlights: {strength: bright}", "recipe-invalid", "lights.strength"),  # wrong type
        ("recipe: tabletop\nlights: 3", "recipe-invalid", "lights"),  # a number for a section
        (
            "recipe: tabletop\nproducts: {count: 0}",
            "recipe-invalid",
            "must lie within 1 and 500",
        ),  # a number for a range
        ("recipe: tabletop\nproducts: {count: 2.5}", "recipe-invalid", "products.count"),
        ("recipe: tabletop\nproducts: {density: true}", "recipe-invalid", "products.density"),
        ("recipe: tabletop\nproducts: {touch: 1.5}", "recipe-invalid", "less than or equal to 1"),
        (
            "recipe: scatter\nproducts: {manner: {stand: 1}}",
            "recipe-invalid",
            "products.manner: unknown key",
        ),  # of another recipe
    ],
)
def test_broken_recipes_are_told(text: str, code: str, told: str) -> None:
    with raises(code, text=told) as caught:
        recipe_from_yaml(text, where="mine.yaml")
    assert "mine.yaml" in str(caught.value) or "tabeltop" in text


def test_all_problems_come_at_once() -> None:
    with raises("recipe-invalid") as caught:
        recipe_from_yaml("recipe: tabletop\nproducts: {touch: 2, density: [3, 1]}\nsensr: {}", where="mine.yaml")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("name", ["nope", "nope.yaml"])
def test_a_recipe_that_is_not_there(name: str) -> None:
    with raises("file-missing", "unknown-name", text="nope"):
        load_recipe(name)


def test_tabletop_products_rest_on_the_table_and_are_seen() -> None:
    seen = drawn = 0
    for index in range(8):
        scene = draw("tabletop", index)
        annotations = annotate(scene, trace_geometry(scene, LIBRARY))
        lows, tops = [], [0.0]
        for placement in scene.placements:
            if placement.kind == "product":
                heights = transform(placement.world_from_object, LIBRARY.product(placement.key).vertices)[:, 2]
                lows.append(heights.min())
            if placement.key != "table":
                corners = transform(placement.world_from_object, mesh_of(LIBRARY, placement).vertices)
                tops.append(corners[:, 2].max())
        for low in lows:  # on the table or on the top of something
            assert np.abs(low - np.array(tops)).min() < 3e-4
        drawn += len(lows)
        seen += len(annotations)
        assert scene.placements[-1].key == "table"
        assert scene.camera.world_from_camera[2, 3] > 0
    assert seen / drawn > 0.75


def test_tabletop_hides_some_products_in_part() -> None:
    shares = []
    for index in range(12):
        scene = draw("tabletop", index)
        shares += [annotation.visibility for annotation in annotate(scene, trace_geometry(scene, LIBRARY))]
    assert 0.15 < np.mean(np.array(shares) < 0.95) < 0.8


def test_scatter_products_have_the_wanted_size_in_every_orientation() -> None:
    low, high = load_recipe("scatter").products.size  # type: ignore[attr-defined]
    ups = []
    for index in range(15):
        scene = draw("scatter", index)
        for placement in scene.placements:
            if placement.kind != "product":
                continue
            ups.append(placement.world_from_object[2, 2])
            middle = transform(placement.world_from_object, LIBRARY.product(placement.key).bounds.mean(axis=0)[None])
            pixels, depth = project(scene.camera, middle)
            longest = LIBRARY.product(placement.key).size.max() * scene.camera.K[0, 0] / depth[0] / 120
            assert longest < high * 1.001
            assert longest > low / 6  # further away where the air is full
            assert -0.1 * 160 < pixels[0, 0] < 1.1 * 160
    assert np.abs(np.mean(ups)) < 0.25
    assert np.std(ups) == pytest.approx(1 / np.sqrt(3), rel=0.25)  # of a uniform direction's z


def test_scatter_cuts_off_no_more_than_it_says_and_fills_the_image() -> None:
    cut, middles = [], []
    for index in range(30):
        scene = draw("scatter", index)
        for annotation in annotate(scene, trace_geometry(scene, LIBRARY)):
            cut.append(annotation.truncation)
            left, top, right, bottom = annotation.amodal_box
            middles.append(((left + right) / 320, (top + bottom) / 240))
    assert max(cut) < 0.33  # of the hull, a little more of the silhouette
    assert 0.15 < np.mean(np.array(cut) > 0.005) < 0.45
    for column in np.array(middles).T:
        assert np.histogram(column, 4, (0, 1))[0].min() > 0.15 * len(column)


def test_a_stream_is_moved_by_nothing_but_its_own_key() -> None:
    base = Streams(1, 2, 0).scene(StreamPurpose.LIGHTS).random()
    assert base == Streams(1, 2, 7).scene(StreamPurpose.LIGHTS).random()
    scene_two = Streams(1, 2, 0)
    others = [
        Streams(1, 3, 0).scene(StreamPurpose.LIGHTS),
        scene_two.scene(StreamPurpose.FINISH),
        scene_two.of_view(StreamPurpose.LIGHTS),
    ]
    assert base not in [rng.random() for rng in others]


def test_negative_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        draw("tabletop", 0, seed=-1)


def test_products_rest_as_their_list_says() -> None:
    library = StubLibrary({"can": can(0.03, 0.11, "can"), "tube": can(0.02, 0.2, "tube"), "box": cube(0.12, "box")})
    rests = {"can": "lie:1", "tube": "lie lean", "box": "stand"}
    library.catalog.find = lambda key: Sku(key, key, mesh="a.obj", rests=rests[key])
    recipe = recipe_from_yaml("recipe: tabletop\nproducts: {manner: {stand: 1, lie: 0, lean: 0.5}}", where="test")
    ups: dict[str, list[float]] = {key: [] for key in rests}
    for index in range(8):
        scene = sample_scene(library, recipe, seed=0, index=index, view=0, width=64, height=48)
        for placement in scene.placements:
            if placement.kind == "product":
                ups[placement.key].append(float(placement.world_from_object[2, 2]))
    assert max(ups["can"]) < 0.1  # may do nothing that the recipe wants: it lies, as its list says
    assert max(ups["tube"]) < 0.999  # leans, and where it finds nothing to lean on it lies: it never stands
    assert any(up > 0.5 for up in ups["tube"])
    assert min(ups["box"]) > 0.999


def test_products_rest_as_their_kind_does_but_in_scenes_of_version_1() -> None:
    bag = Sku("tube", "Crisps", package="bag", width_m=0.04, height_m=0.2, depth_m=0.04)
    library = StubLibrary({"tube": can(0.02, 0.2, "tube")})
    recipe = recipe_from_yaml("recipe: tabletop\nproducts: {manner: {stand: 1, lie: 0, lean: 0}}", where="test")
    sizes = {"seed": 0, "index": 0, "view": 0, "width": 64, "height": 48}
    before = sample_scene(library, recipe, **sizes, streams=1).to_json()
    library.catalog.find = lambda key: bag
    assert sample_scene(library, recipe, **sizes, streams=1).to_json() == before
    scene = sample_scene(library, recipe, **sizes)
    assert all(placed.world_from_object[2, 2] < 0.999 for placed in scene.placements if placed.kind == "product")
