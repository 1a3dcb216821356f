"""Categories of a catalogue, compared with those in a data set."""

from __future__ import annotations

from dataclasses import replace

from dataset.categories import same_category
from dataset.records import CategoryRecord


def test_categories_of_earlier_versions_are_as_expected() -> None:
    now = CategoryRecord.parse({"id": 2, "name": "Cola (b)", "supercategory": "", "sku": "b", "display_name": "Cola"})
    before = CategoryRecord.parse({"id": 2, "name": "Cola", "supercategory": "", "sku": "b"})
    assert same_category(now, now) and same_category(before, now)
    assert not same_category(replace(before, name="Tea"), now)
    assert not same_category(replace(now, name="Cola"), now)
