"""Draws docs/images/conventions.png: run it from the top folder after changing a convention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SCALE = 2
WIDTH, HEIGHT = 1200, 900
INK, FAINT = (30, 30, 34), (170, 170, 176)
RED, GREEN, BLUE, ORANGE = (206, 45, 50), (40, 140, 60), (40, 90, 200), (230, 130, 20)
Point = tuple[float, float]


class Page:
    """A drawing in which points are given in page units, twice as fine on paper."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), (255, 255, 255))
        self._draw = ImageDraw.Draw(self.image)

    def line(self, points: list[Point], color: tuple = INK, width: float = 2) -> None:
        self._draw.line(
            [(x * SCALE, y * SCALE) for x, y in points], fill=color, width=round(width * SCALE), joint="curve"
        )

    def fill(self, points: list[Point], color: tuple) -> None:
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=color)

    def dot(self, place: Point, color: tuple = INK, radius: float = 4) -> None:
        x, y = place
        box = [(x - radius) * SCALE, (y - radius) * SCALE, (x + radius) * SCALE, (y + radius) * SCALE]
        self._draw.ellipse(box, fill=color)

    def arrow(self, start: Point, end: Point, color: tuple, width: float = 3) -> None:
        self.line([start, end], color, width)
        along = np.array(end) - start
        along = along / np.linalg.norm(along)
        side = np.array([-along[1], along[0]])
        tip = np.array(end) + along * 4
        self.fill([tuple(tip), tuple(tip - 14 * along + 6 * side), tuple(tip - 14 * along - 6 * side)], color)

    def words(self, place: Point, text: str, color: tuple = INK, size: float = 17, anchor: str = "lm") -> None:
        font = ImageFont.load_default(size * SCALE)
        self._draw.text((place[0] * SCALE, place[1] * SCALE), text, fill=color, font=font, anchor=anchor)


def axes(page: Page, origin: Point, ends: dict[str, tuple[Point, tuple]]) -> None:
    for name, (end, color) in ends.items():
        tip = (origin[0] + end[0], origin[1] + end[1])
        page.arrow(origin, tip, color)
        reach = 1 + 22 / np.hypot(*end)
        page.words((origin[0] + end[0] * reach, origin[1] + end[1] * reach), name, color, anchor="mm")


def draw_frames(page: Page) -> None:
    """World, object and camera."""
    page.words((40, 36), "Frames: metres, right-handed, target_from_source", size=21)
    page.fill([(60, 350), (330, 270), (560, 340), (290, 430)], (240, 240, 242))
    page.words((300, 408), "table: z = 0", FAINT, anchor="mm")
    axes(page, (110, 345), {"X": ((72, 22), RED), "Y": ((62, -20), GREEN), "Z up": ((0, -95), BLUE)})
    page.words((70, 375), "world", size=19)
    box = {
        "front": [(270, 345), (330, 365), (330, 245), (270, 225)],
        "side": [(330, 365), (375, 350), (375, 232), (330, 245)],
    }
    page.fill(box["front"], (250, 214, 160))
    page.fill(box["side"], (232, 180, 110))
    page.fill([(270, 225), (330, 245), (375, 232), (316, 213)], (255, 232, 196))
    axes(page, (322, 352), {"x": ((48, 15), RED), "y": ((44, -14), GREEN), "z": ((0, -170), BLUE)})
    page.words((410, 292), "object: stands on z = 0,", size=15)
    page.words((410, 312), "box centred on x = y = 0;", size=15)
    page.words((410, 332), "a package's front faces -y", size=15)
    camera = (560, 110)
    page.fill([(535, 92), (590, 92), (590, 130), (535, 130)], (90, 90, 98))
    page.fill([(535, 100), (518, 92), (518, 130), (535, 122)], (60, 60, 66))
    axes(page, camera, {"Z forward": ((-110, 62), BLUE), "Y down": ((22, 86), GREEN), "X right": ((78, -28), RED)})
    page.words((604, 122), "camera (OpenCV)", size=19)
    page.line([(470, 160), (322, 240)], FAINT, 1.5)
    page.words((400, 226), "camera_from_object", FAINT, 15, "lm")


