"""Counts with the plural of their noun, for messages."""

from __future__ import annotations

# Plurals that do not just append an s.
IRREGULAR = {
    "box": "boxes",
    "category": "categories",
    "class": "classes",
    "index": "indexes",
    "mesh": "meshes",
    "registry": "registries",
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
