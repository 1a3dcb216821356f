"""Products cut out of one sample by their masks and laid over another (Ghiasi et al. 2021, "Simple copy-paste")."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.augment.fit import letterbox
from detectors.augment.settings import AugmentSettings, draw_factor
from detectors.augment.view import View, compose, tighten
from detectors.image_set import IGNORED
from detectors.sample import Sample

# Below this share labels harm: 10 %, as in the rendered data sets.
ENOUGH_VISIBLE = 0.1


@dataclass(frozen=True)
class Piece:
    """One product cut out. image: (h, w, 3) uint8, mask: (h, w) uint8 0/1, both tight; label: its class."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    label: int


def paste(sample: Sample, partner: Sample, *, settings: AugmentSettings, rng: np.random.Generator) -> Sample:
    """The sample with up to `paste_count` targets of the partner laid over it; unchanged if the partner has no masks.

    What they cover loses the pixels of its mask, and its box shrinks to the rest; without a mask the box stays.
    Under a tenth visible it becomes IGNORED, and with nothing visible it is dropped. Pasted products have masks if the
    sample has.
    """
    pieces = _draw_pieces(partner, sample.width, sample.height, settings, rng)
    fitting = [piece for piece in pieces if _fits(piece, sample)]
    if not fitting:
        return sample
    image = sample.image.copy()
    # Which piece is seen at each pixel, from 1; 0 where the sample itself is.
    owner = np.zeros(image.shape[:2], np.uint8)
    for number, piece in enumerate(fitting, start=1):
        height, width = piece.mask.shape
        row, column = rng.integers(sample.height - height + 1), rng.integers(sample.width - width + 1)
        place = np.s_[row : row + height, column : column + width]
        image[place] = _blend(image[place], piece)
        owner[place][piece.mask > 0] = number
    return _relabel(sample, image, owner, fitting)


def _draw_pieces(
    partner: Sample, width: int, height: int, settings: AugmentSettings, rng: np.random.Generator
) -> list[Piece]:
    """Some of the partner's targets, at about their size in the partner fitted into `width` x `height`."""
    if partner.masks is None:
        return []
    # A product cut by the border would hang in the air with a straight edge.
    size = np.array([partner.width, partner.height])
    whole = (partner.boxes[:, :2] > 0).all(axis=1) & (partner.boxes[:, 2:] < size).all(axis=1)
    candidates = np.flatnonzero((partner.labels != IGNORED) & whole)
    if not len(candidates):
        return []
    count = min(int(rng.integers(1, settings.paste_count + 1)), len(candidates))
    fitted = letterbox(partner, width, height).scale
    scales = [fitted * draw_factor(settings.paste_scale, rng) for _ in range(count)]
    chosen = rng.choice(candidates, count, replace=False)
    return [_cut_out(partner, int(index), scale) for index, scale in zip(chosen, scales, strict=True)]


def _cut_out(partner: Sample, index: int, scale: float) -> Piece:
    """The product at that place of the partner, scaled; empty if it has become too small."""
    assert partner.masks is not None
    x, y, width, height = cv2.boundingRect(partner.masks[index])
    if not width:
        return Piece(np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8), IGNORED)
    target = (0, 0, max(1, round(width * scale)), max(1, round(height * scale)))
    boxes = np.array([[x, y, x + width, y + height]], np.float32)
    alone = Sample(partner.image, boxes, partner.labels[[index]], partner.masks[[index]])
    cut = compose([(alone, View((x, y, x + width, y + height), target))], target[2], target[3])
    assert cut.masks is not None
    return Piece(cut.image, cut.masks[0] if len(cut.masks) else np.zeros((0, 0), np.uint8), int(partner.labels[index]))


def _fits(piece: Piece, sample: Sample) -> bool:
    height, width = piece.mask.shape
    return 0 < height <= sample.height and 0 < width <= sample.width


def _blend(below: NDArray[np.uint8], piece: Piece) -> NDArray[np.uint8]:
    """The piece over what is below, its edge softened by a pixel, inside only: outside is the partner's background."""
    height, width = piece.mask.shape
    padded = cv2.copyMakeBorder(piece.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.blur(padded.astype(np.float32), (3, 3))[1 : height + 1, 1 : width + 1]
    alpha = (soft * piece.mask)[..., None]
    return (below + (piece.image.astype(np.float32) - below) * alpha + 0.5).astype(np.uint8)


def _relabel(sample: Sample, image: NDArray[np.uint8], owner: NDArray[np.uint8], pieces: list[Piece]) -> Sample:
    """The targets of sample and pieces, as far as `owner` shows them."""
    pasted = np.stack([(owner == number).view(np.uint8) for number in range(1, len(pieces) + 1)])
    piece_labels = _judge([piece.label for piece in pieces], _counts(pasted), [int(p.mask.sum()) for p in pieces])
    new = Sample(image, np.zeros((len(pieces), 4), np.float32), piece_labels, pasted)
    if sample.masks is None and len(sample.boxes):
        new = tighten(new)
        seen = np.array([_free_pixels(box, owner) for box in sample.boxes])
        kept = seen[:, 0] > 0
        labels = _judge(sample.labels, seen[:, 0], seen[:, 1])[kept]
        return Sample(image, np.concatenate([sample.boxes[kept], new.boxes]), np.concatenate([labels, new.labels]))
    before = np.zeros((0, *owner.shape), np.uint8) if sample.masks is None else sample.masks
    after = before * (owner == 0)
    labels = np.concatenate([_judge(sample.labels, _counts(after), _counts(before)), new.labels])
    boxes = np.concatenate([sample.boxes, new.boxes])
    return tighten(Sample(image, boxes, labels, np.concatenate([after, pasted])))


def _judge(labels: ArrayLike, seen: ArrayLike, whole: ArrayLike) -> NDArray[np.int64]:
    """(N,) labels, IGNORED where too few pixels are seen of the whole."""
    visible = np.asarray(seen) >= ENOUGH_VISIBLE * np.asarray(whole)
    return np.where(visible, np.asarray(labels, np.int64), IGNORED)


def _counts(masks: NDArray[np.uint8]) -> list[int]:
    return [cv2.countNonZero(mask) for mask in masks]


def _free_pixels(box: NDArray[np.float32], owner: NDArray[np.uint8]) -> tuple[int, int]:
    """How many pixels that the box touches have nothing pasted on them, and how many there are."""
    x0, y0 = np.floor(box[:2]).astype(int)
    x1, y1 = np.ceil(box[2:]).astype(int)
    under = owner[y0:y1, x0:x1]
    return under.size - int(np.count_nonzero(under)), under.size
