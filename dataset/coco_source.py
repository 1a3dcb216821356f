"""Where a COCO data set lies: a folder of ours, anybody's folder or JSON file, and the images that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.files.json_input import read_json
from assets.limits import COCO_BYTES, COCO_VALUES
from dataset.review_csv import is_review_csv
from dataset.review_source import reviewed_labels
from dataset.values import is_text

Record = dict[str, Any]
# How many file names, evenly spread, are tried to find the folder of the images: some may be missing.
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

    Decisions of a review (CSV) are taken for labels too. Raises SynthError where there is none, where several could be
    meant, where it is no COCO, or without its images.
    """
    file = find_coco_file(path, splits)
    if is_review_csv(file):
        return CocoSource(name, file, *reviewed_labels(file, images))
    content = _parse(file)
    names = [image["file_name"] for image in content["images"] if is_text(image.get("file_name"))]
    return CocoSource(name, file, find_images(file, names, given=images, own=_names_backend(content)), content)


def find_coco_file(path: Path, splits: Sequence[str]) -> Path:
    """The COCO file that `path` means: itself, or in a folder that of the first of `splits` that is there.

    Raises SynthError where there is none, and where several could be meant.
    """
    return path if path.is_file() else _file_in(path, splits)


def has_split(folder: Path, split: str) -> bool:
    """Whether a data set folder has labels of its own for a split such as val."""
    return _split_file(folder, split) is not None


def is_rendered(source: CocoSource) -> bool:
    """Whether `synth render` wrote the set: its images name the backend that made them."""
    return _names_backend(source.content)


def _names_backend(content: Record) -> bool:
    return all("backend" in record for record in content["images"][:10])


def _file_in(folder: Path, splits: Sequence[str]) -> Path:
    if not folder.is_dir():
        raise SynthError(
            "there is no such data set",
            code="dataset-missing",
            where=str(folder),
            expected="a folder or a COCO JSON file",
        )
    for split in splits:
        file = _split_file(folder, split)
        if file is not None:
            return file
    candidates = sorted(file for file in [*folder.glob("*.json"), *folder.glob("annotations/*.json")] if _may_be(file))
    if len(candidates) == 1:
        return candidates[0]
    names = [str(file.relative_to(folder)) for file in candidates]
    raise SynthError(
        "the folder does not tell which COCO file is meant",
        code="coco-file-ambiguous",
        where=str(folder),
        found=", ".join(names[:10]) or "no JSON file that could be one",
        expected=f"annotations/instances_{splits[0]}.json, or {splits[0]}.json",
        hint="give the JSON file itself",
    )


def _split_file(folder: Path, split: str) -> Path | None:
    """Ours and COCO's (annotations/instances_train2017.json), a file beside the images, Roboflow's folders."""
    annotations = folder / "annotations"
    usual = (
        annotations / f"instances_{split}.json",
        *sorted(annotations.glob(f"instances_{split}20[0-9][0-9].json"))[:1],
        folder / f"instances_{split}.json",
        folder / f"{split}.json",
        folder / split / "_annotations.coco.json",
    )
    return next((file for file in usual if file.is_file()), None)


def _may_be(file: Path) -> bool:
    return file.name not in ("dataset.json", "catalog.json", "package.json")


def _parse(file: Path) -> Record:
    # NaN is read, so that the annotations that hold it can be named.
    content = read_json(file, COCO_BYTES, "the COCO file", values=COCO_VALUES, constants=True)
    if not isinstance(content, dict):
        hint = "results of a detector are a list: the labels are wanted here" if isinstance(content, list) else None
        raise SynthError(
            "this is no COCO file of labels",
            code="coco-invalid",
            where=str(file),
            found=type(content).__name__,
            expected="an object with images, annotations and categories",
            hint=hint,
        )
    problems = [
        f"{key}: found {_kind(content.get(key))}, expected a list of objects"
        for key in ("images", "annotations", "categories")
        if not is_records(content.get(key))
    ]
    if problems:
        raise SynthError("this is no COCO file of labels", code="coco-invalid", where=str(file), problems=problems)
    if not content["images"] or not content["categories"]:
        empty = "images" if not content["images"] else "categories"
        raise SynthError(f"the COCO file has no {empty}", code="dataset-empty", where=str(file))
    for record in content["images"]:
        if isinstance(record.get("file_name"), str):
            # Written on Windows.
            record["file_name"] = record["file_name"].replace("\\", "/")
    return content


def is_records(value: object) -> bool:
    """Whether a value is a list of objects."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def find_images(file: Path, names: Sequence[str], *, given: Path | None = None, own: bool = False) -> Path:
    """The folder that holds most of some of these files: the given one, images/ beside the JSON, or near by.

    own: whether the set was rendered. Raises SynthError where none of them is found.
    """
    if given is not None and not given.is_dir():
        raise SynthError("there is no such folder of images", code="folder-missing", where=str(given))
    stem = file.stem.removeprefix("instances_")
    above = file.parent.parent
    usual = (file.parent / "images", file.parent, above / "images", above / stem, above, above / "images" / stem)
    # Our own sets bring their images, and number them: in another folder there may be others of the same names.
    folders = usual if given is None else (*usual, given) if own else (given, *usual)
    some = names[:: -(-len(names) // TRIED) or 1]
    found = [sum(_is_file(folder / name) for name in some) for folder in folders]
    if any(found):
        return folders[found.index(max(found))]
    raise SynthError(
        "the images of the data set are not where they were looked for",
        code="images-missing",
        where=str(file),
        found=f"none of {', '.join(names[:3]) or 'its images, which have no file_name'}",
        expected="them beside the file or in images/ beside it: " + ", ".join(str(folder) for folder in folders[:3]),
        hint="give the folder with --images",
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name longer than the file system takes.
        return False
