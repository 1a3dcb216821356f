"""Pictures of an explanation: steps with their boxes, feature maps, patches."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.color import distinct_color
from assets.plurals import count_of
from detectors.data.image_set import Classes
from detectors.evaluate.page.images import Mark, plot_marks
from detectors.explain.filters import TopPatch
from detectors.explain.maps import FeatureLevel
from detectors.models.interface import DetectionStage
from detectors.predict.plot import class_color

Pixels = NDArray[np.uint8]
TRUTH = (255, 255, 255)
PLAIN = (120, 190, 255)
LONGEST, SMALL = 900, 480
# Boxes in one picture: more hide the image and each other. Those with words, as soon as there are more.
MAX_BOXES, MAX_WORDS = 60, 12
MAX_ASSIGNED = 200
TILE, GAP = 150, 6


def plot_stage(image: Pixels, stage: DetectionStage, classes: Classes, threshold: float) -> bytes:
    """Return a PNG of a step: its best boxes, or one place of each shape where it has no scores.

    image: (H, W, 3) of the network's input. threshold: of scores; if none reaches it, the best ten.
    """
    marks = _scored_marks(stage, classes, threshold) if stage.scores is not None else _place_marks(stage, image)
    return _marked(image, marks)


def plot_assigned(image: Pixels, stage: DetectionStage, truth: NDArray[np.float32]) -> bytes:
    """Return a PNG of the places of a step that are assigned to true boxes (M, 4), in the colours of these."""
    return _marked(image, _assigned_marks(stage, truth))


def plot_segments(image: Pixels, pixels: NDArray[np.int64], classes: Classes) -> bytes:
    """Return a PNG of the class of each pixel (H, W), -1 for background, in its colour over the image."""
    mixed = image.astype(np.float32) * 0.4
    shown = [int(label) for label in np.unique(pixels) if 0 <= label < len(classes)]
    for label in shown:
        mixed[pixels == label] += 0.6 * np.array(class_color(label), np.float32)
    marks = []
    for label in shown:
        rows, columns = np.nonzero(pixels == label)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        marks.append(Mark(np.array(edges, np.float64), class_color(label), False, classes.names[label]))
    return _marked(mixed.clip(0, 255).astype(np.uint8), marks[:MAX_WORDS])


def plot_truth(image: Pixels, truth: NDArray[np.float32] | None, labels: Sequence[int], classes: Classes) -> bytes:
    """Return a PNG of the network's input with the true boxes, if there are any."""
    boxes = [] if truth is None else list(zip(truth, labels, strict=True))
    marks = [
        Mark(np.asarray(box, np.float64), distinct_color(place), False, classes.names[label] if label >= 0 else "")
        for place, (box, label) in enumerate(boxes)
    ]
    return _marked(image, marks)


def _marked(image: Pixels, marks: Sequence[Mark]) -> bytes:
    """Return a PNG of an image with boxes; a small one is enlarged first, or words would cover it."""
    times = max(round(SMALL / max(image.shape[:2])), 1)
    grown = np.repeat(np.repeat(image, times, axis=0), times, axis=1)
    moved = [replace(mark, box=mark.box * times) for mark in marks]
    return _png(plot_marks(Image.fromarray(grown), moved, LONGEST))


def shown_rows(stage: DetectionStage, threshold: float) -> NDArray[np.int64]:
    """Return the rows of a step with scores that are drawn: the best that reach the threshold, else the best ten."""
    assert stage.scores is not None
    scores = stage.scores.detach().float().cpu().numpy()
    order = np.argsort(-scores, kind="stable")
    good = order[scores[order] >= threshold]
    return (good if len(good) else order[:10])[:MAX_BOXES]


def sample_shapes(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.int64]:
    """Return one row for each width and height among (N, 4) boxes, the one nearest to the middle of the image.

    size: width and height of the image.
    """
    if not len(boxes):
        return np.zeros(0, np.int64)
    away = np.abs(boxes[:, :2] + boxes[:, 2:] - np.array(size)).sum(1)
    order = np.argsort(away, kind="stable")
    sides = np.round(boxes[order, 2:] - boxes[order, :2]).astype(np.int64)
    _, first = np.unique(sides, axis=0, return_index=True)
    rows = order[np.sort(first)]
    return rows[:MAX_BOXES]


