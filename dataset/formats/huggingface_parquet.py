"""Hugging Face Parquet: data/SPLIT-00000-of-00003.parquet with images inside, and the classes among the features.

A row for each image: image (bytes and path), image_id, width, height, and `objects` with the columns of `huggingface`;
`load_dataset("parquet", data_dir=...)` shows pictures and names of classes. categories.json as there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.files.json_input import parse_json
from assets.limits import DATASET_IMAGES, IMAGE_BYTES, SHARD_BYTES, check_file
from dataset.formats import huggingface
from dataset.formats.files import (
    CATEGORIES,
    FileStore,
    names_of,
    read_categories,
    upright_size,
    write_categories,
)
from dataset.records import CategoryRecord, ImageLabels, ImageRecord, SplitLabels
from dataset.store import StoredImage, leaves_folder
from dataset.values import is_text, short

FOLDER = "data"
NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*)-\d{5}-of-\d{5}\.parquet")
# Bytes of images in a file, as the hub recommends, and rows that are held at once.
FILE_BYTES = 500 << 20
ROWS_AT_ONCE = 64
# Where images wait to be put into files.
WAITING = ".images"


def detect(path: Path) -> bool:
    """Whether there are files data/SPLIT-00000-of-00001.parquet."""
    return any(NAME.fullmatch(file.name) for file in (path / FOLDER).glob("*.parquet"))


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """The splits by the names of files. images: not asked, they are inside. Raises SynthError if there is none."""
    named = [
        (found[1], file) for file in sorted((path / FOLDER).glob("*.parquet")) if (found := NAME.fullmatch(file.name))
    ]
    if not named:
        expected = f"{FOLDER}/SPLIT-00000-of-00001.parquet"
        raise SynthError("there are no Parquet files", code="file-missing", where=str(path), expected=expected)
    ours = (path / CATEGORIES).exists()
    categories = read_categories(path, lambda: {name for _, file in named for name in _class_names(file)})
    return FileStore(str(path), tuple(ParquetPart(split, file, categories, ours) for split, file in named), categories)


def _class_names(file: Path) -> list[str]:
    """Names of the classes among the features of a file, none if there are none."""
    schema = _open(file).schema_arrow
    try:
        said = parse_json((schema.metadata or {})[b"huggingface"], "the features", str(file))
        features = said["info"]["features"]["objects"]
        columns = features.get("feature", features)
        found = next(columns[name]["feature"]["names"] for name in huggingface.CLASSES if name in columns)
    except (KeyError, TypeError, AttributeError, StopIteration, SynthError):
        return []
    return [str(one) for one in found if is_text(str(one))] if isinstance(found, list) else []


def _open(file: Path) -> Any:
    from pyarrow import ArrowException, parquet

    check_file(file, SHARD_BYTES, "a Parquet file")
    try:
        found = parquet.ParquetFile(file)
    except (ArrowException, OSError) as error:
        what = "a Parquet file cannot be read"
        raise SynthError(what, code="content-invalid", where=str(file), found=short(error)) from error
    DATASET_IMAGES.check(found.metadata.num_rows, str(file))
    return found


@dataclass(frozen=True)
class ParquetPart:
    """A file. ours: whether numbers of classes are places in the list of categories."""

    split: str
    file: Path
    categories: tuple[CategoryRecord, ...]
    ours: bool

    @cached_property
    def count(self) -> int:
        return int(_open(self.file).metadata.num_rows)

    @cached_property
    def reader(self) -> huggingface.HuggingFacePart:
        """What reads the column of objects. Without our list, numbers are places in that of the features."""
        own = tuple(CategoryRecord(id=self._ids.get(name, 0), name=name) for name in _class_names(self.file))
        listed = self.categories if self.ours else own or self.categories
        return huggingface.HuggingFacePart(self.split, self.file, self.file.parent, listed, self.ours or bool(own))

    @property
    def _ids(self) -> Mapping[str | None, int]:
        return {one.name: one.id or 0 for one in self.categories}

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        from pyarrow import ArrowException

        place = 0
        try:
            for batch in _open(self.file).iter_batches(batch_size=ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    if only is None or place in only:
                        yield self._stored(row, place)
                    place += 1
        except (ArrowException, OSError, UnicodeDecodeError) as error:
            what = "a Parquet file cannot be read"
            raise SynthError(what, code="content-invalid", where=str(self.file), found=short(error)) from error

    def _stored(self, row: Mapping[str, Any], place: int) -> StoredImage:
        where, image = f"{self.file}, image {place + 1}", row.get("image")
        data = image.get("bytes") if isinstance(image, dict) else None
        name = (image.get("path") if isinstance(image, dict) else None) or f"{self.file.stem}-{place:06d}.jpg"
        if not isinstance(data, bytes) or not isinstance(name, str) or not is_text(name) or leaves_folder(name):
            expected = "a column `image` with bytes and path"
            raise SynthError("a row has no image", code="records-invalid", where=where, expected=expected)
        IMAGE_BYTES.check(len(data), where)
        width, height = upright_size(data, where)
        record = ImageRecord(id=place + 1, file_name=name.replace("\\", "/"), width=width, height=height)
        return StoredImage(ImageLabels(record, self.reader.records(row.get("objects"), record, where)), data, where)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Fields of images and unknown ones."""
    return huggingface.lost(labels)


