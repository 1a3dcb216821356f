"""An arrangement made ready to be compared: scene, masks, photographs, and its image under each light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE, linear_from_srgb, srgb_from_linear
from assets.library import Library
from benchmarks.twin.light import (
    BasisLight,
    CameraModel,
    LightFit,
    combine,
    fit_gains,
    fit_lights,
    lit_by,
    usable_channels,
)
from benchmarks.twin.scenes import Arrangement
from benchmarks.twin.stage import build_scene, with_ground_color
from render.backends.protocol import Backend
from render.labels import trace_geometry
from render.scene import SceneSpec

# Of a product's masks, so much is cut off at the rim: poses are good to some 2 px of the photographs' 1920.
RIM = 3
# The first guess at the ground; what it is then follows from the photographs.
GREY = (0.3, 0.3, 0.3)
GROUND_RANGE = (0.05, 0.85)


@dataclass(frozen=True, eq=False)
class Work:
    """One arrangement at the size it is compared at.

    shown: (H, W) int32, number of the product where photograph and render show the same one, rims cut off; 0 elsewhere.
    photos: (L, H, W, 3) sRGB 0..1. basis: (K, H, W, 3) float32, linear light under each light of the basis.
    """

    arrangement: Arrangement
    split: str
    scene: SceneSpec
    shown: NDArray[np.int32]
    photos: NDArray[np.float32]
    basis: NDArray[np.float32]

    @property
    def keys(self) -> NDArray[np.int32]:
        """(N,) product of each compared pixel."""
        return self.shown[self.shown > 0]

    def inside(self, images: NDArray) -> NDArray:
        """The compared pixels (..., N, 3) of images (..., H, W, 3)."""
        return images[..., self.shown > 0, :]


def prepare(
    library: Library, backend: Backend, arrangement: Arrangement, split: str, lights: list[BasisLight], width: int
) -> Work:
    """Rebuilds the arrangement and renders it under each light."""
    scene = build_scene(library, arrangement, width, color=GREY, environment=lights[0].environment)
    ids = trace_geometry(scene, library).ids
    height = scene.camera.height
    photos = np.array([read_photo(path, width, height) for path in arrangement.photos], dtype=np.float32)
    shown = shared_pixels(arrangement, ids)
    even = backend.render(lit_by(scene, lights[0]))[..., :3]
    scene = with_ground_color(scene, _ground_color(arrangement, scene, photos, even, ids, shown))
    basis = np.array([backend.render(lit_by(scene, light))[..., :3] for light in lights], dtype=np.float32)
    return Work(arrangement, split, scene, shown, photos, basis)


def read_photo(path: object, width: int, height: int) -> NDArray[np.float64]:
    """A photograph at a smaller size, sRGB 0..1; averaged as viewers and training do it, in codes."""
    import cv2

    pixels = cv2.imread(str(path))[..., ::-1].astype(np.float32) / 255
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float64)


def shared_pixels(arrangement: Arrangement, ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number (from 1) of the product where both the given mask and the traced ids (H, W) show it, rims cut off."""
    import cv2

    height, width = ids.shape
    shown = np.zeros_like(ids)
    for number, product in enumerate(arrangement.scanned, start=1):
        theirs = cv2.resize(product.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.99
        both = (theirs & (ids == number)).astype(np.uint8)
        shown[cv2.erode(both, np.ones((RIM, RIM), np.uint8), borderValue=0) > 0] = number
    return shown


def _ground_color(
    arrangement: Arrangement, scene: SceneSpec, photos: NDArray, even: NDArray, ids: NDArray, shown: NDArray
) -> tuple[float, float, float]:
    """The support's colour (sRGB): as bright against the products as in the middle one of the photographs.

    Products are known by their scans, so they tell how much light there is; median over lights and places.
    """
    free = ids > len(arrangement.scanned)
    for product in arrangement.products:
        free &= ~_grown(product.mask, *ids.shape)
    if free.sum() < 100 or not (shown > 0).any():
        return GREY
    light = linear_from_srgb(photos)
    ratios = np.median(light[:, free], axis=1) / np.median(light[:, shown > 0] / (even[shown > 0] + 0.02), axis=1)
    ours = np.median(even[free], axis=0) / linear_from_srgb(np.array(GREY))
    # Grey, since the colour of the light is in the photographs' ground as well.
    albedo = float(np.clip((np.median(ratios, axis=0) / ours) @ LUMINANCE, *GROUND_RANGE))
    code = round(float(srgb_from_linear(np.array(albedo))), 3)
    return code, code, code


def _grown(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    import cv2

    small = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dilate(small, np.ones((9, 9), np.uint8)) > 0)


def explain(work: Work, lighting: int, camera: CameraModel, chosen: NDArray[np.bool_] | None = None) -> LightFit:
    """The lights of one photograph, from the compared pixels, or from those `chosen` (N,) among them."""
    coded = work.inside(work.photos[lighting]).astype(np.float64)
    basis = work.inside(work.basis) @ camera.matrix.T.astype(np.float32)
    chosen = np.ones(len(coded), bool) if chosen is None else chosen
    return fit_lights(basis[:, chosen], camera.light_of(coded[chosen]), usable_channels(coded[chosen]))


def predict(work: Work, fit: LightFit, camera: CameraModel) -> NDArray[np.float64]:
    """The render (H, W, 3) under fitted lights as the camera sees it, linear sRGB 0..1."""
    return camera.image_of(combine(work.basis, fit.weights) @ camera.matrix.T * fit.gains)


def develop_like(work: Work, light: NDArray, lighting: int, camera: CameraModel) -> NDArray[np.float64]:
    """Linear light (H, W, 3) as the camera sees it, with the gains that bring it nearest to one photograph."""
    coded = work.inside(work.photos[lighting]).astype(np.float64)
    seen = light @ camera.matrix.T
    gains = fit_gains(work.inside(seen), camera.light_of(coded), usable_channels(coded))
    return camera.image_of(seen * gains)
