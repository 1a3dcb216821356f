"""The HTML page for review, and its CSV of decisions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from dataset.review.table import COLUMNS, write_rows
from detectors.recognition.gallery.decision import Decision, Verdict
from detectors.recognition.gallery.open import Gallery
from detectors.recognition.gallery.photos import check_photo, photo_path

if TYPE_CHECKING:
    from detectors.recognition.gallery.review_cases import Case, ReviewImage, ViewImage

PAGE, CSV, SKUS = "index.html", "decisions.csv", "skus.js"
MAX_CANDIDATES = 5
# Candidates shown with an image: rendering more would take minutes.
MAX_PICTURED = 3


def write_review_page(
    folder: Path,
    gallery: Gallery,
    cases: Mapping[Verdict, Sequence[Case]],
    totals: Mapping[Verdict, int],
    decision: Decision,
    view_image: ViewImage | None,
) -> Path:
    """Write the page, the CSV and the list of SKUs for its search; returns the page. cases: most important first."""
    images = list(dict.fromkeys(case.image for some in cases.values() for case in some))
    first_rows: dict[ReviewImage, int] = {}
    rows: list[list[str]] = []
    for image in images:
        first_rows[image] = len(rows)
        rows += image.rows
    table = write_rows(rows)
    write_atomic(folder / CSV, table)
    write_atomic(folder / SKUS, _sku_script(gallery).encode())
    views = _Views(folder, gallery, view_image)
    shown = {
        verdict.name.lower(): [_shown(case, first_rows[case.image] + case.place, gallery, views) for case in some]
        for verdict, some in cases.items()
    }
    page = (
        open_templates(__package__)
        .get_template("review.html.j2")
        .render(
            close=shown["review"],
            refused=shown["unknown"],
            total_close=totals[Verdict.REVIEW],
            total_refused=totals[Verdict.UNKNOWN],
            version=gallery.version,
            decision=decision,
            rendered=view_image is not None,
            # The id ties decisions stored in the browser to exactly these boxes.
            data={"columns": COLUMNS, "rows": rows, "id": hashlib.sha256(table).hexdigest()},
            csv=CSV,
            skus=SKUS,
        )
    )
    write_atomic(folder / PAGE, page.encode())
    return folder / PAGE


class _Views:
    """Images of SKUs beside the page, each written once: the view nearest to a crop, else the front."""

    def __init__(self, folder: Path, gallery: Gallery, view_image: ViewImage | None) -> None:
        self._folder, self._gallery, self._view_image = folder, gallery, view_image
        self._files: dict[tuple[int, int], str] = {}

    def best(self, case: Case, sku: int) -> tuple[str, str]:
        """Return the image's file, "" if there is none, and a description of it."""
        view = int(np.argmax(self._gallery.vectors(self._gallery.rows_of(sku)) @ case.vector))
        file = self._file(sku, view, lambda: self._image(sku, view))
        if file:
            return file, "named photograph" if self._gallery.photo_of_view(sku, view) else "nearest view"
        front = self._file(sku, -1, lambda: self._gallery.front(sku))
        return front, f"front (nearest is view {view + 1})"

    def _image(self, sku: int, view: int) -> bytes:
        gallery = self._gallery
        photo = gallery.photo_of_view(sku, view)
        if photo:
            return photo_path(gallery.folder, photo).read_bytes() if not check_photo(gallery.folder, photo) else b""
        return self._view_image(gallery.keys[sku], view, gallery.digests[sku]) if self._view_image else b""

    def _file(self, sku: int, view: int, read: Callable[[], bytes]) -> str:
        if (sku, view) not in self._files:
            content = read()
            name = f"fronts/{sku:06d}.jpg" if view < 0 else f"views/{sku:06d}-{view:02d}.jpg"
            if content:
                (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
                write_atomic(self._folder / name, content)
            self._files[sku, view] = name if content else ""
        return self._files[sku, view]


def _shown(case: Case, row: int, gallery: Gallery, views: _Views) -> dict[str, Any]:
    """Return the template values of a case. row: its row in the CSV."""
    candidates = []
    for number, (sku, score) in enumerate(list(zip(case.skus, case.scores, strict=True))[:MAX_CANDIDATES]):
        image, what = views.best(case, sku) if number < MAX_PICTURED else ("", "")
        about = {"sku": gallery.keys[sku], "name": gallery.names[sku], "score": score}
        candidates.append({**about, "picture": image, "what": what})
    return {
        "row": row,
        "file_name": case.image.name,
        "margin": case.margin,
        "crop": case.crop,
        "candidates": candidates,
    }


def _sku_script(gallery: Gallery) -> str:
    """Return the gallery's SKUs as a script, because a page opened from disk cannot load JSON."""
    # "<" is escaped, so that no text of the catalogue can close the script element.
    text = json.dumps([[key, name] for key, name in zip(gallery.keys, gallery.names, strict=True)])
    return f"var SKUS = {text.replace('<', chr(92) + 'u003c')};\n"
