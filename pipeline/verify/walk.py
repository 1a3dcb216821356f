"""The one walk of `synth verify`: each image of a data set with its labels, whatever kind of set it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from assets.errors import SynthError
from assets.files.image_input import reason_of
from dataset.records import ImageLabels
from dataset.store import DataPart
from dataset.values import short
from pipeline.shards.workers import map_shards
from pipeline.verify.products import KnownProducts, check_products
from pipeline.verify.records import (
    Extras,
    Record,
    Violation,
    check_annotation,
    check_foreign_image,
    check_foreign_record,
    check_image,
    check_image_file,
    check_keypoints,
)
from pipeline.verify.report import ImageFindings, Tally

_OUTSIDE = " is outside the image folder: not read"
FILE_PROBLEMS = {"file-missing": " is missing", "path-unsafe": _OUTSIDE, "image-id-missing": _OUTSIDE}


class SetChecks(Protocol):
    """What one kind of data set is checked for, beside its images. parallel: parts may go to worker processes."""

    parallel: bool

    @property
    def parts(self) -> Sequence[Any]:
        """The parts of the data set, in order."""

    def check_set(self, tally: Tally) -> None:
        """Check what says something of the whole set, before any image is read."""

    def check_part(self, part: Any) -> Iterator[ImageFindings]:
        """Check a part, image by image. Damage is a finding, never an error."""

    def check_rest(self, tally: Tally) -> None:
        """Check what is known only once all parts are read."""


def walk(checks: SetChecks, workers: int) -> Iterator[Iterable[ImageFindings]]:
    """What is found in each part of a data set, read by as many processes where its kind allows it."""
    if checks.parallel and workers > 1:
        return map_shards(partial(_check_whole, checks), checks.parts, workers)
    return map(checks.check_part, checks.parts)


def _check_whole(checks: SetChecks, part: DataPart) -> list[ImageFindings]:
    return list(checks.check_part(part))


def check_labelled(
    labels: ImageLabels,
    read: Callable[[], bytes],
    known: KnownProducts,
    where: str,
    annotation: str,
    *,
    rendered: bool,
    number: int | None = None,
    first: int | None = None,
    extras: Callable[[Record], Extras] = lambda _: {},
    own: Callable[[Record, list[Record], Extras], Iterable[Violation]] = lambda _image, _records, _extras: (),
) -> Iterator[Violation]:
    """Check the fields of an image, its file, and each annotation; with invalid fields nothing further.

    read: reads the file; raises SynthError. where: location for messages; annotation: the same, before the id of an
    annotation. number, first: ids that the image and its first annotation must have, None for any. extras: reads what
    `check_products` takes, of a rendered image. own: checks of this kind of data set.
    """
    image, records = labels.image.content(), [record.content() for record in labels.annotations]
    if rendered:
        wrong = list(check_image(image, image.get("id") if number is None else number, where))
    else:
        wrong = list(check_foreign_image(image, where))
    yield from wrong
    yield from _check_file(image, read, where, rendered=rendered)
    if wrong:
        return
    placed = [(record, f"{annotation} {short(record.get('id'))}") for record in records]
    for position, (record, there) in enumerate(placed):
        if type(record.get("image_id")) is not int or record["image_id"] != image["id"]:
            yield Violation(there, f"image_id {record.get('image_id')!r}, but it belongs to image {image['id']}")
        if rendered:
            expected = record.get("id") if first is None else first + position
            yield from check_annotation(record, expected, known.keys, there, delisted=known.delisted)
            if "keypoints" in record:
                yield from check_keypoints(record, image, there)
        else:
            yield from check_foreign_record(record, image, known.keys, there)
    pixels = extras(image) if rendered else {}
    if rendered:
        yield from check_products(placed, image, pixels, where)
    yield from own(image, records, pixels)


def _check_file(image: Record, read: Callable[[], bytes], where: str, *, rendered: bool) -> Iterator[Violation]:
    name = image.get("file_name")
    if not isinstance(name, str):
        return  # reported with the fields
    try:
        data = read()
    except SynthError as error:
        yield Violation(where, f"file {short(name)}{FILE_PROBLEMS.get(error.code, f': {reason_of(error)}')}")
        return
    stated = (image.get("width"), image.get("height"))
    yield from check_image_file(data, stated, f"{where} ({short(name)})", rendered=rendered)
