"""Light of a distorting camera: a backend renders a wider pinhole image, which is sampled along the camera's rays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from render.backends.protocol import Backend
from render.geometry import image_rays
from render.scene import Camera, SceneSpec

# Pixels around what is sampled, for interpolation.
PAD = 2
# Most pixels of the wider image per pixel of the camera's; beyond that its resolution drops. A fisheye of 120 degrees
# along the diagonal needs 2.6.
MAX_GROWTH = 6.0


@dataclass(frozen=True, eq=False)
class PinholeView:
    """A pinhole camera that covers what a distorting one sees.

    columns, rows: (H, W) float32, pixels of the pinhole image at which the distorting camera's pixel centres look, as
    cv2.remap counts them (whole numbers are pixel centres).
    """

    camera: Camera
    columns: NDArray[np.float32]
    rows: NDArray[np.float32]

    def sample(self, image: NDArray, *, nearest: bool = False) -> NDArray:
        """Sample a pinhole image (h, w, ...) at the camera's pixels: (H, W, ...), bilinear, or nearest for ids."""
        import cv2

        interpolation = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
        return cv2.remap(image, self.columns, self.rows, interpolation, borderMode=cv2.BORDER_REPLICATE)


def render_light(backend: Backend, scene: SceneSpec) -> NDArray[np.float32]:
    """Render (H, W, 4) linear premultiplied light as the scene's camera sees it, whatever its lens and shutter."""
    if scene.camera.is_pinhole:
        return _finite(backend.render(scene))
    view = pinhole_view(scene.camera)
    return view.sample(_finite(backend.render(replace(scene, camera=view.camera))))


def _finite(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace NaN and infinity by 0: one such sample of a renderer must not cost a scene."""
    return light if np.isfinite(light).all() else np.nan_to_num(light, nan=0.0, posinf=0.0, neginf=0.0)


def pinhole_view(camera: Camera) -> PinholeView:
    """Return the pinhole view of a distorting camera, with the camera's own resolution on the optical axis."""
    rays = image_rays(camera)[..., :2]
    low, high = rays.min(axis=(0, 1)), rays.max(axis=(0, 1))
    focal = np.diag(camera.K)[:2]
    growth = float(np.prod((high - low) * focal)) / (camera.width * camera.height)
    focal = focal * min(1.0, np.sqrt(MAX_GROWTH / growth))
    center = PAD - low * focal
    width, height = (int(side) for side in np.ceil((high - low) * focal) + 2 * PAD)
    K = np.array([[focal[0], 0, center[0]], [0, focal[1], center[1]], [0, 0, 1]])
    columns, rows = np.moveaxis(rays * focal + center - 0.5, -1, 0).astype(np.float32)
    return PinholeView(Camera(width, height, K, camera.world_from_camera), columns, rows)
