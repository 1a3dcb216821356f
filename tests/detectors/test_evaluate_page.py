"""The page and its pictures, and the words on the console."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluate_cases import image_set, predictions
from PIL import Image
from rich.console import Console

from assets.errors import SynthError
from detectors.evaluate.compare import compare
from detectors.evaluate.gallery import draw_gallery
from detectors.evaluate.page import write_comparison, write_page
from detectors.evaluate.pictures import CONFUSED, MISSED, Mark, crop_around, draw_marks
from detectors.evaluate.print_report import print_report
from detectors.evaluate.report import Report, evaluate
from detectors.image_set import Classes, ImageSet, Predictions

# Names that would break a page or a console that trusts them.
CLASSES = Classes(("a", "b", "c"), ("<script>alert(1)</script>", "[red]Crème & Brûlée[/red]", "plain"))


class Links(HTMLParser):
    """Collects what a page loads and which tags it uses."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


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
    links = Links()
    links.feed(text)
    assert "script" not in links.tags and "&lt;script&gt;" in text
    assert links.sources and all((page.parent / source).is_file() for source in links.sources)
    assert "http" not in text and "nan" not in text.replace("finance", "")
    for source in links.sources:
        with Image.open(page.parent / source) as picture:
            assert picture.format == "JPEG"


def test_page_is_the_same_again(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    pages = [write_page(report_of(case), tmp_path / name, *case) for name in ("one", "two")]
    files = [sorted(page.parent.rglob("*.*")) for page in pages]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]


def test_gallery_shows_each_mistake_once(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    gallery = draw_gallery(*case, 0.5, tmp_path / "pictures", 5)
    assert [one.note for one in gallery.worst] == [
        "2 products: 1 missed, 0 called wrong; 1 reported too many",
        "2 products: 0 missed, 1 called wrong; 0 reported too many",
    ]
    assert [(one.title, one.example != "") for one in gallery.confused] == [
        ("[red]Crème & Brûlée[/red] called plain", True)
    ]
    assert [(one.title, one.example) for one in gallery.missed] == [("plain", "")]
    assert len(draw_gallery(*case, 0.5, tmp_path / "few", 1).worst) == 1


def test_page_of_nothing(tmp_path: Path) -> None:
    truth, found = image_set(0, [], CLASSES), predictions([], CLASSES)
    page = write_page(report_of((truth, found)), tmp_path / "out", truth, found)
    assert "No mistakes" in page.read_text(encoding="utf-8")


def test_a_missing_picture_is_told(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    (tmp_path / "1.jpg").unlink()
    with pytest.raises(SynthError, match="cannot be read"):
        write_page(report_of(case), tmp_path / "out", *case)


def test_comparison_page(case: tuple[ImageSet, Predictions], tmp_path: Path) -> None:
    truth, found = case
    fewer = Predictions(*(found.classes, *(column[:2] for column in list(vars(found).values())[1:])))
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
    assert "[red]Crème & Brûlée[/red]" in capture.get()
    assert len(lines) < 40


def test_boxes_are_drawn_where_they_are() -> None:
    plain = Image.new("RGB", (400, 300), (128, 128, 128))
    marks = [
        Mark(np.array([100.0, 100, 200, 200]), MISSED, False),
        Mark(np.array([250.0, 50, 350, 150]), CONFUSED, True),
    ]
    drawn = np.asarray(draw_marks(plain, marks, longest=400))
    assert (drawn[100, 100:201] == MISSED).all() and (drawn[150, 120:180] == 128).all()
    dashes = (drawn[50, 250:351] == CONFUSED).all(axis=1)
    assert 0.3 < dashes.mean() < 0.8
    assert draw_marks(plain, marks, longest=100).size == (100, 75)
    assert draw_marks(plain, marks).size == (800, 600)


@pytest.mark.parametrize("box", [[0, 0, 400, 300], [-20, -20, 10, 10], [399, 299, 400, 300], [0, 140, 400, 150]])
def test_crops_stay_inside_the_picture(box: list[float]) -> None:
    plain = Image.new("RGB", (400, 300))
    crop = crop_around(plain, np.array(box, np.float64), [Mark(np.array(box, np.float64), MISSED, True)])
    assert 0 < crop.width <= 330 and 0 < crop.height <= 220
