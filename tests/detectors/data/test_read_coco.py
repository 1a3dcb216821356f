"""COCO files of all makes, and broken in every way: what is told, how severe it is, and what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.masks import decode_mask
from dataset.problems import check_usable
from detectors.data.image_set import IGNORED
from support.errors import raises
from support.sets.coco_files import HEIGHT, WIDTH, Coco, annotation, coco, read_set, write_json, write_set

Break = Callable[[Coco], object]


def boxes(*found: tuple[float, ...]) -> Break:
    """Annotations with these boxes in the first image."""
    return lambda c: c.update(annotations=[annotation(k + 1, 1, 1, box) for k, box in enumerate(found)])


def first(part: str, **fields: object) -> Break:
    return lambda c: c[part][0].update(fields)


def without(part: str, field: str) -> Break:
    return lambda c: [record.pop(field) for record in c[part]]


# A name of the case; how it is broken; the message; "bad" or "note"; images, boxes and ignored ones that are left.
# Unbroken there are 3 images with 2 boxes each.
CASES: list[tuple[str, Break, str, str, tuple[int, int, int]]] = [
    # Images.
    ("a missing file", first("images", file_name="no.png"), "images that are missing: 1 (no.png)", "bad", (2, 4, 0)),
    ("a folder", first("images", file_name="."), "images that are missing: 1", "bad", (2, 4, 0)),
    ("a name too long", first("images", file_name="n" * 9999), "images that cannot be read", "bad", (2, 4, 0)),
    ("half a character", first("images", file_name="\ud800"), "without an id or a file_name", "bad", (2, 4, 0)),
    ("no name", lambda c: c["images"][0].pop("file_name"), "without an id or a file_name", "bad", (2, 4, 0)),
    ("an empty name", first("images", file_name=""), "without an id or a file_name", "bad", (2, 4, 0)),
    ("no id", lambda c: c["images"][0].pop("id"), "without an id or a file_name", "bad", (2, 4, 0)),
    ("an id as text", first("images", id="1"), "image ids that are not whole numbers: 1 ('1' of", "bad", (2, 4, 0)),
    ("a broken id", first("images", id=1.5), "image ids that are not whole numbers: 1 (1.5", "bad", (2, 4, 0)),
    ("an id of 1.0", first("images", id=1.0), "", "", (3, 6, 0)),  # pandas writes that: it is 1
    ("a huge id", first("images", id=2**70), "image ids that are not whole numbers", "bad", (2, 4, 0)),
    ("an id twice", first("images", id=2), "image ids given twice: 1 (id 2: ", "bad", (2, 4, 0)),
    ("a file twice", first("images", file_name="000001.png"), "image files given twice", "bad", (2, 4, 0)),
    ("a file twice, otherwise", first("images", file_name="./000001.png"), "given twice", "bad", (2, 4, 0)),
    ("another size", first("images", width=41), "40 x 30, stated 41 x 30", "bad", (2, 4, 0)),
    ("sides swapped", first("images", width=30, height=40), "40 x 30, stated 30 x 40", "bad", (2, 4, 0)),
    ("a size as text", first("images", width="40"), "40 x 30, stated '40' x 30", "bad", (2, 4, 0)),
    (
        "no size",
        lambda c: [c["images"][0].pop(f) for f in ("width", "height")],
        "read from the file",
        "note",
        (3, 6, 0),
    ),
    # Boxes.
    ("an empty box", boxes((5, 5, 0, 9)), "boxes without width or height: 1", "bad", (3, 0, 0)),
    ("a negative box", boxes((5, 5, 9, -9)), "boxes without width or height: 1", "bad", (3, 0, 0)),
    ("a box outside", boxes((41, 5, 9, 9)), "boxes outside the image: 1", "bad", (3, 0, 0)),
    ("a box above", boxes((4, -50, 9, 9)), "boxes outside the image: 1", "bad", (3, 0, 0)),
    ("a thin box", boxes((5, 5, 0.4, 9)), "thinner than half a pixel: 1", "bad", (3, 0, 0)),
    ("a thin rest", boxes((-8.8, 5, 9, 9)), "thinner than half a pixel: 1", "bad", (3, 0, 0)),
    ("a box cut", boxes((35, 5, 9, 9)), "image, clipped: 1 (annotation 1 in 000000.png: by 4 px", "note", (3, 1, 0)),
    ("a box cut by rounding", boxes((31.9, 5, 9, 9)), "", "", (3, 1, 0)),
    ("a huge box", boxes((-1e308, -1e308, 1.7e308, 1.7e308)), "image, clipped", "note", (3, 1, 0)),
    ("three numbers", first("annotations", bbox=[1, 2, 3]), "not four finite numbers: 1", "bad", (3, 5, 0)),
    ("a box as text", first("annotations", bbox=["1", "2", "3", "4"]), "not four finite", "bad", (3, 5, 0)),
    ("nan", first("annotations", bbox=[1, 2, float("nan"), 3]), "boxes that are NaN or infinite: 1", "bad", (3, 5, 0)),
    (
        "infinite",
        first("annotations", bbox=[1, 2, float("inf"), 3]),
        "boxes that are NaN or infinite",
        "bad",
        (3, 5, 0),
    ),
    ("beyond float", first("annotations", bbox=[1, 2, 10**400, 3]), "boxes that are NaN or infinite", "bad", (3, 5, 0)),
    ("no box", lambda c: c["annotations"][0].pop("bbox"), "not four finite numbers: 1", "bad", (3, 5, 0)),
    ("no box at all", without("annotations", "bbox"), "not four finite numbers: 6", "bad", (3, 0, 0)),
    ("a box twice", boxes((5, 5, 9, 9), (5, 5, 9, 9)), "boxes given twice, used once: 1", "note", (3, 1, 0)),
    # As shares of the image each is a valid box of less than a pixel.
    (
        "shares",
        boxes(*[(0.1, 0.1, 0.5 + k / 10, 0.6) for k in range(4)]),
        "in fractions of the image size",
        "bad",
        (3, 4, 0),
    ),
    # Two corners: each lies in the image as corners, and leaves it as corner and size.
    ("corners", boxes(*[(20 - k, 15, 30 + k, 25) for k in range(4)]), "boxes as x1, y1, x2, y2", "bad", (3, 4, 0)),
    # Annotations and their categories. Something is there, so it is no background: an ignored region is left.
    ("no such category", first("annotations", category_id=9), "unknown categories: 1", "bad", (3, 5, 1)),
    ("a category as text", first("annotations", category_id="1"), "category_id '1'", "bad", (3, 5, 1)),
    ("no category", lambda c: c["annotations"][0].pop("category_id"), "unknown categories: 1", "bad", (3, 5, 1)),
    ("a list of categories", first("annotations", category_id=[1]), "unknown categories: 1", "bad", (3, 5, 1)),
    ("another sku", first("annotations", sku="tea"), "whose sku is not that of their category: 1", "bad", (3, 5, 1)),
    ("the same sku", first("annotations", sku="cola"), "", "", (3, 6, 0)),
    ("no such image", first("annotations", image_id=9), "annotations of unknown images: 1", "bad", (3, 5, 0)),
    ("an image as text", first("annotations", image_id="1"), "unknown images: 1", "bad", (3, 5, 0)),
    ("a list of images", first("annotations", image_id=[1]), "unknown images: 1", "bad", (3, 5, 0)),
    ("no image", lambda c: c["annotations"][0].pop("image_id"), "unknown images: 1", "bad", (3, 5, 0)),
    ("an id twice", first("annotations", id=2), "annotation ids given twice, renumbered: 1", "note", (3, 6, 0)),
    ("a crowd", first("annotations", iscrowd=1), "neither target nor background: 1", "note", (3, 5, 1)),
    ("an ignored one", first("annotations", ignore=True), "neither target nor background: 1", "note", (3, 5, 1)),
    ("no crowd, as text", first("annotations", iscrowd="0"), "", "", (3, 6, 0)),
    ("no area", without("annotations", "area"), "without area, area of the box used: 6", "note", (3, 6, 0)),
    ("an endless area", first("annotations", area=1e300), "impossible areas", "note", (3, 6, 0)),
    ("a broken mask", first("annotations", segmentation=[[1, 2, 3]]), "unreadable masks", "note", (3, 6, 0)),
    ("no annotations", lambda c: c.update(annotations=[]), "used as background: 3", "note", (3, 0, 0)),
    # Categories.
    ("no name", lambda c: c["categories"].__setitem__(0, {"id": 1}), "without an id or a name", "bad", (3, 3, 3)),
    ("a category twice", first("categories", sku="soup"), "categories given twice: 1", "bad", (3, 3, 3)),
    ("a category id twice", first("categories", id=2), "categories given twice: 1", "bad", (3, 3, 3)),
    (
        "a category id as text",
        first("categories", id="1"),
        "category ids that are not whole numbers: 1",
        "bad",
        (3, 3, 3),
    ),
    ("an article number", first("categories", sku=4006381333931), "", "", (3, 6, 0)),  # a number, not a text
    ("no sku", without("categories", "sku"), "", "", (3, 6, 0)),
    ("no info", lambda c: c.pop("info"), "no info block: 1", "note", (3, 6, 0)),
    ("no licenses", lambda c: c.pop("licenses", None), "", "", (3, 6, 0)),
]


@pytest.mark.parametrize(
    ("broken", "message", "severity", "left"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_broken_files(tmp_path: Path, broken: Break, message: str, severity: str, left: tuple[int, int, int]) -> None:
    content = coco()
    write_set(tmp_path, content)
    broken(content)
    write_json(tmp_path / "annotations" / "instances_train.json", content)
    images, problems = read_set(tmp_path)
    told = {"bad": problems.bad, "note": problems.notes, "": {}}[severity]
    assert any(message in finding.text(kind) for kind, finding in told.items()) or not severity, problems.lines()
    assert bool(problems.bad) == (severity == "bad"), problems.lines()
    if not severity:
        assert not problems.notes.keys() - {"images without annotations, used as background"}
    if problems.bad:
        with raises("records-invalid", problems="cannot be used"):
            check_usable([problems], skip_bad=False)
    check_usable([problems], skip_bad=True)
    assert (len(images), int((images.labels >= 0).sum()), int((images.labels == IGNORED).sum())) == left
    assert (images.boxes[:, 2:] > images.boxes[:, :2]).all()


def test_all_problems_of_all_sets_are_told_at_once(tmp_path: Path) -> None:
    content = coco()
    content["images"][0]["file_name"] = "gone.png"
    content["annotations"][2]["bbox"] = [1, 1, 0, 0]
    content["annotations"][4]["category_id"] = 77
    write_set(tmp_path, content)
    (tmp_path / "images" / "gone.png").unlink()
    problems = read_set(tmp_path)[1]
    with raises("records-invalid", what="6 records of the data") as error:
        check_usable([problems, problems], skip_bad=False)
    assert all(part in str(error.value) for part in ("gone.png", "without width", "category_id 77", "--skip-bad"))


def test_many_findings_of_a_kind_are_counted_not_listed(tmp_path: Path) -> None:
    content = coco(1, boxes=0)
    content["annotations"] = [annotation(k, 1, 99) for k in range(1, 1001)]
    finding = read_set(write_set(tmp_path, content))[1].bad["annotations of unknown categories"]
    text = finding.text("x")
    assert finding.count == 1000 and "and 996 more" in text and len(text) < 1000


@pytest.mark.parametrize(("shift", "hint"), [(-1, "-1 off"), (1, "+1 off")])
def test_an_offset_of_all_labels_is_named(tmp_path: Path, shift: int, hint: str) -> None:
    content = coco(boxes=3)
    for record in content["annotations"]:
        record["category_id"] += shift
    problems = read_set(write_set(tmp_path, content))[1]
    assert problems.bad and any(hint in line for line in problems.hints)


def test_categories_numbered_anew_show_in_the_skus(tmp_path: Path) -> None:
    content = coco()
    for record in content["annotations"]:
        record["sku"] = content["categories"][record["category_id"] % 3]["sku"]
    problems = read_set(write_set(tmp_path, content))[1]
    assert any("renumbered" in hint for hint in problems.hints)


def test_ids_as_text_throughout_are_told_once(tmp_path: Path) -> None:
    content = coco()
    for record in content["images"]:
        record["id"] = str(record["id"])
    for record in content["annotations"]:
        record["image_id"] = str(record["image_id"])
    problems = read_set(write_set(tmp_path, content))[1]
    assert list(problems.bad) == ["image ids that are not whole numbers"]
    assert any('12, not "12"' in hint for hint in problems.hints)
    for record in content["categories"]:
        record["id"] = str(record["id"])
    with raises("categories-invalid") as error:
        read_set(write_set(tmp_path, content))
    assert "not whole numbers" in str(error.value)


def test_columns_hold_what_the_file_says(tmp_path: Path) -> None:
    content = coco(2, boxes=0)
    content["annotations"] = [
        annotation(7, 2, 3, (1, 2, 10, 5), area=31, visibility=0.25, truncation=0.5),
        annotation(5, 1, 2, (0, 0, 40, 30), visibility=85),  # per cent: unknown
        annotation(6, 2, 1, (2, 2, 2, 2), ignore=1),
    ]
    images, _ = read_set(write_set(tmp_path, content))
    assert images.image_ids.tolist() == [1, 2] and images.sizes.tolist() == [[WIDTH, HEIGHT]] * 2
    assert images.first.tolist() == [0, 1, 3] and images.annotation_ids.tolist() == [5, 7, 6]
    assert images.boxes.tolist() == [[0, 0, 40, 30], [1, 2, 11, 7], [2, 2, 4, 4]]
    assert images.labels.tolist() == [1, 2, IGNORED] and images.true_labels.tolist() == [1, 2, 0]
    assert images.areas.tolist() == [1200, 31, 4]
    np.testing.assert_array_equal(images.visibility, [np.nan, 0.25, np.nan])
    np.testing.assert_array_equal(images.truncation, [np.nan, 0.5, np.nan])
    assert images.classes.keys == ("cola", "soup", "tea") and images.classes.names == ("Cola", "Soup", "Tea")


def test_masks_of_every_kind_mean_the_same_pixels(tmp_path: Path) -> None:
    content = coco(1, boxes=0)
    size = [HEIGHT, WIDTH]
    before = [HEIGHT * 10 + 5, *[10, 20] * 9, 10]  # rows 5 to 15 of columns 10 to 20
    plain = {"size": size, "counts": [*before, HEIGHT * WIDTH - sum(before)]}
    polygon = [[10, 5, 20, 5, 20, 15, 10, 15]]
    content["annotations"] = [
        annotation(k, 1, k, (10, 5, 10, 10), segmentation=mask) for k, mask in ((1, plain), (2, polygon))
    ]
    images, problems = read_set(write_set(tmp_path, content))
    again = decode_mask(images.masks[0], HEIGHT, WIDTH)
    assert again[5:15, 10:20].all() and again.sum() == 100 and not problems.notes
    assert (decode_mask(images.masks[1], HEIGHT, WIDTH) == again).all()


def test_annotation_ids_become_distinct_and_above_0(tmp_path: Path) -> None:
    # COCO's own evaluation takes id 0 for no match and mixes up twins.
    content = coco(1, boxes=3)
    for record, number in zip(content["annotations"], (0, 4, 4), strict=True):
        record["id"] = number
    assert read_set(write_set(tmp_path, content))[0].annotation_ids.tolist() == [1, 4, 2]
    content["annotations"][1]["id"] = "b7"
    assert read_set(write_set(tmp_path, content))[0].annotation_ids.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("fields", "key", "groups"),
    [
        ({}, None, [0, 1, 2]),
        ({"group": ["b", "a", "b"]}, None, [1, 0, 1]),
        ({"group": ["b", None, "b"]}, None, [0, 1, 2]),  # not everywhere: every image on its own
        ({"index": [4, 4, 5], "seed": [1, 1, 1]}, None, [0, 0, 1]),  # scenes of our own sets
        ({"shop": [3, 4, 3], "group": [1, 1, 1]}, "shop", [0, 1, 0]),
    ],
)
def test_groups(tmp_path: Path, fields: dict[str, Any], key: str | None, groups: list[int]) -> None:
    assert read_set(write_set(tmp_path, coco(**fields)), group_key=key)[0].groups.tolist() == groups


@pytest.mark.parametrize("values", [[1, None, 3], [1, [2], 3]])
def test_a_group_key_that_images_lack_is_told(tmp_path: Path, values: list[Any]) -> None:
    with raises("group-key-missing") as error:
        read_set(write_set(tmp_path, coco()), group_key="visit")
    assert "file_name" in str(error.value)
    with raises("group-key-missing"):
        read_set(write_set(tmp_path, coco(visit=values)), group_key="visit")


def test_a_set_without_a_single_finite_box_is_told_with_places(tmp_path: Path) -> None:
    """Even where bad records may be skipped: nothing would be left."""
    content = coco()
    for place, record in enumerate(content["annotations"]):
        record["bbox"] = [float("nan") if place % 2 else float("inf")] * 4
    path = write_set(tmp_path, content)
    with raises("boxes-not-finite", what=r"all boxes of the data set are NaN or infinite \(6\)") as error:
        read_set(path)
    assert str(tmp_path) in str(error.value) and "annotation 1 in 000000.png: [inf, inf, inf, inf]" in str(error.value)
    content["annotations"][0]["bbox"] = [1, 1, 5, 5]
    _, problems = read_set(write_set(tmp_path, content))
    assert problems.bad["boxes that are NaN or infinite"].count == 5


def test_amodal_boxes_are_read_clipped_and_without_masks(tmp_path: Path) -> None:
    content = coco(1, boxes=0)
    content["annotations"] = [
        annotation(1, 1, 1, (4, 4, 6, 6), amodal_bbox=[-5, 2, 20, 10], area=31),
        annotation(2, 1, 2, (1, 2, 3, 4), ignore=1),  # what is ignored needs no amodal box
    ]
    images, problems = read_set(write_set(tmp_path, content), kind="amodal")
    assert not problems.bad and "clipped" not in str(problems.lines())
    assert images.boxes.tolist() == [[0, 2, 15, 12], [1, 2, 4, 6]]
    assert images.areas.tolist() == [150, 12] and images.missing_masks


def test_amodal_boxes_that_are_missing_or_broken_are_told(tmp_path: Path) -> None:
    content = coco(1, boxes=0)
    content["annotations"] = [
        annotation(1, 1, 1, (4, 4, 6, 6)),
        annotation(2, 1, 1, (4, 4, 6, 6), amodal_bbox=[1, 2, "3", 4]),
    ]
    images, problems = read_set(write_set(tmp_path, content), kind="amodal")
    assert problems.bad["annotations without an amodal box"].count == 1
    assert problems.bad["boxes that are not four finite numbers"].count == 1
    assert not len(images.boxes)
