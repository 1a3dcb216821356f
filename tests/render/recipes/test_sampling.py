"""What recipes share when they sample: fixtures, products that differ from their meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from assets.backdrops.collection import Backdrops
from assets.fixtures.cooler import CoolerFixture
from assets.props.look import UNCHANGED, ProductMaterial
from render.recipes import load_recipe, recipe_from_yaml, recipe_hash, recipe_yaml
from render.recipes.parts import Finishes
from render.recipes.sampling import MATERIALS, fixture_placement, sample_change, sample_fixture_key
from render.recipes.shop import MOST_RADIANCE, sample_strip
from render.sample import sample_scene
from support.errors import raises
from support.scenes import StubLibrary, cube, pose_at


def test_fixtures_come_from_the_given_folders_and_are_missed_without_any(tmp_path: Path) -> None:
    with raises("fixture-missing", hint="--fixtures"):
        sample_fixture_key(Backdrops.open(), rng=np.random.default_rng(0))
    for name in ("bay.ply", "fridge.stl"):
        trimesh.creation.box((1, 1, 1)).export(tmp_path / name)
    backdrops = Backdrops.open(fixture_dir=tmp_path)
    keys = {sample_fixture_key(backdrops, rng=np.random.default_rng(seed)) for seed in range(20)}
    assert keys == {"fixtures/bay.ply", "fixtures/fridge.stl"}
    placement = fixture_placement("fixtures/bay.ply", pose_at(), up="y")
    assert placement.kind == "prop" and placement.fixture is not None
    assert dict(placement.fixture.settings) == {"key": "fixtures/bay.ply", "up": "y"}


def test_copies_share_their_material_while_dents_and_stickers_are_their_own() -> None:
    finishes = Finishes(material=0.5, dented=0.5, dents=(0.5, 1.0), sticker=0.5)
    materials: dict[str, ProductMaterial] = {}
    rng = np.random.default_rng(0)
    changes = [(sku, sample_change(finishes, materials, sku, rng=rng)) for _ in range(3) for sku in map(str, range(90))]
    assert len({(sku, change.material) for sku, change in changes}) == 90
    assert set(materials.values()) == {"own", *MATERIALS}
    assert {change.dents for _, change in changes} == {0.0, 0.5, 0.75, 1.0}
    assert 90 < sum(change.sticker is not None for _, change in changes) < 180


def test_products_are_unchanged_unless_the_recipe_wants_it_down_to_the_hash() -> None:
    text = "recipe: scatter\nproducts: {count: 5}\n"
    plain, changed = (
        recipe_from_yaml(text + more, where="here") for more in ("", "finish: {material: 1.0, sticker: 1.0}")
    )
    library = StubLibrary({"box": cube(0.12, "box")})
    before, after = (
        sample_scene(library, recipe, seed=0, index=0, view=0, width=64, height=48).placements
        for recipe in (plain, changed)
    )
    assert all(placement.finish.change == UNCHANGED for placement in before)
    products = [(old, new) for old, new in zip(before, after, strict=True) if new.kind == "product"]
    assert products and all(new.finish.change.sticker is not None for _, new in products)
    assert all(new.finish.tint == old.finish.tint for old, new in products)
    assert recipe_hash(load_recipe("scatter"))[:12] == "03a36a9ac1f1"
    assert recipe_hash(recipe_from_yaml(recipe_yaml(changed), where="here")) == recipe_hash(changed)


def test_a_recipe_keeps_changes_that_are_switched_off_where_they_are_usual() -> None:
    off = recipe_from_yaml("recipe: shelf\nfinish: {material: 0, dented: 0, sticker: 0}", where="here")
    again = recipe_from_yaml(recipe_yaml(off), where="here")
    assert again == off and recipe_hash(off) != recipe_hash(load_recipe("shelf"))


def test_a_strip_of_light_shines_no_brighter_than_fixtures_may() -> None:
    _, radiance = sample_strip((3000, 6500), (2.0, 2.0), 1.5, 0.05, rng=np.random.default_rng(0))
    CoolerFixture.model_validate({"strip_radiance": radiance})
    assert radiance == MOST_RADIANCE
