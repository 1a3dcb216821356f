"""Numbers with their noun, for texts that people read."""

from __future__ import annotations

# Where an s at the end is not enough.
IRREGULAR = {"category": "categories", "box": "boxes", "registry": "registries", "index": "indexes"}


def count_of(number: int, noun: str, *, spec: str = "") -> str:
    """The number with its noun: "1 scene", "3 scenes", "0 categories".

    noun: in the singular; its last word takes the plural. spec: how the number is written, such as "," for 1,200.
    """
    return f"{number:{spec}} {noun if number == 1 else plural_of(noun)}"


def plural_of(noun: str) -> str:
    """The plural of a noun of one word or several, such as "bad category"."""
    before, space, last = noun.rpartition(" ")
    return f"{before}{space}{IRREGULAR.get(last, f'{last}s')}"