def image_folder(split: str) -> str:
    """Where the images of a split wait to be put into files."""
    return f"{WAITING}/{split}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """Files of about 500 MB for each split, and the categories."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for one in sets:
        _write_split(folder, one)
        write_categories(folder, one.head.categories)
    if (folder / WAITING).is_dir():
        for left in sorted((folder / WAITING).rglob("*"), reverse=True):
            left.rmdir()
        (folder / WAITING).rmdir()


def _write_split(folder: Path, one: SplitLabels) -> None:
    names = names_of(one.head.categories)
    schema, size = _schema(list(names.values())), 0
    files: list[Path] = []
    rows: list[dict[str, Any]] = []
    writer: Any = None
    for labels in one.images:
        row = _row(folder, one.split, labels, names)
        size += len(row["image"]["bytes"])
        rows.append(row)
        if len(rows) == ROWS_AT_ONCE or size >= FILE_BYTES:
            writer = writer or _new_file(folder, one.split, schema, files)
            writer.write_table(_table(rows, schema))
            rows = []
        if size >= FILE_BYTES:
            writer.close()
            writer, size = None, 0
    if rows or not files:
        writer = writer or _new_file(folder, one.split, schema, files)
        writer.write_table(_table(rows, schema))
    if writer is not None:
        writer.close()
    for number, file in enumerate(files):
        file.replace(folder / FOLDER / f"{one.split}-{number:05d}-of-{len(files):05d}.parquet")


def _new_file(folder: Path, split: str, schema: Any, files: list[Path]) -> Any:
    from pyarrow import parquet

    files.append(folder / FOLDER / f".{split}-{len(files)}")
    return parquet.ParquetWriter(files[-1], schema)


def _table(rows: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    import pyarrow

    return pyarrow.Table.from_pylist(list(rows), schema=schema)


def _row(folder: Path, split: str, labels: ImageLabels, names: dict[int | None, str]) -> dict[str, Any]:
    """A row, with the image that waits in the folder; it is deleted there."""
    said = huggingface.row_of(labels, names)
    file = folder / image_folder(split) / said["file_name"]
    data = file.read_bytes()
    file.unlink()
    columns = {name: said["objects"].get(name, [None] * len(said["objects"]["bbox"])) for name in _columns()}
    image = {"bytes": data, "path": said["file_name"]}
    return {"image": image, **{name: said[name] for name in ("image_id", "width", "height")}, "objects": columns}


def _columns() -> dict[str, Any]:
    """Types of the columns of objects."""
    import pyarrow as pa

    numbers, matrix = pa.list_(pa.float64()), pa.list_(pa.list_(pa.float64()))
    whole = {name: pa.int64() for name in ("category", "id", "iscrowd", "ignore", "instance", "num_keypoints")}
    shares = {name: pa.float64() for name in ("area", "visibility", "truncation")}
    texts = {name: pa.string() for name in ("category_name", "sku", *huggingface.MASKS)}
    return {
        **whole,
        **shares,
        **texts,
        "bbox": numbers,
        "amodal_bbox": numbers,
        "keypoints": numbers,
        "camera_from_object": matrix,
    }


def _schema(names: Sequence[str]) -> Any:
    """The types of columns, and the same as features of Hugging Face."""
    import pyarrow as pa

    columns = _columns()
    whole = {name: pa.int64() for name in ("image_id", "width", "height")}
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    objects = pa.struct({name: pa.list_(kind) for name, kind in columns.items()})
    features = {name: _sequence(_feature(kind)) for name, kind in columns.items()}
    features["category"] = _sequence({"names": list(names), "_type": "ClassLabel"})
    said = {"image": {"_type": "Image"}, **{name: _feature(kind) for name, kind in whole.items()}, "objects": features}
    metadata = {"huggingface": json.dumps({"info": {"features": said}})}
    return pa.schema({"image": image, **whole, "objects": objects}, metadata=metadata)


def _feature(kind: Any) -> dict[str, Any]:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return _sequence(_feature(kind.value_type))
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def _sequence(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "Sequence"}
