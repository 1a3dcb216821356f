"""The page of detectors says what the code says."""

from __future__ import annotations

import pytest

from detectors.models import DETECTORS
from detectors.models.page import COMMAND, LESSONS, PAGE, renewed
from support.paths import ROOT


def test_every_detector_has_a_lesson() -> None:
    missing = sorted(set(DETECTORS) - set(LESSONS))
    assert not missing, f"say in LESSONS of detectors/models/page.py what {missing} teach, then run: {COMMAND}"
    assert set(LESSONS) == set(DETECTORS)


def test_the_tables_are_current() -> None:
    pytest.importorskip("transformers", reason="some networks need transformers, which is optional")
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert renewed(text) == text, f"{PAGE} is not what the code says; run: {COMMAND}"
