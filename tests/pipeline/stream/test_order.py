"""The order of a stream: each image is used as often as asked, evenly, within a window that any position tells."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.catalog.sku_lists import SkuLists
from detectors.data.mix import Draw
from detectors.data.source import ENDLESS
from detectors.training.schedule import Phase, Schedule
from pipeline.run.settings import RunSettings
from pipeline.stream.order import SlidingOrder
from pipeline.stream.settings import StreamSettings
from support.errors import raises


def order(reuse: int, window: int) -> SlidingOrder:
    render = RunSettings(SkuLists((Path("a.csv"),)), Path(), scenes=1)
    return StreamSettings(render, reuse, window).order


@given(reuse=st.integers(1, 9), spare=st.integers(0, 60))
def test_each_image_is_used_as_often_as_asked_and_evenly(reuse: int, spare: int) -> None:
    plan = order(reuse, 4 + 2 * reuse + spare)
    assert plan.kept >= reuse * plan.stride >= 1
    draws = [plan.image_at(0, 0, 0, index) for index in range(6 * plan.kept * reuse)]
    # The first image of a group is the newest, so that every image before it has been drawn.
    done = max(draws) - plan.kept
    counts = Counter(draws)
    assert all(counts[image] == reuse for image in range(done))
    assert all(draws.index(image) <= draws.index(after) for image, after in pairwise(range(done)))
    places = [place for place, image in enumerate(draws) if image == done - 1]
    assert len({after - before for before, after in pairwise(places)}) <= 1


@given(reuse=st.integers(1, 9), spare=st.integers(0, 60), start=st.integers(0, 500))
def test_images_and_partners_lie_in_the_window(reuse: int, spare: int, start: int) -> None:
    window = 4 + 2 * reuse + spare
    plan = order(reuse, window)
    for index in range(start, start + 40):
        memory = plan.shards_ahead(0, 0, 0, index)
        near = plan.window_at(0, 0, 0, index)
        assert len(memory) <= window and len(near) <= plan.kept
        assert {plan.image_at(0, 0, 0, index), *near.tolist()} <= set(memory)
        assert plan.shards_ahead(0, 0, 0, index + 1).start >= memory.start


def test_the_first_draws_by_hand() -> None:
    """Two images apart, three uses."""
    plan = SlidingOrder(reuse=3, stride=2, kept=6, margin=1)
    drawn = [plan.image_at(0, 0, 0, index) for index in range(15)]
    assert drawn == [0, 1, 2, 0, 3, 1, 4, 2, 0, 5, 3, 1, 6, 4, 2]
    assert list(plan.shards_ahead(0, 0, 0, 0)) == [0, 1]
    assert list(plan.shards_ahead(0, 0, 0, 14)) == list(range(8))


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_phases_go_on_with_the_stream(share: float) -> None:
    """The second phase of a training begins with the image after those of the first one, also when resumed there."""
    plan = SlidingOrder(reuse=1, stride=4, kept=4, margin=1)
    shares = (share, 1 - share)
    schedule = Schedule((Phase("mix", 5, shares), Phase("finetune", 5, shares)), (ENDLESS, 7), 4, 5, 0, {0: plan})
    draws: list[Draw] = [draw for step in range(10) for draw in schedule.draws(4 * step, 4 * step + 4)]
    streamed = [draw.image for draw in draws if draw.source == 0]
    assert streamed == list(range(len(streamed))) and len(streamed) == round(40 * share)
    assert list(schedule.draws(28, 32)) == draws[28:32]


def test_a_window_that_is_too_small_is_refused() -> None:
    with raises("setting-invalid"):
        order(reuse=8, window=8)
