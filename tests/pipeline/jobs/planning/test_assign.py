"""Dealing: every SKU exactly as often as it needs, no SKU twice in a scene, the same hands every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.layout import split_of
from pipeline.jobs.planning.assign import Assignment, assign_planograms, assign_scenes, shards_of, splits_of

COUNTS = st.tuples(st.integers(1, 6), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def assign(needs: list[int], count: tuple[int, int], seed: int = 0, listed: list[bool] | None = None) -> Assignment:
    given = np.array(needs)
    mask = np.ones(len(given), bool) if listed is None else np.array(listed)
    return assign_scenes(given, np.zeros(len(given), int), mask, count, rng=np.random.default_rng(seed))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=40), COUNTS, st.integers(0, 99))
def test_every_sku_comes_as_often_as_it_needs_and_never_twice_in_a_scene(
    needs: list[int], count: tuple[int, int], seed: int
) -> None:
    nothing_to_fill_with = [False] * len(needs)
    assigned = assign(needs, count, seed, nothing_to_fill_with)
    assert np.bincount(assigned.category_ids, minlength=len(needs)).tolist() == needs
    sizes = np.diff(assigned.starts)
    assert sizes.sum() == len(assigned.category_ids) and (sizes > 0).all() and (sizes <= count[1]).all()
    for scene in range(len(assigned)):
        hand = assigned.category_ids[assigned.slice_of(scene)]
        assert len(set(hand.tolist())) == len(hand)


def test_hands_keep_to_the_recipe_s_numbers_and_numbers_count_on() -> None:
    needs, before = np.full(1000, 7), np.full(1000, 3)
    assigned = assign_scenes(needs, before, needs > 0, (5, 12), rng=np.random.default_rng(1))
    sizes = np.diff(assigned.starts)
    assert sizes.min() >= 5 and sizes.max() <= 12 and len(set(sizes.tolist())) == 8
    for sku in (0, 500, 999):
        assert sorted(assigned.numbers[assigned.category_ids == sku].tolist()) == list(range(3, 10))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=60), st.lists(COUNTS, min_size=2, max_size=3), st.integers(0, 9)
)
def test_scenes_may_have_numbers_of_their_own(needs: list[int], ranges: list[tuple[int, int]], seed: int) -> None:
    given = np.array(needs)
    nothing, rng = np.zeros(len(given), bool), np.random.default_rng(seed)
    assigned = assign_scenes(given, given * 0, nothing, lambda scene: ranges[scene % len(ranges)], rng=rng)
    assert np.bincount(assigned.category_ids, minlength=len(needs)).tolist() == needs
    sizes = np.diff(assigned.starts)
    assert all(0 < size <= ranges[scene % len(ranges)][1] for scene, size in enumerate(sizes))
    # Fewer than its range says has only the last hand of a deck.
    assert sum(size < ranges[scene % len(ranges)][0] for scene, size in enumerate(sizes)) <= max(needs)


def test_neighbours_differ() -> None:
    assigned = assign([6] * 200, (5, 5))
    scenes = [set(assigned.category_ids[assigned.slice_of(s)].tolist()) for s in range(len(assigned))]
    beside = [scene for scene in scenes if 17 in scene]
    assert len(beside) == 6 and len(set().union(*beside)) > 20


def test_a_small_hand_is_filled_up_with_other_listed_skus() -> None:
    assigned = assign([0, 2, 0, 0, 0], (3, 4), listed=[True, True, True, False, True])
    assert len(assigned) == 2
    counts = np.bincount(assigned.category_ids, minlength=5)
    assert counts[1] == 2 and counts[3] == 0 and counts.sum() == 6


def test_deals_are_known_by_their_seed() -> None:
    first, again, other = (assign([3] * 50, (2, 5), seed) for seed in (4, 4, 5))
    assert first.category_ids.tolist() == again.category_ids.tolist() and first.starts.tolist() == again.starts.tolist()
    assert first.category_ids.tolist() != other.category_ids.tolist()
    assert assign([2, 2, 2, 2], (2, 2), 7).category_ids.tolist() == [0, 2, 1, 3, 3, 1, 2, 0]


@pytest.mark.parametrize("splits", [(("train", 1.0),), (("train", 0.8), ("val", 0.15), ("test", 0.05))])
def test_splits_and_shards_are_those_of_single_scenes(splits: tuple) -> None:
    names = [splits[number][0] for number in splits_of(70, 500, splits)]
    assert names == [split_of(index, splits) for index in range(70, 570)]
    shards = shards_of(70, 500, splits, 30)
    assert sorted(int(scene) for _, scenes in shards for scene in scenes) == list(range(500))
    assert all(len(scenes) <= 30 for _, scenes in shards)
    assert all(names[scene] == split for split, scenes in shards for scene in scenes)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.lists(st.sets(st.integers(0, 11)), max_size=6))
def test_planograms_are_chosen_until_no_sku_needs_more(needs: list[int], contents: list[set[int]]) -> None:
    size = len(needs)
    planograms = [np.array(sorted(number for number in ids if number < size), np.int32) for ids in contents]
    listed = np.arange(size) % 5 != 4
    given, rng = np.array(needs), np.random.default_rng(1)
    assigned = assign_planograms(given, given * 0 + 2, listed, planograms, rng=rng)
    for scene, number in enumerate(assigned.planograms):
        shown = assigned.category_ids[assigned.slice_of(scene)]
        assert shown.tolist() == [one for one in planograms[number] if listed[one]]
    seen = np.bincount(assigned.category_ids, minlength=size)
    standing = [number for number in range(size) if listed[number] and any(number in ids for ids in planograms)]
    assert all(seen[number] >= needs[number] for number in standing)
    assert len(assigned) <= sum(needs[number] for number in standing)  # none without a need
    for number in standing:
        assert sorted(assigned.numbers[assigned.category_ids == number]) == list(range(2, 2 + seen[number]))
