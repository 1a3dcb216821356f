"""COCO: annotations/instances_SPLIT.json and images/SPLIT; carries everything that records state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dataset.coco_writer import write_coco
from dataset.find import USUAL, has_split
from dataset.layout import stem_in, suffix_of
from dataset.records import ImageLabels, SplitLabels
from dataset.store import DataStore, open_dataset


def detect(path: Path) -> bool:
    """Whether there is a COCO file: one by its suffix, or a folder with those of the usual splits."""
    if path.is_dir() and any(path.glob("*/_annotations.coco.json")):
        return False  # of Roboflow, whose first category is none
    return path.suffix.lower() == ".json" or any(has_split(path, split) for split in USUAL)


def open_labels(path: Path, images: Path | None = None) -> DataStore:
    """The splits of the folder, or the file. Raises SynthError if there are none."""
    return open_dataset(path, images=images)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Nothing: unknown fields are written as they were read."""
    return iter(())


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return f"images/{split}"


def beside_file(folder: str, split: str, name: str) -> str | None:
    """Where a file beside an image comes, as `synth render` has it."""
    return f"{folder}/{stem_in(name)}{suffix_of(folder)}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """One COCO file for each split, streamed."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for one in sets:
        write_coco(folder / "annotations" / f"instances_{one.split}.json", one.images, one.head)
