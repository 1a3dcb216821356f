"""Detectors learn four rendered images by heart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detectors.models import DETECTORS, build_model, detector_module
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec, OptionValue
from support.by_heart import BACKBONE, CASES, SAME, SLOW_LEARNERS, render_few, score_after


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of four rendered images, to be learned by heart."""
    return render_few(tmp_path_factory.mktemp("few"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps", "batch", "rate", "size"), CASES, ids=[case[0] for case in CASES])
def test_learns_images_by_heart(
    name: str, steps: int, batch: int, rate: float, size: tuple[int, int], few: Path, tmp_path: Path
) -> None:
    assert score_after(name, few, tmp_path / "run", steps=steps, batch=batch, rate=rate, size=size) > 0.9


def smallest(name: str) -> tuple[tuple[str, OptionValue], ...]:
    return tuple(sorted(getattr(detector_module(name), "SMALLEST", {}).items()))


@pytest.mark.parametrize(("name", "learning"), SAME.items())
def test_with_backbone_and_options_of_its_own_it_is_the_network_that_learns_them(name: str, learning: str) -> None:
    spec = ModelSpec(learning, BACKBONE, 3, 160, 128, IMAGENET_MEAN, IMAGENET_STD, smallest(learning))
    one, other = (build_model(replace(spec, detector=each)) for each in (learning, name))
    assert str(one) == str(other)
    if hasattr(one, "rpn"):
        assert one.rpn.anchor_generator.sizes == other.rpn.anchor_generator.sizes
    assert [*one.state_dict()] == [*other.state_dict()]


def test_every_detector_is_tried() -> None:
    assert {case[0] for case in CASES} | set(SAME) | set(SLOW_LEARNERS) == set(DETECTORS)
