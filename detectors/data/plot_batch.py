"""Contact sheets of training samples as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from assets.color import distinct_color
from assets.files.atomic import atomic_file
from detectors.data.image_set import IGNORED
from detectors.data.sample import Sample

GAP = 6
TEXT_SIZE = 11
CAPTION_HEIGHT = TEXT_SIZE + 7
DASH = 5
# Opacity of the class colour over a mask; print under it stays readable.
TINT = 0.15
PAPER = (24, 24, 24)
IGNORED_COLOR = (170, 170, 170)

# Minimum width in pixels of a name, however narrow its box is.
MIN_NAME = 32

Color = tuple[int, int, int]
# Left, top, right, bottom; the far edges are inclusive.
Place = tuple[int, int, int, int]


def plot_batch(
    samples: Sequence[Sample], captions: Sequence[str], class_names: Sequence[str], out: Path, columns: int = 4
) -> None:
    """Write the samples to a PNG in rows of `columns`, with a caption such as source and file name under each.

    Boxes are drawn in the colour of their class, with its name where there is room; ignored boxes are dashed grey, and
    masks are tinted.
    """
    if len(samples) != len(captions) or not samples or columns < 1:
        raise ValueError(f"{len(samples)} samples with {len(captions)} captions in {columns} columns")
    columns = min(columns, len(samples))
    cell_width = max(sample.width for sample in samples) + GAP
    cell_height = max(sample.height for sample in samples) + CAPTION_HEIGHT + GAP
    rows = -(-len(samples) // columns)
    sheet = Image.new("RGB", (columns * cell_width + GAP, rows * cell_height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (sample, caption) in enumerate(zip(samples, captions, strict=True)):
        x, y = GAP + index % columns * cell_width, GAP + index // columns * cell_height
        sheet.paste(plot_sample(sample, class_names), (x, y))
        text = _shortened(caption, sample.width)
        draw.text((x, y + sample.height + 2), text, fill=(230, 230, 230), font=_font())
    with atomic_file(out) as file:
        sheet.save(file, format="PNG")


def plot_sample(sample: Sample, class_names: Sequence[str]) -> Image.Image:
    """Draw the boxes, class names and masks of a sample onto its image."""
    image = Image.fromarray(_tinted(sample))
    draw = ImageDraw.Draw(image)
    for box, label in zip(sample.boxes, sample.labels, strict=True):
        # Drawn on the outermost pixels inside the box, whose far edge is exclusive.
        x0, y0 = (int(edge) for edge in np.rint(box[:2]))
        x1, y1 = (int(edge) for edge in np.maximum(np.rint(box[2:]) - 1, (x0, y0)))
        if label == IGNORED:
            _plot_dashed(draw, (x0, y0, x1, y1))
        else:
            draw.rectangle((x0, y0, x1, y1), outline=distinct_color(int(label)))
    taken: list[Place] = []
    sizes = np.prod(sample.boxes[:, 2:] - sample.boxes[:, :2], axis=1)
    for place in np.argsort(-sizes, kind="stable"):  # largest first, because their names fit
        box, label = sample.boxes[place], sample.labels[place]
        if label != IGNORED:
            _plot_name(draw, class_names[label], box, distinct_color(int(label)), image.size, taken)
    return image


def _tinted(sample: Sample) -> NDArray[np.uint8]:
    image = sample.image.copy()
    if sample.masks is not None:
        for mask, label in zip(sample.masks, sample.labels, strict=True):
            color = IGNORED_COLOR if label == IGNORED else distinct_color(int(label))
            inside = mask > 0
            image[inside] = (image[inside] * (1 - TINT) + np.array(color) * TINT).astype(np.uint8)
    return image


def _plot_dashed(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = box
    for x in range(x0, x1 + 1, 2 * DASH):
        end = min(x + DASH - 1, x1)
        draw.line((x, y0, end, y0), fill=IGNORED_COLOR)
        draw.line((x, y1, end, y1), fill=IGNORED_COLOR)
    for y in range(y0, y1 + 1, 2 * DASH):
        end = min(y + DASH - 1, y1)
        draw.line((x0, y, x0, end), fill=IGNORED_COLOR)
        draw.line((x1, y, x1, end), fill=IGNORED_COLOR)


def _plot_name(
    draw: ImageDraw.ImageDraw, name: str, box: NDArray, color: Color, size: tuple[int, int], taken: list[Place]
) -> None:
    """Draw a name above its box, or inside if there is no room; shortened to the box, omitted if it hides another."""
    name = _cut(name, max(int(box[2] - box[0]) - 4, MIN_NAME))
    width, height = int(_font().getlength(name)) + 4, TEXT_SIZE + 3
    x = max(0, min(int(box[0]), size[0] - width))
    y = int(box[1]) - height
    if y < 0:
        y = max(0, min(int(box[1]) + 1, size[1] - height))
    place = (x, y, x + width - 1, y + height - 1)
    if any(_overlap(place, other) for other in taken):
        return
    taken.append(place)
    draw.rectangle(place, fill=color)
    dark = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] < 120
    draw.text((x + 2, y), name, fill=(255, 255, 255) if dark else (0, 0, 0), font=_font())


def _overlap(one: Place, other: Place) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _cut(text: str, width: int) -> str:
    """Shorten a text at its end to a width in pixels."""
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _shortened(text: str, width: int) -> str:
    """Shorten a text at its start to a width in pixels, since captions end with the file name."""
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(f"…{text}") > width:
        text = text[1:]
    return f"…{text}"


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT_SIZE)
