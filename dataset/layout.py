"""Paths of the files of a data set, and the split of each scene."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset.checksums import CHECKSUMS

GOLDEN = (math.sqrt(5) - 1) / 2
Splits = tuple[tuple[str, float], ...]
SHOP = "shop"
# Folders of every set.
FOLDERS = ("images", "scenes", "labels")
# Of the files in each folder; those of depth, normals and ids are PNG.
SUFFIXES = {"images": ".jpg", "scenes": ".json", "labels": ".json", SHOP: ".json"}
# What `synth render` writes beside the images: suffix in the tar of a shard, folder on disk.
BESIDE = {
    "depth.png": "depth",
    "normals.png": "normals",
    "ids.png": "ids",
    f"{SHOP}.json": SHOP,
    "scene.json": "scenes",
}


@dataclass(frozen=True)
class Layout:
    """The files of the data set in `root`. A stem such as 000012_0 names view 0 of scene 12 in every folder."""

    root: Path

    @property
    def info(self) -> Path:
        return self.root / "dataset.json"

    @property
    def checksums(self) -> Path:
        return self.root / CHECKSUMS

    @property
    def sources(self) -> Path:
        """What the products were made from, a line for each."""
        return self.root / "sources.jsonl"

    @property
    def failures(self) -> Path:
        return self.root / "failures.jsonl"

    def folders(self, extras: Sequence[str]) -> tuple[str, ...]:
        """The folders that hold the data set; extras: those of depth, normals, ids and shop that it has."""
        return ("annotations", *extras, *FOLDERS)

    def image(self, stem: str) -> Path:
        return self.root / "images" / f"{stem}.jpg"

    def scene(self, stem: str) -> Path:
        return self.root / "scenes" / f"{stem}.json"

    def labels(self, stem: str) -> Path:
        return self.root / "labels" / f"{stem}.json"

    def file(self, folder: str, stem: str) -> Path:
        """Return the path of an image's file in a folder: "images", "scenes", "labels", "depth", ..."""
        return self.root / folder / f"{stem}{suffix_of(folder)}"

    def annotations(self, split: str) -> Path:
        return self.root / "annotations" / f"instances_{split}.json"

    def shop(self, split: str) -> Path:
        """Return the path of the COCO file of labels beyond products."""
        return self.root / "annotations" / f"{SHOP}_{split}.json"


def suffix_of(folder: str) -> str:
    """Return the ending of the files in a folder, such as ".png"."""
    return SUFFIXES.get(folder, ".png")


def stem_in(name: str) -> str:
    """Return the stem of an image's file name, which may stand in folders of its own."""
    return posixpath.splitext(name.replace("\\", "/"))[0]


def stem_of(index: int, view: int) -> str:
    """Return the name that all files of one image share."""
    return f"{index:06d}_{view}"


def split_of(index: int, splits: Splits) -> str:
    """Return the split of scene `index`; shares hold for any number of scenes, so that a set can be extended.

    Multiples of the golden ratio fill 0..1 as evenly as any sequence can.
    """
    place = (index + 0.5) * GOLDEN % 1.0
    reached = 0.0
    for name, share in splits:
        reached += share
        if place < reached:
            return name
    return splits[-1][0]
