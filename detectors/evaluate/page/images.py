"""Photographs with truth and detections drawn in, and crops of single products."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assets.files.atomic import atomic_file
from dataset.images import read_image
from detectors.data.image_set import Classes, ImageSet
from detectors.evaluate.metrics.align import Aligned, Floats
from detectors.evaluate.metrics.confusion import Verdicts

Color = tuple[int, int, int]

# Told apart by people with any colour vision (after Okabe and Ito 2008); the page's legend shows the same.
RIGHT: Color = (0, 190, 130)
CONFUSED: Color = (255, 176, 0)
MISSED: Color = (255, 70, 70)
NOTHING: Color = (90, 180, 255)
LEFT_OUT: Color = (190, 190, 190)
SHADOW: Color = (0, 0, 0)
LONGEST_SIDE = 1280
CROP_HEIGHT = 220
WIDEST_CROP = 330
# Around a product, as a share of its longer side, so that one sees where it stands.
MARGIN = 0.35
LINE = 3
DASH = 9
TEXT_SIZE = 16
LONGEST_NAME = 30
JPEG_QUALITY = 85


@dataclass(frozen=True)
class Mark:
    """One box to draw. box: xyxy pixels. dashed: a detection. text: empty for none."""

    box: Floats
    color: Color
    dashed: bool
    text: str = ""


def open_image(truth: ImageSet, image: int) -> Image.Image:
    """One image of the set. Raises SynthError where it cannot be read."""
    width, height = (int(side) for side in truth.sizes[image])
    return Image.fromarray(read_image(truth.path(image), width, height))


def sku_of(classes: Classes, label: int) -> str:
    """What a class is known by: its SKU, for names may be equal; its name where it has no SKU, such as unknown."""
    return classes.keys[label] or classes.names[label]


def marks_of(data: Aligned, verdicts: Verdicts, image: int) -> list[Mark]:
    """The boxes of one image: truth solid, found dashed, mistakes with words, least important first."""
    truth, found = data.truth, data.found

    def short(label: int) -> str:
        return _short(sku_of(data.classes, label))

    left_out = np.flatnonzero(data.ignored & (truth.image == image))
    marks = [Mark(truth.xyxy[box], LEFT_OUT, False) for box in left_out]
    here = np.flatnonzero(truth.image[verdicts.found_boxes] == image)
    pairs = [(int(verdicts.found_rows[place]), int(verdicts.found_boxes[place])) for place in here]
    pairs.sort(key=lambda pair: found.label[pair[0]] != truth.label[pair[1]])
    for row, box in pairs:
        right = found.label[row] == truth.label[box]
        color = RIGHT if right else CONFUSED
        text = "" if right else f"{short(truth.label[box])} taken for {short(found.label[row])}"
        marks += [Mark(truth.xyxy[box], color, False), Mark(found.xyxy[row], color, True, text)]
    for row in verdicts.nothing[found.image[verdicts.nothing] == image]:
        text = f"extra {short(found.label[row])} {data.scores[row]:.2f}"
        marks.append(Mark(found.xyxy[row], NOTHING, True, text))
    for box in verdicts.missed[truth.image[verdicts.missed] == image]:
        marks.append(Mark(truth.xyxy[box], MISSED, False, f"missed {short(truth.label[box])}"))
    return marks


def plot_marks(image: Image.Image, marks: list[Mark], longest: int = LONGEST_SIDE) -> Image.Image:
    """The image, `longest` pixels or at most twice its size, with boxes and words that do not cover each other."""
    # Small images grow, or their words would cover them.
    scale = min(longest / max(image.size), 2.0)
    image = image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))
    draw = ImageDraw.Draw(image)
    for mark in marks:
        _plot_box(draw, mark.box * scale, mark)
    taken: list[tuple[int, int, int, int]] = []
    for mark in reversed(marks):
        if mark.text:
            _plot_words(draw, mark.box * scale, mark, image.size, taken)
    return image


def crop_around(image: Image.Image, box: Floats, marks: list[Mark]) -> Image.Image:
    """The product with a margin around it, always CROP_HEIGHT high, with its boxes."""
    margin = MARGIN * float(max(box[2:] - box[:2]))
    x0, y0 = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(box[2:] + margin), image.size).astype(int)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    scale = min(CROP_HEIGHT / (y1 - y0), WIDEST_CROP / (x1 - x0))
    size = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
    crop = image.crop((x0, y0, x1, y1)).resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(crop)
    for mark in marks:
        _plot_box(draw, (mark.box - [x0, y0, x0, y0]) * scale, mark)
    return crop


def save_jpeg(image: Image.Image, path: Path) -> None:
    """Writes the image, whole or not at all."""
    with atomic_file(path) as file:
        image.save(file, format="JPEG", quality=JPEG_QUALITY)


def _plot_box(draw: ImageDraw.ImageDraw, box: Floats, mark: Mark) -> None:
    x0, y0, x1, y1 = (float(edge) for edge in box)
    # Dark on both sides of the line, so that it shows on any background.
    for color, width in ((SHADOW, LINE + 2), (mark.color, LINE)):
        for start, end in (((x0, y0), (x1, y0)), ((x1, y0), (x1, y1)), ((x1, y1), (x0, y1)), ((x0, y1), (x0, y0))):
            for a, b in _dashes(start, end) if mark.dashed else [(start, end)]:
                draw.line((*a, *b), fill=color, width=width)


def _dashes(
    start: tuple[float, float], end: tuple[float, float]
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    (x0, y0), (x1, y1) = start, end
    length = max(abs(x1 - x0), abs(y1 - y0))
    count = max(int(length // (2 * DASH)), 1)
    steps = [(2 * index + part) / (2 * count) for index in range(count) for part in (0, 1)]
    points = [(x0 + step * (x1 - x0), y0 + step * (y1 - y0)) for step in steps]
    return list(zip(points[::2], points[1::2], strict=True))


def _plot_words(
    draw: ImageDraw.ImageDraw,
    box: Floats,
    mark: Mark,
    size: tuple[int, int],
    taken: list[tuple[int, int, int, int]],
) -> None:
    """The words on their colour by the box, where no other words stand if there is such a place."""
    font = ImageFont.load_default(TEXT_SIZE)
    width, height = int(font.getlength(mark.text)) + 8, TEXT_SIZE + 6
    x0, y0, x1, y1 = (int(edge) for edge in box)
    right = x1 - width
    places = [(x0, y0 - height), (x0, y1), (right, y0 - height), (right, y1), (x0, y0), (x0, y1 - height)]
    places += [(x0, y0 + step * height) for step in range(1, 6)]
    fitted = [(max(0, min(x, size[0] - width)), max(0, min(y, size[1] - height))) for x, y in places]
    spots = [(x, y, x + width, y + height) for x, y in fitted]
    spot = next((spot for spot in spots if not any(_touch(spot, other) for other in taken)), spots[0])
    taken.append(spot)
    draw.rectangle(spot, fill=mark.color, outline=SHADOW)
    draw.text((spot[0] + 4, spot[1] + 2), mark.text, fill=(0, 0, 0), font=font)


def _touch(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
