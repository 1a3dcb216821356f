"""Notes on products, told so that those of 170,000 can be read: what many have in common is one line."""

from __future__ import annotations

from collections.abc import Sequence

from assets.errors import printable

NAMED = 3
MAX_LINES = 100


def note_lines(notes: Sequence[tuple[str, str]]) -> list[str]:
    """Lines for (SKU, note): one each, those of equal words together with how many SKUs they hold for."""
    skus: dict[str, list[str]] = {}
    for sku, note in notes:
        skus.setdefault(note, []).append(sku)
    lines = [_line(note, named) for note, named in sorted(skus.items(), key=lambda item: -len(item[1]))]
    more = [f"and {len(lines) - MAX_LINES} more kinds of notes"] if len(lines) > MAX_LINES else []
    return [*lines[:MAX_LINES], *more]


def _line(note: str, skus: list[str]) -> str:
    if len(skus) == 1:
        return printable(f"{skus[0]}: {note}")
    named = ", ".join(skus[:NAMED]) + ", …" * (len(skus) > NAMED)
    return printable(f"{len(skus)} SKUs ({named}): {note}")
