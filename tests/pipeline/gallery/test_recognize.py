"""Recognition from the command line: what it writes, what it leaves to people, how well it does."""

from __future__ import annotations

import csv
import functools
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from rich.console import Console

from detectors.data.image_set import Classes, ImageSet, Predictions
from detectors.evaluate.metrics.table import MetricKind
from detectors.predict.detector import LoadedDetector
from detectors.recognition.embedder.metrics import RETRIEVAL_METRICS
from detectors.recognition.gallery import boxes as box_module
from detectors.recognition.gallery import evaluate as evaluation
from detectors.recognition.gallery.decision import read_decision
from detectors.recognition.gallery.evaluate import evaluate_gallery
from detectors.recognition.gallery.open import open_gallery
from detectors.recognition.gallery.print_report import print_report
from detectors.recognition.gallery.recognize import open_recognizer
from detectors.recognition.gallery.versions import current_version
from detectors.recognition.settings import GalleryEvaluateSettings, GalleryPhotos
from pipeline.cli.main import main
from pipeline.gallery.build import build_gallery
from pipeline.gallery.images import ViewImages
from pipeline.gallery.settings import GalleryBuildSettings
from render.views import open_studio, views_of
from support.gallery import shop
from support.work_here import work_here

KNOWN = ("red", "green", "blue", "yellow")
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A gallery of four SKUs, and photographs with a fifth: two images for choosing, two for reporting."""
    folder = tmp_path_factory.mktemp("shop")
    shop.write_embedder(folder / "embedder.ckpt")
    shop.write_list(folder / "four.csv", KNOWN)
    shop.write_list(folder / "five.csv", (*KNOWN, "black"))
    library, backend = open_studio(folder / "five.csv", folder / "cache")
    for name, sides in (("val", (90, 94)), ("test", (96, 100))):
        shown = [
            [(key, views_of(library, backend, key, 1, side=side)[0]) for key in (*KNOWN, "black", "red")]
            for side in sides
        ]
        shop.write_photos(folder / name, shown)
    backend.close()
    torch = sys.modules["torch"]
    threads = torch.get_num_threads()
    with work_here():
        settings = GalleryBuildSettings(
            folder / "four.csv", folder / "gallery", folder / "embedder.ckpt", views=4, cache=folder / "cache"
        )
        build_gallery(settings, QUIET)
    yield folder
    torch.set_num_threads(threads)


def run(*words: Any, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


def recognize(home: Path, out: Path, *more: Any) -> list[dict[str, Any]]:
    photos = home / "test" / "photos.json"
    words = ("recognize", "--boxes", photos, photos, "--gallery", home / "gallery", "--out", out, "--device", "cpu")
    run(*words, *more)
    rows: list[dict[str, Any]] = json.loads((out / "predictions.json").read_bytes())
    return rows


def test_each_box_gets_a_sku_with_score_lead_and_candidates(home: Path, tmp_path: Path) -> None:
    rows = recognize(home, tmp_path, "--threshold", -1, "--margin", 0)
    labels = json.loads((home / "test" / "photos.json").read_bytes())
    assert [(row["image_id"], row["bbox"]) for row in rows] == [
        (annotation["image_id"], annotation["bbox"]) for annotation in labels["annotations"]
    ]
    names = [
        next(kind["sku"] for kind in labels["categories"] if kind["id"] == one["category_id"])
        for one in labels["annotations"]
    ]
    for row, name in zip(rows, names, strict=True):
        assert row["sku"] == row["candidates"][0]["sku"] and row["verdict"] == "known"
        assert len(row["candidates"]) == 4
        assert row["similarity"] - row["candidates"][1]["similarity"] == pytest.approx(row["margin"], abs=2e-5)
        assert name in ("black", row["sku"])
    categories = json.loads((tmp_path / "images.json").read_bytes())["categories"]
    ids = {kind.get("sku"): kind["id"] for kind in categories}
    assert ids == {None: 0, "blue": 1, "green": 2, "red": 3, "yellow": 4}
    assert all(row["category_id"] == ids[row["sku"]] for row in rows)


def test_the_first_signal_ends_it_after_the_images_under_way(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detectors.recognition.gallery import recognize as module

    plain = module.Recognizer.recognize

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(*arguments)

    monkeypatch.setattr(module.Recognizer, "recognize", interrupted)
    monkeypatch.setattr(module, "RecognizeSettings", functools.partial(module.RecognizeSettings, batch=1))
    photos = home / "test" / "photos.json"
    words = ("recognize", "--boxes", photos, photos, "--gallery", home / "gallery", "--out", tmp_path / "out")
    told = run(*words, "--device", "cpu", code=143).output
    assert "stopping after these images; Ctrl-C again stops now" in told
    assert "stopped after 1 of 2 images" in told
    assert len(json.loads((tmp_path / "out" / "images.json").read_bytes())["images"]) == 1


def test_counts_are_a_checkout_list(home: Path, tmp_path: Path) -> None:
    rows = recognize(home, tmp_path, "--threshold", -1, "--margin", 0)
    with (tmp_path / "counts.csv").open() as file:
        lines = list(csv.DictReader(file))
    for image in (1, 2):
        named = [row["sku"] for row in rows if row["image_id"] == image]
        counted = {line["sku"]: int(line["count"]) for line in lines if line["image_id"] == str(image)}
        assert counted == {sku: named.count(sku) for sku in named}
        assert counted["red"] >= 2


def test_under_the_threshold_products_are_unknown(home: Path, tmp_path: Path) -> None:
    rows = recognize(home, tmp_path, "--threshold", 1)
    assert {row["verdict"] for row in rows} == {"unknown"}
    assert all(row["category_id"] == 0 and row["sku"] is None and row["candidates"] for row in rows)
    assert "unknown,6,0" in (tmp_path / "counts.csv").read_text()


def test_close_calls_come_with_images(home: Path, tmp_path: Path) -> None:
    rows = recognize(home, tmp_path, "--threshold", -1, "--margin", 2)
    assert {row["verdict"] for row in rows} == {"review"}
    cases = [json.loads(line) for line in (tmp_path / "review" / "review.jsonl").read_text().splitlines()]
    assert len(cases) == len(rows) == 12
    assert [case["candidates"][0]["sku"] for case in cases] == [row["sku"] for row in rows]
    page = (tmp_path / "review" / "index.html").read_text()
    shown = sorted((tmp_path / "review" / "crops").iterdir()) + sorted((tmp_path / "review" / "fronts").iterdir())
    assert len(shown) == 12 + 4
    for file in shown:
        assert f"{file.parent.name}/{file.name}" in page
        with Image.open(file) as image:
            image.verify()


def test_the_review_page_shows_nearest_views_of_the_list(home: Path, tmp_path: Path) -> None:
    recognize(home, tmp_path, "--threshold", 1, "--sku-list", home / "four.csv", "--cache", home / "cache")
    folder = tmp_path / "review"
    page = (folder / "index.html").read_text()
    views = [file.name for file in sorted((folder / "views").iterdir())]
    assert page.count("nearest view<b>") == 12 * 3 and all(f"views/{name}" in page for name in views)
    assert not (folder / "fronts").exists()
    # Seen from the front: photographs of the test are the front views of their SKUs.
    gallery = open_gallery(home / "gallery")
    red = gallery.positions["red"]
    assert f"{red:06d}-00.jpg" in views
    drawn = ViewImages(home / "four.csv", home / "cache")
    shown = drawn("red", 0, gallery.digests[red])
    assert shown == (folder / "views" / f"{red:06d}-00.jpg").read_bytes()
    # Changed since, or not in the list: no image rather than a wrong one.
    assert drawn("red", 0, "another digest") == b"" == drawn("violet", 0, gallery.digests[red])
    drawn.close()


def test_images_are_drawn_only_if_wanted(home: Path, tmp_path: Path) -> None:
    recognize(home, tmp_path / "drawn")
    recognize(home, tmp_path / "plain", "--no-draw")
    assert [path.name for path in sorted((tmp_path / "drawn" / "pictures").iterdir())] == ["photo1.jpg", "photo2.jpg"]
    assert not (tmp_path / "plain" / "pictures").exists()
    same = [(tmp_path / name / "predictions.json").read_bytes() for name in ("drawn", "plain")]
    assert same[0] == same[1]


def test_a_detector_s_boxes_are_named(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a network finds one box, in the pixels of its own input; a weaker one is not believed."""
    torch = sys.modules["torch"]

    class Finder(torch.nn.Linear):  # type: ignore[name-defined,misc]
        def detect(self, images: Any) -> list[dict[str, Any]]:
            box = [[3.0, 3.0, 20.0, 30.0], [1.0, 1.0, 9.0, 9.0]]
            one = {"boxes": torch.tensor(box), "labels": torch.tensor([0, 0]), "scores": torch.tensor([0.9, 0.2])}
            return [one for _ in images]

    checkpoint = SimpleNamespace(spec=SimpleNamespace(width=160, height=64), display_threshold=0.4)
    detector = LoadedDetector(checkpoint, Finder(1, 1))  # type: ignore[arg-type]
    monkeypatch.setattr(box_module, "load_detector", lambda run, device: detector)
    (tmp_path / "run").mkdir()
    out = tmp_path / "out"
    words = ("recognize", tmp_path / "run", home / "test" / "photo1.png", "--gallery", home / "gallery", "--out", out)
    run(*words, "--threshold", -1, "--device", "cpu")
    (row,) = json.loads((out / "predictions.json").read_bytes())
    assert row["detection_score"] == pytest.approx(0.9, abs=1e-4)
    assert row["score"] == pytest.approx(0.9 * row["similarity"], abs=1e-4)
    with Image.open(home / "test" / "photo1.png") as image:
        width = image.width
    assert row["bbox"][2] == pytest.approx(17 * width / 160, rel=0.02)


