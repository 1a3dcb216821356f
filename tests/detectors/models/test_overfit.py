"""One-stage detectors learn four rendered pictures by heart."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.by_heart import score_after

# Detector, steps of four pictures, rate for starting from nothing, size of the pictures.
CASES = [
    ("fcos", 90, 0.002, (160, 128)),
    ("retinanet", 160, 0.002, (160, 128)),
    ("ssd300", 150, 0.003, (300, 300)),
    ("ssdlite", 150, 0.003, (256, 192)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps", "rate", "size"), CASES, ids=[case[0] for case in CASES])
def test_learns_pictures_by_heart(
    name: str, steps: int, rate: float, size: tuple[int, int], few: Path, tmp_path: Path
) -> None:
    assert score_after(name, few, tmp_path / "run", steps=steps, rate=rate, size=size) > 0.9


def test_every_detector_is_tried() -> None:
    import test_overfit_rcnn

    from detectors.models import DETECTORS

    assert {case[0] for case in (*CASES, *test_overfit_rcnn.CASES)} | set(test_overfit_rcnn.SAME) == set(DETECTORS)
