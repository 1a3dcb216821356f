"""Batches of P SKUs x K crops: what they hold, in what order SKUs come, and that a step alone decides it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.recognition.embedder.sampling import (
    GROUP,
    Draws,
    EpochBatches,
    Ints,
    Pools,
    check_pools,
    find_neighbours,
    group_alike,
    neighbours_by_name,
)
from support.errors import raises


def batches(
    labels: np.ndarray, classes: int, draws: Draws, *, real: np.ndarray | None = None, **more: object
) -> EpochBatches:
    flags = np.zeros(len(labels), bool) if real is None else real
    return EpochBatches(Pools.of(labels, classes), flags, draws, **{"epoch": 0, **more})  # type: ignore[arg-type]


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 9), st.integers(1, 4), st.integers(2, 12), st.integers(0, 99))
def test_every_batch_holds_p_skus_of_k_crops(skus: int, crops: int, classes: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, 60)
    made = batches(labels, classes, Draws(skus, crops, 5, seed))
    present = len(np.unique(labels))
    for draws in made:
        of = labels[[crop for _, crop in draws]].reshape(-1, crops)
        assert (of == of[:, :1]).all() and len(of) == min(skus, present)
    positions = [position for draws in made for position, _ in draws]
    assert positions == list(range(len(positions)))


def test_crops_come_twice_only_where_there_are_too_few() -> None:
    labels = np.array([0] * 10 + [1] * 2)
    made = batches(labels, 2, Draws(2, 4, 30, 0))
    for step in range(30):
        crops = made.batch(step)
        many, few = crops[labels[crops] == 0], crops[labels[crops] == 1]
        assert len(set(many.tolist())) == 4 and set(few.tolist()) == {10, 11} and len(few) == 4


def test_rounds_go_through_all_skus_equally_often() -> None:
    labels = np.repeat(np.arange(10), 3)
    made = batches(labels, 10, Draws(4, 2, 25, 7))
    counts = Counter(sku for step in range(25) for sku in made.skus(step))
    assert set(counts.values()) == {10}


def test_a_step_is_known_without_those_before_it() -> None:
    labels = np.random.default_rng(0).integers(0, 30, 300)
    alike = np.random.default_rng(1).integers(0, 30, (30, 5))
    draws = Draws(8, 3, 20, 5)
    whole = list(batches(labels, 30, draws, neighbours=alike, epoch=3))
    later = list(batches(labels, 30, draws, neighbours=alike, epoch=3, start=13))
    assert whole[13:] == later
    assert whole != list(batches(labels, 30, draws, neighbours=alike, epoch=4))


def test_photographs_have_their_share() -> None:
    labels = np.zeros(100, int).repeat(2)
    labels[100:] = 1
    real = np.zeros(200, bool)
    real[:5] = True
    made = batches(labels, 2, Draws(2, 8, 200, 0, real_share=0.25), real=real)
    drawn = np.concatenate([made.batch(step) for step in range(200)])
    assert real[drawn[labels[drawn] == 0]].mean() == pytest.approx(0.25, abs=0.03)
    assert not real[drawn[labels[drawn] == 1]].any()


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 40), st.integers(0, 1000))
def test_grouping_loses_and_repeats_nobody(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alike = np.stack([rng.permutation(classes + 6)[:6] for _ in range(classes)])
    alike[alike >= classes] = -1
    order = rng.permutation(classes)[: max(1, classes - 1)]
    assert sorted(group_alike(order, alike, GROUP).tolist()) == sorted(order.tolist())


def test_look_alikes_stand_together() -> None:
    """Five families of four: each family is one group, whoever is drawn first."""
    families = np.arange(20).reshape(5, 4)
    alike: Ints = np.array([[other for other in family if other != sku] for family in families for sku in family])
    for seed in range(5):
        order = group_alike(np.random.default_rng(seed).permutation(20), alike, 4)
        assert (order.reshape(5, 4) // 4 == order.reshape(5, 4)[:, :1] // 4).all()


def test_neighbours_are_those_of_a_loop() -> None:
    points = torch.nn.functional.normalize(torch.randn(1500, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    found = find_neighbours(points, 5)
    assert found.shape == (1500, 5)
    for label in (0, 1023, 1024, 1499):  # on both sides of a block's border
        cosines = (points @ points[label]).numpy()
        cosines[label] = -2
        assert found[label].tolist() == np.argsort(-cosines)[:5].tolist()
    assert find_neighbours(points[:3], 16).shape == (3, 2)


def test_names_of_one_brand_are_neighbours_at_the_start() -> None:
    names = ("Zest cola", "acme tea green", "Zest cola light", "Acme tea black", "Acme tea mint", "zest Cola zero")
    alike = neighbours_by_name(tuple("abcdef"), names, 2)
    for label in (0, 2, 5):
        assert set(alike[label].tolist()) & {0, 2, 5} - {label}
    assert alike.shape == (6, 2) and (alike != np.arange(6)[:, None]).all()


def test_one_sku_is_nothing_to_learn() -> None:
    with raises("too-few-skus"):
        check_pools(Pools.of(np.zeros(9, int), 4))
