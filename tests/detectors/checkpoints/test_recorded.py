"""Recorded settings of an earlier call and version are held against those of this call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detectors.checkpoints.recorded import RecordedSettings


def recorded(**fields: Any) -> RecordedSettings:
    return RecordedSettings(json.dumps(fields))


@pytest.mark.parametrize(
    ("earlier", "now", "told"),
    [
        ({"seed": 0}, {"seed": 0}, []),
        ({"seed": 0}, {"seed": 1}, ["seed: was 0, now 1"]),
        ({"seed": 0}, {"seed": 0, "added": None, "list": []}, []),
        ({"seed": 0}, {"seed": 0, "added": 3}, ["added: was None, now 3"]),
        ({"seed": 0, "dropped": 3}, {"seed": 0}, []),
        ({"data": {"real": "a"}}, {"data": {"real": "a", "only": None}}, []),
        ({"data": {"real": "a"}}, {"data": {"real": "b"}}, ["data.real: was 'a', now 'b'"]),
        ({"data": {"real": "a"}}, {"data": {"real": "a", "only": "list"}}, ["data.only: was None, now 'list'"]),
        ({"options": {"a": 1, "b": 2}}, {"options": {"a": 1}}, ["options.b: was 2, now None"]),
        ({"data": {"real": "a"}}, {"data": None}, ["data: was {'real': 'a'}, now None"]),
        ({"out": "a"}, {"out": "b"}, []),
    ],
)
def test_what_differs(earlier: dict[str, Any], now: dict[str, Any], told: list[str]) -> None:
    """A setting that a later version has added is no difference while it is empty, in sections as well."""
    assert recorded(**now).differing(recorded(**earlier), free=("out",)) == told
