"""The finder of COCO data sets on disk: ours and COCO's folders, files beside the images, Roboflow's folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from assets.errors import SynthError
from assets.limits import COCO_BYTES, check_file
from dataset.coco_reader import HINT, CocoContent, images_of, read_content
from dataset.review.labels import reviewed_labels
from dataset.review.table import is_review_csv

# How many file names, evenly spread, are tried to find the folder of the images: some may be missing.
TRIED = 20
# File names that are read of a file of any size to find the folder of the images.
MAX_NAMES = 1000
# JSON files of ours that hold no labels.
NO_LABELS = ("dataset.json", "catalog.json", "package.json", "index.json", "categories.json", "refined.json")
USUAL = ("test", "train", "val", "valid")
SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class CocoSplit:
    """A COCO file. name: of the split. root: folder of the data set. images: folder that file names are relative to."""

    name: str
    file: Path
    root: Path
    images: Path


@dataclass(frozen=True)
class CocoSource:
    """A COCO file that was found and parsed. name: for logs. images: the folder that file names are relative to."""

    name: str
    file: Path
    images: Path
    content: CocoContent


def open_source(path: Path, *, name: str, splits: Sequence[str], images: Path | None = None) -> CocoSource:
    """Find and parse the COCO file at `path`; in a folder that of the first of `splits` that exists.

    Decisions of a review (CSV) are read as labels, too. Raises SynthError if there is no file, if it is ambiguous, if
    it is not COCO, and if its images are missing.
    """
    file = find_coco_file(path, splits)
    if is_review_csv(file):
        return CocoSource(name, file, *reviewed_labels(file, images))
    content = read_content(file)
    names = [image.file_name for image in content.images if image.file_name is not None]
    return CocoSource(name, file, find_images(file, names, given=images, own=content.rendered), content)


def find_coco_file(path: Path, splits: Sequence[str]) -> Path:
    """Find the COCO file at `path`: itself, or in a folder that of the first of `splits` that exists.

    Raises SynthError if there is none, and if several could be meant.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise SynthError(
            "no such data set",
            code="dataset-missing",
            where=str(path),
            expected="a folder or a COCO JSON file",
        )
    for split in splits:
        file = _split_file(path, split)
        if file is not None:
            return file
    candidates = sorted(
        file
        for file in [*path.glob("*.json"), *path.glob("annotations/*.json")]
        if file.name not in NO_LABELS and not _has_products_beside(file)
    )
    if len(candidates) == 1:
        return candidates[0]
    names = [str(file.relative_to(path)) for file in candidates]
    raise SynthError(
        "the folder does not say which COCO file is meant",
        code="coco-file-ambiguous",
        where=str(path),
        found=", ".join(names[:10]) or "no candidate",
        expected=f"annotations/instances_{splits[0]}.json, or {splits[0]}.json",
        hint="give the JSON file itself",
    )


def _has_products_beside(file: Path) -> bool:
    """Whether a file has labels of shops, beside those of the products of the same images."""
    split = file.name.removeprefix("shop_")
    return split != file.name and file.with_name(f"instances_{split}").is_file()


def has_split(folder: Path, split: str) -> bool:
    """Whether a data set folder has labels of its own for a split such as val."""
    return folder.is_dir() and _split_file(folder, split) is not None


def _split_file(folder: Path, split: str) -> Path | None:
    annotations = folder / "annotations"
    usual = (
        annotations / f"instances_{split}.json",
        *sorted(annotations.glob(f"instances_{split}20[0-9][0-9].json"))[:1],
        folder / f"instances_{split}.json",
        folder / f"{split}.json",
        folder / split / "_annotations.coco.json",
    )
    return next((file for file in usual if file.is_file()), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name longer than the file system takes.
        return False


def find_splits(
    path: Path, images: Path | None = None, *, is_file: Callable[[Path], bool] = _is_file
) -> list[CocoSplit]:
    """Find the splits of a data set folder, or the single one of a COCO file. Raises SynthError if there are none.

    images: folder of the images if they are not beside their file. is_file: whether there is an image.
    """
    files = [path] if path.is_file() else _files_in(path)
    if not files:
        raise SynthError("no such COCO file", code="file-missing", where=str(path), hint=HINT)
    splits = [_split_of(file, images, is_file) for file in files]
    names = [split.name for split in splits]
    if len(set(names)) < len(names):
        found = ", ".join(str(split.file) for split in splits if names.count(split.name) > 1)
        raise SynthError(
            "two COCO files are the same split",
            code="split-duplicate",
            where=str(path),
            found=found,
            hint="give one of them",
        )
    return splits


def _files_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SynthError("no such data set", code="dataset-missing", where=str(folder), hint=HINT)
    for pattern in ("annotations/instances_*.json", "instances_*.json", "*/_annotations.coco.json"):
        if files := sorted(folder.glob(pattern)):
            return files
    if files := [file for name in USUAL if (file := folder / f"{name}.json").is_file()]:
        return files
    # A file of another name, where it is the only one.
    other = [file for file in sorted(folder.glob("*.json")) if file.name not in NO_LABELS]
    return other if len(other) == 1 else []


def _split_of(file: Path, images: Path | None, is_file: Callable[[Path], bool]) -> CocoSplit:
    check_file(file, COCO_BYTES, "the COCO file")
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    named = [image.file_name for image in islice(images_of(file), MAX_NAMES) if image.file_name is not None]
    found = find_images(file, named, given=images, is_file=is_file)
    return CocoSplit(split_name(file), file, root, found)


def split_name(file: Path) -> str:
    """Return the split that a COCO file is named after, "train" where its name cannot be one."""
    name = file.parent.name if file.name == "_annotations.coco.json" else file.stem.removeprefix("instances_")
    return name if SPLIT.fullmatch(name) else "train"


def find_images(
    file: Path,
    names: Sequence[str],
    *,
    given: Path | None = None,
    own: bool = False,
    is_file: Callable[[Path], bool] = _is_file,
) -> Path:
    """Find the folder that contains most of a sample of these files: the given one, images/ beside the JSON, or nearby.

    own: whether `synth render` made the set. is_file: whether there is an image. Raises SynthError if none is found.
    """
    if given is not None and not given.is_dir():
        raise SynthError("no such image folder", code="folder-missing", where=str(given))
    stem = file.stem.removeprefix("instances_")
    above = file.parent.parent
    usual = (file.parent / "images", file.parent, above / "images", above / stem, above, above / "images" / stem)
    # Our own sets bring their images, and number them: in another folder there may be others of the same names.
    folders = usual if given is None else (*usual, given) if own else (given, *usual)
    some = names[:: -(-len(names) // TRIED) or 1]
    found = [sum(is_file(folder / name) for name in some) for folder in folders]
    if any(found):
        return folders[found.index(max(found))]
    raise SynthError(
        "the images of the data set were not found",
        code="images-missing",
        where=str(file),
        found=f"none of {', '.join(names[:3]) or 'its images, which have no file_name'}",
        expected="them beside the file or in images/ beside it: " + ", ".join(str(folder) for folder in folders[:3]),
        hint="give the folder with --images",
    )
