"""The cases on a review page: images, and their boxes for review."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.recognition.gallery.decision import Verdict

# Returns a view of a SKU as JPEG by key, view number and the SKU's digest in the gallery; b"" if there is none.
ViewImage = Callable[[str, int, str], bytes]


@dataclass(eq=False)
class ReviewImage:
    """An image with cases. rows: all of its boxes as cells of decisions.csv, in order."""

    name: str
    rows: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Case:
    """One box for review. crop: its file beside the page. place: index of its row in the image.

    skus, scores: the nearest SKUs. vector: (dim,) of the crop. margin: lead of the first SKU over the second.
    """

    verdict: Verdict
    image: ReviewImage
    place: int
    crop: str
    margin: float
    skus: tuple[int, ...]
    scores: tuple[float, ...]
    vector: NDArray[np.float32]
