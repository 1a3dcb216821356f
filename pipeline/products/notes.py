"""Notes on products, grouped by text so that those of 170,000 products stay readable."""

from __future__ import annotations

from collections.abc import Sequence

from assets.errors import printable

MAX_NAMED = 3
MAX_LINES = 100


def note_lines(notes: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines for (SKU, note) pairs: one per note, with the number and some of its SKUs."""
    skus: dict[str, list[str]] = {}
    for sku, note in notes:
        skus.setdefault(note, []).append(sku)
    lines = [_note_line(note, named) for note, named in sorted(skus.items(), key=lambda item: -len(item[1]))]
    more = [f"and {len(lines) - MAX_LINES} more kinds of notes"] if len(lines) > MAX_LINES else []
    return [*lines[:MAX_LINES], *more]


def _note_line(note: str, skus: list[str]) -> str:
    if len(skus) == 1:
        return printable(f"{skus[0]}: {note}")
    named = ", ".join(skus[:MAX_NAMED]) + ", …" * (len(skus) > MAX_NAMED)
    return printable(f"{len(skus)} SKUs ({named}): {note}")
