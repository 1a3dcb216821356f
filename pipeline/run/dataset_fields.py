"""Whether dataset.json says what verify builds upon: a stranger's may say anything."""

from __future__ import annotations

from typing import Any

from assets.limits import DATASET_PICTURES
from dataset.checksums import CHECKSUMS

EXTRAS = ("depth", "normals", "ids")
# What the command line takes.
MIN_SIDE, MAX_SIDE, MAX_VIEWS, MAX_SEED = 8, 8192, 100, 2**63 - 1
SHAPES: dict[str, type] = {
    "identity": dict,
    "scenes": int,
    "recipe": str,
    "sources": dict,
    "backdrops": dict,
    "versions": dict,
}


def check_fields(data: dict[str, Any]) -> None:
    """Raises ValueError naming the field of dataset.json that is of another kind than `synth render` writes."""
    for name, kind in SHAPES.items():
        if type(data.get(name)) is not kind:
            raise ValueError(f"{name} is no {'number' if kind is int else 'text' if kind is str else 'object'}")
    for name in ("sources", "backdrops", "versions"):
        if not all(type(value) is str for value in data[name].values()):
            raise ValueError(f"{name} holds other things than texts")
    if data.get("checksums", "") not in ("", CHECKSUMS):
        raise ValueError(f"checksums is not {CHECKSUMS!r}")
    if data["scenes"] < 0:
        raise ValueError("scenes is below 0")


def identity_problems(identity: dict[str, Any], scenes: int) -> list[str]:
    """What is wrong with the settings that a data set says it was made with, in words; none if they make sense."""
    ranges = {
        "seed": (0, MAX_SEED),
        "views": (1, MAX_VIEWS),
        "width": (MIN_SIDE, MAX_SIDE),
        "height": (MIN_SIDE, MAX_SIDE),
    }
    problems = []
    for name, (least, most) in ranges.items():
        value = identity.get(name)
        if type(value) is not int or not least <= value <= most:
            problems.append(f"identity.{name} is no number from {least} to {most}")
    if not problems and scenes * identity["views"] > DATASET_PICTURES.most:
        problems.append(f"{scenes} scenes of {identity['views']} views: more than {DATASET_PICTURES.most} pictures")
    if read_splits(identity.get("split")) is None:
        problems.append("identity.split is missing, or not of the form train:0.9,val:0.1")
    extras = identity.get("extras")
    if type(extras) is not str or not {*filter(None, extras.split(","))} <= {*EXTRAS}:
        problems.append(f"identity.extras are others than {', '.join(EXTRAS)}")
    return problems


def read_splits(text: object) -> tuple[tuple[str, float], ...] | None:
    """Names and shares of train:0.9,val:0.1; None for anything else. A name is part of a file's name."""
    try:
        parts = [item.partition(":") for item in str(text).split(",")]
        shares = tuple((name, float(share)) for name, _, share in parts)
    except ValueError:
        return None
    good = all(name.isidentifier() and 0 < share <= 1 for name, share in shares)
    return shares if type(text) is str and good and len(dict(shares)) == len(shares) else None
