"""How often packshots at an angle are recognised, and straight ones, or ones without holes, taken for others.

    python benchmarks/packshot_angles.py                # 300 products: some minutes
    python benchmarks/packshot_angles.py --count 600

Draws packshots with known masks (packshot_drawings.py), turns each whole image about the vertical by 15, 20, 30 or 40
degrees before a camera 2.5 or 4 image widths away, and asks assets/packages/packshots/angle.py about both.
"""

from __future__ import annotations

from collections import defaultdict

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from packshot_drawings import SIZES, draw_packshot
from rich.console import Console
from rich.progress import track
from rich.table import Table

from assets.catalog.types import Sku
from assets.packages.packshots.angle import angle_doubt, smooth_mask
from assets.packages.packshots.cutout import cut_out
from assets.packages.packshots.holes import count_holes

DEGREES, DISTANCES = (15, 20, 30, 40), (2.5, 4.0)


@click.command()
@click.option("--count", type=click.IntRange(10), default=300, help="Products, spread over the kinds.")
def main(count: int) -> None:
    """Measure how COUNT packshots are told from turned ones."""
    console, kinds = Console(), list(SIZES)
    found: dict[str, list[bool]] = defaultdict(list)
    for number in track(range(count), "asking", console=console):
        kind = kinds[number % len(kinds)]
        drawing = draw_packshot(number, kind)
        angle, holes = _doubts(drawing.image, drawing.sku)
        found[f"{kind}, straight: taken for turned"].append(angle)
        found[f"{kind}, straight: holes that are none"].append(holes)
        rng = np.random.default_rng(number)
        degrees = DEGREES[number // len(kinds) % len(DEGREES)]
        seen = turned(drawing.image, degrees * float(rng.choice([-1, 1])), float(rng.choice(DISTANCES)))
        angle, _ = _doubts(seen, drawing.sku)
        found[f"{kind}, turned: recognised"].append(angle)
        found[f"turned by {degrees} degrees: recognised"].append(angle)
    table = Table("what", "found", "of", title=f"{count} drawn packshots")
    for what, answers in sorted(found.items()):
        table.add_row(what, str(sum(answers)), str(len(answers)))
    console.print(table)


def _doubts(image: NDArray[np.uint8], sku: Sku) -> tuple[bool, bool]:
    """Whether a packshot seems to be taken at an angle, and whether it seems to have holes."""
    coded = cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_COLOR)
    aspect = float(sku.width_m or 1) / float(sku.height_m or 1)
    cut = cut_out(np.ascontiguousarray(coded[..., ::-1]), aspect=aspect, handled=sku.package == "bottle")
    alpha = cut.image[..., 3]
    return bool(angle_doubt(smooth_mask(alpha), sku.package)), count_holes(alpha) > 0


def turned(image: NDArray[np.uint8], degrees: float, distance: float) -> NDArray[np.uint8]:
    """A flat image turned about the vertical before a camera that many image widths away."""
    height, width = image.shape[:2]
    tall, turn = height / width / 2, np.radians(degrees)
    corners = np.array([[-0.5, -tall], [0.5, -tall], [0.5, tall], [-0.5, tall]])
    nearer = distance / (distance - corners[:, :1] * np.sin(turn))
    seen = (corners * [np.cos(turn), 1] * nearer + [0.5, tall]) * width
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    change = cv2.getPerspectiveTransform(source, seen.astype(np.float32))
    return np.asarray(cv2.warpPerspective(image, change, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


if __name__ == "__main__":
    main()