def test_boxes_that_are_none_are_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text('[{"image_id": 1, "bbox": [1, 2, 0, 4]}, {"bbox": [1, 2, 3, 4]}]')
    photos = home / "test" / "photos.json"
    words = ("recognize", "--boxes", tmp_path / "boxes.json", photos, "--gallery", home / "gallery")
    result = run(*words, "--out", tmp_path / "out", code=1)
    assert "not a COCO file with boxes" in result.output and "entry 1" in result.output


def test_a_run_or_boxes_must_be_given(home: Path, tmp_path: Path) -> None:
    result = run("recognize", home / "test", "--gallery", home / "gallery", "--out", tmp_path / "out", code=2)
    assert "RUN" in result.output


def test_tuning_is_on_record_and_stays_when_skus_go(home: Path) -> None:
    result = run("gallery", "tune", home / "gallery", "--data", home / "val" / "photos.json", "--device", "cpu")
    assert "known from" in result.output
    decision = read_decision(open_gallery(home / "gallery"))
    assert decision is not None and "10 known and 2 unknown products" in decision.chosen_on
    before = current_version(home / "gallery")
    run("gallery", "remove", home / "gallery", "yellow")
    assert read_decision(open_gallery(home / "gallery")) == decision
    assert current_version(home / "gallery") != before
    assert before in run("gallery", "rollback", home / "gallery").output
    listed = run("gallery", "versions", home / "gallery").output
    assert before in listed and listed.count("\n") == 3
    assert "4 with 16 views" in run("gallery", "info", home / "gallery").output
    assert "good" in run("gallery", "verify", home / "gallery").output
    assert "no such SKU" in run("gallery", "remove", home / "gallery", "violet", code=1).output


