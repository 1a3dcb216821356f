"""Names before and after: by a detector's classes, a gallery's nearest SKU, or the nearest crop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dataset.records import AnnotationRecord, ImageLabels, ImageRecord
from pipeline.refine.naming import measure_naming, nearest_crops, overlap
from pipeline.refine.picture import PictureOutcome
from pipeline.refine.samples import SamplePair
from pipeline.refine.settings import RefineSettings

BOXES = {"a": (4, 4, 40, 40), "b": (50, 6, 40, 36), "c": (100, 2, 36, 44)}


def print_of(sku: str) -> np.ndarray:
    rng = np.random.default_rng(ord(sku))
    _, _, width, height = BOXES[sku]
    cells = rng.integers(0, 255, (7, 7, 3)).astype(np.uint8)
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)


def pair_of(change: Callable[[np.ndarray], np.ndarray]) -> SamplePair:
    """A picture with three products, and the same changed."""
    before = np.full((52, 144, 3), 90, np.uint8)
    records = []
    for number, (sku, (x, y, w, h)) in enumerate(BOXES.items(), 1):
        before[y : y + h, x : x + w] = print_of(sku)
        records.append(AnnotationRecord(id=number, category_id=number, sku=sku, bbox=[x, y, w, h]))
    records.append(AnnotationRecord(id=9, category_id=1, sku="a", bbox=[0, 0, 8, 8]))  # too small to have a name
    records.append(AnnotationRecord(id=10, category_id=1, sku="a", bbox=[0, 0, 30, 30], visibility=0.2))
    labels = ImageLabels(ImageRecord(id=1, file_name="1.png", width=144, height=52), records)
    outcome = PictureOutcome("train", "1.png", "p.jpg", 1.0, 0.0, 1.0, 3, "", "", "")
    return SamplePair(outcome, before, change(before), labels, labels, {1: "a", 2: "b", 3: "c"})


def test_crops_that_keep_their_print_keep_their_names() -> None:
    darker = nearest_crops([pair_of(lambda one: (one * [0.4, 0.6, 0.5]).astype(np.uint8))])
    assert (darker.before, darker.after, darker.crops) == (1.0, 1.0, (3, 3))

    def swapped(one: np.ndarray) -> np.ndarray:
        other = one.copy()
        for sku, printed in (("a", "b"), ("b", "c"), ("c", "a")):
            x, y, w, h = BOXES[sku]
            other[y : y + h, x : x + w] = cv2.resize(print_of(printed), (w, h), interpolation=cv2.INTER_NEAREST)
        return other

    assert nearest_crops([pair_of(swapped)]).after == 0
    empty = nearest_crops([])
    assert np.isnan(empty.before) and np.isnan(empty.after) and empty.crops == (0, 0)


def test_a_detector_names_by_the_class_of_its_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds all three in bright pictures, one under a wrong name, and nothing in dark ones."""
    corners = np.array([(x, y, x + w, y + h) for x, y, w, h in BOXES.values()], np.float32)

    def detect(images: list[np.ndarray]) -> list[SimpleNamespace]:
        count = 3 if images[0].mean() > 60 else 0
        labels, scores = np.array([0, 0, 2])[:count], np.full(count, 0.9)
        return [SimpleNamespace(boxes=corners[:count] + 1, labels=labels, scores=scores)]

    classes = SimpleNamespace(keys=("a", "b", "c"))
    detector = SimpleNamespace(checkpoint=SimpleNamespace(classes=classes), detect=detect, threshold=0.5)
    monkeypatch.setattr("detectors.predict.detector.load_detector", lambda run, device: detector)
    settings = RefineSettings(Path(), Path(), Path(), detector=Path("run"))
    found = measure_naming([pair_of(lambda one: one // 4)], settings)
    assert found.before == pytest.approx(2 / 3) and found.after == 0 and found.how == "detector run"


def test_a_gallery_names_by_its_nearest_sku(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = SimpleNamespace(margin=0.0, embed=lambda crops: np.array([crop.mean() for crop in crops]))
    keys = ("b", "a", "c")
    recognizer = SimpleNamespace(embedder=embedder, gallery=SimpleNamespace(keys=keys), index=None)
    monkeypatch.setattr("detectors.recognition.gallery.recognize.open_recognizer", lambda folder, device: recognizer)

    def find(gallery: object, index: object, vectors: np.ndarray, k: int) -> SimpleNamespace:
        """Names all after the first SKU of the list, or nothing in black pictures."""
        return SimpleNamespace(skus=np.where(vectors > 1, 0, -1)[:, None])

    monkeypatch.setattr("detectors.recognition.gallery.search.find_skus", find)
    settings = RefineSettings(Path(), Path(), Path(), gallery=Path("shop"))
    found = measure_naming([pair_of(np.zeros_like)], settings)
    assert found.before == pytest.approx(1 / 3) and found.after == 0 and found.how == "gallery shop"


def test_overlaps_are_those_on_paper() -> None:
    first = np.array([[0, 0, 2, 2], [0, 0, 1, 1]], float)
    second = np.array([[1, 0, 3, 2], [5, 5, 6, 6], [0, 0, 2, 2]], float)
    np.testing.assert_allclose(overlap(first, second), [[1 / 3, 0, 1], [0, 0, 1 / 4]])
    assert overlap(first, np.zeros((0, 4))).shape == (2, 0)
