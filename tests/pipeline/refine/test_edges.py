"""Edge agreement: what moves is found to a fraction of a pixel, other light and colour are not taken for movement."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.refine.edges import EdgeAgreement, Region, compare_edges

Pixels = np.ndarray
BOX = (20, 16, 100, 76)


def printed(seed: int = 0, cell: tuple[int, int] = (8, 6)) -> Pixels:
    """A plain picture (96, 128, 3) with a product of colourful print in BOX."""
    rng = np.random.default_rng(seed)
    picture = np.full((96, 128, 3), 120, np.uint8)
    x0, y0, x1, y1 = BOX
    cells = rng.integers(20, 236, ((y1 - y0) // cell[1], (x1 - x0) // cell[0], 3)).astype(np.uint8)
    picture[y0:y1, x0:x1] = cv2.resize(cells, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
    return cv2.GaussianBlur(picture, (0, 0), 0.8)


def moved(picture: Pixels, across: float, down: float) -> Pixels:
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float32)
    size = picture.shape[1::-1]
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def compared(before: Pixels, after: Pixels) -> EdgeAgreement:
    return compare_edges(before, after, [Region(BOX)])


@pytest.mark.parametrize(("across", "down"), [(1, 0), (0, -1), (-2, 1), (1.5, 0), (3, 2), (0.6, -0.6)])
def test_a_shift_is_measured(across: float, down: float) -> None:
    found = compared(printed(), moved(printed(), across, down))
    assert found.shift == pytest.approx(np.hypot(across, down), abs=0.3)


def test_nothing_moves_in_the_same_picture() -> None:
    found = compared(printed(), printed())
    assert found.shift < 0.1 and found.agreement > 0.999 and found.regions >= 1


@pytest.mark.parametrize("seed", range(4))
def test_other_colours_light_and_noise_do_not_move_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (printed() / 255) ** rng.uniform(0.6, 1.6) @ (np.eye(3) + rng.normal(0, 0.1, (3, 3)))
    shade = np.linspace(0.5, 1.0, values.shape[1])[None, :, None]
    after = np.clip(255 * values * shade + rng.normal(0, 3, values.shape), 0, 255).astype(np.uint8)
    found = compared(printed(), after)
    assert found.shift < 0.4 and found.agreement > 0.7


def test_other_print_in_the_same_place_disagrees() -> None:
    assert compared(printed(0), printed(1, (5, 11))).agreement < 0.5


def test_a_zone_of_print_that_moves_alone_is_found() -> None:
    picture = np.full((96, 128, 3), 120, np.uint8)
    picture[16:76, 20:100] = 200
    before, after = picture.copy(), picture.copy()
    for canvas, offset in ((before, 0), (after, 2)):
        for row in range(24, 44, 6):
            for place in range(26, 56, 5):
                canvas[row : row + 3, place + offset : place + offset + 2] = 30
    assert compared(before, after).shift > 1


def test_a_mask_leaves_out_what_moves_beside_the_product() -> None:
    before, after = printed(), printed()
    after[16:76, 60:100] = moved(after, 2, 0)[16:76, 60:100]
    mask = np.zeros(before.shape[:2], bool)
    mask[16:76, 20:54] = True
    assert compare_edges(before, after, [Region((20, 16, 54, 76), mask)]).shift < 0.3
    assert compared(before, after).shift > 0.6


def test_plain_and_tiny_regions_say_nothing() -> None:
    plain = np.full((40, 40, 3), 99, np.uint8)
    assert compare_edges(plain, plain, [Region((5, 5, 35, 35))]) == EdgeAgreement()
    assert compare_edges(printed(), printed(), [Region((20, 16, 26, 22))]).regions == 0
    assert compare_edges(plain, plain, []) == EdgeAgreement()


def test_products_at_the_border_are_compared() -> None:
    picture = printed()[16:76, 20:100]
    height, width = picture.shape[:2]
    found = compare_edges(picture, moved(picture, 2, 0), [Region((0, 0, width, height))])
    assert found.shift == pytest.approx(2, abs=0.5)
