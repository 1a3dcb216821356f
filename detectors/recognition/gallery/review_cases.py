"""What a review page shows: pictures, and the boxes in them that a person should look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.recognition.gallery.decision import Verdict

# A view of a SKU as JPEG, by key, number of the view and the SKU's digest in the gallery; empty where there is none.
ViewPicture = Callable[[str, int, str], bytes]


@dataclass(eq=False)
class ReviewPicture:
    """A picture with cases. rows: all of its boxes as cells of decisions.csv, in their order."""

    name: str
    rows: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Case:
    """One box for a person. crop: its file beside the page. place: its row in the picture. skus, scores: the nearest.

    vector: (dim,) of the crop. margin: lead of the first SKU over the second.
    """

    verdict: Verdict
    picture: ReviewPicture
    place: int
    crop: str
    margin: float
    skus: tuple[int, ...]
    scores: tuple[float, ...]
    vector: NDArray[np.float32]
