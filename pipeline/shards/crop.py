"""`synth data crop`: an image for each product, in a folder for each SKU, as classifiers and galleries take them.

SPLIT/SKU/a_1_17.jpg   product 17 of image a/1.jpg, with a margin; folders are named by the letters and digits of SKUs
crops.csv              file, sku, image, split, box and visibility of each
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeAlias

from PIL import Image, ImageOps
from rich.console import Console

from assets.files.image_input import open_image
from assets.interrupt import until_interrupted
from assets.progress import StepProgress
from dataset.formats import open_labels
from dataset.records import AnnotationRecord, names_by_id, sku_of
from dataset.store import StoredImage
from dataset.tables import stream_table
from dataset.values import number
from pipeline.shards.fresh import IMAGE_STEP, IMAGES_KEPT, fresh_set, identity_of
from pipeline.shards.settings import CroppingSettings

LIST = "crops.csv"
COLUMNS = ("file", "sku", "image", "split", "x", "y", "width", "height", "visibility")
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
QUALITY = 95
JOURNAL = "rows.jsonl"
# Values of COLUMNS.
Row: TypeAlias = Sequence[str | float]


@dataclass
class CroppingSummary:
    """Numbers of images, crops, SKUs, and of products that are too small, too hidden, ignored or without a box."""

    images: int = 0
    crops: int = 0
    skus: int = 0
    left_out: int = 0
    splits: dict[str, int] = field(default_factory=dict)


def crop_data(source: str | Path, out: str | Path, settings: CroppingSettings, console: Console) -> CroppingSummary:
    """Write an image for each product of a data set of any format to the new folder or location `out`.

    The same call again resumes.
    """
    store = open_labels(source, images=settings.images, name=settings.source_format, console=console)
    names, summary, folders = names_by_id(store.categories), CroppingSummary(), Folders()
    total, skus = sum(part.count for part in store.parts), set[str]()
    made_by = identity_of("crop", [settings], [source], [store])
    with (
        fresh_set(out, made_by, console) as folder,
        RowJournal(folder.parent / JOURNAL) as journal,
        stream_table(folder / LIST, COLUMNS) as add_row,
        StepProgress(console, "cropping", total=total, unit="images") as progress,
        closing((part.split, stored) for part in store.parts for stored in part.stored_images()) as images,
    ):
        for split, stored in until_interrupted(images, IMAGES_KEPT, step=IMAGE_STEP):
            found = journal.next_rows()
            if found is None:
                found = list(_write_crops(folder, split, stored, names, folders, settings))
                journal.add(found)
            for row in found:
                add_row(row)
                skus.add(str(row[1]))
            summary.images += 1
            summary.crops += len(found)
            summary.left_out += len(stored.labels.annotations) - len(found)
            summary.splits[split] = summary.splits.get(split, 0) + len(found)
            progress.advance()
    summary.skus = len(skus)
    return summary


def _write_crops(
    folder: Path,
    split: str,
    stored: StoredImage,
    names: dict[int | None, str],
    folders: Folders,
    settings: CroppingSettings,
) -> Iterator[Row]:
    """Write the crops of an image; yield their rows of the list."""
    wanted = [(place, one) for place, one in enumerate(stored.labels.annotations, start=1) if _is_wanted(one, settings)]
    if not wanted:
        return
    image = _decode(stored)
    name = (stored.labels.image.file_name or "").replace("\\", "/")
    for place, record in wanted:
        x, y, width, height = (float(value) for value in record.bbox or ())
        margin = settings.margin * max(width, height)
        box = (
            max(int(x - margin), 0),
            max(int(y - margin), 0),
            min(round(x + width + margin), image.width),
            min(round(y + height + margin), image.height),
        )
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        sku = sku_of(record, names)
        file = Path(UNSAFE.sub("_", split).strip("."), folders.of(sku), f"{_stem(name)}_{place}.jpg")
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        image.crop(box).save(folder / file, quality=QUALITY, subsampling=0)
        yield file.as_posix(), sku, name, split, x, y, width, height, number(record.visibility)


def _is_wanted(record: AnnotationRecord, settings: CroppingSettings) -> bool:
    if record.bbox is None or record.ignored or min(record.bbox[2], record.bbox[3]) < settings.min_side:
        return False
    visibility = number(record.visibility)
    return visibility != visibility or visibility >= settings.min_visibility


def _decode(stored: StoredImage) -> Image.Image:
    """The image as labels count its pixels: upright, unless its stored size is the stated one."""
    with open_image(stored.read(), stored.where, "the image") as opened:
        stated = stored.labels.image.size
        image = opened if stated in (None, opened.size) else ImageOps.exif_transpose(opened)
        return image.convert("RGB")


def _stem(name: str) -> str:
    return UNSAFE.sub("_", name.rpartition(".")[0] or name)[:150]


class RowJournal:
    """The rows of each finished image in a file, a line of JSON each: what an interrupted call has done."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._read: IO[bytes] | None = path.open("rb")
        self._write = path.open("r+b")

    def __enter__(self) -> RowJournal:
        return self

    def __exit__(self, *error: object) -> None:
        self._write.close()
        if self._read is not None:
            self._read.close()

    def next_rows(self) -> list[Row] | None:
        """Return the rows of the next image of earlier calls; None once there are no more."""
        if self._read is None:
            return None
        place = self._read.tell()
        line = self._read.readline()
        with suppress(ValueError):
            if line.endswith(b"\n"):
                return list(json.loads(line))
        self._read.close()
        self._read = None
        self._write.seek(place)
        self._write.truncate()  # a line that was being written
        return None

    def add(self, rows: Sequence[Row]) -> None:
        """Append the rows of an image whose files are written."""
        self._write.write(json.dumps(rows).encode() + b"\n")
        self._write.flush()


class Folders:
    """Names of folders for texts: the text where it is plain, else its letters and digits and a digest of all of it.

    No two texts have one, also where the file system does not tell capitals.
    """

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def of(self, text: str) -> str:
        """Return the folder of a text."""
        plain = UNSAFE.sub("_", text)[:80]
        if not plain or plain != text or text.startswith(".") or self._taken.setdefault(plain.casefold(), text) != text:
            digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=6).hexdigest()
            return f"{plain.strip('._') or 'sku'}-{digest}"
        return plain
