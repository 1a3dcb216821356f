"""Cutting out: drawn packshots whose masks are known, on the grounds, with the shadows and the codecs there are."""

from __future__ import annotations

import io
import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assets.packages.packshots.cutout import cut_out

SIDE = 600
Y, X = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
GROUNDS = {
    "white": np.full((SIDE, SIDE), 255.0),
    "nearly white": np.full((SIDE, SIDE), 246.0),
    "grey, shaded": 245 - 70 * Y + 20 * X,
}


def outline(kind: str) -> NDArray[np.float64]:
    """Coverage of a product's pixels, 0 to 1: drawn four times as large and shrunk."""
    large = np.zeros((4 * SIDE, 4 * SIDE), np.uint8)
    t = np.linspace(0, 1, 80)
    half = {
        "carton": np.full(80, 0.25),
        "bottle": np.where(t < 0.2, 0.06, 0.06 + 0.12 * np.clip((t - 0.2) / 0.2, 0, 1) ** 0.7),
        "bag": 0.25 - 0.03 * np.sin(np.pi * t) + 0.004 * (np.arange(80) % 2),
    }[kind]
    y = 0.12 + 0.74 * t
    points = np.concatenate([np.stack([0.5 + half, y], 1), np.stack([0.5 - half, y], 1)[::-1]])
    cv2.fillPoly(large, [(points * 4 * SIDE).astype(np.int32)], 255)
    return cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255.0


def packshot(
    kind: str, ground: str, *, white: bool = False, shadow: bool = False, quality: int | None = None, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A product with spots on it, the ground as photographers have it, and the product's mask."""
    rng = np.random.default_rng(seed)
    cover = outline(kind)
    behind = GROUNDS[ground][..., None] * np.ones(3)
    if shadow:
        soft = cv2.GaussianBlur(np.roll(cover, (SIDE // 40, SIDE // 60), (0, 1)), (0, 0), SIDE / 50)
        behind = behind * (1 - 0.35 * soft * np.clip((Y - 0.5) * 3, 0, 1))[..., None]
    front = np.ones((SIDE, SIDE, 3)) * ((250, 250, 249) if white else rng.integers(20, 230, 3))
    for _ in range(12):
        middle = tuple(int(v) for v in rng.integers(SIDE * 0.3, SIDE * 0.7, 2))
        cv2.circle(front, middle, int(rng.integers(12, 50)), tuple(map(int, rng.integers(0, 255, 3))), -1)
    if white:  # lit from the front, its rim is a little darker
        depth = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        front *= (1 - 0.1 * np.exp(-depth / 6))[..., None]
    image = behind * (1 - cover[..., None]) + front * cover[..., None]
    coded = np.clip(image + rng.normal(0, 0.6, image.shape), 0, 255).astype(np.uint8)
    return (coded if quality is None else jpeg(coded, quality)), cover >= 0.5


def jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def overlap(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Intersection over union of what is cut out and what is there."""
    cut = cut_out(image)
    found = np.zeros(mask.shape, bool)
    left, top, right, bottom = cut.box
    found[top:bottom, left:right] = cut.image[..., 3] >= 128
    assert cut.note == ""
    return float((found & mask).sum() / (found | mask).sum())


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("kind", ["carton", "bottle", "bag"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"shadow": True},
        {"quality": 60},
        {"shadow": True, "quality": 75},
        {"white": True},  # nothing but its rim tells it from the ground
        {"white": True, "quality": 80},
    ],
    ids=str,
)
def test_products_are_cut_from_their_grounds(kind: str, ground: str, how: dict) -> None:
    assert overlap(*packshot(kind, ground, **how)) >= 0.98


@pytest.mark.parametrize("kind", ["carton", "bottle"])
def test_a_mirror_image_below_is_no_product(kind: str) -> None:
    image, mask = packshot(kind, "white")
    end = int(np.flatnonzero(mask.any(axis=1))[-1]) + 1
    fade = np.linspace(0.4, 0, 60)[:, None, None] * mask[end - 60 : end][::-1, :, None]
    shown = image.astype(float)
    shown[end : end + 60] = shown[end : end + 60] * (1 - fade) + shown[end - 60 : end][::-1] * fade
    assert overlap(shown.astype(np.uint8), mask) >= 0.98


def test_alpha_is_believed_and_its_holes_stay() -> None:
    _, mask = packshot("carton", "white")
    mask[300:330, 270:330] = False  # a handle
    image = np.dstack([np.full((SIDE, SIDE, 3), 200, np.uint8), mask.astype(np.uint8) * 255])
    cut = cut_out(image)
    left, top, right, bottom = cut.box
    assert (cut.image[..., 3] == image[top:bottom, left:right, 3]).all()
    assert not cut.image[310 - top, 300 - left, 3]


def test_white_panels_inside_are_no_holes() -> None:
    image, mask = packshot("carton", "white")
    image[250:350, 200:400] = 255
    assert overlap(image, mask) >= 0.98


def test_an_image_full_of_product_is_kept_whole() -> None:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (8, 6, 3), dtype=np.uint8), (300, 400), interpolation=cv2.INTER_NEAREST)
    cut = cut_out(image)
    assert cut.box == (0, 0, 300, 400) and (cut.image[..., 3] == 255).all()
    assert "no plain background" in cut.note
    assert (cut.image[..., :3] == image).all()


def test_a_red_front_is_no_ground() -> None:
    image = np.full((400, 300, 3), (200, 20, 30), np.uint8)
    cv2.circle(image, (150, 200), 80, (255, 255, 255), -1)
    cut = cut_out(image)
    assert cut.box == (0, 0, 300, 400) and "unusual for a background" in cut.note


def test_the_stated_shape_tells_a_white_front_from_a_white_ground() -> None:
    image = np.full((400, 300, 3), 255, np.uint8)
    cv2.circle(image, (150, 200), 80, (200, 20, 30), -1)
    assert cut_out(image).box == pytest.approx((70, 120, 231, 281), abs=2)
    assert cut_out(image, aspect=0.75).box == (0, 0, 300, 400)
    assert cut_out(image, aspect=1.0).box == pytest.approx((70, 120, 231, 281), abs=2)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (9, 9), (500, 3)])
@pytest.mark.parametrize("channels", [3, 4])
def test_images_of_any_size_come_back(size: tuple[int, int], channels: int) -> None:
    cut = cut_out(np.full((*size, channels), 255, np.uint8))
    assert cut.image.shape == (*size, 4) and cut.note


def test_no_fringe_of_ground_is_left() -> None:
    image, _ = packshot("bottle", "white", seed=3)
    cut = cut_out(image)
    assert (cut.image[..., :3].min(axis=2) < 245).all()


def test_a_large_image_takes_milliseconds() -> None:
    image = cv2.resize(packshot("bottle", "grey, shaded", shadow=True)[0], (1000, 1000))
    cut_out(image)
    start = time.process_time()
    cut_out(image)
    assert time.process_time() - start < 0.2  # 0.015 s on a free core
