"""Background in linear light, seen where no ray hits; the same for every backend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.backdrops.collection import Backdrops
from assets.color import LUMINANCE, linear_from_srgb
from render.geometry import pixel_rays
from render.scene import Background, Camera, Environment, SceneSpec
from render.sensor import blur


def composite(rgba: NDArray[np.float32], scene: SceneSpec, backdrops: Backdrops) -> NDArray[np.float32]:
    """Composite a backend's premultiplied image (H, W, 4) over the background; returns (H, W, 3) float32 linear.

    A photograph has no absolute scale: it is exposed like the scene in front of it, times Background.gain.
    """
    if rgba[..., 3].min() >= 1:
        return rgba[..., :3]
    light = background_light(scene, backdrops)
    if scene.background.kind != "environment":
        light = light * (scene.background.gain * _mean_light(rgba) / max(float((light @ LUMINANCE).mean()), 1e-6))
    light = blur(light, scene.background.blur_px)
    return (rgba[..., :3] + (1 - rgba[..., 3:]) * light).astype(np.float32)


def background_light(scene: SceneSpec, backdrops: Backdrops) -> NDArray[np.float64]:
    """Return the background alone, (H, W, 3) linear RGB, before its gain and blur."""
    background, camera = scene.background, scene.camera
    if background.texture is None:
        return environment_light(backdrops.hdri(scene.environment.hdri), scene.environment, camera)
    image = backdrops.texture_image(background.texture)
    return linear_from_srgb(_fill(image, background, camera.width, camera.height) / 255.0)


def environment_light(hdri: NDArray[np.float32], environment: Environment, camera: Camera) -> NDArray[np.float64]:
    """Return the HDRI as the camera sees it, (H, W, 3); the mapping is that of docs/conventions.md."""
    import cv2

    rays = pixel_rays(camera, 0, 0, camera.width, camera.height) @ camera.world_from_camera[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    height, width = hdri.shape[:2]
    azimuth = np.arctan2(rays[..., 1], rays[..., 0]) - environment.rotation
    u = (0.5 - azimuth / (2 * np.pi)) % 1.0
    v = np.arccos(np.clip(rays[..., 2], -1, 1)) / np.pi
    # One more column on each side, so that interpolation continues across the seam.
    wide = np.concatenate([hdri[:, -1:], hdri, hdri[:, :1]], axis=1)
    columns, rows = (u * width + 0.5).astype(np.float32), (v * height - 0.5).astype(np.float32)
    light = cv2.remap(wide, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return light.astype(np.float64) * (environment.strength * np.asarray(environment.tint))


def _mean_light(rgba: NDArray[np.float32]) -> float:
    """Return the mean luminance of the pixels that the backend covered, 1 if there are none."""
    covered = float(rgba[..., 3].sum())
    return float((rgba[..., :3] @ LUMINANCE).sum()) / covered if covered > 0.5 else 1.0


def _fill(image: NDArray[np.uint8], background: Background, width: int, height: int) -> NDArray[np.uint8]:
    """Scale the part of `image` that zoom and offset choose to width x height, without distortion."""
    import cv2

    rows, columns = image.shape[:2]
    scale = max(width / columns, height / rows) * background.zoom
    part_width, part_height = min(width / scale, columns), min(height / scale, rows)
    left = (columns - part_width) * background.offset_u
    top = (rows - part_height) * background.offset_v
    part = image[int(top) : int(np.ceil(top + part_height)), int(left) : int(np.ceil(left + part_width))]
    shrinking = part.shape[1] > width
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
