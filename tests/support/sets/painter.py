"""A renderer of few lines, and a detector of what it shows, for tests of fits and searches."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np

from assets.library import Library
from pipeline.target.scenes import Boxes
from render.labels import trace_geometry
from render.scene import SceneSpec
from support.scenes import THREE_PRODUCTS

LIBRARY = cast(Library, THREE_PRODUCTS)


class Painter:
    """A backend that shows products in red on a grey wall, lit from one side."""

    device = "paint"

    def close(self) -> None:
        """Nothing is open."""

    def render(self, scene: SceneSpec) -> np.ndarray:
        products = trace_geometry(scene, LIBRARY).ids > 0
        shade = np.linspace(0.15, 0.6, products.shape[1])[None, :, None]
        light = np.where(products[..., None], [0.9, 0.12, 0.12], [0.45, 0.42, 0.4]) * shade
        return np.concatenate([light, np.ones((*products.shape, 1))], axis=2).astype(np.float32)


def find_red(images: Any) -> Boxes:
    """A detector of red patches: their boxes."""
    found = []
    for image in images:
        soft = cv2.GaussianBlur(image, (0, 0), 1.2).astype(float)
        red = soft[..., 0] > 1.35 * soft[..., 1] + 4
        _, _, stats, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
        patches = [patch for patch in stats[1:] if patch[4] >= 25]
        found.append(np.array([[x, y, x + w, y + h] for x, y, w, h, _ in patches], dtype=float).reshape(-1, 4))
    return found
