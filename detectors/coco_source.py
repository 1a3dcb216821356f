"""Where a COCO data set lies: a folder of ours, anybody's folder or JSON file, and the images that belong to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.errors import SynthError

Record = dict[str, Any]
# How many file names are tried to find the folder of the images: the first may be the one that is missing.
TRIED = 20


@dataclass(frozen=True)
class CocoSource:
    """A COCO file that was found and parsed. name: for logs. images: the folder that file names are relative to."""

    name: str
    file: Path
    images: Path
    content: Record


def open_source(path: Path, *, name: str, splits: Sequence[str], images: Path | None = None) -> CocoSource:
    """Finds and parses the COCO file that `path` means; in a folder the first of `splits` that is there.

    Raises SynthError where there is none, where several could be meant, where it is no COCO, or without its images.
    """
    file = path if path.is_file() else _file_in(path, splits)
    content = _parse(file)
    return CocoSource(name, file, _image_folder(file, content, images), content)


def splits_in(folder: Path) -> list[str]:
    """The splits of a data set folder of ours: train for annotations/instances_train.json."""
    found = sorted((folder / "annotations").glob("instances_*.json"))
    return [file.stem.removeprefix("instances_") for file in found]


def _file_in(folder: Path, splits: Sequence[str]) -> Path:
    if not folder.is_dir():
        raise SynthError("there is no such data set", where=str(folder), expected="a folder or a COCO JSON file")
    for split in splits:
        for file in (
            folder / "annotations" / f"instances_{split}.json",
            folder / f"instances_{split}.json",
            folder / f"{split}.json",
        ):
            if file.is_file():
                return file
    candidates = sorted(file for file in [*folder.glob("*.json"), *folder.glob("annotations/*.json")] if _may_be(file))
    if len(candidates) == 1:
        return candidates[0]
    names = [str(file.relative_to(folder)) for file in candidates]
    raise SynthError(
        "the folder does not tell which COCO file is meant",
        where=str(folder),
        found=", ".join(names[:10]) or "no JSON file that could be one",
        expected=f"annotations/instances_{splits[0]}.json, or {splits[0]}.json",
        hint="give the JSON file itself",
    )


def _may_be(file: Path) -> bool:
    return file.name not in ("dataset.json", "catalog.json", "package.json")


def _parse(file: Path) -> Record:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SynthError("the file cannot be read as JSON", where=str(file), found=str(error)) from error
    if not isinstance(content, dict):
        hint = "results of a detector are a list: the labels are wanted here" if isinstance(content, list) else None
        raise SynthError(
            "this is no COCO file of labels",
            where=str(file),
            found=type(content).__name__,
            expected="an object with images, annotations and categories",
            hint=hint,
        )
    problems = [
        f"{key}: found {_kind(content.get(key))}, expected a list of objects"
        for key in ("images", "annotations", "categories")
        if not _is_records(content.get(key))
    ]
    if problems:
        raise SynthError("this is no COCO file of labels", where=str(file), problems=problems)
    if not content["images"] or not content["categories"]:
        empty = "images" if not content["images"] else "categories"
        raise SynthError(f"the COCO file has no {empty}", where=str(file))
    return content


def _is_records(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def _image_folder(file: Path, content: Record, given: Path | None) -> Path:
    """The folder where the first file names are found: the given one, images/ beside the JSON, or near by."""
    stem = file.stem.removeprefix("instances_")
    above = file.parent.parent
    usual = (file.parent / "images", file.parent, above / "images", above / stem, above, above / "images" / stem)
    folders = (given, *usual) if given else usual
    named = [str(image["file_name"]) for image in content["images"] if isinstance(image.get("file_name"), str)]
    for name in named[:TRIED]:
        for folder in folders:
            if (folder / name).is_file():
                return folder
    raise SynthError(
        "the images of the data set are not where they were looked for",
        where=str(file),
        found=f"none of {', '.join(named[:3]) or 'its images, which have no file_name'}",
        expected="them beside the file or in images/ beside it: " + ", ".join(str(folder) for folder in folders[:3]),
        hint="give the folder with --images",
    )
