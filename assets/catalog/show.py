"""A catalogue as pictures in Jupyter: the fronts of its first products to one scale, and their rows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from assets.catalog.sku_lists import Root, folder_of, normalize_path
from assets.errors import SynthError
from assets.files.image_input import open_image
from assets.notebook import PALE, Markup, block, drawing, picture, rectangle, table, words

if TYPE_CHECKING:
    from assets.catalog.types import Catalog, Sku

SHOWN = 12
# Pixels of the highest product shown, and of a picture of a front.
HEIGHT, WIDTH = 110.0, 90
COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def catalog_html(catalog: Catalog) -> str:
    """Return the first products of a catalogue, drawn and as a table."""
    some = list(islice(catalog, SHOWN))
    rows = [(one.sku, one.name, one.category, one.package or one.mesh, _size(one)) for one in some]
    fronts = [front for one in some if (front := _packshot(one, catalog.root_of(one.sku))) is not None]
    more = f"{len(catalog):,} products" + (f", the first {SHOWN}" if len(catalog) > SHOWN else "")
    return block(more, _fronts(some), *fronts, table(("sku", "name", "category", "package or mesh", "size"), rows))


def _size(sku: Sku) -> str:
    sides = (sku.width_m, sku.depth_m, sku.height_m)
    return " x ".join("?" if side is None else f"{1000 * side:.0f}" for side in sides) + " mm"


def _fronts(some: list[Sku]) -> Markup:
    """Draw the fronts side by side, in the first colours of the products."""
    scale = HEIGHT / max([one.height_m or 0.0 for one in some] + [0.01])
    shapes, x = [], 4.0
    for one in some:
        if one.width_m and one.height_m:
            shapes += _front(one, x, scale)
            x += max(one.width_m * scale, 24.0) + 10
    return drawing(x, HEIGHT + 20, shapes)


def _front(sku: Sku, x: float, scale: float) -> Iterator[str]:
    colors = COLOR.findall(sku.colors) or [PALE]
    width, height = (sku.width_m or 0.0) * scale, (sku.height_m or 0.0) * scale
    top = 4 + HEIGHT - height
    for place, color in enumerate(colors[:3]):
        share = height * place * 0.3
        yield rectangle(x, top + share, width, height - share, color, f"{sku.sku} {sku.name}")
    yield words(x, HEIGHT + 16, sku.sku[-5:])


def _packshot(sku: Sku, root: Root) -> Markup | None:
    """Return a small picture of a product's front; None if there is none that can be read."""
    if not sku.packshot:
        return None
    with suppress(SynthError, OSError):
        path = normalize_path(root / sku.packshot)
        if not path.is_relative_to(normalize_path(folder_of(root, path))):
            return None
        with open_image(path, str(path), "the packshot") as image:
            image.draft("RGB", (4 * WIDTH, 4 * WIDTH))
            small = image.convert("RGBA")
            small.thumbnail((2 * WIDTH, 2 * WIDTH))
        file = io.BytesIO()
        small.save(file, "PNG")
        return picture(file.getvalue(), f"{sku.sku} {sku.name}", WIDTH)
    return None
