"""Targets of BOP: which products of which test images a method has to find."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.json_input import read_json
from assets.limits import DATASET_JSON
from dataset.values import short, whole_number

# Of the localization task since 2019. Products of which less is visible are no targets.
TARGETS, LEAST_VISIBLE = "test_targets_bop19.json", 0.1
TARGET_SPLIT = "test"


@dataclass(frozen=True)
class BopTarget:
    """Instances of an object to find in an image."""

    scene: int
    image: int
    number: int
    instances: int


def targets_of(scene: int, image: int, shown: Sequence[tuple[int, float]]) -> list[BopTarget]:
    """Return the targets of an image. shown: object and visible share of each product."""
    counts = Counter(number for number, share in shown if share >= LEAST_VISIBLE)
    return [BopTarget(scene, image, number, count) for number, count in counts.items()]


def write_targets(path: Path, targets: Sequence[BopTarget]) -> None:
    """Write targets, a line for each."""
    rows = [
        {"im_id": one.image, "inst_count": one.instances, "obj_id": one.number, "scene_id": one.scene}
        for one in targets
    ]
    write_atomic(path, ("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n").encode())


def read_targets(path: Path) -> list[BopTarget]:
    """Read targets; those that count no instances, as of the detection task, have 1. Raises SynthError if unusable."""
    content = read_json(path, DATASET_JSON, "the targets")
    rows = content if isinstance(content, list) else [content]
    return [_target(row, path) for row in rows]


def _target(row: object, path: Path) -> BopTarget:
    fields: Mapping[str, object] = row if isinstance(row, dict) else {}
    found = [whole_number(fields.get(name)) for name in ("scene_id", "im_id", "obj_id")]
    scene, image, number = (found[0], found[1], found[2] if "obj_id" in fields else 0)
    count = whole_number(fields.get("inst_count", 1))
    if scene is None or image is None or number is None or count is None or min(scene, image, number, count) < 0:
        what, expected = "targets of BOP cannot be used", "scene_id, im_id, obj_id and inst_count"
        raise SynthError(what, code="records-invalid", where=str(path), found=short(row), expected=expected)
    return BopTarget(scene, image, number, count)


def names_of_targets(path: Path) -> frozenset[str]:
    """Return the names that images with targets may have, scene by scene and in shards. Raises as `read_targets`."""
    names = {
        stem
        for one in read_targets(path)
        for scene, image in [(f"{one.scene:06d}", f"{one.image:06d}")]
        for stem in (f"{scene}/{image}", f"shard-{scene}/{scene}_{image}")
    }
    return frozenset(f"{TARGET_SPLIT}/{name}.{suffix}" for name in names for suffix in ("jpg", "png", "tif"))
