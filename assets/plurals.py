"""Counts with the plural of their noun, and lists that are cut, for messages."""

from __future__ import annotations

from collections.abc import Sequence

# Plurals that do not just append an s.
IRREGULAR = {
    "box": "boxes",
    "category": "categories",
    "class": "classes",
    "index": "indexes",
    "mesh": "meshes",
    "registry": "registries",
    "shelf": "shelves",
}


def count_of(number: int, noun: str, *, spec: str = "") -> str:
    """Return a number with its noun: "1 scene", "3 scenes", "0 categories".

    noun: in the singular; its last word is pluralised. spec: number format, such as "," for 1,200.
    """
    return f"{number:{spec}} {noun if number == 1 else plural_of(noun)}"


def plural_of(noun: str) -> str:
    """Return the plural of a noun of one or more words, such as "bad category"."""
    before, space, last = noun.rpartition(" ")
    return f"{before}{space}{IRREGULAR.get(last, f'{last}s')}"


def counts_of(*, spec: str = "", **numbers: int) -> str:
    """Return several numbers with their nouns: counts_of(image=3, box=1) is "3 images, 1 box"."""
    return ", ".join(count_of(number, noun, spec=spec) for noun, number in numbers.items())


def first_few(texts: Sequence[str], most: int = 5) -> list[str]:
    """Return the first texts, and a line with the number of the others."""
    return [*texts[:most], *([f"and {len(texts) - most} more"] if len(texts) > most else [])]


def join_few(texts: Sequence[str], most: int = 5, *, separator: str = ", ") -> str:
    """Join the first texts, and add the number of the others: "a, b and 4 more"."""
    return separator.join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
