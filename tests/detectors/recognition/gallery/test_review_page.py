"""The page of close calls and refused products: what is kept, what is shown, what it exports."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset.review.table import read_reviewed
from detectors.augment import Letterbox
from detectors.predict.input_images import InputImage, read_upright
from detectors.predict.inputs import Input
from detectors.recognition.gallery import review as module
from detectors.recognition.gallery.boxes import ImageBoxes
from detectors.recognition.gallery.decision import Decision, Verdict
from detectors.recognition.gallery.open import Gallery
from detectors.recognition.gallery.result_files import ImageRecognition
from detectors.recognition.gallery.review import Review
from detectors.recognition.gallery.search import NearestSkus
from support.gallery.cases import make_gallery, vectors_of

DECISION = Decision(threshold=0.5, margin=0.1, chosen_on="nothing")
HOSTILE = "</script><script>alert(1)</script>&\"'"


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = make_gallery(tmp_path / "gallery", 12)
    keys = ('=cmd|" /C calc"', *made.keys[1:])
    return dataclasses.replace(made, keys=keys, names=(HOSTILE, *made.names[1:]))


def recognized(
    file: Path, gallery: Gallery, verdicts: list[Verdict], margins: list[float], *, frame: int | None = None
) -> ImageRecognition:
    """Boxes beside each other; crop i is nearest to SKU i, and lies at its third view."""
    pixels = read_upright(file) if frame is None else np.full((40, 120, 3), 80, np.uint8)
    image = InputImage(Input(file, file.stem), file.stem, frame, pixels, pixels, Letterbox(1.0, 0, 0))
    count = len(verdicts)
    boxes = np.array([[10.0 * i, 5, 10 * i + 8, 25] for i in range(count)])
    skus = np.array([[i, i + 1, 11] for i in range(count)], np.int32)
    scores = np.array([[0.9, 0.9 - margin, 0.1] for margin in margins], np.float32)
    nearest = NearestSkus(skus, scores)
    vectors = vectors_of(range(count))[2::3]
    return ImageRecognition(image, 1, ImageBoxes(boxes, np.ones(count)), nearest, np.array(verdicts, np.int8), vectors)


def photo(folder: Path, name: str = "a.png", **options: object) -> Path:
    """Dark on the left, bright on the right."""
    image = np.zeros((40, 120, 3), np.uint8) + np.linspace(0, 255, 120).astype(np.uint8)[:, None]
    Image.fromarray(image).save(folder / name, **options)
    return folder / name


class Page(HTMLParser):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.cards: list[str] = []
        self.skus: list[str | None] = []
        self.images: list[str | None] = []
        self.acts: list[str | None] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        if tag == "script":
            self.scripts.append(fields)
        if "data-row" in fields:
            self.cards.append(str(fields["data-row"]))
        if tag == "img":
            self.images.append(fields["src"])
        self.skus += [fields["data-sku"]] if "data-sku" in fields else []
        self.acts += [fields["data-act"]] if "data-act" in fields else []


def test_close_calls_and_refused_products_are_decided_on(gallery: Gallery, tmp_path: Path) -> None:
    verdicts = [Verdict.REVIEW, Verdict.KNOWN, Verdict.UNKNOWN, Verdict.REVIEW]
    review = Review(tmp_path / "out", gallery)
    review.add([recognized(photo(tmp_path), gallery, verdicts, [0.05, 0.5, 0.3, 0.01])])
    page_file = review.finish(DECISION)
    assert page_file is not None and len(review) == 2
    page = Page(page_file)
    # The closest call first, refused ones last; each names its row of the CSV.
    assert page.cards == ["3", "0", "2"]
    assert page.acts == ["accept", "other", "unknown", "clear"] * 3
    assert page.skus[:3] == [gallery.keys[3], gallery.keys[4], gallery.keys[11]]
    assert all((page_file.parent / str(image)).is_file() for image in page.images) and len(page.images) == 12
    rows = read_reviewed(page_file.parent / "decisions.csv").rows
    assert [(row.decision, row.sku) for row in rows] == [("open", ""), ("known", gallery.keys[1]), *[("open", "")] * 2]
    assert rows[0].suggested == gallery.keys[0] == '=cmd|" /C calc"'
    assert {row.image for row in rows} == {str(tmp_path / "a.png")} and rows[3].xyxy == (30, 5, 38, 25)


# Clicks as a reviewer would, and leaves what the export would save as the page's only text.
CLICKS = """<script>
var save = URL.createObjectURL;
URL.createObjectURL = function (blob) {
  blob.text().then(function (text) {
    var saved = document.createElement("pre");
    saved.textContent = text;
    document.body.replaceChildren(saved);
  });
  return save.call(URL, blob);
};
var cases = document.querySelectorAll(".case");
cases[0].querySelector("[data-act=accept]").click();
cases[1].querySelectorAll(".candidate")[1].click();
cases[2].querySelector("[data-act=unknown]").click();
document.getElementById("export").click();
</script></body>"""


def test_a_browser_exports_what_was_clicked(gallery: Gallery, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium here: 'apt install chromium' to try the page's own script")
    review = Review(tmp_path / "out", gallery)
    verdicts = [Verdict.REVIEW, Verdict.KNOWN, Verdict.UNKNOWN, Verdict.REVIEW]
    review.add([recognized(photo(tmp_path), gallery, verdicts, [0.05, 0.5, 0.3, 0.01])])
    page_file = review.finish(DECISION)
    assert page_file is not None
    page_file.write_text(page_file.read_text().replace("</body>", CLICKS))
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", page_file.as_uri()]
    try:
        shown = subprocess.run(words, capture_output=True, check=False, timeout=60).stdout.decode()
    except subprocess.TimeoutExpired as late:  # it hangs now and then once it has written the page
        shown = (late.stdout or b"").decode()
    saved = re.search(r"<body><pre>(.*)</pre></body>", shown, re.DOTALL)
    assert saved is not None, shown
    (tmp_path / "decisions.csv").write_text(html.unescape(saved[1]))
    rows = read_reviewed(tmp_path / "decisions.csv").rows
    made = [(row.decision, row.sku) for row in rows]
    assert made == [
        ("other", gallery.keys[1]),
        ("known", gallery.keys[1]),
        ("unknown", ""),
        ("accept", gallery.keys[3]),
    ]


def test_texts_of_strangers_stay_texts(gallery: Gallery, tmp_path: Path) -> None:
    review = Review(tmp_path / "out", gallery)
    review.add([recognized(photo(tmp_path, "<b>&.png"), gallery, [Verdict.REVIEW], [0.05])])
    page_file = review.finish(DECISION)
    assert page_file is not None
    text = page_file.read_text()
    # Data, list of SKUs, and the page's own: no script of a name.
    assert [one.get("src") for one in Page(page_file).scripts] == [None, "skus.js", None]
    assert "alert(1)</script>" not in text and "<b>&.png" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert data["rows"][0][data["columns"].index("suggested")] == '\'=cmd|" /C calc"'
    script = (page_file.parent / "skus.js").read_text()
    assert "<" not in script
    assert json.loads(script.removeprefix("var SKUS = ").rstrip(";\n"))[0] == ['=cmd|" /C calc"', HOSTILE]


def test_the_nearest_view_is_shown_where_it_can_be_drawn(gallery: Gallery, tmp_path: Path) -> None:
    asked: list[tuple[str, int, str]] = []

    def view_image(key: str, view: int, digest: str) -> bytes:
        asked.append((key, view, digest))
        return b"a view" if key == gallery.keys[0] else b""

    review = Review(tmp_path / "out", gallery, view_image)
    review.add([recognized(photo(tmp_path), gallery, [Verdict.REVIEW], [0.05])])
    page_file = review.finish(DECISION)
    assert page_file is not None
    # The crop is the third view of the first SKU.
    assert asked[0] == (gallery.keys[0], 2, gallery.digests[0]) and len(asked) == 3
    folder = page_file.parent
    assert [file.name for file in (folder / "views").iterdir()] == ["000000-02.jpg"]
    assert sorted(file.name for file in (folder / "fronts").iterdir()) == ["000001.jpg", "000011.jpg"]
    assert (folder / "views" / "000000-02.jpg").read_bytes() == b"a view"


def test_only_what_is_shown_is_kept(gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHOWN", {Verdict.REVIEW: 2, Verdict.UNKNOWN: 1})
    review = Review(tmp_path / "out", gallery)
    margins = [0.05, 0.01, 0.04, 0.02]
    for number in range(2):
        review.add([recognized(photo(tmp_path, f"{number}.png"), gallery, [Verdict.REVIEW] * 4, margins)])
    review.add([recognized(photo(tmp_path, "2.png"), gallery, [Verdict.UNKNOWN] * 3, [0.1] * 3)])
    page_file = review.finish(DECISION)
    assert page_file is not None
    folder = page_file.parent
    assert [file.name for file in sorted((folder / "crops").iterdir())] == ["000002.jpg", "000006.jpg", "000009.jpg"]
    assert len((folder / "review.jsonl").read_text().splitlines()) == 8
    assert [row.decision for row in read_reviewed(folder / "decisions.csv").rows] == ["open"] * 11


def test_images_without_a_file_of_their_own_are_written(gallery: Gallery, tmp_path: Path) -> None:
    """Frames of videos, and photographs that viewers turn without another size: in their file boxes lie elsewhere."""
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = photo(tmp_path, "turned.png", exif=exif)
    video = tmp_path / "film.mp4"
    review = Review(tmp_path / "out", gallery)
    review.add([recognized(turned, gallery, [Verdict.REVIEW], [0.05])])
    review.add([recognized(video, gallery, [Verdict.UNKNOWN], [0.05], frame=7)])
    page_file = review.finish(DECISION)
    assert page_file is not None
    files = [Path(row.image) for row in read_reviewed(page_file.parent / "decisions.csv").rows]
    assert [file.name for file in files] == ["turned.jpg", "film.jpg"]
    with Image.open(files[0]) as copy:
        shown = np.asarray(copy).astype(int)
    # Dark on the right, as it was looked at.
    assert shown.shape == (40, 120, 3) and shown[:, :40].mean() > 160 and shown[:, 80:].mean() < 100


def test_without_cases_there_is_no_page(gallery: Gallery, tmp_path: Path) -> None:
    review = Review(tmp_path / "out", gallery)
    review.add([recognized(photo(tmp_path), gallery, [Verdict.KNOWN], [0.5])])
    assert review.finish(DECISION) is None and not (tmp_path / "out").exists()
    # Nor that of a run before.
    other = Review(tmp_path / "out", gallery)
    other.add([recognized(photo(tmp_path), gallery, [Verdict.REVIEW], [0.05])])
    page_file = other.finish(DECISION)
    assert page_file is not None and page_file.exists()
    assert review.finish(DECISION) is None and not page_file.exists()
