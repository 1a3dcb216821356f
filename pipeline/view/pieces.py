"""Pieces: the details, thumbnails, scenes and layers of 64 pictures at a time, made by worker processes.

A piece that was made before from the same labels and files is kept: the first line of its script says what from.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import FileModel, Sha256, parse_model
from dataset.storage.path import RemoteFile
from dataset.store import StoredImage
from pipeline.view.layers import LAYERS, layer_rows, scene_text
from pipeline.view.rows import BoxFacets, picture_row
from pipeline.view.scripts import script_of, write_script
from pipeline.view.thumbs import CELLS, Thumb, make_thumb, measure_light, shown_copy, sprite_of

PICTURES = 64
# Changes with what a piece holds.
FORMAT = 1
FILES = re.compile(r"(piece|scenes|layers|thumbs|picture|found)-(\d{5})(-\d{1,2})?\.(js|jpg|jpeg|png|webp|bmp)")
Side = Annotated[int, Field(ge=0, lt=2**31)]
Float32 = Annotated[float, Field(ge=-1e38, le=1e38)]


class PieceReceipt(FileModel):
    """The first line of a piece. digest: of what it was made from. sizes: of its pictures. problems: those unreadable.

    layers: which of LAYERS and "scenes" it has. light: place in the piece, brightness and sharpness of those measured.
    files: names of all that belong to it.
    """

    digest: Sha256
    sizes: tuple[tuple[Side, Side], ...]
    problems: tuple[str, ...]
    layers: tuple[str, ...]
    light: tuple[tuple[Side, Float32, Float32], ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class PieceTask:
    """Up to PICTURES pictures. out: of the pages. key: of the set. number: of the piece, from 0.

    labels: category of each annotation of each picture. copy: pictures as well. every: one in so many is measured.
    """

    out: Path
    key: str
    number: int
    images: Sequence[StoredImage]
    labels: Sequence[Sequence[int]]
    copy: bool
    every: int = 1

    @property
    def folder(self) -> Path:
        return self.out / "data" / self.key

    @property
    def start(self) -> str:
        """The beginning of URLs of pictures that were copied; of others it is that of a folder above."""
        return f"data/{self.key}/picture-"

    def file(self, kind: str, place: int | None = None, suffix: str = "js") -> Path:
        """Return the path of one of its files."""
        part = "" if place is None else f"-{place}"
        return self.folder / f"{kind}-{self.number:05d}{part}.{suffix}"


@dataclass(frozen=True, eq=False)
class MadePiece:
    """What the index takes of a piece. made: whether it was not there before. sizes: (P, 2) width, height, pixels.

    light: (M, 3) float32, place in the set, brightness and sharpness of pictures that were measured. files: names.
    """

    made: bool
    sizes: NDArray[np.int32]
    boxes: BoxFacets
    problems: Sequence[str]
    layers: Sequence[str]
    light: NDArray[np.float32]
    files: Sequence[str]


def make_piece(task: PieceTask) -> MadePiece:
    """Write the files of a piece, its script last, unless they are there."""
    digest = _digest(task)
    kept = _read_receipt(task, digest)
    receipt = kept or _write(task, digest)
    records = [one.labels.annotations for one in task.images]
    sizes = np.array(receipt.sizes, np.int32).reshape(len(task.images), 2)
    light = np.array(receipt.light, np.float32).reshape(-1, 3)
    light[:, 0] += task.number * PICTURES
    boxes = BoxFacets.of(records, task.labels)
    return MadePiece(kept is None, sizes, boxes, receipt.problems, receipt.layers, light, receipt.files)


def _digest(task: PieceTask) -> str:
    """SHA-256 of all that a piece is made from: labels by content, files by size and time, as `make` knows them."""
    content = hashlib.sha256(f"{FORMAT} {task.key} {task.number} {task.copy} {task.every}".encode())
    for stored, labels in zip(task.images, task.labels, strict=True):
        # Version 2 writes equal values as equal bytes; later ones write references between them.
        content.update(marshal.dumps((stored.labels.content(), list(labels)), 2))
        for data in (stored.data, *stored.beside.values()):
            content.update(_identity(data, task.out))
    return content.hexdigest()


def _identity(data: bytes | Path | RemoteFile, out: Path) -> bytes:
    if isinstance(data, RemoteFile):
        data = data.read() or b""
    if isinstance(data, bytes):
        return hashlib.sha256(data).digest()
    try:
        status = data.stat()
    except OSError:
        return b"missing"
    return f"{_link(data, out)} {status.st_size} {status.st_mtime_ns}".encode(errors="surrogateescape")


def _read_receipt(task: PieceTask, digest: str) -> PieceReceipt | None:
    """Return the receipt of what is there; None if that is nothing, damaged, or made from something else."""
    try:
        with task.file("piece").open("rb") as file:
            line = file.readline(1 << 20)
        receipt = parse_model(PieceReceipt, line.removeprefix(b"//").strip(), "a piece", str(task.file("piece")))
    except (OSError, SynthError):
        return None
    # Names of our own alone: a receipt from elsewhere names nothing outside of the folder.
    there = all(FILES.fullmatch(name) and (task.folder / name).is_file() for name in receipt.files)
    fits = (
        receipt.digest == digest
        and len(receipt.sizes) == len(task.images)
        and all(place < len(task.images) for place, *_ in receipt.light)
        and {*receipt.layers} <= {*LAYERS, "scenes"}
    )
    return receipt if there and fits else None


def _write(task: PieceTask, digest: str) -> PieceReceipt:
    thumbs, urls, light = [], [], []
    for place, stored in enumerate(task.images):
        thumb, url = _shown(task, place, stored)
        thumbs.append(thumb)
        urls.append(url)
        if place % task.every == 0 and thumb.image is not None:
            measured = measure_light(stored.read(), stored.where)
            light += [] if measured is None else [(place, *measured)]
    files = [task.file("piece"), *(task.out / url for url in urls if url.startswith(task.start))]
    for place in range(-(-len(thumbs) // CELLS)):
        files.append(task.file("thumbs", place, "jpg"))
        write_atomic(files[-1], sprite_of(thumbs[place * CELLS : (place + 1) * CELLS]))
    layers = _write_layers(task)
    files += [task.file("scenes")] * ("scenes" in layers) + [task.file("layers")] * bool(set(LAYERS) & set(layers))
    rows = [
        picture_row(stored.labels.image, stored.labels.annotations, labels, (thumb.width, thumb.height), url)
        for stored, labels, thumb, url in zip(task.images, task.labels, thumbs, urls, strict=True)
    ]
    receipt = PieceReceipt(
        digest=digest,
        sizes=tuple((thumb.width, thumb.height) for thumb in thumbs),
        problems=tuple(thumb.problem for thumb in thumbs if thumb.problem),
        layers=layers,
        light=tuple(light),
        files=tuple(file.name for file in files),
    )
    line = f"//{receipt.model_dump_json(ensure_ascii=True)}\n".encode()
    write_atomic(task.file("piece"), line + script_of(f"{task.key}/piece/{task.number}", rows))
    return receipt


def _write_layers(task: PieceTask) -> tuple[str, ...]:
    """Write scenes and layers, where there are any; return which."""
    found: list[str] = []
    scenes = [scene_text(stored) for stored in task.images]
    if any(scenes):
        found.append("scenes")
        write_script(task.file("scenes"), f"{task.key}/scenes/{task.number}", scenes)
    layers = [layer_rows(stored) for stored in task.images]
    there = [name for place, name in enumerate(LAYERS) if any(row[place] for row in layers)]
    if there:
        write_script(task.file("layers"), f"{task.key}/layers/{task.number}", layers)
    return tuple(found + there)


def _shown(task: PieceTask, place: int, stored: StoredImage) -> tuple[Thumb, str]:
    """Return a thumbnail, and the URL of the picture: where it lies, or of a copy that browsers can show."""
    stated = stored.labels.image.size
    try:
        data = stored.read()
    except SynthError as error:
        return Thumb(*(stated or (0, 0)), None, problem=str(error).splitlines()[0]), ""
    thumb = make_thumb(data, stated, stored.where)
    if thumb.image is None:
        return thumb, ""
    if isinstance(stored.data, Path) and thumb.suffix and not task.copy:
        return thumb, _link(stored.data, task.out)
    file = task.file("picture", place, {"jpeg": "jpg", "": "jpg"}.get(thumb.suffix, thumb.suffix))
    try:
        write_atomic(file, data if thumb.suffix else shown_copy(data, stated, stored.where))
    except SynthError as error:
        return Thumb(thumb.width, thumb.height, None, problem=str(error).splitlines()[0]), ""
    return thumb, f"data/{task.key}/{file.name}"


def _link(path: Path, out: Path) -> str:
    """Return the relative URL of a file; each character of its name that means something in a URL is escaped."""
    return quote(os.fsencode(os.path.relpath(path.absolute(), out.absolute())))
