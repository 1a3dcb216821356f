"""Measurements against what can be worked out on paper: a clock of our own, a known convolution, a known array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detectors.bench.measure import (
    MAX_SECONDS,
    MIN_REPEATS,
    WARM_UP,
    MemoryPeak,
    count_flops,
    count_parameters,
    hardware_text,
    measure_latency,
    measure_throughput,
)

IMAGES = [np.zeros((2, 2, 3), np.uint8) + number for number in range(3)]


class Clock:
    """A clock that only moves while something is detected. seconds: of each call, in turns."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.seconds, self.seen = 0.0, seconds, []

    def __call__(self) -> float:
        return self.now

    def detect(self, images: Any) -> None:
        self.now += self.seconds[len(self.seen) % len(self.seconds)]
        self.seen.append([int(image[0, 0, 0]) for image in images])


def test_latency_leaves_out_the_first_calls_and_takes_images_in_turns() -> None:
    clock = Clock(*[50.0] * WARM_UP, *(number / 4 for number in range(1, 22)))
    found = measure_latency(clock.detect, IMAGES, 21, clock=clock)
    assert (found.median, found.p95, found.repeats) == (2.75, 5.0, 21)
    assert clock.seen[WARM_UP : WARM_UP + 4] == [[0], [1], [2], [0]]


def test_slow_detectors_are_timed_on_fewer_images() -> None:
    clock = Clock(47.0)
    assert measure_latency(clock.detect, IMAGES, 100, clock=clock).repeats == MIN_REPEATS
    clock = Clock(MAX_SECONDS / 8)
    assert measure_latency(clock.detect, IMAGES, 100, clock=clock).repeats == 8


def test_throughput() -> None:
    clock = Clock(100.0, 2.0)  # the first batch warms up
    assert measure_throughput(clock.detect, IMAGES, 4, 4, clock=clock) == 2.0
    assert clock.seen == [[0, 1, 2, 0]] * 2


class Known(nn.Module):
    """A convolution of 3 x 3 from 3 to 8 channels with padding, and a layer of 8 x 5 weights on the mean."""

    def __init__(self, finish: Callable[[Tensor], Tensor] = lambda one: one) -> None:
        super().__init__()
        self.convolution, self.layer, self.finish = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5), finish

    def detect(self, images: Tensor) -> Tensor:
        return self.finish(self.layer(self.convolution(images).mean((2, 3))))


def test_operations_and_parameters_of_a_known_network() -> None:
    """Each of 8 x 10 x 12 values takes 27 multiplications; two images take twice as many."""
    model = Known()
    assert count_flops(model, torch.zeros(1, 3, 10, 12)) == 2 * 8 * 10 * 12 * 27 + 2 * 8 * 5
    assert count_flops(model, torch.zeros(2, 3, 10, 12)) == 2 * (2 * 8 * 10 * 12 * 27 + 2 * 8 * 5)
    assert count_parameters(model) == 3 * 8 * 9 + 8 + 8 * 5 + 5

    def broken(one: Tensor) -> Tensor:
        raise RuntimeError("no rule for this layer")

    assert count_flops(Known(broken), torch.zeros(1, 3, 10, 12)) is None


def test_memory_peak() -> None:
    """Also in a process that holds as much free memory of earlier work."""
    np.ones(30 * 2**20, np.uint8)  # from then on such sizes come from the heap
    earlier = [np.ones(2**20, np.uint8) for _ in range(100)]
    last = earlier.pop()  # the heap does not shrink below it
    earlier.clear()
    peak = MemoryPeak(torch.device("cpu"))
    before = peak.read()
    if before is None:
        pytest.skip("this system does not say how much memory a process takes")
    array = np.ones(64 * 2**20, np.uint8)
    del array
    found = peak.read()
    assert last.all()
    assert found is not None and found - before >= 60


def test_the_hardware_line_says_what_computed() -> None:
    text = hardware_text(torch.device("cpu"), 3)
    assert "3 threads" in text and "no GPU" in text and "\n" not in text
