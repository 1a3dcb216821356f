"""Validation of the fields of dataset.json that verify relies on: files from third parties may contain anything."""

from __future__ import annotations

from typing import Any

from assets.limits import DATASET_IMAGES
from assets.options import MAX_SEED
from dataset.checksums import CHECKSUMS

EXTRAS = ("depth", "normals", "ids")
# Ranges of the command line.
MIN_SIDE, MAX_SIDE, MAX_VIEWS = 8, 8192, 100
SHAPES: dict[str, type] = {
    "identity": dict,
    "scenes": int,
    "recipe": str,
    "sources": dict,
    "backdrops": dict,
    "versions": dict,
}


def check_fields(data: dict[str, Any]) -> None:
    """Raise ValueError that names the field of dataset.json whose type differs from what `synth render` writes."""
    for name, kind in SHAPES.items():
        if type(data.get(name)) is not kind:
            raise ValueError(f"{name} is not {'a number' if kind is int else 'a text' if kind is str else 'an object'}")
    for name in ("sources", "backdrops", "versions"):
        if not all(type(value) is str for value in data[name].values()):
            raise ValueError(f"{name} has values that are not texts")
    if data.get("checksums", "") not in ("", CHECKSUMS):
        raise ValueError(f"checksums is not {CHECKSUMS!r}")
    if data["scenes"] < 0:
        raise ValueError("scenes is negative")


def identity_problems(identity: dict[str, Any], scenes: int) -> list[str]:
    """Return the problems of the settings that a data set says it was made with; none if they are valid."""
    ranges = {
        "seed": (0, MAX_SEED),
        "views": (1, MAX_VIEWS),
        "width": (MIN_SIDE, MAX_SIDE),
        "height": (MIN_SIDE, MAX_SIDE),
    }
    problems = []
    for name, (minimum, maximum) in ranges.items():
        value = identity.get(name)
        if type(value) is not int or not minimum <= value <= maximum:
            problems.append(f"identity.{name} is not a number from {minimum} to {maximum}")
    if not problems and scenes * identity["views"] > DATASET_IMAGES.maximum:
        problems.append(f"{scenes} scenes with {identity['views']} views: more than {DATASET_IMAGES.maximum} images")
    if read_splits(identity.get("split")) is None:
        problems.append("identity.split is missing, or not of the form train:0.9,val:0.1")
    extras = identity.get("extras")
    if type(extras) is not str or not {*filter(None, extras.split(","))} <= {*EXTRAS}:
        problems.append(f"identity.extras has values other than {', '.join(EXTRAS)}")
    return problems


def read_splits(text: object) -> tuple[tuple[str, float], ...] | None:
    """Return names and shares of train:0.9,val:0.1; None for anything else. Names must be safe in file names."""
    try:
        parts = [item.partition(":") for item in str(text).split(",")]
        shares = tuple((name, float(share)) for name, _, share in parts)
    except ValueError:
        return None
    valid = all(name.isidentifier() and 0 < share <= 1 for name, share in shares)
    return shares if type(text) is str and valid and len(dict(shares)) == len(shares) else None
