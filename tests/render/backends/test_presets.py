"""Presets by name."""

from __future__ import annotations

import pytest

from render.backends import BACKENDS, backend_module, resolve_preset
from support.errors import raises


def test_every_backend_has_the_same_presets_each_costlier_than_the_one_before() -> None:
    for backend in BACKENDS:
        assert list(backend_module(backend).INFO.presets) == ["draft", "good", "best"]
        found = [resolve_preset(backend, preset) for preset in ("draft", "good", "best")]
        assert [settings.backend for settings in found] == [backend] * 3
        assert [settings.preset for settings in found] == ["draft", "good", "best"]
        assert found[0].samples < found[1].samples < found[2].samples


@pytest.mark.parametrize(
    ("backend", "preset", "told"),
    [
        ("cycles", "god", r"did you mean 'good'"),  # a slip of the finger
        ("raster", "ultra", r"best, draft, good"),  # nothing close: the known ones
        ("cyles", "good", r"did you mean 'cycles'"),
    ],
)
def test_an_unknown_name_is_told_the_known_ones(backend: str, preset: str, told: str) -> None:
    with raises("unknown-name", text=told):
        resolve_preset(backend, preset)
