"""Versions of the random streams: another list, other lights; sets of before are drawn as they were."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from render.recipes import load_recipe, recipe_from_yaml, recipe_hash, recipe_names, recipe_yaml
from render.recipes.versions import DEFAULTS
from render.sample import sample_scene
from render.scene import SceneSpec
from support.errors import raises
from support.scenes import StubLibrary, cube


def library(list_hash: str) -> StubLibrary:
    stub = StubLibrary({"box": cube(0.12, "box"), "cup": cube(0.07, "cup")})
    stub.catalog = SimpleNamespace(**{**vars(stub.catalog), "hash": list_hash})
    return stub


def draw(recipe: str, list_hash: str, streams: int, index: int = 3, view: int = 0) -> SceneSpec:
    chosen = load_recipe(recipe, streams=streams)
    stub = library(list_hash)
    return sample_scene(stub, chosen, seed=7, index=index, view=view, width=64, height=48, streams=streams)  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", recipe_names())
def test_another_list_with_the_same_seed_has_other_surroundings(recipe: str) -> None:
    one, other = draw(recipe, "a", 2), draw(recipe, "b", 2)
    assert one.environment != other.environment and one.sensor != other.sensor
    assert one.camera.world_from_camera.tolist() != other.camera.world_from_camera.tolist()
    assert draw(recipe, "a", 1).environment == draw(recipe, "b", 1).environment
    if recipe == "tabletop":
        assert one.placements[-1].texture != other.placements[-1].texture


@pytest.mark.parametrize(
    ("streams", "recipe", "scenes", "recipe_sha"),
    [
        (1, "tabletop", "9833385e87041331", "82542e9c21270e37"),
        (1, "scatter", "df9f37cd77174991", "07e321b7ea46b34d"),
        # Other numbers than these are a version 3: data sets are known by them.
        (2, "tabletop", "773f4856a041cb91", "3787ca6140a9490f"),
        (2, "scatter", "0533f8d19532c38a", "03a36a9ac1f1d8fb"),
    ],
)
def test_each_version_is_as_it_was(streams: int, recipe: str, scenes: str, recipe_sha: str) -> None:
    specs = "".join(draw(recipe, "any", streams, index, view).to_json() for index in range(4) for view in (0, 1))
    chosen = load_recipe(recipe, streams=streams)
    assert hashlib.sha256(specs.encode()).hexdigest()[:16] == scenes
    assert recipe_hash(chosen, streams=streams)[:16] == recipe_sha


def test_a_scene_says_its_version() -> None:
    old, new = draw("tabletop", "a", 1), draw("tabletop", "a", 2)
    assert '"streams":2' in new.to_json() and "streams" not in old.to_json()
    assert SceneSpec.from_json(old.to_json()).to_json() == old.to_json()
    assert SceneSpec.from_json(new.to_json()).streams == 2 and SceneSpec.from_json(old.to_json()).streams == 1


@pytest.mark.parametrize("name", sorted(DEFAULTS[1]))
def test_a_recipe_of_version_one_reads_back_equal(name: str) -> None:
    recipe = load_recipe(name, streams=1)
    assert recipe_from_yaml(recipe_yaml(recipe, streams=1), where="shown", streams=1) == recipe
    assert recipe != load_recipe(name)


def test_an_old_set_takes_no_keys_that_were_not_there() -> None:
    text = "recipe: scatter\nproducts: {max_truncation: 0.2}\n"
    assert recipe_from_yaml(text, where="mine").products.max_truncation == 0.2  # type: ignore[attr-defined]
    with raises("recipe-too-new") as caught:
        recipe_from_yaml(text, where="mine", streams=1)
    assert caught.value.problems == ("products.max_truncation: 0.2",)
