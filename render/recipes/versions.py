"""Recipe defaults of earlier versions of the streams, so that data sets begun with those can be resumed."""

from __future__ import annotations

from typing import Any

from assets.errors import SynthError
from render.streams import STREAMS

_SENSOR_1 = {
    "exposure_ev": (-0.7, 0.7),
    "blur_px": (0.0, 0.8),
    "shaken": 0.12,
    "contrast": (0.85, 1.15),
    "saturation": (0.8, 1.1),
    "crosstalk": 0.12,
    "tone": (0.9, 1.4),
    "sharpen": (0.0, 0.3),
}
# By version and recipe: the defaults that differ from today's; for keys that did not exist yet, the value that leaves
# scenes unchanged.
DEFAULTS: dict[int, dict[str, dict[str, Any]]] = {
    1: {
        "tabletop": {
            "products": {
                "count": (5, 12),
                "occlude": 0.3,
                "density": (0.25, 0.55),
                "compact": 1,
                "repeat": (0.0, 0.0),
                "stack": (0.0, 0.0),
            },
            "distractors": {"count": (0, 4), "printed": 0.0},
            "table": {"repeat_m": (0.3, 1.2), "gain": (1.0, 1.0)},
            "camera": {"lens_mm": (24.0, 50.0), "height_deg": (15.0, 65.0), "distance": (0.65, 1.25)},
            "lights": {
                "environment_kelvin": (5500.0, 7600.0),
                "area_share": (0.2, 5.0),
                "area_kelvin": (2800.0, 7000.0),
            },
            "finish": {"tint": (0.94, 1.06)},
            "background": {"texture": 1.0, "gain": (0.5, 1.6)},
            "sensor": _SENSOR_1,
        },
        "scatter": {
            "products": {"max_truncation": 1.0},
            "distractors": {"printed": 0.0},
            "lights": {"environment_kelvin": (5500.0, 7600.0)},
            "background": {"gain": (0.5, 1.6)},
            "sensor": _SENSOR_1,
        },
    }
}
# By version, recipe and section: the keys that did not exist yet.
ADDED: dict[int, dict[str, dict[str, set[str]]]] = {
    1: {
        "tabletop": {
            "products": {"compact", "repeat", "stack"},
            "distractors": {"printed"},
            "table": {"gain"},
        },
        "scatter": {"products": {"max_truncation"}, "distractors": {"printed"}},
    }
}


def defaults_of(name: str, defaults: dict[str, Any], streams: int) -> dict[str, Any]:
    """Return the defaults of a recipe in that version of the streams, given those of today."""
    return merged(defaults, DEFAULTS.get(streams, {}).get(name, {}))


def merged(defaults: dict[str, Any], changes: dict[Any, Any]) -> dict[Any, Any]:
    """Return `defaults` updated with `changes`; a section that is changed in part keeps its other defaults."""
    result: dict[Any, Any] = dict(defaults)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(defaults.get(key), dict)
        result[key] = merged(defaults[key], value) if both else value
    return result


def added_keys(name: str, streams: int) -> dict[str, set[str]]:
    """Return the keys, by section, that the recipe did not have in that version; empty for today's version."""
    return ADDED.get(streams, {}).get(name, {})


def check_known(recipe: Any, streams: int, where: str) -> None:
    """Raise SynthError if a recipe sets keys that did not exist in that version of the streams."""
    name, content = recipe.recipe, recipe.model_dump()
    off = DEFAULTS.get(streams, {}).get(name, {})
    new = [
        f"{section}.{key}: {content[section][key]}"
        for section, keys in added_keys(name, streams).items()
        for key in sorted(keys)
        if content[section][key] != off[section][key]
    ]
    if new:
        hint = f"omit these keys to resume it, or start a new --out (streams version {STREAMS})"
        what = "the data set was started before recipes had these keys"
        raise SynthError(what, code="recipe-too-new", where=where, problems=new, hint=hint)
