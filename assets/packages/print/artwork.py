"""Artwork for packages: panels rendered from brand, name, colours and barcode."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageDraw

from assets.catalog.types import Sku
from assets.packages.print.decorations import DECORATIONS, GOODS_STYLES, render_goods
from assets.packages.print.label_colors import blend, flavour_color, hash_number, label_colors
from assets.packages.print.lettering import Rgb, ink_on, write_fitted
from assets.packages.print.small_print import render_barcode, render_table, render_text_block

Box = tuple[float, float, float, float]
# A front with a larger width : height is laid out side by side instead of from top to bottom.
WIDE = 1.9
# Fraction of a wrapped label that the front takes, and its largest width in heights: all of it is visible at once.
FRONT_SHARE, MAX_FRONT_WIDTH = 0.38, 4.0


def render_panel(side: str, sku: Sku, size: tuple[int, int], background: Rgb) -> Image.Image:
    """Render a side (a key of PANELS) in `size` pixels."""
    image = Image.new("RGB", size, background)
    PANELS[side](image, sku, background)
    return image


def render_wrap(sku: Sku, size: tuple[int, int]) -> Image.Image:
    """Render a label that goes around, in `size` pixels: facts, front in the middle, barcode."""
    width, height = size
    background = label_colors(sku)[0]
    sheet = Image.new("RGB", size, background)
    front = round(min(width * FRONT_SHARE, height * MAX_FRONT_WIDTH))
    aside = round(min((width - front) / 2, height * 1.4))
    left = (width - front) // 2
    sheet.paste(render_panel("left", sku, (aside, height), background), (left - aside, 0))
    sheet.paste(render_panel("front", sku, (front, height), background), (left, 0))
    sheet.paste(render_panel("right", sku, (aside, height), background), (left + front, 0))
    return sheet


def render_window(sku: Sku, size: tuple[int, int], background: Rgb) -> Image.Image:
    """Render the goods behind a clear dome, paled by the plastic, in `size` pixels."""
    _, second, third = label_colors(sku)
    image = Image.new("RGB", size, blend(background, (226, 232, 236), 0.78))
    width, height = size
    goods = flavour_color(sku.name) or second
    draw = ImageDraw.Draw(image)
    columns, rows = (2, 2) if height > width * 0.7 else (3, 1)
    bent = (0.9, 0.35)[hash_number(sku.sku, 2)]
    half_x, half_y = width / columns * 0.36, height / rows * 0.4
    for number in range(columns * rows):
        x, y = width * (number % columns + 0.5) / columns, height * (number // columns + 0.5) / rows
        box = (x - half_x, y - half_y, x + half_x, y + half_y)
        draw.rounded_rectangle(box, radius=min(half_x, half_y) * bent, fill=goods)
        shine = (x - half_x * 0.7, y - half_y * 0.8, x - half_x * 0.45, y + half_y * 0.8)
        draw.rounded_rectangle(shine, radius=half_x * 0.12, fill=blend(goods, (255, 255, 255), 0.55))
        draw.rectangle((x - half_x, y - half_y * 0.12, x + half_x, y + half_y * 0.22), fill=blend(third, goods, 0.15))
    return image


def _render_front(image: Image.Image, sku: Sku, background: Rgb) -> None:
    """Render brand, product, goods and weight; layout and decoration depend on the brand."""
    _, second, third = label_colors(sku)
    width, height = image.size
    house = sku.brand or sku.name
    decorate = DECORATIONS[hash_number(house, len(DECORATIONS))]
    decorate(image, background, second, third, hash_number(sku.sku, 1 << 20))
    layouts = WIDE_LAYOUTS if width > WIDE * height else HIGH_LAYOUTS
    brand, plate, goods, foot = layouts[hash_number(f"{house} layout", len(layouts))]
    _render_brand(image, sku, _scale_box(brand, image), background, second)
    _render_product(image, sku, _scale_box(plate, image), background, hash_number(f"{house} plate", 3))
    color = flavour_color(sku.name) or second
    style = hash_number(f"{house} {sku.category}", GOODS_STYLES)
    render_goods(image, _scale_box(goods, image), color, third, hash_number(sku.sku, 1 << 30), style)
    left, top, right, bottom = _scale_box(foot, image)
    under = image.getpixel((round(left + right) // 2, round(top + bottom) // 2))
    assert isinstance(under, tuple)  # an RGB image
    write_fitted(
        image, _weight_text(sku), (left, top, right, bottom), ink_on((under[0], under[1], under[2]), third, background)
    )


def _render_product(image: Image.Image, sku: Sku, box: Box, background: Rgb, style: int) -> None:
    """Render the product's name on a plate: rounded, a ribbon over the whole width, or a slab in the second colour."""
    _, second, third = label_colors(sku)
    left, top, right, bottom = box
    line = max(image.width // 120, 1)
    draw = ImageDraw.Draw(image)
    if style == 0:
        radius = min(image.width * 0.05, (bottom - top) * 0.3)
        draw.rounded_rectangle(box, radius=radius, fill=third, outline=second, width=line)
    elif style == 1:
        wide = right - left > 0.8 * image.width
        draw.rectangle((0, top, image.width, bottom) if wide else box, fill=third)
    else:
        draw.rectangle(box, fill=second, outline=third, width=line)
    under = second if style == 2 else third
    aside, above = (right - left) * 0.035, (bottom - top) * 0.06
    inside = (left + aside, top + above, right - aside, bottom - above)
    write_fitted(image, _product_text(sku), inside, ink_on(under, background, second, third), bold=0.03)


# Brand, product, goods, weight: left, top, right, bottom as fractions of the panel.
Layout = tuple[Box, Box, Box, Box]
FOOT: Box = (0.06, 0.93, 0.94, 0.985)
HIGH_LAYOUTS: tuple[Layout, ...] = (
    ((0.06, 0.064, 0.94, 0.26), (0.05, 0.30, 0.95, 0.52), (0.095, 0.555, 0.905, 0.905), FOOT),
    ((0.06, 0.05, 0.94, 0.21), (0.04, 0.66, 0.96, 0.89), (0.11, 0.25, 0.89, 0.62), FOOT),
    ((0.12, 0.035, 0.88, 0.17), (0.03, 0.2, 0.97, 0.42), (0.05, 0.46, 0.95, 0.9), FOOT),
)
WIDE_FOOT: Box = (0.72, 0.88, 0.98, 0.98)
WIDE_LAYOUTS: tuple[Layout, ...] = (
    ((0.03, 0.1, 0.64, 0.44), (0.03, 0.5, 0.64, 0.88), (0.67, 0.12, 0.98, 0.86), WIDE_FOOT),
    ((0.36, 0.08, 0.97, 0.4), (0.36, 0.46, 0.97, 0.86), (0.02, 0.12, 0.33, 0.9), WIDE_FOOT),
)


def _scale_box(box: Box, image: Image.Image) -> Box:
    return box[0] * image.width, box[1] * image.height, box[2] * image.width, box[3] * image.height


def _product_text(sku: Sku) -> str:
    name = sku.name
    if sku.brand and name.lower().startswith(sku.brand.lower()):
        name = name[len(sku.brand) :].strip() or name
    return name


def _weight_text(sku: Sku) -> str:
    if sku.mass_kg is None:
        return "best quality since 1952"
    return f"e {sku.mass_kg * 1000:.0f} g" if sku.mass_kg < 1 else f"e {sku.mass_kg:.2f} kg"


def _render_brand(image: Image.Image, sku: Sku, box: Box, background: Rgb, second: Rgb) -> None:
    """Render the brand, in a badge or on the background, in a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    kind = hash_number(f"{sku.brand or sku.name} badge", 3)
    draw = ImageDraw.Draw(image)
    if kind == 0:
        draw.ellipse(box, fill=second)
    elif kind == 1:
        draw.rounded_rectangle(box, radius=(bottom - top) * 0.4, fill=second)
    ink = ink_on(second if kind < 2 else background, background if kind < 2 else second)
    aside, above = (right - left) * 0.11, (bottom - top) * 0.15
    inner = (left + aside, top + above, right - aside, bottom - above)
    write_fitted(image, (sku.brand or sku.name.split()[0]).upper(), inner, ink, bold=0.06)


def _render_back(image: Image.Image, sku: Sku, background: Rgb) -> None:
    """Render name, a text block and nutrition facts."""
    _, second, third = label_colors(sku)
    width, height = image.size
    ImageDraw.Draw(image).rectangle((0, 0, width, height * 0.18), fill=second)
    heading = (width * 0.06, height * 0.02, width * 0.94, height * 0.16)
    write_fitted(image, sku.name, heading, ink_on(second, background, third), bold=0.03)
    render_text_block(
        image, (width * 0.07, height * 0.22, width * 0.93, height * 0.52), background, hash_number(sku.name, 997)
    )
    render_table(image, (width * 0.12, height * 0.56, width * 0.88, height * 0.93))


def _render_facts_side(image: Image.Image, sku: Sku, background: Rgb) -> None:
    width, height = image.size
    write_fitted(
        image, sku.brand or sku.name, (width * 0.08, height * 0.03, width * 0.92, height * 0.14), ink_on(background)
    )
    render_table(image, (width * 0.1, height * 0.18, width * 0.9, height * 0.62))
    render_text_block(
        image, (width * 0.1, height * 0.66, width * 0.9, height * 0.95), background, hash_number(sku.name, 997)
    )


def _render_code_side(image: Image.Image, sku: Sku, background: Rgb) -> None:
    width, height = image.size
    heading = (width * 0.08, height * 0.03, width * 0.92, height * 0.18)
    write_fitted(image, sku.name, heading, ink_on(background), bold=0.02)
    render_text_block(
        image, (width * 0.1, height * 0.22, width * 0.9, height * 0.6), background, hash_number(sku.name, 991)
    )
    render_barcode(image, (width * 0.08, height * 0.66, width * 0.92, height * 0.94), sku.barcode or sku.sku)


def _render_lid(image: Image.Image, sku: Sku, background: Rgb) -> None:
    width, height = image.size
    _, second, third = label_colors(sku)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.42, width, height * 0.58), fill=blend(background, (0, 0, 0), 0.08))
    box = (width * 0.1, height * 0.12, width * 0.9, height * 0.88)
    write_fitted(image, sku.brand or sku.name, box, ink_on(background, second, third), bold=0.04)


PANELS: dict[str, Callable[[Image.Image, Sku, Rgb], None]] = {
    "front": _render_front,
    "back": _render_back,
    "left": _render_facts_side,
    "right": _render_code_side,
    "top": _render_lid,
    "bottom": _render_lid,
}
