"""The inputs of inference: images and videos from files, folders, patterns and COCO files, with unique names."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assets.errors import SynthError
from dataset.find import CocoSource, open_source
from dataset.images import IMAGES, find_files, is_image, natural_order
from dataset.records import CategoryRecord, ImageRecord

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")
LOOKED_FOR = f"images (.{', .'.join(IMAGES)}) or videos ({', '.join(VIDEOS)})"
# Digits of the frame index that follows the name of a video in the names of its frames.
FRAME_DIGITS = 6


@dataclass(frozen=True)
class Input:
    """An image or video. name: unique, without suffix; may contain folders.

    image_id, file_name, size (width, height): from the COCO file that lists the image, if any.
    """

    file: Path
    name: str
    image_id: int | None = None
    file_name: str | None = None
    size: tuple[int, int] | None = None

    @property
    def is_video(self) -> bool:
        return self.file.suffix.lower() in VIDEOS


@dataclass
class Inputs:
    """All inputs in order, and the categories of each COCO file among the paths."""

    items: list[Input]
    categories: dict[Path, Sequence[CategoryRecord]] = field(default_factory=dict)

    @property
    def first_free_id(self) -> int:
        """The smallest id above all ids of COCO files."""
        return 1 + max((item.image_id for item in self.items if item.image_id is not None), default=0)


def find_inputs(paths: Sequence[str | Path], *, leave_out: Path | None = None) -> Inputs:
    """Find the images and videos of `paths`: files, folders (recursively), patterns with * and **, COCO files.

    leave_out: folder whose files are skipped, such as the one for the results. Files of folders and patterns are in
    natural order (2 before 10), each file once. Raises SynthError that lists all paths without images or videos, and if
    two images of COCO files have the same id.
    """
    inputs = Inputs([])
    seen: set[Path] = set()
    problems = []
    for path in paths:
        found = _expand(Path(path), str(path), inputs)
        if not found:
            problems.append(_nothing_at(path))
        # Names keep links, but a file that is reached by two links counts once.
        for item in found:
            resolved = item.file.resolve()
            if resolved not in seen and not (leave_out and resolved.is_relative_to(leave_out.resolve())):
                seen.add(resolved)
                inputs.items.append(item)
    if problems or not inputs.items:
        hint = "quote patterns that the shell must not expand"
        raise SynthError("no input images", code="images-missing", expected=LOOKED_FOR, hint=hint, problems=problems)
    _check_ids(inputs.items)
    inputs.items = _named_apart(inputs.items)
    return inputs


def _expand(path: Path, text: str, inputs: Inputs) -> list[Input]:
    if path.suffix.lower() == ".json" and path.is_file():
        source = open_source(path, name=path.stem, splits=())
        inputs.categories[path] = source.content.categories
        return _of_coco(source)
    if path.is_dir():
        return _of_folder(path)
    if path.exists():
        # A file given explicitly is accepted with any suffix; the user learns later whether it can be read.
        return [Input(path, path.stem)]
    found: list[Input] = []
    for match in sorted(glob.glob(text, recursive=True), key=natural_order):  # noqa: PTH207 (absolute patterns too)
        file = Path(match)
        if file.is_dir():
            found += _of_folder(file)
        elif _is_usual(file):
            found.append(Input(file, file.stem))
    return found


def _of_folder(folder: Path) -> list[Input]:
    return [Input(folder / file, file.with_suffix("").as_posix()) for file in find_files(folder, _is_usual)]


def _is_usual(file: Path) -> bool:
    return is_image(file) or (file.suffix.lower() in VIDEOS and not file.name.startswith("."))


def _of_coco(source: CocoSource) -> list[Input]:
    records = source.content.images
    problems = [
        f"images[{place}]: expected an id (a whole number) and a file_name"
        for place, record in enumerate(records)
        if record.id is None or record.file_name is None
    ]
    if problems:
        raise SynthError(
            "not a COCO file with images", code="coco-invalid", where=str(source.file), problems=problems[:20]
        )
    return [_of_record(record, source.images) for record in records]


def _of_record(record: ImageRecord, folder: Path) -> Input:
    name = str(record.file_name)
    # File names of untrusted data may contain ".."; result files must stay in their folder.
    parts = [part for part in Path(name).with_suffix("").parts if part not in ("..", "/")]
    return Input(folder / name, "/".join(parts), record.id, name, record.size)


def _nothing_at(path: str | Path) -> str:
    if Path(path).is_dir():
        return f"{path}: there are none in the folder or its sub-folders"
    return f"{path}: no such file or folder, and no match as a pattern"


def _check_ids(items: Iterable[Input]) -> None:
    owners: dict[int, str] = {}
    problems = []
    for item in items:
        if item.image_id is not None:
            name = str(item.file_name)
            other = owners.setdefault(item.image_id, name)
            if other != name:
                problems.append(f"id {item.image_id}: {other} and {name}")
    if problems:
        hint = "give COCO files whose ids overlap one at a time"
        raise SynthError("two images have the same id", code="image-id-duplicate", hint=hint, problems=problems[:20])


def _named_apart(items: list[Input]) -> list[Input]:
    """Append numbers to repeated names, so that all are unique, also if case is ignored."""
    taken: set[str] = set()
    videos: set[str] = set()
    fresh: dict[int, Input] = {}
    # Videos come first, because their frames reserve a range of names.
    for place in sorted(range(len(items)), key=lambda place: not items[place].is_video):
        item = items[place]
        name = _free_name(item.name, lambda name: name in taken or _is_frame_of(name, videos))
        taken.add(name.casefold())
        if item.is_video:
            videos.add(name.casefold())
        fresh[place] = Input(item.file, name, item.image_id, item.file_name, item.size)
    return [fresh[place] for place in range(len(items))]


def _free_name(name: str, is_taken: Callable[[str], bool]) -> str:
    free, number = name, 1
    while is_taken(free.casefold()):
        number += 1
        free = f"{name}_{number}"
    return free


def _is_frame_of(name: str, videos: set[str]) -> bool:
    stem, _, digits = name.rpartition("_")
    return stem in videos and digits.isdigit() and len(digits) >= FRAME_DIGITS