def draw_pixels(page: Page) -> None:
    """The pixel grid with a box and its exclusive far edge."""
    page.words((40, 480), "Pixels: (0, 0) is the outer corner, a centre is at + 0.5", size=21)
    left, top, cell = 90, 540, 46
    covered = {(2, 2), (3, 2), (2, 3), (3, 3), (4, 3), (3, 4)}
    for column, row in covered:
        x, y = left + column * cell, top + row * cell
        page.fill([(x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell)], (205, 226, 255))
    for number in range(7):
        page.line([(left + number * cell, top), (left + number * cell, top + 6 * cell)], FAINT, 1)
        page.line([(left, top + number * cell), (left + 6 * cell, top + number * cell)], FAINT, 1)
        page.words((left + number * cell, top - 14), str(number), FAINT, 14, "mm")
        page.words((left - 14, top + number * cell), str(number), FAINT, 14, "mm")
    page.dot((left, top), RED)
    page.words((left + 8, top + 12), "(0, 0)", RED, 14)
    page.dot((left + cell * 0.5, top + cell * 1.5), BLUE)
    page.words((left + cell * 0.5 + 8, top + cell * 1.5), "(0.5, 1.5)", BLUE, 14)
    box = [(2, 2), (5, 2), (5, 5), (2, 5), (2, 2)]
    page.line([(left + x * cell, top + y * cell) for x, y in box], ORANGE, 3)
    page.words((left + 6 * cell + 24, top + 70), "mask: pixels whose centre", size=16)
    page.words((left + 6 * cell + 24, top + 92), "the product's surface covers", size=16)
    page.words((left + 6 * cell + 24, top + 140), "box xyxy = (2, 2, 5, 5),", ORANGE, 16)
    page.words((left + 6 * cell + 24, top + 162), "far edge exclusive", ORANGE, 16)
    page.words((left + 6 * cell + 24, top + 196), "COCO bbox = [2, 2, 3, 3]", ORANGE, 16)
    page.words((left + 6 * cell + 24, top + 230), "arrays are (H, W, C)", size=16)


def draw_depth(page: Page) -> None:
    page.words((680, 240), "Depth: along the optical axis, not along the ray", size=21)
    eye = (710.0, 350.0)
    page.arrow(eye, (1010, 350), BLUE)
    page.words((1020, 350), "Z", BLUE)
    page.line([eye, (930, 290)], ORANGE, 2)
    page.line([(930, 290), (930, 350)], FAINT, 1.5)
    page.dot((930, 290), ORANGE, 5)
    page.dot(eye, INK, 6)
    page.words((eye[0] - 4, eye[1] + 22), "camera", size=15, anchor="mm")
    page.line([(eye[0], 382), (930, 382)], BLUE, 2)
    page.words((825, 400), "depth (inf where nothing is hit)", BLUE, 15, "mm")
    page.words((945, 284), "surface", ORANGE, 15)


def draw_hdri(page: Page) -> None:
    """The equirectangular map with its directions."""
    page.words((680, 480), "HDRI: u = 0.5 - atan2(y, x) / 2pi, v = acos(z) / pi from the top", size=19)
    left, top, width, height = 690.0, 530.0, 440.0, 220.0
    page.fill([(left, top), (left + width, top), (left + width, top + height), (left, top + height)], (244, 246, 250))
    frame = [(left, top), (left + width, top), (left + width, top + height), (left, top + height), (left, top)]
    page.line(frame, FAINT, 1.5)
    for share, name, color in (
        (0.5, "+X", RED),
        (0.25, "+Y", GREEN),
        (0.75, "-Y", GREEN),
        (0.0, "-X", RED),
        (1.0, "-X", RED),
    ):
        x = left + width * share
        page.line([(x, top), (x, top + height)], color, 1.5)
        page.words((x, top + height / 2 - 14), name, color, 17, "mm")
    page.line([(left, top + height / 2), (left + width, top + height / 2)], FAINT, 1.5)
    page.words((left + width / 2, top + 16), "+Z (up)", BLUE, 17, "mm")
    page.words((left + width / 2, top + height - 16), "-Z", BLUE, 17, "mm")
    page.words((left, top + height + 24), "An environment's rotation r turns the HDRI counter-clockwise", size=16)
    page.words((left, top + height + 46), "about +Z: direction d is looked up at Rz(-r) d.", size=16)


def main() -> None:
    page = Page()
    draw_frames(page)
    draw_depth(page)
    draw_pixels(page)
    draw_hdri(page)
    image = page.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    image.quantize(128).save(Path(__file__).parent.parent / "docs" / "pictures" / "conventions.png", optimize=True)


if __name__ == "__main__":
    main()
