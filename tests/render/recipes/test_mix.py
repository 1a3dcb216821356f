"""Several recipes in one run: shares, the same recipe for a scene whatever else is made, products dealt evenly."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dataset.layout import split_of
from render.recipes import load_recipe, recipe_from_yaml, recipe_hash, recipe_yaml
from render.recipes.mix import RecipeMix, parts_by_scene, products_at, recipe_at
from support.errors import raises

SHARES = (("tabletop", 0.7), ("scatter", 0.3))
SPLITS = (("train", 0.8), ("val", 0.2))


def mix(*shares: tuple[str, float]) -> RecipeMix:
    recipe = load_recipe(shares or SHARES)
    assert isinstance(recipe, RecipeMix)
    return recipe


def test_a_mix_reads_back_equal_and_is_known_by_its_content(tmp_path: Path) -> None:
    again = recipe_from_yaml(recipe_yaml(mix()), where="dataset.json")
    assert again == mix()
    assert recipe_hash(again) == recipe_hash(mix())
    assert len({recipe_hash(one) for one in (mix(), mix(("tabletop", 0.6), ("scatter", 0.4)), mix(SHARES[0]))}) == 3
    (tmp_path / "dense.yaml").write_text("recipe: tabletop\nproducts: {density: 0.6}\n")
    both = mix(("tabletop", 1), (str(tmp_path / "dense.yaml"), 1))
    assert recipe_from_yaml(recipe_yaml(both), where="x") == both


def test_a_file_may_be_a_mix(tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text(
        "recipe: mix\nparts:\n- {share: 7, of: tabletop}\n- {share: 3, of: {recipe: scatter, products: {count: 9}}}\n"
    )
    loaded = load_recipe(str(path))
    assert isinstance(loaded, RecipeMix)
    assert [part.share for part in loaded.parts] == [7, 3]
    assert loaded.parts[1].of.product_count() == (9, 9)


@pytest.mark.parametrize("seed", [0, 7])
def test_shares_hold_for_any_number_of_scenes_and_within_splits(seed: int) -> None:
    parts = parts_by_scene(mix(), seed)(np.arange(4000))
    for count in (10, 100, 1000, 4000):
        assert abs((parts[:count] == 0).mean() - 0.7) < 3 / count + 0.001
    val = np.array([split_of(index, SPLITS) == "val" for index in range(4000)])
    assert abs((parts[val] == 0).mean() - 0.7) < 0.03


def test_a_scene_s_recipe_follows_from_seed_and_index_alone() -> None:
    names = [recipe_at(mix(), 3, index) for index in range(40)]
    assert names == [recipe_at(mix(), 3, index) for index in reversed(range(40))][::-1]
    assert names != [recipe_at(mix(), 4, index) for index in range(40)]
    # Only the ratio of the shares counts.
    doubled = mix(("tabletop", 1.4), ("scatter", 0.6))
    assert names == [recipe_at(doubled, 3, index) for index in range(40)]


def test_products_come_from_passes_that_all_recipes_share() -> None:
    recipe, keys = mix(), tuple(f"sku {number}" for number in range(30))
    times: Counter[str] = Counter()
    for index in range(60):
        chosen = products_at(recipe, keys, 5, index)
        low, high = recipe_at(recipe, 5, index).product_count()
        assert low <= len(chosen.skus) <= high
        times.update(chosen.skus)
        assert max(times.values()) - min(times[key] for key in keys) <= 1


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("recipe: mix", "recipe-mix-invalid", "a list of {share: NUMBER, of: RECIPE}"),
        ("recipe: mix\nparts: []", "recipe-mix-invalid", "found: 0 recipes"),
        ("recipe: mix\nparts: [{of: tabletop, part: 1}]", "recipe-mix-invalid", "a list of {share"),
        ("recipe: mix\nparts: [{of: tabletop, share: 0}]", "recipe-mix-invalid", ""),
        ("recipe: mix\nparts: [{of: tabletop, share: .nan}]", "recipe-mix-invalid", ""),
        ("recipe: mix\nparts: [{of: tabletop}, {of: tabletop}]", "recipe-mix-invalid", ""),
        ("recipe: mix\nparts: [{of: {recipe: mix, parts: []}}]", "unknown-name", "unknown recipe 'mix'"),
        ("recipe: mix\nparts: [{of: [1]}]", "recipe-invalid", "part 1"),
        ("recipe: mix\nparts: [{of: {recipe: tabletop, sensr: {}}}]", "recipe-invalid", "part 1"),
    ],
)
def test_broken_mixes_are_errors(text: str, code: str, words: str) -> None:
    with raises(code, text=re.escape(words)):
        recipe_from_yaml(text, where="mine.yaml")
