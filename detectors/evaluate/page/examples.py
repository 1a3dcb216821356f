"""Which images to look at: the worst ones, what was confused with what, what was missed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.data.image_set import Classes, ImageSet, Predictions
from detectors.evaluate.metrics.align import Aligned, Ints, align
from detectors.evaluate.metrics.confusion import Verdicts, find_products, judge
from detectors.evaluate.metrics.matching import ranks
from detectors.evaluate.page.images import (
    CONFUSED,
    MISSED,
    RIGHT,
    Mark,
    crop_around,
    marks_of,
    open_image,
    plot_marks,
    save_jpeg,
    sku_of,
)


@dataclass(frozen=True)
class Shown:
    """An image on the page. file: beside it. title, note: words under it. example: how the product should look.

    names: those of the SKUs in the title, where they say more.
    """

    file: str
    title: str
    note: str
    example: str = ""
    example_title: str = ""
    names: str = ""


@dataclass(frozen=True)
class Examples:
    """Images of a page. worst: whole images. confused, missed: crops with an example beside each."""

    worst: tuple[Shown, ...]
    confused: tuple[Shown, ...]
    missed: tuple[Shown, ...]


def plot_examples(truth: ImageSet, found: Predictions, threshold: float, folder: Path, limit: int) -> Examples:
    """Writes JPEGs into `folder`: at most `limit` whole images, and as many crops of confusions and of misses.

    Raises SynthError where an image cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = align(truth, found)
    verdicts = judge(data, find_products(data), threshold)
    examples = _Examples(truth, data, folder)
    worst = _plot_worst(truth, data, verdicts, folder, limit)
    return Examples(
        worst,
        _plot_confused(truth, data, verdicts, examples, limit),
        _plot_missed(truth, data, verdicts, examples, limit),
    )


class _Examples:
    """How products look: the largest box of each class, cropped once."""

    def __init__(self, truth: ImageSet, data: Aligned, folder: Path) -> None:
        self._truth, self._data, self.folder = truth, data, folder
        self._drawn: dict[int, str] = {}

    def file(self, label: int, but: int) -> str:
        """The crop of a class, not of the box `but`; empty where there is no other box."""
        data = self._data
        boxes = np.flatnonzero((data.truth.label == label) & ~data.ignored)
        # A product hidden or cut off by half would teach nobody what it looks like.
        visible = np.nan_to_num(self._truth.visibility[boxes].astype(np.float64), nan=1.0)
        visible = visible * (1 - np.nan_to_num(self._truth.truncation[boxes].astype(np.float64), nan=0.0))
        order = boxes[np.argsort(-data.truth.area[boxes] * visible**2, kind="stable")]
        order = order[order != but]
        if not len(order):
            return ""
        box = int(order[0])
        if box not in self._drawn:
            self._drawn[box] = f"example_{box:06d}.jpg"
            xyxy = data.truth.xyxy[box]
            crop = crop_around(
                open_image(self._truth, int(data.truth.image[box])), xyxy, [Mark(xyxy, RIGHT, dashed=False)]
            )
            save_jpeg(crop, self.folder / self._drawn[box])
        return self._drawn[box]


def count_mistakes(data: Aligned, verdicts: Verdicts) -> Ints:
    """(N, 3) boxes missed, boxes called wrong, detections where nothing is, for every image."""
    wrong = data.found.label[verdicts.found_rows] != data.truth.label[verdicts.found_boxes]
    images = (
        data.truth.image[verdicts.missed],
        data.truth.image[verdicts.found_boxes[wrong]],
        data.found.image[verdicts.nothing],
    )
    return np.stack([np.bincount(image, minlength=data.images) for image in images], axis=1)


