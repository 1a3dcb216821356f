"""YOLO as Ultralytics has it: data.yaml, images/SPLIT and labels/SPLIT; boxes alone, of SKUs by keys of its own.

data.yaml              train, val, test: folders of images; names: class to name; and, which other tools ignore,
                       skus: class to the product's own key, category_ids: class to COCO's id, splits: their names
images/SPLIT/a/1.jpg   the images
labels/SPLIT/a/1.txt   a line for each box: class, centre x, centre y, width, height, as fractions of the image;
                       read as well: class, x1, y1, x2, y2, ... of a polygon. No file: nothing is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from assets.errors import SynthError
from assets.files.yaml_input import read_yaml
from assets.limits import (
    DATA_YAML_BYTES,
    DATA_YAML_VALUES,
    DATASET_IMAGES,
    DATASET_INSTANCES,
    LABEL_FILE,
    SET_CLASSES,
    read_file,
)
from dataset.find import SPLIT, USUAL
from dataset.formats.files import FilePart, FileStore, clipped_box, lost_fields
from dataset.formats.shapes import polygon_fields, read_whole
from dataset.images import find_files
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels, ImageRecord, SplitLabels
from dataset.values import is_text, short, sku_text, whole_number

DATA = "data.yaml"
SPLITS = (*USUAL, "validation", "minival")
EXPECTED = "class, centre x, centre y, width, height, all four from 0 to 1"
HINT = "give the folder with data.yaml, or data.yaml itself"
# Other tools round to four digits.
BEYOND = 1e-3
RowOf = Callable[[ImageRecord, AnnotationRecord], Sequence[float] | None]


def detect(path: Path) -> bool:
    """Whether there is a data.yaml."""
    return path.suffix.lower() in (".yaml", ".yml") or (path / DATA).is_file()


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """The splits that data.yaml names. images: the folder that its paths are relative to, if not its own.

    Raises SynthError if it cannot be used, or a folder of images is missing.
    """
    file = path / DATA if path.is_dir() else path
    text = read_file(file, DATA_YAML_BYTES, DATA).decode(errors="replace")
    content = read_yaml(
        text, str(file), what=DATA, code="content-invalid", size=DATA_YAML_BYTES, values=DATA_YAML_VALUES
    )
    if not isinstance(content, dict):
        raise _unusable(file, type(content).__name__, "keys with values")
    categories = _categories(content, file)
    root = images or _root(content, file)
    stated = content.get("splits")
    names = stated if isinstance(stated, list) else SPLITS
    named = [name for name in names if isinstance(name, str) and SPLIT.fullmatch(name) and content.get(name)]
    if not named:
        raise _unusable(file, "no split", f"folders of images under {', '.join(USUAL)}")
    return FileStore(str(file), tuple(_part(name, content[name], root, categories, file) for name in named), categories)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Everything but boxes and classes of products that are to be found."""
    kept = [record for record in labels.annotations if _row(labels.image, record) is not None]
    for _ in range(len(labels.annotations) - len(kept)):
        yield "ignored products, crowds and annotations without a box or category, which become background"
    yield from lost_fields(ImageLabels(labels.image, kept), ())


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return f"images/{split}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """A text file for each image, then data.yaml. Raises SynthError for a category that the set does not have."""
    write_rows(folder, sets, _row)


def write_rows(folder: Path, sets: Iterable[SplitLabels], row_of: RowOf) -> None:
    """As `write_labels`. row_of: the numbers after the class of an annotation, None for what is no target."""
    splits: list[str] = []
    categories: list[CategoryRecord] = []
    for one in sets:
        splits.append(one.split)
        categories = sorted(
            (kind for kind in one.head.categories if kind.id is not None), key=lambda kind: kind.id or 0
        )
        numbers = {kind.id: number for number, kind in enumerate(categories)}
        for labels in one.images:
            file = (folder / "labels" / one.split / str(labels.image.file_name)).with_suffix(".txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(_lines(labels, numbers, row_of)))
    content: dict[str, Any] = {split: image_folder(split) for split in splits}
    content["names"] = {number: kind.name or kind.key or str(kind.id) for number, kind in enumerate(categories)}
    content["skus"] = {number: kind.key for number, kind in enumerate(categories)}
    content["category_ids"] = {number: kind.id for number, kind in enumerate(categories)}
    content["splits"] = splits
    (folder / DATA).write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _lines(labels: ImageLabels, numbers: Mapping[int | None, int], row_of: RowOf) -> Iterator[str]:
    for record in labels.annotations:
        row = row_of(labels.image, record)
        if row is None:
            continue
        if record.category_id not in numbers:
            where, found = str(labels.image.file_name), f"category_id {record.category_id}"
            raise SynthError("an annotation has no category", code="categories-invalid", where=where, found=found)
        yield " ".join([str(numbers[record.category_id]), *(f"{share:.8f}" for share in row)]) + "\n"


def _row(image: ImageRecord, record: AnnotationRecord) -> tuple[float, float, float, float] | None:
    """Centre, width and height as fractions of the image; None for what is no target."""
    box = clipped_box(image, record)
    if box is None or record.category_id is None or record.ignored:
        return None
    width, height = image.size or (1, 1)
    left, top, right, bottom = box
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


def _read(folder: Path, ids: Sequence[int], image: ImageRecord) -> list[AnnotationRecord]:
    """The annotations of an image. Raises SynthError with every wrong line of its file."""
    file = (folder / str(image.file_name)).with_suffix(".txt")
    if not file.exists():
        return []
    lines = read_file(file, LABEL_FILE, "the labels").decode(errors="replace").splitlines()
    DATASET_INSTANCES.check(len(lines), str(file))
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    records = [_annotation(line.split(), image, ids) for _, line in rows]
    names = [f"line {number}: {short(line)}" for number, line in rows]
    return read_whole(image, records, names, str(file), EXPECTED)


def _annotation(cells: list[str], image: ImageRecord, ids: Sequence[int]) -> AnnotationRecord | None:
    """The annotation of a line, None if it is none."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return None
    label, shares = (whole_number(numbers[0]), numbers[1:]) if numbers else (None, [])
    if label is None or not 0 <= label < len(ids) or not all(-BEYOND <= one <= 1 + BEYOND for one in shares):
        return None
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        return None
    width, height = image.size or (0, 0)
    pixels = [share * side for share, side in zip(shares, (width, height) * (len(shares) // 2), strict=True)]
    return AnnotationRecord(category_id=ids[label], iscrowd=0, **_shape(pixels))


def _shape(pixels: list[float]) -> dict[str, Any]:
    """The fields of a box, as centre and size, or of a polygon."""
    if len(pixels) > 4:
        return polygon_fields(pixels)
    x, y, width, height = pixels
    return {"bbox": [x - width / 2, y - height / 2, width, height], "area": width * height}


def _categories(content: Mapping[Any, Any], file: Path) -> tuple[CategoryRecord, ...]:
    names = content.get("names")
    named = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(named, dict) or not named or set(named) != set(range(len(named))):
        raise _unusable(file, f"names: {short(names)}", "names of the classes from 0 on, as a list or by number")
    SET_CLASSES.check(len(named), str(file))
    skus, ids = (_mapping(content.get(key)) for key in ("skus", "category_ids"))
    made = []
    for number in range(len(named)):
        name, own = named[number], whole_number(ids.get(number))
        if not is_text(str(name)):
            raise _unusable(file, f"name of class {number}: {short(name)}", "a text")
        sku = sku_text(skus.get(number))
        made.append(CategoryRecord(id=number + 1 if own is None else own, name=str(name), sku=sku))
    if len({one.id for one in made}) < len(made):
        raise _unusable(file, "category_ids that come twice", "one id for each class")
    return tuple(made)


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _root(content: Mapping[Any, Any], file: Path) -> Path:
    """The folder that paths are relative to: `path`, where that is there, else that of data.yaml."""
    given = content.get("path")
    if isinstance(given, str) and is_text(given) and (file.parent / given).is_dir():
        return file.parent / given
    return file.parent


def _part(split: str, named: object, root: Path, categories: Sequence[CategoryRecord], file: Path) -> FilePart:
    folders = named if isinstance(named, list) else [named]
    if len(folders) != 1 or not is_text(folders[0]):
        raise _unusable(file, f"{split}: {short(named)}", "one folder of images")
    # Roboflow writes ../train/images beside a data.yaml in the folder above.
    tried = [root / str(folders[0]), root / str(folders[0]).removeprefix("../")]
    images = next((folder for folder in tried if folder.is_dir()), None)
    if images is None:
        found = f"no folder {tried[0]}"
        raise SynthError(
            "the images of a split are missing", code="images-missing", where=str(file), found=found, hint=HINT
        )
    parts = images.parts
    # As Ultralytics does: the last folder of that name, but never one above the data set.
    below = range(len(root.parts), len(parts))
    last = max((place for place in below if parts[place] == "images"), default=None)
    labels = images if last is None else Path(*parts[:last], "labels", *parts[last + 1 :])
    ids = tuple(one.id or 0 for one in categories)
    files = find_files(images)
    DATASET_IMAGES.check(len(files), str(images))
    return FilePart("val" if split == "validation" else split, images, files, partial(_read, labels, ids))


def _unusable(file: Path, found: str, expected: str) -> SynthError:
    return SynthError(
        "data.yaml cannot be used", code="content-invalid", where=str(file), found=found, expected=expected, hint=HINT
    )
