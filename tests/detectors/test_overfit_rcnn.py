"""Two-stage detectors learn eight rendered pictures by heart."""

from __future__ import annotations

from pathlib import Path

import pytest
from by_heart import score_after

# Detector, steps of eight pictures, rate for starting from nothing, size of the pictures.
CASES = [
    ("fasterrcnn", 110, 0.002, (160, 128)),
    ("fasterrcnn_mobilenet", 110, 0.002, (160, 128)),
    ("fasterrcnn_mobilenet_320", 110, 0.002, (160, 128)),
    ("maskrcnn", 110, 0.002, (160, 128)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps", "rate", "size"), CASES, ids=[case[0] for case in CASES])
def test_learns_eight_pictures_by_heart(
    name: str, steps: int, rate: float, size: tuple[int, int], eight: Path, tmp_path: Path
) -> None:
    assert score_after(name, eight, tmp_path / "run", steps=steps, rate=rate, size=size) > 0.9
