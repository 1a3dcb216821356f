"""Draw detections into images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.color import distinct_color
from dataset.masks import decode_mask
from detectors.data.image_set import Classes
from detectors.evaluate.page.images import Color, Mark, plot_marks, save_jpeg
from detectors.models.detect import Detections

# Opacity of the class's colour over a mask; print under it stays readable.
TINT = 0.35
# Fraction of white mixed into the class's colour, for black text on it.
PALE = 0.35


def plot_detections(
    image: NDArray[np.uint8],
    found: Detections,
    masks: Sequence[bytes],
    classes: Classes,
    threshold: float,
    file: Path,
) -> None:
    """Write an (H, W, 3) image as JPEG with boxes, names and scores of detections that reach the threshold.

    masks: compressed run lengths of the detections, or empty. A class has the same colour in all images.
    """
    # The best detection is drawn last, on top of the others.
    rows = [row for row in np.argsort(found.scores, kind="stable") if found.scores[row] >= threshold]
    if masks:
        image = image.copy()
        for row in rows:
            inside = decode_mask(masks[row], *image.shape[:2]) > 0
            color = np.array(class_color(int(found.labels[row])))
            image[inside] = (image[inside] * (1 - TINT) + color * TINT).astype(np.uint8)
    marks = [_mark(found, row, classes) for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    save_jpeg(plot_marks(Image.fromarray(image), marks), file)


def class_color(label: int) -> Color:
    """Return the colour of a class, pale enough for black text."""
    red, green, blue = (round(part * (1 - PALE) + 255 * PALE) for part in distinct_color(label))
    return red, green, blue


def _mark(found: Detections, row: int, classes: Classes) -> Mark:
    label = int(found.labels[row])
    text = f"{classes.names[label]} {found.scores[row]:.2f}"
    return Mark(found.boxes[row].astype(np.float64), class_color(label), False, text)