def _assigned_marks(stage: DetectionStage, truth: NDArray[np.float32]) -> list[Mark]:
    assert stage.matched is not None
    matched, boxes = stage.matched.cpu().numpy(), _boxes(stage)
    rows = np.flatnonzero(matched >= 0)
    marks = [Mark(boxes[row], distinct_color(int(matched[row])), True) for row in rows[:MAX_ASSIGNED]]
    for place, box in enumerate(truth):
        count = count_of(int((matched == place).sum()), "place")
        marks.append(Mark(np.asarray(box, np.float64), distinct_color(place), False, count))
    return marks


def _scored_marks(stage: DetectionStage, classes: Classes, threshold: float) -> list[Mark]:
    boxes, rows = _boxes(stage), shown_rows(stage, threshold)
    assert stage.scores is not None
    marks = []
    for place, row in enumerate(rows):
        label = int(stage.labels[row]) if stage.labels is not None else None
        known = label is not None and 0 <= label < len(classes)
        name = f"{classes.names[label]} " if known and label is not None else ""
        text = f"{name}{float(stage.scores[row]):.2f}" if place < MAX_WORDS else ""
        color = class_color(label) if known and label is not None else PLAIN
        marks.append(Mark(boxes[row], color, False, text))
    return marks[::-1]  # the best is drawn last, on top of the others


def _place_marks(stage: DetectionStage, image: Pixels) -> list[Mark]:
    boxes = _boxes(stage)
    rows = sample_shapes(boxes.astype(np.float32), (image.shape[1], image.shape[0]))
    return [Mark(boxes[row], distinct_color(place), False) for place, row in enumerate(rows)]


def _boxes(stage: DetectionStage) -> NDArray[np.float64]:
    boxes: NDArray[np.float64] = stage.boxes.detach().double().cpu().numpy()
    return boxes


def plot_level(level: FeatureLevel, image: Pixels) -> bytes:
    """Return a PNG of the strongest channels of a level over the image, each from dark (its least) to bright."""
    tiles = [(f"channel {channel}", heat(level.maps[channel], image)) for channel in level.strongest]
    return _png(_sheet(tiles, columns=4))


def heat(channel: NDArray[np.float32], image: Pixels) -> Pixels:
    """Return a map (h, w) in colours at the image's size, mixed with the grey image."""
    import cv2
    from matplotlib import colormaps

    low, high = float(channel.min()), float(channel.max())
    scaled = (channel - low) / (high - low) if high > low else np.zeros_like(channel)
    grown = cv2.resize(scaled, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    colors = colormaps["inferno"](grown)[..., :3] * 255
    grey = image.mean(2, keepdims=True)
    mixed: Pixels = (0.75 * colors + 0.25 * grey).clip(0, 255).astype(np.uint8)
    return mixed


def plot_patches(channels: Sequence[int], patches: Sequence[Sequence[TopPatch]]) -> bytes:
    """Return a PNG with a row for each channel: the patches in which it is largest, the largest first."""
    columns = max(max((len(one) for one in patches), default=1), 1)
    blank = np.full((TILE, TILE, 3), 255, np.uint8)
    tiles = []
    for channel, found in zip(channels, patches, strict=True):
        row = [(f"channel {channel}: {patch.value:.2f}", patch.pixels) for patch in found]
        tiles += [*row, *[("", blank)] * (columns - len(row))]
    return _png(_sheet(tiles, columns))


def _sheet(tiles: Sequence[tuple[str, Pixels]], columns: int) -> Any:
    """Tiles with their words in rows, each as large as fits into a square."""
    from PIL import ImageDraw, ImageFont

    columns = min(columns, max(len(tiles), 1))
    words = 16
    sizes = [_fitted(pixels) for _, pixels in tiles]
    height = max((size[1] for size in sizes), default=TILE) + words + GAP
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (TILE + GAP), max(rows * height, 1)), (255, 255, 255))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, ((text, pixels), size) in enumerate(zip(tiles, sizes, strict=True)):
        x, y = number % columns * (TILE + GAP), number // columns * height
        draw.text((x, y), text, fill=(60, 60, 60), font=font)
        sheet.paste(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), (x, y + words))
    return sheet


def _fitted(pixels: Pixels) -> tuple[int, int]:
    scale = TILE / max(pixels.shape[:2])
    return max(round(pixels.shape[1] * scale), 1), max(round(pixels.shape[0] * scale), 1)


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
