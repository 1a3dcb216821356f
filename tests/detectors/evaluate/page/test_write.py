"""The page and its images, and the words on the console."""

from __future__ import annotations

import dataclasses
import os
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from detectors.checkpoints.detector import Checkpoint
from detectors.checkpoints.recorded import RecordedSettings
from detectors.data.image_set import Classes, ImageSet, Predictions
from detectors.evaluate.metrics.compare import compare
from detectors.evaluate.page.about import about_run
from detectors.evaluate.page.examples import plot_examples
from detectors.evaluate.page.images import CONFUSED, MISSED, Mark, crop_around, plot_marks
from detectors.evaluate.page.write import write_comparison, write_page
from detectors.evaluate.print_report import print_report
from detectors.evaluate.report import Report, evaluate
from detectors.models.spec import ModelSpec
from support.errors import raises
from support.evaluate_cases import image_set, predictions

# Names that would break a page or a console that trusts them.
CLASSES = Classes(("a", "b", "c"), ("<script>alert(1)</script>", "[red]Crème & Brûlée[/red]", "plain"))


class Links(HTMLParser):
    """Collects what a page loads, which tags it uses, its words, and tables that nothing keeps from overlapping."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.tables = self.bare_tables = 0
        self._open: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self.tables += tag == "table"
        self.bare_tables += tag == "table" and "wide" not in self._open
        if tag == "div":
            self._open.append(str(dict(attrs).get("class")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
def case(tmp_path: Path) -> tuple[ImageSet, Predictions]:
    """One product right, one called wrong, one missed, one made up."""
    rows = [(0, 0, [10, 10, 60, 60]), (0, 1, [100, 100, 160, 160]), (1, 2, [20, 20, 90, 90]), (1, 1, [5, 120, 60, 180])]
    rng = np.random.default_rng(0)
    for index in range(2):
        Image.fromarray(rng.integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(tmp_path / f"{index}.jpg")
    truth = dataclasses.replace(image_set(2, rows, CLASSES), root=tmp_path)
    seen = [(0, 0, [11, 10, 61, 60], 0.9), (0, 2, [100, 101, 160, 161], 0.8), (1, 0, [120, 20, 180, 80], 0.7)]
    return truth, predictions([*seen, (1, 1, [5, 120, 60, 180], 0.6)], CLASSES)


def report_of(case: tuple[ImageSet, Predictions]) -> Report:
    return evaluate(*case, threshold=0.5, rng=np.random.default_rng(0), resamples=20)


def test_page_stands_alone_and_escapes(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    page = write_page(report_of(case), tmp_path / "out", *case)
    text = page.read_text(encoding="utf-8")
    links = Links(page)
    assert "script" not in links.tags and "&lt;script&gt;" in text
    assert links.sources and all((page.parent / source).is_file() for source in links.sources)
    assert "http" not in text and "nan" not in text.replace("finance", "")
    for source in links.sources:
        with Image.open(page.parent / source) as image:
            assert image.format == "JPEG"


def test_tables_scroll_and_do_not_overlap(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    report = report_of(case)
    pages = [
        write_page(report, tmp_path / "one", *case),
        write_comparison({"a": report, "b": report}, tmp_path / "two"),
    ]
    for page in pages:
        links = Links(page)
        assert links.tables >= 4 and not links.bare_tables
        # The columns of a grid would be as wide as their tables, and lie on each other.
        assert ".two > * { min-width: 0; }" in page.read_text(encoding="utf-8")


def test_counts_are_those_under_the_images(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    """A bad box below the threshold: the kinds of error count it, nothing on the page does."""
    truth, found = case
    weak = predictions([(1, 2, [20, 20, 50, 90], 0.2)], CLASSES)
    both = [
        np.concatenate(pair)
        for pair in zip(list(vars(found).values())[1:5], list(vars(weak).values())[1:5], strict=True)
    ]
    report = report_of((truth, Predictions(CLASSES, *both)))
    kinds = {error.name: error.count for error in report.errors}
    assert (kinds["Loc"], kinds["Miss"]) == (1, 0)
    text = Links(write_page(report, tmp_path / "out", truth, Predictions(CLASSES, *both))).text
    assert "right SKU Found, and as the SKU that it is. 2 50 % wrong SKU Found, but as another SKU. 1 25 %" in text
    assert "missed No detection sits on it. 1 25 % all products 4 one too many" in text
    assert "2 products: 1 missed, 0 as a wrong SKU; 1 too many" in text
    assert "missed A product that no detection points at. 0.000" in text
    compared = Links(write_comparison({"a": report, "b": report}, tmp_path / "both")).text
    assert "missed No detection sits on it. 1 1" in compared


def test_title_says_which_detector_data_and_day(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    run, out = tmp_path / "runs" / "a & b", tmp_path / "runs" / "a & b" / "evaluation"
    logs = [run / "logs" / "csv" / f"version_{number}" for number in (2, 10)]
    for folder in (*logs, run / "logs" / "tensorboard"):
        folder.mkdir(parents=True)
    for file in (run / "best.ckpt", run / "curves.png", *(folder / "metrics.csv" for folder in logs)):
        file.touch()
    os.utime(run / "best.ckpt", (0, 0))
    spec = ModelSpec("fcos", None, 3, 64, 48, (0.5,) * 3, (0.5,) * 3)
    checkpoint = Checkpoint(spec, CLASSES, {}, RecordedSettings(), {}, step=7)
    labels = tmp_path / "photos" / "annotations" / "instances_val.json"
    about = about_run("a & b", run / "best.ckpt", checkpoint, labels, out, today=date(2026, 11, 29))
    report = report_of(case)
    page = write_page(report, out, *case, about=about)
    links = Links(page)
    assert links.text.startswith("a & b on photos/val, 2026-11-29")
    assert "(fcos, 3 SKUs, step 7, file of 1970-01-01)" in links.text and str(labels) in links.text
    linked = [unquote(source) for source in links.sources if not source.startswith("pictures/")]
    assert linked == ["../curves.png", "../logs/csv/version_10/metrics.csv", "../logs/tensorboard/"]
    assert all((out / source).exists() for source in linked)
    assert (
        "2026" not in report.to_json() and page.read_bytes() == write_page(report, out, *case, about=about).read_bytes()
    )
    beside = Links(write_comparison({"a": report, "b": report}, out, abouts={"a": about, "b": about}, pages={"a": "x"}))
    assert beside.text.startswith("a & b on photos/val, 2026-11-29") and "x" in beside.sources


def test_unknown_skus_come_first(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    truth, found = case
    some = np.flatnonzero(found.labels == 0)
    own = Classes(("a", "elsewhere"), ("plain", "elsewhere"))
    columns = (found.images[some], found.boxes[some], found.labels[some], found.scores[some])
    report = report_of((truth, Predictions(own, *columns)))
    assert report.unknown_classes == {"b": 2, "c": 1}
    text = Links(write_page(report, tmp_path / "out", truth, Predictions(own, *columns))).text
    assert "The detector knows 1 of the 3 SKUs on these images. 3 of 4 products" in text
    assert text.index("Unknown to it: b (2), c (1)") < text.index("Detections count from")
    beside = Links(write_comparison({"x": report, "y": report_of(case)}, tmp_path / "two")).text
    assert beside.count("The detector knows") == 1 and beside.index("The detector knows") < beside.index("threshold")
    console = Console(width=100)
    with console.capture() as capture:
        print_report(console, report)
    assert capture.get().startswith("the detector knows 1 of the 3 SKUs of cases: 3 of 4 products")


def test_skus_of_one_name_are_told_apart(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    twins = Classes(CLASSES.keys, ("Tea",) * 3)
    truth, found = dataclasses.replace(case[0], classes=twins), dataclasses.replace(case[1], classes=twins)
    text = Links(write_page(report_of((truth, found)), tmp_path / "out", truth, found)).text
    assert "b taken for c" in text and "Tea taken for Tea" not in text and "Tea called" not in text


def test_page_is_the_same_again(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    pages = [write_page(report_of(case), tmp_path / name, *case) for name in ("one", "two")]
    files = [sorted(page.parent.rglob("*.*")) for page in pages]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]


def test_gallery_shows_each_mistake_once(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    gallery = plot_examples(*case, 0.5, tmp_path / "pictures", 5)
    assert [one.note for one in gallery.worst] == [
        "2 products: 1 missed, 0 as a wrong SKU; 1 too many",
        "2 products: 0 missed, 1 as a wrong SKU; 0 too many",
    ]
    assert [(one.title, one.names, one.example != "") for one in gallery.confused] == [
        ("b taken for c", "[red]Crème & Brûlée[/red] / plain", True)
    ]
    assert [(one.title, one.names, one.example) for one in gallery.missed] == [("c", "plain", "")]
    assert len(plot_examples(*case, 0.5, tmp_path / "few", 1).worst) == 1


def test_page_of_nothing(tmp_path: Path) -> None:
    truth, found = image_set(0, [], CLASSES), predictions([], CLASSES)
    page = write_page(report_of((truth, found)), tmp_path / "out", truth, found)
    assert "No mistakes" in page.read_text(encoding="utf-8")


def test_a_missing_image_is_told(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    (tmp_path / "1.jpg").unlink()
    with raises("file-missing"):
        write_page(report_of(case), tmp_path / "out", *case)


def test_comparison_page(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    truth, found = case
    fewer = Predictions(*(found.classes, *(column[:2] for column in list(vars(found).values())[1:5])))
    difference = compare(truth, found, fewer, rng=np.random.default_rng(0), names=("full", "<less>"), resamples=20)
    reports = {"full": report_of(case), "<less>": report_of((truth, fewer))}
    text = write_comparison(reports, tmp_path / "out", [difference]).read_text(encoding="utf-8")
    assert "&lt;less&gt; against full" in text and "−" in text
    assert write_comparison(reports, tmp_path / "plain").is_file()


def test_console_shows_head_numbers_first(case: tuple[ImageSet, Predictions]) -> None:
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as capture:
        print_report(console, report_of(case))
    lines = capture.get().splitlines()
    assert lines[0].startswith("cases: 2 images")
    assert lines[2].split()[0] == "AP"
    assert "right SKU 2, wrong SKU 1, missed 1; too many 1" in " ".join(capture.get().split())
    assert len(lines) < 40


def test_boxes_are_drawn_where_they_are() -> None:
    plain = Image.new("RGB", (400, 300), (128, 128, 128))
    marks = [
        Mark(np.array([100.0, 100, 200, 200]), MISSED, False),
        Mark(np.array([250.0, 50, 350, 150]), CONFUSED, True),
    ]
    drawn = np.asarray(plot_marks(plain, marks, longest=400))
    assert (drawn[100, 100:201] == MISSED).all() and (drawn[150, 120:180] == 128).all()
    dashes = (drawn[50, 250:351] == CONFUSED).all(axis=1)
    assert 0.3 < dashes.mean() < 0.8
    assert plot_marks(plain, marks, longest=100).size == (100, 75)
    assert plot_marks(plain, marks).size == (800, 600)


@pytest.mark.parametrize("box", [[0, 0, 400, 300], [-20, -20, 10, 10], [399, 299, 400, 300], [0, 140, 400, 150]])
def test_crops_stay_inside_the_image(box: list[float]) -> None:
    plain = Image.new("RGB", (400, 300))
    crop = crop_around(plain, np.array(box, np.float64), [Mark(np.array(box, np.float64), MISSED, True)])
    assert 0 < crop.width <= 330 and 0 < crop.height <= 220