def test_the_report_counts_by_hand(home: Path, tmp_path: Path) -> None:
    photos = GalleryPhotos(home / "test" / "photos.json")
    recognizer = open_recognizer(home / "gallery", threshold=-1.0, margin=0.0, device="cpu")
    kinds = {**RETRIEVAL_METRICS, "own": MetricKind("The same for all.", lambda found: 0.4242, head=True)}
    report = evaluate_gallery(recognizer, GalleryEvaluateSettings(photos, out=tmp_path), QUIET, metrics=kinds)
    scores = {metric.name: metric.value for metric in report.retrieval.metrics}
    # Nothing is refused: the ten known products are named, the two unknown ones are named as well, wrongly.
    assert (report.retrieval.queries, report.retrieval.unknown, scores["top1"]) == (10, 2, 1.0)
    assert (scores["at.accepted"], scores["at.refused"]) == (1.0, 0.0)
    assert (scores["review.share"], scores["review.right_clear"]) == (0.0, pytest.approx(10 / 12))
    assert report.given.checkout.cacc == 0.0
    assert report.given.checkout.acd == 2.0  # unknown one too few, another SKU one too many, in each image
    stored = json.loads((tmp_path / "report.json").read_bytes())
    assert stored["retrieval"]["top1"] == 1.0 and stored["found"] is None
    assert set(stored["at"]) == {"threshold", "accepted", "right", "refused"}
    assert set(stored["review"]) == {"share", "right_clear", "right_review", "right"}
    assert stored["retrieval"]["own"] == 0.4242 and [one["name"] for one in stored["metrics"]] == list(kinds)
    console = Console(width=160)
    with console.capture() as capture:
        print_report(console, report)
    assert "0.424" in capture.get() and "The same for all." in capture.get()
    assert (tmp_path / "given" / "index.html").exists()


