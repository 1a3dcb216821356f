"""COCO files, verified as far as they go; those of `synth render` against what it says beside them as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from assets.errors import SynthError
from assets.plurals import count_of
from dataset.checksums import CHECKSUMS
from dataset.coco_reader import annotations_of, categories_of, images_of
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels
from dataset.spool import hash64
from dataset.store import CocoPart, CocoStore
from dataset.values import is_text, short
from pipeline.run.refinement import REFINEMENT, read_refinement
from pipeline.verify.checksums import NO_CHECKSUMS, check_checksums
from pipeline.verify.products import KnownProducts
from pipeline.verify.records import MALFORMED, Violation
from pipeline.verify.report import MAX_VIOLATIONS, ImageFindings, Tally
from pipeline.verify.walk import check_labelled

CHECKED = (
    "images are there, decode to the last byte and have the stated size; ids, file names and contents come once; "
    "boxes lie in their images; areas, masks and categories are sound; no annotation comes twice"
)
NOT_DRAWN = "that the labels fit the images: only the scenes of a 'synth render' can be sampled again"
# Of images and annotations that come twice, so many are named.
MAX_NAMED = 20


def walk_file(
    part: CocoPart,
    name: str,
    head: Callable[[Sequence[CategoryRecord]], Iterable[Violation]],
    check: Callable[[ImageLabels, KnownProducts, int, int], ImageFindings],
    stray: Callable[[AnnotationRecord, bool], ImageFindings | None],
) -> Iterator[ImageFindings]:
    """What is found in a COCO file: in its head, its images, and annotations of none; up to where it cannot be read.

    name: for people. check: of an image; called with the ids too that it and its first annotation have where they are
    dense. stray: what is wrong with an annotation that `CocoPart.labels` calls so.
    """
    if not part.source.file.exists():
        yield ImageFindings([Violation(name, "is missing")])
        return
    strays: list[ImageFindings] = []

    def keep(record: AnnotationRecord, of_image: bool) -> None:
        found = stray(record, of_image) if len(strays) <= MAX_VIOLATIONS else None
        strays.extend([found] if found else [])

    try:
        records = categories_of(part.source.file)
        known = KnownProducts({one.id: str(one.value("sku")) for one in records if one.id is not None})
        yield ImageFindings(list(head(records)))
        first = 1
        for number, labels in enumerate(part.labels(keep), start=1):
            yield check(labels, known, number, first)
            first += len(labels.annotations)
        yield from strays
    except (SynthError, OSError, *MALFORMED) as error:
        yield ImageFindings([Violation(name, f"cannot be read as COCO: {type(error).__name__}: {error}")])


@dataclass(frozen=True)
class CocoChecks:
    """COCO files that somebody else made: each of its images and annotations comes once, in one split."""

    store: CocoStore
    parallel = False

    @property
    def parts(self) -> Sequence[CocoPart]:
        return self.store.parts

    def check_set(self, tally: Tally) -> None:
        tally.checked = CHECKED
        try:
            refinement = read_refinement(self.store.path) if self.store.path.is_dir() else None
        except SynthError as error:
            tally.add([Violation(REFINEMENT, str(error))])
        else:
            if refinement is not None:
                tally.note_refined(refinement)
        tally.skipped.append(NOT_DRAWN)

    def check_part(self, part: CocoPart) -> Iterator[ImageFindings]:
        name = part.source.file.name

        def stray(record: AnnotationRecord, of_image: bool) -> ImageFindings | None:
            told = f"image_id {short(record.value('image_id'))} is no image of the file"
            found = [Violation(f"{name} annotation {short(record.value('id'))}", told)]
            return None if of_image else ImageFindings(found, 0, 1, _numbers(part, [record]))

        return walk_file(part, name, partial(_check_categories, name), partial(self._check_labels, part), stray)

    def _check_labels(self, part: CocoPart, labels: ImageLabels, known: KnownProducts, *_: int) -> ImageFindings:
        name, image = part.source.file.name, labels.image
        contents: list[int] = []

        def read() -> bytes:
            data = part.stored(labels).read()
            contents.append(hash64(data))
            return data

        where = f"{name} image {short(image.value('id'))}"
        found = list(check_labelled(labels, read, known, where, f"{name} annotation", rendered=False))
        numbers = _numbers(part, labels.annotations)
        numbers[f"images {part.split}"] = [image.id] if image.id is not None else []
        if isinstance(file_name := image.value("file_name"), str):
            numbers[f"names {part.split}"] = [hash64(file_name)]
        return ImageFindings(found, 1, len(labels.annotations), {**numbers, "contents": contents})

    def check_rest(self, tally: Tally) -> None:
        for part in self.parts:
            name, split = part.source.file.name, part.split
            for what, other in (("image", "another image's"), ("annotation", "another one's")):
                twice = tally.twice(f"{what}s {split}")
                tally.add(Violation(f"{name} {what} {number}", f"the id is also {other}") for number in twice)
            tally.add(_named_twice(part, set(tally.twice(f"names {split}", MAX_NAMED))))
            tally.add(_twins(part, set(tally.twice(f"twins {split}", MAX_NAMED))))
        if not tally.interrupted:
            tally.add(_same_contents(self.parts, set(tally.twice("contents", MAX_NAMED))))
        check_list(self.parts[0].source.root, ("annotations", "images"), tally)


def check_list(root: Path, folders: Sequence[str], tally: Tally, *, required: bool = False) -> None:
    """That no file is another than the one that was written, and none is missing or more than there were."""
    if not required and not (root / CHECKSUMS).exists():
        tally.skipped.append(NO_CHECKSUMS)
        return
    # Of a scene that failed only its spec is there.
    for found in check_checksums(root, folders, may_lack="scenes"):
        if tally.ended:
            return
        tally.add(found)


def _check_categories(name: str, records: Sequence[CategoryRecord]) -> Iterator[Violation]:
    if not records:
        yield Violation(name, "the COCO file has no categories")
    seen: dict[str, set[object]] = {"id": set(), "name": set(), "sku": set()}
    for record in records:
        where = f"{name} category {short(record.value('id'))}"
        if record.id is None:
            yield Violation(where, "the id is not a whole number")
        if not is_text(record.value("name")):
            yield Violation(where, f"name {short(record.value('name'))}, expected a text")
        for key, values in seen.items():
            value = record.value(key)
            if isinstance(value, int | str):
                if value in values:
                    yield Violation(where, f"{key} {short(value)} is also another category's")
                values.add(value)


def _numbers(part: CocoPart, records: Sequence[AnnotationRecord]) -> dict[str, list[int]]:
    """What must not come twice of annotations: their ids, and image, category and box together."""
    ids = [record.id for record in records if record.id is not None]
    return {f"annotations {part.split}": ids, f"twins {part.split}": [_twin_hash(record) for record in records]}


def _twin_hash(record: AnnotationRecord) -> int:
    return hash64(repr([record.value(key) for key in ("image_id", "category_id", "bbox")]))


def _named_twice(part: CocoPart, twice: set[int]) -> Iterator[Violation]:
    groups: dict[str, list[str]] = {}
    for image in images_of(part.source.file) if twice else ():
        if isinstance(name := image.value("file_name"), str) and hash64(name) in twice:
            groups.setdefault(name, []).append(short(image.value("id")))
    for name, ids in groups.items():
        told = f"file {short(name)} is used by several images: {', '.join(ids[:5])}"
        yield Violation(part.source.file.name, told)


def _twins(part: CocoPart, twice: set[int]) -> Iterator[Violation]:
    groups: dict[int, list[str]] = {}
    for record in annotations_of(part.source.file) if twice else ():
        if (number := _twin_hash(record)) in twice:
            groups.setdefault(number, []).append(short(record.value("id")))
    for ids in groups.values():
        told = f"{count_of(len(ids), 'annotation')} of one image, category and box: {', '.join(ids[:5])}"
        yield Violation(part.source.file.name, told)


def _same_contents(parts: Sequence[CocoPart], twice: set[int]) -> Iterator[Violation]:
    """Images of the very same bytes: such a pair in two splits makes a test worthless."""
    groups: dict[int, list[str]] = {number: [] for number in twice}
    for part in parts if twice else ():
        for image in images_of(part.source.file):
            try:
                number = hash64(part.stored(ImageLabels(image, ())).read())
            except SynthError:
                continue  # reported where all images are read
            if number in groups:
                groups[number].append(f"{part.split}: {image.file_name}")
    for names in groups.values():
        if len(set(names)) > 1:
            told = f"{count_of(len(names), 'image')} with the same content: {', '.join(names[:4])}"
            yield Violation("images", told)
