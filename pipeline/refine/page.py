"""The report of a refinement: one page with pictures before and after beside photographs, and what was rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from assets.plurals import counts_of
from pipeline.refine.journal import OutcomeList
from pipeline.refine.picture import PictureOutcome
from pipeline.refine.report import REASONS, WEAKNESSES, naming_text
from pipeline.refine.run import RefineResult
from pipeline.refine.samples import Pixels, SamplePair, sample_pairs
from pipeline.refine.settings import RefineSettings
from pipeline.target.charts import CHART_HEIGHT, CHART_WIDTH, data_url
from pipeline.target.measure import MEASURED
from pipeline.target.page import histograms

# Pictures shown, their area in pixels, and rejected ones listed.
SHOWN, AREA, MAX_LISTED = 8, 320 * 240, 200


@dataclass(frozen=True)
class Example:
    """A picture before and after beside its photograph, as data URLs. words: what became of it."""

    before: str
    after: str
    photo: str
    name: str
    words: str


def report_path(out: Path) -> Path:
    """Return the file of the report."""
    return out / "report.html"


def write_page(result: RefineResult, settings: RefineSettings) -> None:
    """Write the report of a finished refinement as one HTML file."""
    assert result.distances is not None and result.naming is not None
    measured = result.distances
    page = open_templates(__package__).get_template("page.html.j2")
    journal = OutcomeList(settings.out)
    rejected = list(islice((one for one in journal.outcomes() if one.rejected), MAX_LISTED))
    content = page.render(
        result=result,
        settings=settings,
        words=result.refinement.words,
        counts=counts_of(picture=result.total),
        rejections=sorted((result.rejected or {}).items()),
        reasons=REASONS,
        weakness=WEAKNESSES.get(settings.method, ""),
        naming=naming_text(result.naming),
        examples=_examples(result, journal),
        rejected=rejected,
        rejected_examples=_rejected_examples(result, rejected),
        histograms=histograms(MEASURED, (measured.target, measured.before, measured.after), measured.distances),
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )
    write_atomic(report_path(settings.out), content.encode())


def _examples(result: RefineResult, journal: OutcomeList) -> list[Example]:
    return [_example(result, pair) for pair in sample_pairs(result.layout, journal, result.total, SHOWN)]


def _example(result: RefineResult, pair: SamplePair) -> Example:
    outcome = pair.outcome
    words = REASONS[outcome.rejected] if outcome.rejected else f"strength {outcome.strength:.2f}"
    words += f", edges moved {outcome.shift:.2f} px, agreement {outcome.agreement:.2f}"
    photo = _photo(result, outcome.photo, pair.before.shape[0] * pair.before.shape[1])
    return Example(data_url(pair.before, AREA), data_url(pair.after, AREA), photo, outcome.file, words)


def _photo(result: RefineResult, name: str, area: int) -> str:
    try:
        return data_url(result.photos.read(list(result.photos.files).index(name), area), AREA)
    except (SynthError, ValueError):
        return data_url(np.full((24, 32, 3), 128, np.uint8))


def _rejected_examples(result: RefineResult, rejected: Sequence[PictureOutcome]) -> list[str]:
    """Return some of the rejected pictures as they stay."""
    names = {(one.split, one.file) for one in rejected[:SHOWN]}
    shown: list[Pixels] = []
    for part in result.layout.store.parts:
        for split, name in sorted(names):
            if split == part.split:
                shown.append(_read(result.layout.image(part, name)))
    return [data_url(pixels) for pixels in shown]


def _read(file: Path) -> Pixels:
    from assets.files.image_input import open_image

    with open_image(file, str(file), "the image") as image:
        return np.array(image.convert("RGB"))
