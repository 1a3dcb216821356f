"""A catalogue as pictures in Jupyter: the fronts of some products to one scale, and their rows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assets.catalog.sku_lists import Root, folder_of, normalize_path
from assets.errors import SynthError
from assets.files.image_input import open_image
from assets.notebook import PALE, Markup, block, drawing, picture, rectangle, table, words

# Pixels of the highest product shown, and of a picture of a front.
HEIGHT, WIDTH = 110.0, 90
COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class ShownProduct:
    """What is shown of a product. kind: its package or mesh. sides: width, depth, height in metres, None if unknown.

    packshot: its front, relative to `root`, "" if there is none.
    """

    sku: str
    name: str
    category: str
    kind: str
    sides: tuple[float | None, float | None, float | None]
    colors: str
    packshot: str
    root: Root

    @property
    def size(self) -> str:
        """Its size in words."""
        return " x ".join("?" if side is None else f"{1000 * side:.0f}" for side in self.sides) + " mm"


def products_html(title: str, some: Sequence[ShownProduct]) -> str:
    """Return products, drawn and as a table, under a title."""
    rows = [(one.sku, one.name, one.category, one.kind, one.size) for one in some]
    fronts = [front for one in some if (front := _packshot(one)) is not None]
    return block(title, _fronts(some), *fronts, table(("sku", "name", "category", "package or mesh", "size"), rows))


def _fronts(some: Sequence[ShownProduct]) -> Markup:
    """Draw the fronts side by side, in the first colours of the products."""
    scale = HEIGHT / max([one.sides[2] or 0.0 for one in some] + [0.01])
    shapes: list[str] = []
    x = 4.0
    for one in some:
        width, _, height = one.sides
        if width and height:
            shapes += _front(one, x, width * scale, height * scale)
            x += max(width * scale, 24.0) + 10
    return drawing(x, HEIGHT + 20, shapes)


def _front(product: ShownProduct, x: float, width: float, height: float) -> Iterator[str]:
    colors = COLOR.findall(product.colors) or [PALE]
    for place, color in enumerate(colors[:3]):
        share = height * place * 0.3
        top = 4 + HEIGHT - height + share
        yield rectangle(x, top, width, height - share, color, f"{product.sku} {product.name}")
    yield words(x, HEIGHT + 16, product.sku[-5:])


def _packshot(product: ShownProduct) -> Markup | None:
    """Return a small picture of a product's front; None if there is none that can be read."""
    if not product.packshot:
        return None
    with suppress(SynthError, OSError, ValueError):
        path = normalize_path(product.root / product.packshot)
        if not path.is_relative_to(normalize_path(folder_of(product.root, path))):
            return None
        return picture(_thumbnail(path), f"{product.sku} {product.name}", WIDTH)
    return None


def _thumbnail(path: Path) -> bytes:
    file = io.BytesIO()
    with open_image(path, str(path), "the packshot") as image:
        image.draft("RGB", (4 * WIDTH, 4 * WIDTH))
        small = image.convert("RGBA")
        small.thumbnail((2 * WIDTH, 2 * WIDTH))
    small.save(file, "PNG")
    return file.getvalue()
