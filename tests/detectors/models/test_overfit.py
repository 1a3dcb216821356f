"""One-stage detectors learn four rendered images by heart."""

from __future__ import annotations

from pathlib import Path

import pytest

from detectors.models import DETECTORS
from support.by_heart import ONE_STAGE, SAME, TWO_STAGE, score_after


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps", "batch", "rate", "size"), ONE_STAGE, ids=[case[0] for case in ONE_STAGE])
def test_learns_images_by_heart(
    name: str, steps: int, batch: int, rate: float, size: tuple[int, int], few: Path, tmp_path: Path
) -> None:
    assert score_after(name, few, tmp_path / "run", steps=steps, batch=batch, rate=rate, size=size) > 0.9


def test_every_detector_is_tried() -> None:
    assert {case[0] for case in (*ONE_STAGE, *TWO_STAGE)} | set(SAME) == set(DETECTORS)
