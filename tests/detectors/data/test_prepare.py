"""From paths to training data: nothing leaks, groups stay whole, and every mistake is told before training."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.data.image_set import IGNORED, Classes, ImageSet
from detectors.data.prepare import TrainingData, prepare_training, read_one
from detectors.data.settings import DataSettings
from support.errors import raises
from support.sets.coco_files import annotation, coco, write_json, write_set

GROUPS = [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    return write_set(tmp_path / "synthetic", coco(6, backend=["raster"] * 6))


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return write_set(tmp_path / "real", coco(10, visit=GROUPS), first_seed=100)


def prepare(settings: DataSettings, seed: int = 0, classes: Classes | None = None) -> tuple[TrainingData, str]:
    lines: list[str] = []
    data = prepare_training(settings, seed=seed, print_line=lines.append, classes=classes)
    return data, "\n".join(lines)


def both(synthetic: Path, real: Path, **more: Any) -> DataSettings:
    return DataSettings(synthetic=(("synthetic", synthetic),), real=real, group_key="visit", **more)


def names(images: ImageSet | None) -> set[str]:
    return {images.file_names[i].decode() for i in range(len(images))} if images is not None else set()


def visits(images: ImageSet | None) -> set[int]:
    return {GROUPS[int(name[:6])] for name in names(images)}


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_held_out_whole(synthetic: Path, real: Path, seed: int) -> None:
    data, told = prepare(both(synthetic, real), seed)
    train, held = data.sources[1], data.validation
    assert not names(train) & names(held) and len(names(train) | names(held)) == 10
    assert not visits(train) & visits(held) and "are held out" in told
    assert data.validates_on_real and held is not None and len(held) in (2, 3)


def test_what_is_held_out_changes_with_the_seed_alone(synthetic: Path, real: Path) -> None:
    held = [names(prepare(both(synthetic, real, real_fraction=share), 1)[0].validation) for share in (0.2, 0.6, 1.0)]
    assert held[0] == held[1] == held[2]
    assert len({frozenset(names(prepare(both(synthetic, real), seed)[0].validation)) for seed in range(8)}) > 1


@pytest.mark.parametrize("seed", range(5))
def test_smaller_fractions_are_parts_of_larger_ones(synthetic: Path, real: Path, seed: int) -> None:
    earlier: set[str] = set()
    for share in (0.01, 0.3, 0.5, 0.7, 0.9, 1.0):
        images = prepare(both(synthetic, real, real_fraction=share, hold_out=0.0), seed)[0].sources[1]
        assert earlier <= names(images) and len(images)
        assert all(
            (GROUPS.count(visit) == sum(GROUPS[int(n[:6])] == visit for n in names(images))) for visit in visits(images)
        )
        # No whole number of groups of 3, 2, 2 and 3 photos in this order is nearer than half the largest group.
        assert abs(len(images) - share * 10) <= 1.5 or len(visits(images)) == 1
        earlier = names(images)
    assert len(earlier) == 10


def test_one_group_far_larger_than_the_rest_is_trained_on(synthetic: Path, tmp_path: Path) -> None:
    path = write_set(tmp_path / "lopsided", coco(10, visit=[0] * 9 + [1]), first_seed=50)
    for seed in range(4):
        data, _ = prepare(both(synthetic, path), seed)
        assert len(data.sources[1]) == 9 and data.validation is not None and len(data.validation) == 1


def test_a_single_group_cannot_be_held_out(synthetic: Path, tmp_path: Path) -> None:
    path = write_set(tmp_path / "single", coco(4, visit=[7] * 4), first_seed=50)
    data, told = prepare(both(synthetic, path))
    assert data.validation is None and len(data.sources[1]) == 4 and "a single group" in told


def test_copies_of_a_photo_stay_together(synthetic: Path, real: Path) -> None:
    # The first photos of all visits but the last are one: a copy of it must not validate what was trained on it.
    for number in (3, 5):
        shutil.copy(real / "images" / "000000.png", real / "images" / f"{number:06d}.png")
    for seed in range(4):
        data, told = prepare(both(synthetic, real), seed)
        assert visits(data.validation) in ({3}, {0, 1, 2}) and "2 groups of real photos merged" in told


@pytest.mark.parametrize("skip_bad", [False, True])
def test_training_images_that_are_validated_on(synthetic: Path, real: Path, tmp_path: Path, skip_bad: bool) -> None:
    val = write_set(tmp_path / "val", coco(3), split="val", first_seed=300)
    # Under another name: bytes count, not names.
    shutil.copy(real / "images" / "000004.png", val / "images" / "000001.png")
    settings = both(synthetic, real, val=val, skip_bad=skip_bad)
    settings = replace(settings, group_key=None)
    if not skip_bad:
        with raises("records-invalid", problems=r"also in the validation set: 1 \(000004\.png"):
            prepare(settings)
        return
    data, told = prepare(settings)
    assert names(data.sources[1]) == {f"{i:06d}.png" for i in range(10) if i != 4}
    assert "also in the validation set: 1 (000004.png) [cannot be used]" in told
    assert data.validation is not None and len(data.validation) == 3


def test_groups_on_both_sides_are_told(synthetic: Path, real: Path, tmp_path: Path) -> None:
    val = write_set(tmp_path / "val", coco(2, visit=[3, 9]), first_seed=300)
    assert "1 group both in real and in validation, such as visit 3" in prepare(both(synthetic, real, val=val))[1]


def test_skip_bad_leaves_out_and_counts(synthetic: Path, real: Path) -> None:
    content = coco(10, visit=GROUPS)
    content["annotations"][0]["bbox"] = [1, 1, 0, 0]
    content["annotations"][2]["category_id"] = 99
    write_json(real / "annotations" / "instances_train.json", content)
    (real / "images" / "000009.png").unlink()
    with raises("records-invalid", what="3 records of the data"):
        prepare(both(synthetic, real))
    data, told = prepare(both(synthetic, real, skip_bad=True, hold_out=0.0))
    images = data.sources[1]
    assert len(images) == 9 and (images.labels >= 0).sum() == 16 and (images.labels == IGNORED).sum() == 1
    assert "images that are missing: 1 (000009.png) [cannot be used]" in told


def test_every_set_is_told_of_at_once(tmp_path: Path, synthetic: Path) -> None:
    with raises("datasets-unreadable", what="2 data sets") as error:
        prepare(DataSettings(synthetic=(("synthetic", synthetic),), real=tmp_path / "a", val=tmp_path / "b"))
    assert str(tmp_path / "a") in str(error.value) and str(tmp_path / "b") in str(error.value)


@pytest.mark.parametrize("labels", ["annotations/instances_val.json", "val.json", "valid/_annotations.coco.json"])
def test_a_validation_split_beside_the_training_one_is_used(synthetic: Path, real: Path, labels: str) -> None:
    content = coco(2)
    write_set(real, content, split="unused", first_seed=400)
    for place, image in enumerate(content["images"]):
        path = real / "images" / image["file_name"]
        image["file_name"] = f"v{place}.png"
        path.rename(path.with_name(image["file_name"]))
    write_set(real, coco(10, visit=GROUPS), first_seed=100)
    (real / "annotations" / "instances_unused.json").unlink()
    if "valid/" in labels:
        shutil.copytree(real / "images", real / "valid")
    write_json(real / labels, content)
    data, _ = prepare(replace(both(synthetic, real), group_key=None))
    assert names(data.validation) == {"v0.png", "v1.png"} and len(data.sources[1]) == 10


def test_synthetic_alone_validates_on_its_own_split_and_says_so(synthetic: Path) -> None:
    data, _ = prepare(DataSettings(synthetic=(("synthetic", synthetic),)))
    assert data.validation is None
    content = coco(2, backend=["raster"] * 2)
    for image in content["images"]:
        image["file_name"] = f"v{image['file_name']}"
    write_set(synthetic, content, split="val", first_seed=70)
    data, told = prepare(DataSettings(synthetic=(("synthetic", synthetic),)))
    assert names(data.validation) == {"v000000.png", "v000001.png"} and not data.validates_on_real
    assert "the validation set is rendered" in told


def test_rendered_images_given_as_real_are_told(synthetic: Path, tmp_path: Path) -> None:
    other = write_set(tmp_path / "other", coco(6, visit=[0, 1, 2, 3, 4, 5], backend=["raster"] * 6), first_seed=60)
    data, told = prepare(both(synthetic, other))
    assert "--real is a rendered set" in told and not data.validates_on_real


@pytest.mark.parametrize("second", ["real", "val", "synthetic"])
def test_one_set_given_twice_is_told(synthetic: Path, tmp_path: Path, second: str) -> None:
    # By its content: a copy in another folder is the same set.
    copy = Path(shutil.copytree(synthetic, tmp_path / "copy"))
    settings = DataSettings(synthetic=(("synthetic", synthetic),))
    twice = {
        "real": {"real": copy},
        "val": {"val": copy},
        "synthetic": {"synthetic": (*settings.synthetic, ("b", copy))},
    }
    with raises("dataset-duplicate"):
        prepare(replace(settings, **twice[second]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"real_fraction": 0.0}, "--real-fraction"),
        ({"real_fraction": -0.5}, "--real-fraction"),
        ({"real_fraction": 10}, "--real-fraction"),  # per cent
        ({"real_fraction": float("nan")}, "--real-fraction"),
        ({"hold_out": 1.0}, "--hold-out"),
        ({"hold_out": -0.1}, "--hold-out"),
        ({"synthetic": (("a", Path()), ("a", Path()))}, "needs another name"),
        ({"synthetic": (("real", Path()),)}, "needs another name"),
        ({"synthetic": (("validation", Path()),)}, "needs another name"),
        ({"synthetic": (("../a", Path()),)}, "needs another name"),
        ({"synthetic": (("", Path()),)}, "needs another name"),
        ({"synthetic": (("a:b", Path()),)}, "needs another name"),  # no --mix could name it
    ],
)
def test_impossible_settings(fields: dict[str, Any], message: str) -> None:
    with raises("setting-invalid", what=message):
        DataSettings(**fields)


def test_nothing_to_train_on() -> None:
    with raises("option-missing", what="no training data"):
        prepare(DataSettings())


def test_a_group_key_that_is_missing(synthetic: Path, real: Path) -> None:
    with raises("group-key-missing"):
        prepare(replace(both(synthetic, real), group_key="shop"))


def test_a_source_of_which_nothing_is_left(synthetic: Path, real: Path) -> None:
    content = coco(10, visit=GROUPS)
    for image in content["images"]:
        image["width"] = 99
    write_json(real / "annotations" / "instances_train.json", content)
    with raises("images-unusable", what="real"):
        prepare(both(synthetic, real, skip_bad=True))


def test_no_box_to_learn(tmp_path: Path) -> None:
    path = write_set(tmp_path / "a", coco(3, boxes=0))
    with raises("boxes-unusable", what="no box of the training data"):
        prepare(DataSettings(real=path))


def test_background_images_may_be_a_source(synthetic: Path, tmp_path: Path) -> None:
    empty = write_set(tmp_path / "empty", coco(3, boxes=0), first_seed=20)
    data, told = prepare(DataSettings(synthetic=(("synthetic", synthetic), ("empty", empty))))
    assert len(data.sources[1]) == 3 and "3 images, 0 boxes" in told


def test_validation_on_classes_that_nobody_trains(synthetic: Path, tmp_path: Path) -> None:
    foreign = coco(3, skus=("rice", "flour"))
    val = write_set(tmp_path / "val", foreign, first_seed=40)
    settings = DataSettings(synthetic=(("synthetic", synthetic),), val=val)
    with raises("boxes-unusable", what="no box of the validation data"):
        prepare(settings)
    foreign["categories"][0]["sku"] = "tea"
    data, told = prepare(replace(settings, val=write_set(tmp_path / "val", foreign, first_seed=40)))
    assert "1 class of val not trained, ignored there: flour" in told
    assert data.validation is not None and sorted(set(data.validation.labels.tolist())) == [IGNORED, 2]


def test_classes_of_an_earlier_detector_are_kept(synthetic: Path) -> None:
    classes = Classes(("milk", "tea", "cola"), ("Milk", "Tea", "Cola"))
    data, told = prepare(DataSettings(synthetic=(("synthetic", synthetic),)), classes=classes)
    assert data.classes == classes and set(data.sources[0].labels.tolist()) == {2, IGNORED}
    assert "1 class of synthetic not trained, ignored there: soup" in told


def test_real_photos_of_fewer_classes(synthetic: Path, tmp_path: Path) -> None:
    content = coco(6, skus=("tea", "rice"), visit=[0, 1, 2, 3, 4, 5])
    path = write_set(tmp_path / "real", content, first_seed=80)
    data, told = prepare(both(synthetic, path))
    assert data.classes.keys == ("cola", "soup", "tea", "rice") and "1 class only in real: rice" in told
    data, told = prepare(both(synthetic, path, classes="common"))
    assert data.classes.keys == ("tea",) and all(set(s.labels.tolist()) <= {0, IGNORED} for s in data.sources)


def test_one_set_for_evaluation(real: Path) -> None:
    lines: list[str] = []
    images = read_one(real, "photos", DataSettings(), splits=("val", "train"), print_line=lines.append)
    assert images.name == "photos" and len(images) == 10 and "10 images, 20 boxes, 3 classes" in lines[0]
    by_visit = read_one(real, "photos", DataSettings(group_key="visit"), splits=("train",), print_line=lines.append)
    assert by_visit.groups.tolist() == GROUPS and images.groups.tolist() == list(range(10))
    shutil.rmtree(real / "images")
    with raises("images-missing"):
        read_one(real, "photos", DataSettings(), splits=("train",), print_line=lines.append)


def test_hashes_know_the_data(synthetic: Path, real: Path) -> None:
    before = prepare(both(synthetic, real))[0].hashes
    assert before == prepare(both(synthetic, real), seed=5)[0].hashes and set(before) == {"synthetic", "real"}
    content = coco(10, visit=GROUPS)
    content["annotations"].append(annotation(99, 1, 1, (20, 3, 4, 4)))
    write_json(real / "annotations" / "instances_train.json", content)
    after = prepare(both(synthetic, real))[0].hashes
    assert after["synthetic"] == before["synthetic"] and after["real"] != before["real"]


def test_annotations_beside_each_other_lie_in_their_images(synthetic: Path, real: Path) -> None:
    data, _ = prepare(both(synthetic, real))
    for images in (*data.sources, data.validation):
        assert images is not None and np.diff(images.first).tolist() == [2] * len(images)


def test_only_listed_images_are_trained_on_and_validation_stays(synthetic: Path, tmp_path: Path) -> None:
    validation = write_set(tmp_path / "val", coco(4), first_seed=500)
    listed = tmp_path / "list.txt"
    listed.write_text("train/000001.png\r\n 000004.png\t\nval/000002.png\n\n")
    settings = DataSettings(synthetic=(("synthetic", synthetic),), val=validation, only=listed)
    data, said = prepare(settings)
    (images,) = data.sources
    assert names(images.columns) == {"000001.png", "000004.png"} and images.box_count == 4
    assert len(data.validation or ()) == 4 and "2 images, 4 boxes" in said
    # Another list is other data, for resuming.
    listed.write_text("000001.png\n")
    other, _ = prepare(settings)
    assert other.hashes["synthetic"] != data.hashes["synthetic"] and other.hashes["val"] == data.hashes["val"]
    listed.write_text("test/000001.png\n")
    with raises("images-missing"):
        prepare(settings)
