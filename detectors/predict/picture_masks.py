"""Convert masks in the network's pixels to COCO RLEs of the original image's size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.augment import Letterbox

INSIDE = 0.5


def encode_masks(shares: NDArray[np.float32], boxes: NDArray[np.float32], box: Letterbox) -> list[dict[str, Any]]:
    """Convert (D, h, w) float32 masks 0..1 in the network's pixels to COCO RLEs of the original image's size.

    boxes: (D, 4) xyxy of the same detections in the original image; masks are clipped to them.
    """
    return [_encode(paste_mask(share, corners, box)) for share, corners in zip(shares, boxes, strict=True)]


def paste_mask(share: NDArray[np.float32], corners: NDArray[np.float32], box: Letterbox) -> NDArray[np.uint8]:
    """Return an (H, W) uint8 0/1 mask of the original image, by sampling the network's mask at each pixel's centre."""
    mask = np.zeros((box.height, box.width), np.uint8, order="F")
    x0, y0 = np.maximum(np.floor(corners[:2]), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners[2:]), (box.width, box.height)).astype(int)
    across, down = box.fitted_width / box.width, box.fitted_height / box.height
    # OpenCV's origin is the centre of the first pixel.
    there_from_here = np.array([[across, 0, (x0 + 0.5) * across - 0.5], [0, down, (y0 + 0.5) * down - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = cv2.warpAffine(share, there_from_here, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    mask[y0:y1, x0:x1] = part >= INSIDE
    return mask


def _encode(mask: NDArray[np.uint8]) -> dict[str, Any]:
    from pycocotools import mask as codec

    lengths = codec.encode(mask)
    return {"size": [int(side) for side in lengths["size"]], "counts": lengths["counts"].decode("ascii")}
