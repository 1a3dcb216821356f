"""Copy-paste augmentation: products cut out of one sample and pasted onto another (Ghiasi et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.augment.fit import letterbox
from detectors.augment.settings import AugmentSettings, sample_factor
from detectors.augment.view import ImageWindow, box_of, compose, touched
from detectors.data.image_set import IGNORED
from detectors.data.sample import Sample

# Labels of products of which less is visible do harm; rendered data sets use the same 10 %.
ENOUGH_VISIBLE = 0.1


@dataclass(frozen=True)
class Piece:
    """A product that was cut out. image: (h, w, 3) uint8, mask: (h, w) uint8 0/1, both tight; label: its class."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    label: int


@dataclass(frozen=True)
class Layer:
    """One target of the result: masks of its pixels before and after pasting, (h, w) uint8 0/1, from (row, column) on.

    box: xyxy, to use instead of the box around the pixels seen.
    """

    label: int
    whole: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    row: int
    column: int
    box: NDArray[np.float32] | None = None

    @property
    def share(self) -> float:
        """Fraction of its pixels that is still visible."""
        return np.count_nonzero(self.seen) / max(1, np.count_nonzero(self.whole))


def paste(sample: Sample, partner: Sample, *, settings: AugmentSettings, rng: np.random.Generator) -> Sample:
    """Paste up to `paste_count` targets of the partner onto a sample; unchanged if the partner has no masks.

    Covered pixels are removed from the masks below, and boxes shrink to what is left; without masks boxes keep their
    size. A target with under a tenth visible becomes IGNORED, one with nothing visible is dropped. The result has
    masks if the sample has.
    """
    pieces = _sample_pieces(partner, sample.width, sample.height, settings, rng)
    fitting = [piece for piece in pieces if _fits(piece, sample)]
    if not fitting:
        return sample
    image = sample.image.copy()
    # The number of the piece visible at each pixel, from 1; 0 where the sample itself is visible.
    owner = np.zeros(image.shape[:2], np.uint8)
    corners = []
    for number, piece in enumerate(fitting, start=1):
        height, width = piece.mask.shape
        row, column = rng.integers(sample.height - height + 1), rng.integers(sample.width - width + 1)
        place = np.s_[row : row + height, column : column + width]
        image[place] = _blend(image[place], piece)
        owner[place][piece.mask > 0] = number
        corners.append((int(row), int(column)))
    made = _assemble(image, _layers_below(sample, owner) + _layers_on_top(fitting, corners, owner))
    # What was pasted has no proposal of its own: detectors also learn from the boxes of their targets.
    return replace(made, proposals=sample.proposals)


def _sample_pieces(
    partner: Sample, width: int, height: int, settings: AugmentSettings, rng: np.random.Generator
) -> list[Piece]:
    """Cut out some of the partner's targets, at about the size they have when the partner fits `width` x `height`."""
    if partner.masks is None:
        return []
    # A product truncated by the image border would be pasted with a straight edge.
    size = np.array([partner.width, partner.height])
    whole = (partner.boxes[:, :2] > 0).all(axis=1) & (partner.boxes[:, 2:] < size).all(axis=1)
    candidates = np.flatnonzero((partner.labels != IGNORED) & whole)
    if not len(candidates):
        return []
    count = min(int(rng.integers(1, settings.paste_count + 1)), len(candidates))
    fitted = letterbox(partner, width, height).scale
    scales = [fitted * sample_factor(settings.paste_scale, rng) for _ in range(count)]
    chosen = rng.choice(candidates, count, replace=False)
    return [_cut_out(partner, int(index), scale) for index, scale in zip(chosen, scales, strict=True)]


def _cut_out(partner: Sample, index: int, scale: float) -> Piece:
    """Cut out and scale target `index` of the partner; the piece is empty if it became too small."""
    assert partner.masks is not None
    x, y, width, height = cv2.boundingRect(partner.masks[index])
    if not width:
        return Piece(np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8), IGNORED)
    target = (0, 0, max(1, round(width * scale)), max(1, round(height * scale)))
    boxes = np.array([[x, y, x + width, y + height]], np.float32)
    alone = Sample(partner.image, boxes, partner.labels[[index]], partner.masks[[index]])
    cut = compose([(alone, ImageWindow((x, y, x + width, y + height), target))], target[2], target[3])
    assert cut.masks is not None
    return Piece(cut.image, cut.masks[0] if len(cut.masks) else np.zeros((0, 0), np.uint8), int(partner.labels[index]))


def _fits(piece: Piece, sample: Sample) -> bool:
    height, width = piece.mask.shape
    return 0 < height <= sample.height and 0 < width <= sample.width


def _blend(below: NDArray[np.uint8], piece: Piece) -> NDArray[np.uint8]:
    """Blend a piece over the image; its edge is softened inwards by a pixel, as outside is the partner's background."""
    height, width = piece.mask.shape
    padded = cv2.copyMakeBorder(piece.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.blur(padded.astype(np.float32), (3, 3))[1 : height + 1, 1 : width + 1]
    alpha = (soft * piece.mask)[..., None]
    return (below + (piece.image.astype(np.float32) - below) * alpha + 0.5).astype(np.uint8)


def _layers_below(sample: Sample, owner: NDArray[np.uint8]) -> list[Layer]:
    """Return the sample's own targets; without masks a box counts as completely filled and keeps its size."""
    layers = []
    for index, (box, label) in enumerate(zip(sample.boxes, sample.labels, strict=True)):
        place = touched(box)
        free = (owner[place] == 0).view(np.uint8)
        whole = np.ones_like(free) if sample.masks is None else sample.masks[index][place]
        row, column = place[0].start, place[1].start
        layers.append(Layer(int(label), whole, whole * free, row, column, box if sample.masks is None else None))
    return layers


def _layers_on_top(
    pieces: Sequence[Piece], corners: Sequence[tuple[int, int]], owner: NDArray[np.uint8]
) -> list[Layer]:
    """Return the pasted pieces, without what later pieces cover."""
    layers = []
    for number, (piece, (row, column)) in enumerate(zip(pieces, corners, strict=True), start=1):
        height, width = piece.mask.shape
        own = (owner[row : row + height, column : column + width] == number).view(np.uint8)
        layers.append(Layer(piece.label, piece.mask, own, row, column))
    return layers


def _assemble(image: NDArray[np.uint8], layers: Sequence[Layer]) -> Sample:
    """Build the sample from its targets; those with nothing visible are dropped."""
    shown = [layer for layer in layers if layer.seen.any()]
    boxes = [layer.box if layer.box is not None else box_of(layer.seen, layer.column, layer.row) for layer in shown]
    labels = [layer.label if layer.share >= ENOUGH_VISIBLE else IGNORED for layer in shown]
    masks = None
    if all(layer.box is None for layer in layers):
        masks = np.zeros((len(shown), *image.shape[:2]), np.uint8)
        for canvas, layer in zip(masks, shown, strict=True):
            height, width = layer.seen.shape
            canvas[layer.row : layer.row + height, layer.column : layer.column + width] = layer.seen
    return Sample(image, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), masks)