def test_a_good_threshold_makes_the_lists_right(home: Path) -> None:
    photos = home / "test" / "photos.json"
    recognizer = open_recognizer(home / "gallery", threshold=-1.0, device="cpu")
    scores = evaluate_gallery(recognizer, GalleryEvaluateSettings(GalleryPhotos(photos)), QUIET).retrieval
    assert scores.metric("auroc").value > 0.9
    words = ("gallery", "evaluate", home / "gallery", "--data", photos, "--device", "cpu")
    assert "10 of them in the gallery" in run(*words).output


@pytest.mark.usefixtures("here")
def test_views_are_an_ordinary_data_set(home: Path, tmp_path: Path) -> None:
    from dataset.find import open_source

    words = ("gallery", "views", home / "four.csv", "--out", tmp_path, "--views", 2, "--size", 40)
    more = ("--workers", 1, "--cache", home / "cache")
    run(*words, *more)
    source = open_source(tmp_path, name="views", splits=("train",))
    assert len(source.content.images) == 8 and len(source.content.annotations) == 8
    for image, annotation in zip(source.content.images, source.content.annotations, strict=True):
        with Image.open(source.images / str(image.file_name)) as opened:
            assert opened.size == image.size
        x, y, width, height = annotation.bbox or ()
        assert min(x, y) > 0 and 40 <= max(width, height) <= 44
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    (tmp_path / "labels" / "000000.json").unlink()
    run(*words, *more)
    assert {path: path.read_bytes() for path in before} == before
    assert "other views" in run(*words[:-1], 48, *more, code=1).output


def test_a_detector_that_finds_all_makes_the_lists_of_the_labelled_boxes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = SimpleNamespace(spec=SimpleNamespace(width=64, height=64), display_threshold=0.5, classes=None)
    monkeypatch.setattr(evaluation, "load_checkpoint", lambda run: checkpoint)
    monkeypatch.setattr(evaluation, "restore_model", lambda checkpoint: SimpleNamespace(to=lambda device: None))

    def find(model: Any, truth: ImageSet, classes: Any, size: Any, **further: Any) -> Predictions:
        """Every box, and over each a second one that is not believed."""
        images, count = np.repeat(truth.image_of_box(), 2), len(truth.boxes)
        scores = np.tile([0.9, 0.3], count).astype(np.float32)
        return Predictions(
            Classes(("product",), ("product",)),
            images,
            np.repeat(truth.boxes, 2, axis=0),
            np.zeros(2 * count, np.int32),
            scores,
        )

    monkeypatch.setattr(evaluation, "find_in_set", find)
    recognizer = open_recognizer(home / "gallery", device="cpu")
    photos = GalleryPhotos(home / "test" / "photos.json")
    report = evaluate_gallery(recognizer, GalleryEvaluateSettings(photos, run=home), QUIET)
    assert report.found is not None and report.found.detections == 12
    assert report.found.checkout == report.given.checkout
    assert report.found.coco["AP"] == pytest.approx(report.given.coco["AP"], abs=0.02)
