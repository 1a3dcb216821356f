"""Convert masks in the network's pixels to COCO run lengths at the original image's size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.masks import encode_crop
from detectors.augment import Letterbox

INSIDE = 0.5


def encode_masks(shares: NDArray[np.float32], boxes: NDArray[np.float32], box: Letterbox) -> tuple[bytes, ...]:
    """Convert (D, h, w) float32 masks 0..1 in the network's pixels to compressed run lengths of the original image.

    boxes: (D, 4) xyxy of the same detections in the original image; masks are clipped to them.
    """
    return tuple(_encode(share, corners, box) for share, corners in zip(shares, boxes, strict=True))


def _encode(share: NDArray[np.float32], corners: NDArray[np.float32], box: Letterbox) -> bytes:
    """Sample the network's mask at the centre of each pixel of the original image within the detection's box."""
    x0, y0 = np.maximum(np.floor(corners[:2]), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners[2:]), (box.width, box.height)).astype(int)
    across, down = box.fitted_width / box.width, box.fitted_height / box.height
    # OpenCV's origin is the centre of the first pixel.
    there_from_here = np.array([[across, 0, (x0 + 0.5) * across - 0.5], [0, down, (y0 + 0.5) * down - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = cv2.warpAffine(share, there_from_here, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return encode_crop(part >= INSIDE, x0, y0, box.height, box.width)["counts"].encode("ascii")
