"""Planogram files of each format that tests read and break."""

from __future__ import annotations

TOML = """
format = "synth-planogram-1"
[[planogram]]
name = "a"
width = 1000
height = 2000
depth = 470
[[planogram.shelf]]
y = 160
depth = 370
[[planogram.shelf.position]]
sku = "0042"
wide = 3
"""
CSV = "shelf,sku,facings\n1,demo-0001,2\n"


def psa_row(tag: str, cells: dict[int, object], delimiter: str = ",") -> str:
    """A row with the cells at their places; escapes as Space Planning writes them."""
    texts = [str(cells.get(place, "")) for place in range(max(cells, default=-1) + 1)]
    return delimiter.join([tag, *map(escaped, texts)])


def escaped(text: str) -> str:
    marks = {"\\": "\\\\", ",": "\\,", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "".join(marks.get(character, character) for character in text)


def psa_text(scale: float = 1.0, *, measurement: int = 1, delimiter: str = ",", absolute: bool = True) -> str:
    """Two planograms: a board with two products at the left, one with a pegboard. Lengths are centimetres / scale."""

    def row(tag: str, cells: dict[int, object]) -> str:
        return psa_row(tag, cells, delimiter)

    def cm(value: float) -> str:
        return f"{value / scale:.10g}"

    base = 52 if absolute else 2
    return "\r\n".join(
        [
            "PROSPACE SCHEMATIC FILE  ",
            "; Version 2020.1.0",
            "; Codepage=1252",
            row("Project", {0: 'Shop, "one"', 11: measurement}),
            row("Project2", {0: "x"}),
            row("Product", {0: "0042", 1: "7", 2: "Soup\\Tomato", 4: cm(8), 5: cm(11), 6: cm(8), 231: "Halm"}),
            row(
                "Product",
                {0: "43", 2: "Crème", 4: cm(6), 5: cm(20), 6: "-0", 45: cm(24), 46: cm(20), 47: cm(12)}
                | {48: 4, 49: 1, 50: 2, 51: 8},
            ),
            row("ProductCalc", {0: "1"}),
            row("Planogram", {0: "A", 2: cm(100), 3: cm(180), 4: cm(50), 9: cm(10), 15: cm(2.5)}),
            row("Performance", {0: "0042"}),
            row("Segment", {0: "bay", 2: "0", 3: cm(100), 5: cm(180), 7: cm(50), 11: 1, 12: 1}),
            row("Fixture", {0: 0, 1: "Board", 3: "-0", 4: cm(100), 5: cm(50), 6: cm(2), 8: cm(45), 9: 5}),
            row(
                "Position",
                {0: "0042", 1: "7", 3: cm(10), 4: cm(24), 5: cm(base), 6: cm(22), 8: cm(16)}
                | {13: 3, 14: 2, 15: 2, 20: 1, 28: 3},
            ),
            row("Position", {0: "43", 3: cm(40), 5: cm(base), 12: 1, 13: 2}),
            row("PositionCalc", {0: "1"}),
            row("Planogram", {0: "B", 2: cm(100), 3: cm(180), 4: cm(50)}),
            row("Fixture", {0: 7, 5: cm(10), 6: cm(160), 8: cm(1), 14: cm(2.5), 15: cm(2.5)}),
            row("Position", {0: "43", 3: cm(2.5), 5: cm(30), 15: 4, 41: "P1"}),
            "",
        ]
    )
