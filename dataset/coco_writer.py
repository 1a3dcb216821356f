"""The writer of COCO files: images and their annotations in one pass, in flat memory."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from assets.errors import SynthError
from assets.files.atomic import TEMPORARY, atomic_file
from dataset.records import CategoryRecord, Head, ImageLabels, record_json

# The lists of a COCO file after its images, as fields of ImageLabels.
LISTS = ("annotations", "links")


@dataclass(frozen=True)
class CocoCounts:
    """Numbers of records in a file."""

    images: int
    annotations: int


def write_coco(path: Path, images: Iterable[ImageLabels], head: Head, *, linked: bool = False) -> CocoCounts:
    """Write images, whose records have ids, as one COCO file, atomically. linked: with a list `links` of theirs."""
    with ExitStack() as stack:
        file = stack.enter_context(atomic_file(path))
        spools = {name: stack.enter_context(_spool(path)) for name in LISTS[: 1 + linked]}
        return _stream(file, spools, images, head, f'"licenses": {record_json(list(head.licenses))},\n')


def _spool(path: Path) -> IO[bytes]:
    # Beside the file: a million annotations are gigabytes, and the system's folder for such things is often small.
    return tempfile.TemporaryFile(dir=path.parent, prefix=".", suffix=TEMPORARY)


def coco_bytes(images: Iterable[ImageLabels], head: Head) -> bytes:
    """Return the COCO part of a shard: a COCO file without licences."""
    with io.BytesIO() as file, io.BytesIO() as spool:
        _stream(file, {LISTS[0]: spool}, images, head, "")
        return file.getvalue()


def numbered(
    images: Iterable[ImageLabels], categories: Sequence[CategoryRecord], *, licensed: bool = False
) -> Iterator[ImageLabels]:
    """Number images and annotations densely from 1, and give each annotation the category of its SKU.

    licensed: whether images get licence 1. Raises SynthError if a label names a SKU without a category.
    """
    numbers = {one.sku: one.id for one in categories}
    before = 0
    for place, image in enumerate(images, start=1):
        annotations = []
        for number, record in enumerate(image.annotations, start=before + 1):
            if record.sku not in numbers:
                hint = "the set was rendered from another SKU list: render it again, or give the list it was made from"
                raise SynthError(
                    f"a label refers to the SKU {record.sku!r}, which is not in the catalogue",
                    code="unknown-sku",
                    hint=hint,
                )
            annotations.append(replace(record, id=number, image_id=place, category_id=numbers[record.sku]))
        before += len(annotations)
        yield ImageLabels(replace(image.image, id=place, license=1 if licensed else None), annotations)


def _stream(
    file: IO[bytes], spools: Mapping[str, IO[bytes]], labelled: Iterable[ImageLabels], head: Head, licenses: str
) -> CocoCounts:
    """Write images to `file` at once; other records wait in the spool of their list until all images are written."""
    categories = ",\n".join(record_json(one.content()) for one in head.categories)
    text = f'{{"info": {record_json(head.info.content())},\n{licenses}"categories": [\n{categories}\n],\n"images": [\n'
    file.write(text.encode())
    images, counts = 0, dict.fromkeys(spools, 0)
    for labels in labelled:
        file.write(_row(labels.image.content(), images))
        images += 1
        for name, spool in spools.items():
            for record in getattr(labels, name):
                spool.write(_row(record.content(), counts[name]))
                counts[name] += 1
    for name, spool in spools.items():
        file.write(f'\n],\n"{name}": [\n'.encode())
        spool.seek(0)
        shutil.copyfileobj(spool, file, 1 << 20)
    file.write(b"\n]}\n")
    return CocoCounts(images, counts[LISTS[0]])


def _row(content: object, before: int) -> bytes:
    return ((",\n" if before else "") + record_json(content)).encode()
