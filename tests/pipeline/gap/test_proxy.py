"""Proxy AP: a detector is trained briefly and evaluated, at toy size."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.gap import proxy
from support.console import quiet
from support.sets.shapes import write_shapes


@pytest.mark.trains
def test_a_detector_is_trained_briefly_and_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "DETECTOR", "ssdlite")
    monkeypatch.setattr(proxy, "BACKBONE", "test_efficientnet")
    monkeypatch.setattr(proxy, "AREA", 64 * 64)
    monkeypatch.setattr(proxy, "BATCH", 2)
    first, second = (write_shapes(tmp_path / name, 4, seed=i) for i, name in enumerate("ab"))
    found = proxy.proxy_score(
        first, second, steps=10, aspect=1.5, weights="none", seed=0, device="cpu", reporter=quiet()
    )
    assert 0 <= found.ap.value <= found.ap50 <= 1 and found.steps == 10
