"""Categories of a catalogue: no two names equal, those that were given stay; compared with those in a data set."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.categories import same_category, unique_names
from dataset.records import CategoryRecord

WORDS = st.sampled_from(["Cola", "Cola (b)", "Cola (c)", "Tea", "a", ""])
PRODUCTS = st.lists(
    st.tuples(st.text("abcd", min_size=1, max_size=2), WORDS), unique_by=lambda item: item[0], max_size=9
)


def test_categories_of_earlier_versions_are_as_expected() -> None:
    now = CategoryRecord.parse({"id": 2, "name": "Cola (b)", "supercategory": "", "sku": "b", "display_name": "Cola"})
    before = CategoryRecord.parse({"id": 2, "name": "Cola", "supercategory": "", "sku": "b"})
    assert same_category(now, now) and same_category(before, now)
    assert not same_category(replace(before, name="Tea"), now)
    assert not same_category(replace(now, name="Cola"), now)


def test_later_skus_of_a_name_get_their_key_appended() -> None:
    assert unique_names([("a", "Cola"), ("b", "Cola"), ("c", "Tea"), ("d", "Cola (b)")]) == {
        "a": "Cola",
        "b": "Cola (b)",
        "c": "Tea",
        "d": "Cola (b) (d)",
    }


@settings(max_examples=40)
@given(PRODUCTS, st.integers(0, 9))
def test_names_differ_and_stay_when_skus_with_higher_ids_come(products: list[tuple[str, str]], few: int) -> None:
    names = unique_names(products)
    assert len(set(names.values())) == len(products)
    first = unique_names(products[:few])
    before = {key: (first[key], shown) for key, shown in products[:few]}
    assert first.items() <= names.items()
    # With the names of an earlier version those stay even where an earlier SKU is renamed.
    renamed = [(key, "other" if place == 0 else shown) for place, (key, shown) in enumerate(products)]
    again = unique_names(renamed, before)
    assert len(set(again.values())) == len(products)
    assert all(again[key] == first[key] for key, _ in products[1:few])
