"""Speeds of the first region-based detectors as their authors published them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedSpeed:
    """Seconds an image on a GPU of the time. proposals: whether the time of proposing regions is in it."""

    detector: str
    seconds: float
    proposals: bool
    source: str


# With VGG-16 on images of PASCAL VOC.
PUBLISHED = (
    PublishedSpeed("R-CNN", 47.0, False, "Girshick 2015, arXiv 1504.08083"),
    PublishedSpeed("SPP-net", 2.3, False, "Girshick 2015, arXiv 1504.08083"),
    PublishedSpeed("Fast R-CNN", 0.32, False, "Girshick 2015, arXiv 1504.08083"),
    PublishedSpeed("Faster R-CNN", 0.2, True, "Ren et al. 2015, arXiv 1506.01497"),
)
