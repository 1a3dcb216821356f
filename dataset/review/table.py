"""Decisions about products in images, one row a box: what the review page exports and people edit.

image          the image's file; a relative one lies beside the CSV
image_width, image_height    in pixels, as the boxes count them
x, y, width, height          the box in pixels
decision       accept, other (than was suggested), unknown (no SKU of the gallery), known (a clear one, that no person
               looked at) or open (nobody decided)
sku            what it is: of accept, other and known
suggested, similarity        the SKU that was nearest, and how near: for people

What is named, and by whom, follows from the decision: accept and other are a person's, known is the gallery's own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assets.catalog.csv_rows import bare_cell, formula_safe
from assets.errors import SynthError
from assets.files.models import MAX_PROBLEMS
from assets.limits import LIST_KEY, LIST_LINE, REVIEW_BYTES, REVIEW_ROWS, read_file
from assets.plurals import first_few

COLUMNS = (
    "image",
    "image_width",
    "image_height",
    "x",
    "y",
    "width",
    "height",
    "decision",
    "sku",
    "suggested",
    "similarity",
)
NEEDED = COLUMNS[:9]
Decision = Literal["accept", "other", "unknown", "known", "open"]
NAMED: tuple[Decision, ...] = ("accept", "other", "known")
BY_PEOPLE: tuple[Decision, ...] = ("accept", "other")
WHAT = "the review CSV"
HINT = "export it from the review page of 'synth recognize', or fill review/decisions.csv"
Pixels = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=1_000_000)]


class ReviewedBox(BaseModel):
    """One row. x, y, width, height: pixels of an image of image_width x image_height."""

    model_config = ConfigDict(frozen=True)

    image: str = Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f]+$")
    image_width: Side
    image_height: Side
    x: Pixels
    y: Pixels
    width: Annotated[Pixels, Field(gt=0)]
    height: Annotated[Pixels, Field(gt=0)]
    decision: Decision
    sku: str = Field("", max_length=LIST_KEY.maximum)
    suggested: str = Field("", max_length=LIST_KEY.maximum)
    similarity: str = Field("", max_length=40)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.decision in NAMED and not (self.sku.strip() and self.sku.isprintable()):
            raise ValueError(f"decision {self.decision} needs a sku")
        if self.x >= self.image_width or self.y >= self.image_height or self.x + self.width <= 0:
            raise ValueError("the box lies outside of the image")
        if self.y + self.height <= 0:
            raise ValueError("the box lies outside of the image")
        return self

    @property
    def place(self) -> tuple[object, ...]:
        """Which box of which image it is."""
        return self.image, self.x, self.y, self.width, self.height

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        return self.x, self.y, self.x + self.width, self.y + self.height


@dataclass(frozen=True)
class Reviewed:
    """The rows of a CSV. file: where it lies. rows: each box once."""

    file: Path
    rows: tuple[ReviewedBox, ...]

    def path(self, name: str, images: Path | None = None) -> Path:
        """The file of an image: as named, beside the CSV, or of that name in `images`."""
        named = Path(name) if Path(name).is_absolute() else self.file.parent / name
        if images is None or _is_file(named):
            return named
        return images / Path(name.replace("\\", "/")).name


def cells_of(row: ReviewedBox) -> list[str]:
    """A row as cells that no spreadsheet program runs as a formula."""
    return [formula_safe(_text(getattr(row, name))) for name in COLUMNS]


def write_rows(rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV of rows of cells, under the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()


def is_review_csv(path: Path) -> bool:
    """Whether a path is meant as decisions: no other kind of labels is a CSV."""
    return path.suffix.lower() == ".csv"


def read_reviewed(path: Path) -> Reviewed:
    """The decisions of a CSV, saved again by a spreadsheet program or not.

    A box that stands there twice with one decision counts once, and a decided row wins over an open one. Raises
    SynthError with every wrong row.
    """
    problems: list[str] = []
    rows: dict[tuple[object, ...], tuple[int, ReviewedBox]] = {}
    for number, cells in _records(path):
        try:
            row = ReviewedBox.model_validate({name: cells[name] for name in COLUMNS if cells.get(name) is not None})
        except ValidationError as error:
            problems += [f"row {number}: {text}" for text in _words(error)]
            continue
        before = rows.get(row.place)
        if before is None or before[1].decision == "open":
            rows[row.place] = (number, row)
        elif row.decision != "open" and (row.decision, row.sku) != (before[1].decision, before[1].sku):
            problems.append(f"row {number}: the box of row {before[0]} with another decision")
    if problems:
        raise SynthError(
            f"{WHAT} is invalid",
            code="review-invalid",
            where=str(path),
            hint=HINT,
            problems=first_few(problems, MAX_PROBLEMS),
        )
    if not rows:
        raise SynthError(f"{WHAT} has no rows", code="review-empty", where=str(path), hint=HINT)
    return Reviewed(path, tuple(row for _, row in rows.values()))


def missing_images(reviewed: Reviewed, names: Iterable[str], images: Path | None, what: str) -> SynthError | None:
    """The error for images that are not where they were, None if all are there. what: that cannot be done."""
    gone = [name for name in dict.fromkeys(names) if not _is_file(reviewed.path(name, images))]
    if not gone:
        return None
    hint = "give the folder where they are now with --images"
    problems = first_few(gone, MAX_PROBLEMS)
    return SynthError(what, code="images-missing", where=str(reviewed.file), hint=hint, problems=problems)


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows by column, numbered as spreadsheets number them. Raises SynthError if it is no such CSV."""
    data = read_file(path, REVIEW_BYTES, WHAT)
    try:
        text = data.decode("utf-8-sig")
        head = text.split("\n", 1)[0]
        delimiter = max((",", ";", "\t"), key=head.count)
        reader = csv.reader(_lines(text, path), delimiter=delimiter, strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        missing = [name for name in NEEDED if header.count(name) != 1]
        if missing:
            expected, found = f"each once: {', '.join(NEEDED)}", f"not {', '.join(missing)}"
            raise SynthError(
                f"{WHAT} lacks columns",
                code="review-columns-missing",
                where=str(path),
                found=found,
                expected=expected,
                hint=HINT,
            )
        for number, cells in enumerate(reader, start=2):
            REVIEW_ROWS.check(number - 1, str(path))
            if any(map(str.strip, cells)):
                yield number, dict(zip(header, map(bare_cell, cells), strict=False))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SynthError(
            f"{WHAT} cannot be read", code="review-unreadable", where=str(path), found=str(error), hint=HINT
        ) from error


def _lines(text: str, path: Path) -> Iterator[str]:
    for line in io.StringIO(text, newline=""):
        LIST_LINE.check(len(line), str(path))
        yield line


def _words(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=False)[:3]:
        column = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        yield f"column {column}: {message}, found {str(item['input'])[:60]!r}" if column else message


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
