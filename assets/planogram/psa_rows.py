"""Rows of a PSA file (Blue Yonder, formerly JDA and ProSpace): text, cells by their place, and how they nest.

The order of columns follows the public description of vazen-ai/toml; columns are only ever appended.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assets.catalog.problems import Findings, Problem
from assets.errors import UNPRINTABLE
from assets.limits import LIST_TEXT, PLANOGRAM_BYTES, PLANOGRAM_ROWS, read_file
from assets.planogram.reading import unreadable_planogram

FIRST_LINE = "PROSPACE SCHEMATIC FILE"
# Known rows without anything about where products stand.
PASSED_OVER = ("Performance",)
ESCAPES = {",": ",", "\\": "\\", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
# Comment of the first lines, and the code pages of Windows and DOS that Python knows.
CODE_PAGE, HEAD_BYTES = re.compile(rb"(?i)^;\s*code\s?page\s*=\s*(\d{3,4})\s*$", re.MULTILINE), 1000
CODE_PAGES = ("437", "850", "852", "866", "874", "932", "936", "949", "950", *map(str, range(1250, 1259)))
# Kinds of unknown rows that are counted one by one.
MAX_KINDS = 50


@dataclass(frozen=True)
class PsaRow:
    """Row of a PSA file. number: its line. cells: those after the kind. Missing and empty ones have a default."""

    number: int
    cells: Sequence[str]
    problems: Findings

    def text(self, place: int) -> str:
        """Return a cell without spaces around it."""
        return self.cells[place].strip() if place < len(self.cells) else ""

    def line(self, place: int) -> str:
        """Return a cell for display: one line without control characters."""
        return _one_line(self.text(place))[: LIST_TEXT.maximum]

    def number_at(self, place: int, column: str, default: float = 0.0) -> float:
        """Return a number; a cell that is none is a problem and counts as the default."""
        text = self.text(place)
        if not text:
            return default
        if len(text) <= 60 and NUMBER.fullmatch(text):
            return float(text) + 0.0  # -0 is 0
        self.problems.add([Problem(self.number, column, f"{text!r:.40}", "a number or nothing")])
        return default

    def whole_at(self, place: int, column: str, default: int) -> int:
        """Return a whole number."""
        value = self.number_at(place, column, default)
        if value == int(value) if abs(value) < 1e9 else False:
            return int(value)
        self.problems.add([Problem(self.number, column, f"{value:g}", "a whole number")])
        return default

    def code_at(self, place: int, column: str, names: Sequence[str], default: int = 0) -> str:
        """Return the name that a code stands for."""
        code = self.whole_at(place, column, default)
        if 0 <= code < len(names):
            return names[code]
        self.problems.add([Problem(self.number, column, str(code), f"a code from 0 to {len(names) - 1}")])
        return names[default]


@dataclass
class PsaFixture:
    """Fixture row with the rows of its positions."""

    row: PsaRow
    positions: list[PsaRow] = field(default_factory=list)


@dataclass
class PsaPlanogram:
    """Planogram row with those of its segments and fixtures."""

    row: PsaRow
    segments: list[PsaRow] = field(default_factory=list)
    fixtures: list[PsaFixture] = field(default_factory=list)


@dataclass
class PsaFile:
    """Rows of a whole file, nested by their order. unknown: kinds of rows that are passed over, with their numbers."""

    project: PsaRow
    products: list[PsaRow] = field(default_factory=list)
    planograms: list[PsaPlanogram] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)


def read_rows(path: Path, problems: Findings) -> PsaFile:
    """Read and nest the rows of a file. Raises SynthError if it is no PSA file at all."""
    lines = re.split(r"\r\n|\n|\r", _text_of(read_file(path, PLANOGRAM_BYTES, "the planogram")))
    if not lines[0].startswith(FIRST_LINE):
        raise unreadable_planogram(path, f"the first line {lines[0]!a:.60}", f"{FIRST_LINE!r}, as PSA files start")
    PLANOGRAM_ROWS.check(len(lines), str(path))
    rows = ((number, line) for number, line in enumerate(lines[1:], start=2) if line and not line.startswith(";"))
    number, first = next(rows, (0, ""))
    tag, delimiter = first[:7], first[7:8] if first[7:8] == "\t" else ","
    if tag != "Project" or first[7:8] not in ("", delimiter):
        raise unreadable_planogram(path, f"line {number}: {first!a:.60}", "a Project row after the comments")
    file = PsaFile(PsaRow(number, split_cells(first, delimiter)[1:], problems))
    for number, line in rows:
        tag, *cells = split_cells(line, delimiter)
        _nest(file, tag.strip(), PsaRow(number, cells, problems))
    return file


def split_cells(line: str, delimiter: str = ",") -> list[str]:
    """Split a row at its delimiters and resolve escapes; a backslash before any other character is kept."""
    if "\\" not in line:
        return line.split(delimiter)
    cells, parts = [], []
    for place, piece in enumerate(re.split(rf"(\\.|{delimiter})", line)):
        if place % 2 == 0:
            parts.append(piece)
        elif piece == delimiter:
            cells.append("".join(parts))
            parts = []
        else:
            parts.append(ESCAPES.get(piece[1], piece))
    return [*cells, "".join(parts)]


def _text_of(data: bytes) -> str:
    """Decode UTF-8 where it is valid, else the code page that the first lines name, else Windows-1252."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        named = CODE_PAGE.search(data[:HEAD_BYTES])
        page = named[1].decode() if named else ""
        return data.decode(f"cp{page if page in CODE_PAGES else 1252}", errors="replace")


def _nest(file: PsaFile, tag: str, row: PsaRow) -> None:
    """Add a row below the one before it that it belongs to."""
    plan = file.planograms[-1] if file.planograms else None
    if tag == "Product":
        file.products.append(row)
    elif tag == "Planogram":
        file.planograms.append(PsaPlanogram(row))
    elif tag in ("Segment", "Fixture"):
        if plan is None:
            row.problems.add([Problem(row.number, "", f"a {tag} row before any Planogram", "a Planogram row first")])
        elif tag == "Segment":
            plan.segments.append(row)
        else:
            plan.fixtures.append(PsaFixture(row))
    elif tag == "Position":
        if plan is None or not plan.fixtures:
            row.problems.add([Problem(row.number, "", "a Position row before any Fixture", "a Fixture row first")])
        else:
            plan.fixtures[-1].positions.append(row)
    elif tag not in PASSED_OVER:
        name = _one_line(tag)[:40] or "without a kind"
        file.unknown[name if name in file.unknown or len(file.unknown) < MAX_KINDS else "others"] += 1


def _one_line(text: str) -> str:
    return " ".join(UNPRINTABLE.sub(" ", text).split())
