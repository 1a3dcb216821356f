"""The renderer of a stream: what fails is replaced, what dies is made again, and nothing outlives it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from dataset.layout import stem_of
from pipeline.run.settings import RunSettings
from pipeline.stream.renderer import StreamRenderer
from support.errors import raises
from support.sets.stream_scenes import all_fail, dies_once, scenes_of, some_fail, stored


@pytest.fixture
def open_renderer(rendered: RunSettings, tmp_path: Path) -> Callable[..., StreamRenderer]:
    def opened(scene: Any = stored, workers: int = 1) -> StreamRenderer:
        settings = replace(rendered, out=tmp_path / "run", cache=tmp_path / "cache", workers=workers)
        return StreamRenderer(settings, scenes_of(rendered.out, scene))

    return opened


def children() -> int:
    return sum("spawn_main" in " ".join(child.cmdline()) for child in psutil.Process().children(recursive=True))


def test_scenes_are_made_in_any_order_and_dropped(open_renderer: Callable[..., StreamRenderer]) -> None:
    before = children()
    with open_renderer(workers=2) as renderer:
        # Nothing is started for a training that is complete.
        assert renderer.counts.scenes == 0 and children() == before
        renderer.want(range(6))
        assert [sample.stem for sample in renderer.scene(5)] == [stem_of(1, 0), stem_of(1, 1)]
        renderer.want(range(4, 8))
        renderer.scene(7)
        assert renderer.in_memory <= 4
        renderer.want(range(0, 4))  # an older thread: what newer ones need stays
        assert len(renderer.scene(0)) == 2  # dropped too early: made again
        counts = renderer.counts
        assert counts.scenes >= 8 and counts.failed == 0 and counts.rate > 0
    assert children() == before


def test_what_fails_is_replaced_and_what_dies_is_made_again(open_renderer: Callable[..., StreamRenderer]) -> None:
    with open_renderer(some_fail) as renderer:
        renderer.want(range(3))
        stems = [renderer.scene(index)[0].stem for index in range(3)]
        assert stems == [stem_of(0, 0), stem_of(3, 0), stem_of(2, 0)]
        assert renderer.counts.failed == 2 and "scene 1: " in renderer.counts.reason
    with open_renderer(dies_once) as renderer:
        assert renderer.scene(2)[0].stem == stem_of(2, 0)
        assert renderer.counts.failed == 0


def test_too_many_failures_end_it(open_renderer: Callable[..., StreamRenderer]) -> None:
    with open_renderer(all_fail) as renderer, raises("scenes-failed"):
        renderer.scene(0)


def test_closing_frees_those_who_wait(open_renderer: Callable[..., StreamRenderer]) -> None:
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            renderer.scene(0)
        except RuntimeError as error:
            errors.append(error)

    renderer = open_renderer()
    waiting = threading.Thread(target=wait)
    waiting.start()
    renderer.close()
    waiting.join()
    assert len(errors) <= 1 and not waiting.is_alive()
