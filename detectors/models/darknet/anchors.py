"""Anchors: box shapes clustered on the training data by k-means, the published ones, and their text in options.

Redmon and Farhadi 2017 (arXiv 1612.08242): k-means with the distance d(box, centroid) = 1 - IoU(box, centroid) of boxes
that share a corner, as the Euclidean distance would favour large boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from detectors.models.interface import DetectorOptions
from detectors.models.spec import OptionValue

# Values of the option besides a list: fitted to the training data, or those of the paper.
CLUSTERED, PUBLISHED = "clustered", "published"
SEED = 0
MAX_ROUNDS = 300
# A sample is enough, and a round of k-means on a million boxes would take seconds.
MAX_BOXES = 20_000
MAX_SIDE = 10_000.0
MAX_TEXT = 500

Shapes = tuple[tuple[float, float], ...]


class AnchorOptions(DetectorOptions):
    """Options of detectors with anchors. COUNT: how many there are. PAPER: the published ones, in pixels."""

    COUNT: ClassVar[int]
    PAPER: ClassVar[Shapes]

    anchors: str = Field(
        CLUSTERED,
        max_length=MAX_TEXT,
        description="Anchors: clustered (on the training boxes), published, or pixels such as '10x13 16x30 …'.",
    )

    @field_validator("anchors")
    @classmethod
    def _check_anchors(cls, text: str) -> str:
        if text not in (CLUSTERED, PUBLISHED):
            found = parse_anchors(text)
            if len(found) != cls.COUNT:
                raise ValueError(f"{len(found)} anchors, {cls.COUNT} are needed")
        return text

    @property
    def shapes(self) -> Shapes:
        """The anchors in pixels; the published ones if no data has been seen."""
        return self.PAPER if self.anchors in (CLUSTERED, PUBLISHED) else parse_anchors(self.anchors)


def parse_anchors(text: str) -> Shapes:
    """Return the anchors of a text such as "12x16 19.5x36". Raises ValueError with the reason if it is invalid."""
    shapes = []
    for pair in text.split():
        sides = pair.split("x")
        try:
            width, height = (float(side) for side in sides)
        except ValueError:
            raise ValueError(f"{pair!r} is not WIDTHxHEIGHT") from None
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise ValueError(f"{pair!r} is not between 0 and {MAX_SIDE:g} pixels")
        shapes.append((width, height))
    return tuple(shapes)


def format_anchors(shapes: NDArray[np.float64]) -> str:
    """Return (K, 2) widths and heights in pixels as the text of the option, to a hundredth of a pixel."""
    return " ".join(f"{max(width, 0.01):.2f}x{max(height, 0.01):.2f}" for width, height in shapes.tolist())


def cluster_anchors(boxes: NDArray[np.float32], options: AnchorOptions) -> Mapping[str, OptionValue]:
    """Return the anchors of boxes as an option, nothing if other ones were chosen or there are no boxes.

    boxes: (N, 4) xyxy in pixels of the network's input.
    """
    if options.anchors != CLUSTERED or not len(boxes):
        return {}
    sizes = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
    return {"anchors": format_anchors(cluster_shapes(sizes, options.COUNT, seed=SEED))}


def clustered_options(
    boxes: NDArray[np.float32], labels: NDArray[np.int64], options: AnchorOptions
) -> Mapping[str, OptionValue]:
    """Return the anchors clustered on the boxes, if others are not asked for (DetectorModule.options_from_data)."""
    return cluster_anchors(boxes, options)


def cluster_shapes(sizes: NDArray[np.float64], count: int, *, seed: int) -> NDArray[np.float64]:
    """Return the (count, 2) centroids of (N, 2) widths and heights, by rising area; N is at least 1.

    The first centroids are boxes chosen as in k-means++ (Arthur and Vassilvitskii 2007) with distance 1 - IoU;
    centroids are the means of their boxes. Fewer different boxes than centroids leave equal centroids. The same sizes
    and seed give the same result.
    """
    rng = np.random.default_rng(seed)
    if len(sizes) > MAX_BOXES:
        sizes = sizes[rng.choice(len(sizes), MAX_BOXES, replace=False)]
    boxes = torch.from_numpy(sizes)
    centres = _first_centres(boxes, count, rng)
    owner = None
    for _ in range(MAX_ROUNDS):
        nearest = shape_overlaps(boxes, centres).argmax(1)
        if owner is not None and torch.equal(nearest, owner):
            break
        owner = nearest
        members = torch.nn.functional.one_hot(nearest, count).to(boxes)
        sums, counts = members.T @ boxes, members.sum(0)[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    found = centres.numpy()
    return found[np.argsort(found.prod(1), kind="stable")]


def _first_centres(boxes: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Choose boxes one after another, each with a chance that grows with the square of its distance to those before."""
    chosen = [int(rng.integers(len(boxes)))]
    while len(chosen) < count:
        apart = (1 - shape_overlaps(boxes, boxes[chosen]).amax(1)).square().numpy()
        total = apart.sum()
        chance = apart / total if total > 1e-12 else None
        chosen.append(int(rng.choice(len(boxes), p=chance)))
    return boxes[chosen]


def shape_overlaps(sizes: Tensor, others: Tensor) -> Tensor:
    """Return the (N, K) IoU of boxes of (N, 2) and (K, 2) widths and heights that share a corner."""
    common = torch.minimum(sizes[:, None], others[None]).prod(2)
    union = sizes.prod(1)[:, None] + others.prod(1)[None] - common
    return common / union.clamp(min=1e-9)
