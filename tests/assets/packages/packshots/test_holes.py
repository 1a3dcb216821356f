"""Holes of packshots and packshots at an angle: drawn ones, whose truth is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assets.catalog.types import Sku
from assets.packages.packshots.angle import angle_doubt, gs1_doubt, smooth_mask
from assets.packages.packshots.art import HOLE, read_art
from assets.packages.packshots.cutout import cut_out
from assets.packages.packshots.holes import count_holes, enclosed_parts

SIDE = 400
GROUNDS = {"white": 255, "grey": 225}


def packshot(kind: str, ground: str, *, hole: bool) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A product with a white panel on it, drawn four times as large and shrunk, and its mask."""
    side = 4 * SIDE
    body, holes = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)

    def at(*spot: float) -> tuple[int, int]:
        return round(spot[0] * side), round(spot[1] * side)

    if kind == "bottle with a handle":
        cv2.rectangle(body, at(0.42, 0.1), at(0.52, 0.3), 255, -1)
        cv2.rectangle(body, at(0.3, 0.28), at(0.7, 0.92), 255, -1)
        cv2.ellipse(holes, at(0.61, 0.42), at(0.028, 0.07), 0, 0, 360, 255, -1)
    else:
        cv2.rectangle(body, at(0.28, 0.1), at(0.72, 0.9), 255, -1)
    if kind == "carton with a euro slot":
        cv2.rectangle(holes, at(0.43, 0.15), at(0.57, 0.17), 255, -1)
        cv2.circle(holes, at(0.5, 0.16), at(0.02, 0)[0], 255, -1)
    if kind == "bag with a hand hole":
        cv2.ellipse(holes, at(0.5, 0.18), at(0.08, 0.02), 0, 0, 360, 255, -1)
    if not hole:
        holes[:] = 0
    cover = cv2.resize(body & ~holes, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255.0
    front = np.ones((SIDE, SIDE, 3)) * (180, 40, 60)
    front[round(0.5 * SIDE) : round(0.7 * SIDE), round(0.36 * SIDE) : round(0.6 * SIDE)] = GROUNDS["white"]
    shown = GROUNDS[ground] * (1 - cover[..., None]) + front * cover[..., None]
    noise = np.random.default_rng(0).normal(0, 0.7, shown.shape)
    return np.clip(shown + noise, 0, 255).astype(np.uint8), cover >= 0.5


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("kind", ["carton with a euro slot", "bag with a hand hole", "bottle with a handle"])
def test_holes_are_cut_out(kind: str, ground: str) -> None:
    image, mask = packshot(kind, ground, hole=True)
    cut = cut_out(image, handled=True)
    left, top, right, bottom = cut.box
    found, true = enclosed_parts(cut.image[..., 3] < 128), enclosed_parts(~mask)[top:bottom, left:right]
    assert count_holes(cut.image[..., 3]) == 1
    assert (found & true).sum() / (found | true).sum() > 0.8  # of a slot eight pixels high
    assert not count_holes(cut_out(packshot(kind, ground, hole=False)[0], handled=True).image[..., 3])


@pytest.mark.parametrize("ground", GROUNDS)
def test_white_goods_on_a_tray_are_no_holes(ground: str) -> None:
    image = np.full((SIDE, SIDE, 3), GROUNDS[ground], np.uint8)
    cv2.rectangle(image, (60, 130), (340, 280), (40, 60, 70), -1)
    for x in (90, 180, 270):  # on white ground nothing tells them from gaps but their place
        cv2.circle(image, (x + 10, 210), 30, (255, 255, 255), -1)
    assert not count_holes(cut_out(image).image[..., 3])


def test_a_hole_is_dark_in_the_model_and_noted(tmp_path: Path) -> None:
    Image.fromarray(packshot("bag with a hand hole", "white", hole=True)[0]).save(tmp_path / "bag.png")
    sku = Sku("1", "Rice", package="bag", packshot="bag.png", width_m=0.22, height_m=0.4, depth_m=0.08)
    art = read_art(sku, tmp_path)
    assert "packshot shows 1 hole" in art.notes[0]
    front = art.sides["front"]
    assert tuple(front[round(0.1 * len(front)), front.shape[1] // 2]) == (*HOLE, 255)


def turned(mask: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """A flat front, turned about the vertical before a camera three widths away."""
    height, width = mask.shape
    tall, turn = height / width / 2, np.radians(degrees)
    corners = np.array([[-0.5, -tall], [0.5, -tall], [0.5, tall], [-0.5, tall]])
    depth = 3 - corners[:, 0] * np.sin(turn)
    seen = np.stack([corners[:, 0] * np.cos(turn), corners[:, 1]], 1) * 3 / depth[:, None]
    target = ((seen + [1, 2 * tall]) * width / 2).astype(np.float32)
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen_mask = cv2.warpPerspective(mask, cv2.getPerspectiveTransform(source, target), (2 * width, 2 * height))
    rows, columns = np.flatnonzero(seen_mask.max(axis=1) >= 128), np.flatnonzero(seen_mask.max(axis=0) >= 128)
    return np.asarray(seen_mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], np.uint8)


@pytest.mark.parametrize("degrees", [-40, -25, -15, 0, 15, 25, 40])
@pytest.mark.parametrize("shape", ["box", "tub"])
def test_a_turned_front_is_told(shape: str, degrees: float) -> None:
    mask = np.full((300, 200), 255, np.uint8)
    if shape == "tub":  # narrower below, on both sides alike
        for row in range(300):
            mask[row, : row // 10] = mask[row, 200 - row // 10 :] = 0
    doubt = angle_doubt(smooth_mask(turned(mask, degrees)), "carton")
    assert ("angle" in doubt) == (degrees != 0)
    if degrees:
        assert ("left side" if degrees < 0 else "right side") in doubt


@pytest.mark.parametrize(("kind", "told"), [("carton", True), ("can", False)])
def test_two_faces_of_a_box_are_told(kind: str, told: bool) -> None:
    mask = np.zeros((300, 220), np.uint8)
    cv2.fillPoly(mask, [np.array([(0, 30), (70, 0), (219, 20), (219, 270), (150, 299), (0, 275)])], 255)
    assert ("two faces" in angle_doubt(mask > 0, kind)) == told


def test_the_round_foot_of_a_can_is_no_corner() -> None:
    mask = np.zeros((300, 160), np.uint8)
    cv2.rectangle(mask, (0, 20), (159, 270), 255, -1)
    for y in (20, 270):
        cv2.ellipse(mask, (80, y), (80, 18), 0, 0, 360, 255, -1)
    assert angle_doubt(mask > 0, "auto") == angle_doubt(mask > 0, "can") == ""


@pytest.mark.parametrize(
    ("path", "side", "told"),
    [
        ("shots/04006381333931_C1N1.jpg", "front", ""),
        ("shots/04006381333931_C1C1.jpg", "front", ""),
        ("shots/04006381333931_A1L1.png", "front", "turned to the left"),
        ("shots/04006381333931_c1r0.png", "front", "turned to the right"),
        ("04006381333931_C7N1.jpg", "front", "shows the back"),
        ("04006381333931_C7N1.jpg", "back", ""),
        ("shots/oats_C1L1.jpg", "front", ""),  # no GTIN: no GS1 name
        ("shots/oats.jpg", "front", ""),
    ],
)
def test_gs1_names_say_angle_and_side(path: str, side: str, told: str) -> None:
    doubt = gs1_doubt(path, side)
    assert told in doubt and bool(told) == bool(doubt)
