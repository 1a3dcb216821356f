"""COCO as Roboflow exports it: folders train, valid and test, each with images and _annotations.coco.json.

The first category is the group of all others, `none` its own; no annotation has it, and it is no class. `valid` is the
split val.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from assets.errors import SynthError
from dataset.coco_reader import annotations_of
from dataset.coco_writer import write_coco
from dataset.find import CocoSplit, find_splits
from dataset.records import CategoryRecord, Head, ImageLabels, SplitLabels
from dataset.store import CocoPart, CocoStore
from dataset.values import whole_number

FILE = "_annotations.coco.json"
# Roboflow's name of a split.
THEIRS = {"val": "valid"}
OURS = {"valid": "val"}
GROUP, NONE = "products", "none"


def detect(path: Path) -> bool:
    """Whether there are folders with Roboflow's file."""
    return path.is_dir() and any(path.glob(f"*/{FILE}"))


@dataclass(frozen=True)
class RoboflowStore(CocoStore):
    """Roboflow's files on disk."""

    @cached_property
    def categories(self) -> Sequence[CategoryRecord]:
        found = CocoStore(self.path, self.parts).categories
        group = _group_of(found)
        return found if group is None or self._has(group) else [one for one in found if one is not group]

    def _has(self, group: CategoryRecord) -> bool:
        """Whether an annotation is of the group of all categories."""
        files = (part.source.file for part in self.parts)
        return any(whole_number(one.value("category_id")) == group.id for file in files for one in annotations_of(file))

    def head(self, split: str) -> Head:
        return replace(CocoStore.head(self, split), categories=self.categories)


def _group_of(categories: Sequence[CategoryRecord]) -> CategoryRecord | None:
    """Return the category that is the group of all others; None if there is none."""
    groups = [one for one in categories if one.supercategory == NONE]
    others = {one.supercategory for one in categories if one.supercategory != NONE}
    return groups[0] if len(groups) == 1 and others == {groups[0].name} else None


def open_labels(path: Path, images: Path | None = None) -> RoboflowStore:
    """The splits by folders. images: not asked, they lie beside their labels. Raises SynthError without any."""
    files = sorted(path.glob(f"*/{FILE}"))
    if not files:
        raise SynthError("no export of Roboflow", code="file-missing", where=str(path), expected=f"train/{FILE}")
    splits = [split for file in files for split in find_splits(file)]
    return RoboflowStore(path, tuple(CocoPart(_named(split)) for split in splits))


def _named(split: CocoSplit) -> CocoSplit:
    return replace(split, name=OURS.get(split.name, split.name))


def lost(labels: ImageLabels) -> Iterator[str]:
    """Nothing: unknown fields are written as they were read."""
    return iter(())


def image_folder(split: str) -> str:
    """Where the images of a split lie, with their labels."""
    return THEIRS.get(split, split)


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """One COCO file beside the images of each split. Raises SynthError if a category has the id of their group, 0."""
    for one in sets:
        if any(kind.id == 0 for kind in one.head.categories):
            what, hint = "Roboflow's group of categories has the id 0", "choose another format"
            raise SynthError(
                what, code="categories-invalid", where=str(folder), found="a category with id 0", hint=hint
            )
        group = CategoryRecord(id=0, name=_free_name(one.head.categories), supercategory=NONE)
        kinds = [group, *(replace(kind, supercategory=group.name) for kind in one.head.categories)]
        (folder / image_folder(one.split)).mkdir(parents=True, exist_ok=True)
        write_coco(folder / image_folder(one.split) / FILE, one.images, replace(one.head, categories=kinds))


def _free_name(categories: Sequence[CategoryRecord]) -> str:
    names = {one.name for one in categories}
    return next(name for name in (GROUP + "-" * count for count in range(len(names) + 1)) if name not in names)
