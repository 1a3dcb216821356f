"""Any COCO data set, verified as far as its files go: nothing can be drawn again, all can be read and compared."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.files.image_input import reason_of
from assets.files.scratch import scratch_folder
from assets.interrupt import never
from assets.limits import DATASET_PICTURES, PICTURE_BYTES, read_file
from assets.plurals import count_of
from dataset.checksums import CHECKSUMS
from dataset.coco_reader import head_of, objects_of
from dataset.find import CocoSplit, find_splits
from dataset.spool import IdSpool
from dataset.store import leaves_folder
from dataset.values import is_text, short, whole_number
from pipeline.verify.checksums import NO_CHECKSUMS, check_checksums
from pipeline.verify.foreign import check_foreign_image, check_foreign_record
from pipeline.verify.records import Record, Violation, check_picture
from pipeline.verify.report import Tally, VerifyReport

CHECKED = (
    "pictures are there, decode to the last byte and have the stated size; ids, file names and contents come once; "
    "boxes lie in their pictures; areas, masks and categories are sound; no annotation comes twice"
)
NOT_DRAWN = "that the labels fit the pictures: only the folder of a 'synth render' can be drawn again"
# Of pictures and annotations that come twice, so many are named.
MAX_NAMED = 20


@dataclass
class _Pass(Tally):
    """Findings so far. spools: folder for numbers on their way."""

    spools: Path = Path()

    def spool(self, name: str) -> IdSpool:
        return IdSpool(self.spools / name)


@dataclass(frozen=True)
class _Pictures:
    """Ids of the pictures of a file in rising order with their sizes: 16 bytes a picture."""

    ids: np.ndarray
    sizes: np.ndarray

    def size(self, number: object) -> tuple[int, int] | None:
        """Width and height of the picture of an id, None where there is no such picture."""
        if type(number) is not int or not -(2**63) <= number < 2**63:
            return None
        place = int(np.searchsorted(self.ids, number))
        if place == len(self.ids) or self.ids[place] != number:
            return None
        width, height = self.sizes[place].tolist()
        return width, height


def verify_coco(path: Path, *, images: Path | None = None, stop: Callable[[], bool] = never) -> VerifyReport:
    """All violations of the COCO file at `path`, or of those in the folder.

    images: where the pictures lie, if not beside their file. Raises SynthError where there is no COCO file, or none of
    its pictures is found.
    """
    splits = find_splits(path, images)
    with scratch_folder("verify") as folder:
        found = _Pass(stop, skipped=[NOT_DRAWN], checked=CHECKED, spools=Path(folder))
        contents = found.spool("contents")
        for split in splits:
            _verify_split(split, found, contents)
        found.add(_same_contents(splits, contents, found))
        _verify_list(splits, found)
    return found.report()


def _verify_list(splits: list[CocoSplit], found: _Pass) -> None:
    root = splits[0].root
    if not (root / CHECKSUMS).exists():
        found.skipped.append(NO_CHECKSUMS)
        return
    for violations in check_checksums(root, ("annotations", "images"), PICTURE_BYTES):
        if found.ended:
            return
        found.add(violations)


def _verify_split(split: CocoSplit, found: _Pass, contents: IdSpool) -> None:
    name = split.file.name
    try:
        categories = [one.content() for one in head_of(split.file).categories]
        found.add(_check_categories(categories, name))
        known = {record["id"] for record in categories if type(record.get("id")) is int}
        pictures = _verify_images(split, found, contents)
        _verify_annotations(split, pictures, known, found)
    except SynthError as error:
        found.add([Violation(name, " ".join(str(error).split()))])


def _check_categories(categories: list[Record], name: str) -> Iterator[Violation]:
    seen: dict[str, set[object]] = {"id": set(), "name": set(), "sku": set()}
    for record in categories:
        where = f"{name} category {short(record.get('id'))}"
        if type(record.get("id")) is not int:
            yield Violation(where, "the id is no whole number")
        if not is_text(record.get("name")):
            yield Violation(where, f"name {short(record.get('name'))}, expected a text")
        for key, values in seen.items():
            value = record.get(key)
            if isinstance(value, int | str):
                if value in values:
                    yield Violation(where, f"{key} {short(value)} is another category's too")
                values.add(value)


def _verify_images(split: CocoSplit, found: _Pass, contents: IdSpool) -> _Pictures:
    ids, sizes = array("q"), array("i")
    names = found.spool(f"names {split.name}")
    for place, record in enumerate(objects_of(split.file, "images")):
        if found.ended:
            break
        DATASET_PICTURES.check(place + 1, split.file.name)
        where = f"{split.file.name} image {short(record.get('id'))}"
        found.images += 1
        wrong = list(check_foreign_image(record, where))
        found.add(wrong)
        number, width, height = (whole_number(record.get(key)) for key in ("id", "width", "height"))
        if number is not None:
            ids.append(number)
            sizes.extend((min(width or 0, 2**31 - 1), min(height or 0, 2**31 - 1)) if not wrong else (0, 0))
        if isinstance(record.get("file_name"), str):
            names.add(_hashed(str(record["file_name"])))
            found.add(_check_picture(split, record, where, contents))
    numbers = np.array(ids, np.int64)
    rising, counts = np.unique(numbers, return_counts=True)
    twice = rising[counts > 1].tolist()
    found.add(Violation(f"{split.file.name} image {number}", "the id is another image's too") for number in twice)
    for hashed in islice(names.twice(), MAX_NAMED):
        found.add([_named_twice(split, hashed)])
    order = np.argsort(numbers, kind="stable")
    return _Pictures(numbers[order], np.array(sizes, np.int32).reshape(-1, 2)[order])


def _hashed(text: str) -> np.ndarray:
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return np.frombuffer(digest, np.int64)


def _named_twice(split: CocoSplit, hashed: int) -> Violation:
    named = (record for record in objects_of(split.file, "images") if isinstance(record.get("file_name"), str))
    same = [record for record in named if int(_hashed(str(record["file_name"]))[0]) == hashed]
    ids = ", ".join(short(record.get("id")) for record in same[:5])
    return Violation(split.file.name, f"file {short(same[0]['file_name'])} is that of several images: {ids}")


def _path_of(split: CocoSplit, name: str) -> Path | None:
    """Where a picture lies, None for a name that leads out of the folder."""
    return None if not is_text(name) or leaves_folder(name) else split.images / name.replace("\\", "/")


def _check_picture(split: CocoSplit, record: Record, where: str, contents: IdSpool) -> Iterator[Violation]:
    """Readable to its last byte, of the stated size, or of that turned by a quarter as EXIF may say."""
    name = str(record["file_name"])
    path = _path_of(split, name)
    if path is None:
        yield Violation(where, f"file {short(name)} leads out of the folder of pictures: not looked at")
        return
    try:
        data = read_file(path, PICTURE_BYTES, "the picture", name)
    except SynthError as error:
        yield Violation(where, f"file {short(name)}: {reason_of(error)}")
        return
    contents.add(np.frombuffer(blake2b(data, digest_size=8).digest(), np.int64))
    stated = (record.get("width"), record.get("height"))
    yield from check_picture(data, stated, f"{where} ({short(name)})", rendered=False)


def _same_contents(splits: list[CocoSplit], contents: IdSpool, found: _Pass) -> Iterator[Violation]:
    """Pictures of the very same bytes: such a pair in two splits makes a test worthless."""
    twice = list(islice(contents.twice(), MAX_NAMED))
    if not twice or found.interrupted:
        return
    groups: dict[int, list[str]] = {number: [] for number in twice}
    for split in splits:
        for record in objects_of(split.file, "images"):
            path = _path_of(split, str(record.get("file_name")))
            if path is None or not path.is_file():
                continue
            data = read_file(path, PICTURE_BYTES, "the picture")
            number = int(np.frombuffer(blake2b(data, digest_size=8).digest(), np.int64)[0])
            if number in groups:
                groups[number].append(f"{split.name}: {record.get('file_name')}")
    for names in groups.values():
        if len(set(names)) > 1:
            yield Violation(
                "pictures", f"{count_of(len(names), 'image')} with the same content: {', '.join(names[:4])}"
            )


def _verify_annotations(split: CocoSplit, pictures: _Pictures, known: set[int], found: _Pass) -> None:
    ids, twins = found.spool(f"annotations {split.name}"), found.spool(f"twins {split.name}")
    for record in objects_of(split.file, "annotations"):
        if found.ended:
            return
        found.annotations += 1
        where = f"{split.file.name} annotation {short(record.get('id'))}"
        size = pictures.size(record.get("image_id"))
        if size is None:
            found.add([Violation(where, f"image_id {short(record.get('image_id'))} is no image of the file")])
        elif min(size) > 0:
            found.add(check_foreign_record(record, {"width": size[0], "height": size[1]}, known, where))
        if (number := whole_number(record.get("id"))) is not None:
            ids.add(np.array([number], np.int64))
        twins.add(_hashed(repr([record.get(key) for key in ("image_id", "category_id", "bbox")])))
    found.add(
        Violation(f"{split.file.name} annotation {number}", "the id is another one's too") for number in ids.twice()
    )
    _report_twins(split, set(islice(twins.twice(), MAX_NAMED)), found)


def _report_twins(split: CocoSplit, twice: set[int], found: _Pass) -> None:
    groups: dict[int, list[str]] = {}
    for record in objects_of(split.file, "annotations") if twice else ():
        number = int(_hashed(repr([record.get(key) for key in ("image_id", "category_id", "bbox")]))[0])
        if number in twice:
            groups.setdefault(number, []).append(short(record.get("id")))
    for names in groups.values():
        told = f"{count_of(len(names), 'annotation')} of one image, category and box: {', '.join(names[:5])}"
        found.add([Violation(split.file.name, told)])
