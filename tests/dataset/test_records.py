"""Records of a data set: whatever an object states comes back, and typed fields hold nothing but their types."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dataset.coco_writer import numbered
from dataset.records import (
    AnnotationRecord,
    CategoryRecord,
    ImageLabels,
    ImageRecord,
    names_by_id,
    record_json,
    sku_of,
)
from support.errors import raises

KINDS = (ImageRecord, AnnotationRecord, CategoryRecord)
NAMES = sorted({name for kind in KINDS for name in kind._checks} | {"score", "note"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
) | st.lists(st.floats(-9, 9), min_size=4, max_size=4)


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_whatever_an_object_states_comes_back(kind: Any, content: dict[str, Any]) -> None:
    record = kind.parse(content)
    assert record.content() == content and kind.parse(record.content()) == record
    assert all(record.value(name) == content[name] for name in content) and record.value("nowhere") is None


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_fields_hold_their_types_alone(content: dict[str, Any]) -> None:
    record = AnnotationRecord.parse(content)
    assert all(type(number) is int for number in (record.id, record.image_id, record.category_id) if number is not None)
    for number in (record.area, record.visibility, *(record.bbox or ())):
        assert number is None or (type(number) in (int, float) and math.isfinite(number))
    assert record.bbox is None or len(record.bbox) == 4
    size = ImageRecord.parse(content).size
    assert size is None or min(size) > 0


def test_fields_are_written_in_their_order() -> None:
    made = AnnotationRecord.parse({"note": 1, "ignore": 0, "bbox": [1, 2, 3, 4], "id": 7})
    assert list(made.content()) == ["id", "bbox", "ignore", "note"]
    assert record_json(made.content()) == '{"id": 7, "bbox": [1, 2, 3, 4], "ignore": 0, "note": 1}'


def test_numbers_that_json_has_not_are_refused() -> None:
    record = AnnotationRecord.parse({"score": float("nan")})
    with raises("records-invalid"):
        record_json(record.content())


def test_ids_are_dense_and_categories_follow_from_skus() -> None:
    categories = [CategoryRecord(id=3, name="Tea", sku="tea"), CategoryRecord(id=5, name="Soup", sku="soup")]
    images = [
        ImageLabels(ImageRecord(file_name=f"{number}.jpg"), [AnnotationRecord(sku=sku) for sku in skus])
        for number, skus in enumerate((["soup"], [], ["tea", "soup"]))
    ]
    made = list(numbered(images, categories, licensed=True))
    assert [(one.image.id, one.image.license) for one in made] == [(1, 1), (2, 1), (3, 1)]
    found = [(one.id, one.image_id, one.category_id) for labels in made for one in labels.annotations]
    assert found == [(1, 1, 5), (2, 3, 3), (3, 3, 5)]
    assert json.loads(json.dumps(made[0].content()))["annotations"][0]["sku"] == "soup"
    names = names_by_id(categories)
    assert [sku_of(one, names) for one in (AnnotationRecord(category_id=3), AnnotationRecord())] == ["tea", "?"]