def _plot_worst(truth: ImageSet, data: Aligned, verdicts: Verdicts, folder: Path, limit: int) -> tuple[Shown, ...]:
    mistakes = count_mistakes(data, verdicts)
    order = np.argsort(-mistakes.sum(axis=1), kind="stable")[:limit]
    shown = []
    for image in order[mistakes[order].sum(axis=1) > 0].tolist():
        file = f"image_{image:06d}.jpg"
        save_jpeg(plot_marks(open_image(truth, image), marks_of(data, verdicts, image)), folder / file)
        missed, wrong, nothing = mistakes[image].tolist()
        boxes = int(((data.truth.image == image) & ~data.ignored).sum())
        note = f"{boxes} products: {missed} missed, {wrong} as a wrong SKU; {nothing} too many"
        shown.append(Shown(file, truth.file_names[image].decode(), note))
    return tuple(shown)


def _plot_confused(
    truth: ImageSet, data: Aligned, verdicts: Verdicts, examples: _Examples, limit: int
) -> tuple[Shown, ...]:
    """One crop of every confusion, the most frequent first, then second crops; the surest mistake of each first."""
    true, called = data.truth.label[verdicts.found_boxes], data.found.label[verdicts.found_rows]
    wrong = np.flatnonzero(true != called)
    scores = data.scores[verdicts.found_rows[wrong]]
    wrong = wrong[np.argsort(-scores, kind="stable")]
    pair = true[wrong] * len(data.classes) + called[wrong]
    _, place, counts = np.unique(pair, return_inverse=True, return_counts=True)
    nth = ranks(pair, np.zeros(len(pair)))
    chosen = wrong[np.lexsort((-counts[place], nth))][:limit]
    shown = []
    for row, box in zip(verdicts.found_rows[chosen].tolist(), verdicts.found_boxes[chosen].tolist(), strict=True):
        marks = [Mark(data.truth.xyxy[box], CONFUSED, False), Mark(data.found.xyxy[row], CONFUSED, True)]
        file = _plot_crop(truth, data, box, marks, examples.folder, "confused")
        own, label = int(data.truth.label[box]), int(data.found.label[row])
        title = f"{sku_of(data.classes, own)} taken for {sku_of(data.classes, label)}"
        example = examples.file(label, box)
        note = f"score {data.scores[row]:.2f}, {_where(truth, data, box)}"
        looks = f"{sku_of(data.classes, label)}, for comparison" if example else ""
        shown.append(Shown(file, title, note, example, looks, _names(data.classes, own, label)))
    return tuple(shown)


def _plot_missed(
    truth: ImageSet, data: Aligned, verdicts: Verdicts, examples: _Examples, limit: int
) -> tuple[Shown, ...]:
    """The largest missed boxes: those one would have expected to be found."""
    order = np.argsort(-data.truth.area[verdicts.missed], kind="stable")[:limit]
    shown = []
    for box in verdicts.missed[order].tolist():
        label = int(data.truth.label[box])
        marks = [Mark(data.truth.xyxy[box], MISSED, False)]
        file = _plot_crop(truth, data, box, marks, examples.folder, "missed")
        example, key = examples.file(label, box), sku_of(data.classes, label)
        looks = f"{key}, for comparison" if example else ""
        shown.append(Shown(file, key, _where(truth, data, box), example, looks, _names(data.classes, label)))
    return tuple(shown)


def _names(classes: Classes, *labels: int) -> str:
    """The names of classes, empty where they are their SKUs."""
    if all(classes.names[label] == sku_of(classes, label) for label in labels):
        return ""
    return " / ".join(classes.names[label] for label in labels)


def _plot_crop(truth: ImageSet, data: Aligned, box: int, marks: list[Mark], folder: Path, kind: str) -> str:
    file = f"{kind}_{box:06d}.jpg"
    image = open_image(truth, int(data.truth.image[box]))
    save_jpeg(crop_around(image, data.truth.xyxy[box], marks), folder / file)
    return file


def _where(truth: ImageSet, data: Aligned, box: int) -> str:
    """File, and how much of the product one sees where that is known."""
    visibility = float(truth.visibility[box])
    seen = "" if np.isnan(visibility) else f", {100 * visibility:.0f} % visible"
    return f"{truth.file_names[int(data.truth.image[box])].decode()}{seen}"
