"""Numbers with their noun."""

from __future__ import annotations

import pytest

from assets.plurals import count_of, counts_of


@pytest.mark.parametrize(
    ("number", "noun", "spec", "text"),
    [
        (1, "violation", "", "1 violation"),
        (0, "violation", "", "0 violations"),
        (2, "scene", "", "2 scenes"),
        (1200, "SKU", ",", "1,200 SKUs"),
        (2, "unknown category", "", "2 unknown categories"),
        (1, "box", ",", "1 box"),
        (3, "box", "", "3 boxes"),
        (2, "bad class", "", "2 bad classes"),
    ],
)
def test_a_number_takes_the_noun_in_its_form(number: int, noun: str, spec: str, text: str) -> None:
    assert count_of(number, noun, spec=spec) == text


def test_several_numbers_in_a_row() -> None:
    assert counts_of(image=1200, box=1, spec=",") == "1,200 images, 1 box"
