"""Artwork for packages: panels drawn from brand, name, colours and barcode, or around a packshot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from assets.barcode import barcode_image, ean13
from assets.catalog import Sku
from assets.lettering import Rgb, font_of, ink_on, write_fitted

PALETTE: tuple[tuple[str, str, str], ...] = (
    ("#c8102e", "#ffd100", "#ffffff"),
    ("#00539b", "#f2a900", "#ffffff"),
    ("#2e7d32", "#fff3c4", "#c62828"),
    ("#5b2a86", "#f4b8d4", "#ffffff"),
    ("#f57c00", "#3e2723", "#fff8e1"),
    ("#00838f", "#ffeb3b", "#ffffff"),
    ("#3b1f0f", "#d7a86e", "#ffffff"),
    ("#f5f1e6", "#1b5e20", "#b71c1c"),
)


def label_colors(sku: Sku) -> tuple[Rgb, Rgb, Rgb]:
    """Ground, second and third colour, sRGB 0..255: the list's own, else a scheme chosen by the brand (or the name)."""
    chosen = [color for color in sku.colors.replace(",", " ").split() if _is_color(color)]
    scheme = PALETTE[_number(sku.brand or sku.name, len(PALETTE))]
    first, second, third = (_rgb(color) for color in [*chosen, *scheme[len(chosen) :]][:3])
    return first, second, third


def _pixel(image: Image.Image, x: int, y: int) -> Rgb:
    red, green, blue = np.asarray(image)[y, x]
    return int(red), int(green), int(blue)


def _rgb(color: str) -> Rgb:
    red, green, blue, *_ = ImageColor.getrgb(color)
    return red, green, blue


def _is_color(text: str) -> bool:
    try:
        ImageColor.getrgb(text)
    except ValueError:
        return False
    return True


def _number(text: str, most: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % most


def draw_panel(side: str, sku: Sku, size: tuple[int, int], ground: Rgb) -> Image.Image:
    """A drawn picture of a side in `size` pixels: a name of PANELS."""
    image = Image.new("RGB", size, ground)
    PANELS[side](image, sku, ground)
    return image


def draw_strip(sku: Sku, size: tuple[int, int], ground: Rgb) -> Image.Image:
    """A low label in `size` pixels: brand and product side by side."""
    image = Image.new("RGB", size, ground)
    width, height = size
    _, second, third = label_colors(sku)
    ImageDraw.Draw(image).rectangle((0, 0, width * 0.36, height), fill=second)
    brand = (width * 0.02, height * 0.15, width * 0.34, height * 0.85)
    write_fitted(image, (sku.brand or sku.name.split()[0]).upper(), brand, ink_on(second, ground, third), bold=0.05)
    words = (width * 0.39, height * 0.12, width * 0.97, height * 0.88)
    write_fitted(image, _product_words(sku), words, ink_on(ground, third, second), bold=0.03)
    return image


def draw_window(sku: Sku, size: tuple[int, int], ground: Rgb) -> Image.Image:
    """What shows through a clear dome, in `size` pixels: the goods, pale behind the plastic."""
    _, second, third = label_colors(sku)
    image = Image.new("RGB", size, _mixed(ground, (226, 232, 236), 0.78))
    width, height = size
    rng = np.random.default_rng(_number(sku.sku, 1 << 30))
    goods = flavour_color(sku.name) or second
    draw = ImageDraw.Draw(image)
    columns, rows = (2, 2) if height > width * 0.7 else (3, 1)
    turned = bool(rng.integers(2))
    for row in range(rows):
        for column in range(columns):
            x, y = width * (column + 0.5) / columns, height * (row + 0.5) / rows
            half = np.array([width / columns * 0.36, height / rows * 0.4])
            box = (x - half[0], y - half[1], x + half[0], y + half[1])
            draw.rounded_rectangle(box, radius=float(half.min()) * (0.9 if turned else 0.35), fill=goods)
            shine = (x - half[0] * 0.7, y - half[1] * 0.8, x - half[0] * 0.45, y + half[1] * 0.8)
            draw.rounded_rectangle(shine, radius=float(half[0]) * 0.12, fill=_mixed(goods, (255, 255, 255), 0.55))
            belt = (x - half[0], y - half[1] * 0.12, x + half[0], y + half[1] * 0.22)
            draw.rectangle(belt, fill=_mixed(third, goods, 0.15))
    return image


def wrap_sheet(sku: Sku, size: tuple[int, int]) -> Image.Image:
    """A drawn label that goes around, in `size` pixels: facts, front in the middle, barcode."""
    width, height = size
    ground = label_colors(sku)[0]
    sheet = Image.new("RGB", size, ground)
    front = round(width * 0.46)
    side = (width - front) // 2
    sheet.paste(draw_panel("left", sku, (side, height), ground), (0, 0))
    sheet.paste(draw_panel("front", sku, (front, height), ground), (side, 0))
    sheet.paste(draw_panel("right", sku, (width - side - front, height), ground), (side + front, 0))
    return sheet


def _draw_front(image: Image.Image, sku: Sku, ground: Rgb) -> None:
    _, second, third = label_colors(sku)
    width, height = image.size
    DECORATIONS[_number(sku.brand or sku.name, len(DECORATIONS))](image, second, third, _number(sku.sku, 1 << 20))
    _draw_brand(image, sku, ground, second)
    plate = (width * 0.05, height * 0.30, width * 0.95, height * 0.52)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle(plate, radius=width * 0.05, fill=third, outline=second, width=max(width // 120, 1))
    inside = (plate[0] + width * 0.03, plate[1] + height * 0.012, plate[2] - width * 0.03, plate[3] - height * 0.012)
    write_fitted(image, _product_words(sku), inside, ink_on(third, ground, second), bold=0.03)
    _draw_food(image, sku, second, third)
    foot = (width * 0.06, height * 0.93, width * 0.94, height * 0.985)
    under = _pixel(image, width // 2, round(height * 0.96))
    write_fitted(image, _weight(sku), foot, ink_on(under, third, ground))


def _product_words(sku: Sku) -> str:
    name = sku.name
    if sku.brand and name.lower().startswith(sku.brand.lower()):
        name = name[len(sku.brand) :].strip() or name
    return name


def _weight(sku: Sku) -> str:
    if sku.mass_kg is None:
        return "best quality since 1952"
    return f"e {sku.mass_kg * 1000:.0f} g" if sku.mass_kg < 1 else f"e {sku.mass_kg:.2f} kg"


def _draw_brand(image: Image.Image, sku: Sku, ground: Rgb, second: Rgb) -> None:
    """The brand in a badge, slanted a little, as brands are."""
    width, height = image.size
    badge = Image.new("RGBA", (width, max(round(height * 0.24), 12)), (0, 0, 0, 0))
    draw = ImageDraw.Draw(badge)
    box = (width * 0.06, badge.height * 0.1, width * 0.94, badge.height * 0.92)
    kind = _number(sku.brand or sku.name, 3)
    if kind == 0:
        draw.ellipse(box, fill=second)
    elif kind == 1:
        draw.rounded_rectangle(box, radius=badge.height * 0.4, fill=second)
    ink = ink_on(second if kind < 2 else ground, ground if kind < 2 else second)
    layer = Image.new("RGB", badge.size, second if kind < 2 else ground)
    inner = (box[0] + width * 0.1, box[1] + badge.height * 0.12, box[2] - width * 0.1, box[3] - badge.height * 0.12)
    mask = Image.new("RGB", badge.size, (0, 0, 0))
    write_fitted(mask, (sku.brand or sku.name.split()[0]).upper(), inner, (255, 255, 255), bold=0.06)
    layer.paste(ink, mask=mask.convert("L"))
    badge.paste(layer, mask=mask.convert("L"))
    turned = badge.rotate(3 if kind == 1 else 0, resample=Image.Resampling.BICUBIC)
    image.paste(turned, (0, round(height * 0.04)), turned)


def _draw_food(image: Image.Image, sku: Sku, second: Rgb, third: Rgb) -> None:
    """A bowl of the product in the lower half: round things in the flavour's colours, shaded like balls."""
    width, height = image.size
    rng = np.random.default_rng(_number(sku.sku, 1 << 30))
    flavour = flavour_color(sku.name) or second
    middle = np.array([width * 0.5, height * 0.73])
    spread = np.array([width * 0.30, height * 0.13])
    draw = ImageDraw.Draw(image)
    draw.ellipse((*(middle - spread * 1.35), *(middle + spread * 1.35)), fill=_mixed(third, (255, 255, 255), 0.35))
    radius = min(width, height) * 0.07
    for _ in range(26):
        angle, share = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        x, y = middle + spread * share * [np.cos(angle), np.sin(angle)]
        r = radius * rng.uniform(0.6, 1.15)
        tone = _mixed(flavour, (0, 0, 0), rng.uniform(0.0, 0.25))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_mixed(tone, (0, 0, 0), 0.3))
        draw.ellipse((x - r * 0.92, y - r * 0.95, x + r * 0.86, y + r * 0.82), fill=tone)
        draw.ellipse((x - r * 0.5, y - r * 0.6, x - r * 0.05, y - r * 0.2), fill=_mixed(tone, (255, 255, 255), 0.55))


FLAVOURS: dict[str, str] = {
    **{"tomato": "#cd281e", "strawberry": "#d6283c", "cherry": "#960f28", "orange": "#f58c14", "lemon": "#fad732"},
    **{"honey": "#e1a528", "corn": "#f5cd46", "pea": "#6eaa3c", "mint": "#6ec8a0", "apple": "#96be3c"},
    **{"chocolate": "#552d19", "cocoa": "#5f371e", "coffee": "#462819", "bean": "#823228", "blueberry": "#464696"},
    **{"vanilla": "#f0e1aa", "oat": "#cdaa73", "rice": "#f0ebdc", "peach": "#faaf78", "milk": "#f0f0f5"},
    **{"herb": "#5a8c46", "chili": "#be1e14", "garlic": "#ebe1cd", "tuna": "#d9a08c"},
}


def flavour_color(name: str) -> Rgb | None:
    """The colour of what a name speaks of, sRGB; None where it names no flavour."""
    color = next((color for word, color in FLAVOURS.items() if word in name.lower()), None)
    return None if color is None else _rgb(color)


def _mixed(color: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a * (1 - share) + b * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def _decorate_band(image: Image.Image, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.885, width, height), fill=_mixed(second, (0, 0, 0), 0.15))
    for number in range(3):
        y = height * (0.56 + 0.012 * number)
        draw.line((0, y, width, y), fill=third, width=max(height // 220, 1))


def _decorate_waves(image: Image.Image, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x = np.arange(0, width + 8, 4)
    for number, color in enumerate((_mixed(second, (255, 255, 255), 0.3), second)):
        y = height * (0.57 + 0.07 * number) + height * 0.03 * np.sin(x / width * 2 * np.pi + number * 1.7)
        draw.polygon([(0, height), *zip(x.tolist(), y.tolist(), strict=True), (width, height)], fill=color)


def _decorate_sunburst(image: Image.Image, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    ground = _pixel(image, 0, 0)
    ray = _mixed(ground, (255, 255, 255), 0.22)
    for number in range(18):
        a, b = (2 * np.pi * (number + part) / 18 for part in (0, 0.5))
        reach = 1.5 * max(width, height)
        tips = [(width / 2 + reach * np.cos(t), height * 0.72 + reach * np.sin(t)) for t in (a, b)]
        draw.polygon([(width / 2, height * 0.72), *tips], fill=ray)


def _decorate_dots(image: Image.Image, second: Rgb, third: Rgb, seed: int) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        x, y, r = rng.uniform(0, width), rng.uniform(height * 0.53, height), rng.uniform(0.008, 0.035) * width
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_mixed(second, third, rng.uniform(0, 0.6)))


DECORATIONS: tuple[Callable[[Image.Image, Rgb, Rgb, int], None], ...] = (
    _decorate_band,
    _decorate_waves,
    _decorate_sunburst,
    _decorate_dots,
)


def _draw_back(image: Image.Image, sku: Sku, ground: Rgb) -> None:
    """A quieter front: name, a text block, nutrition facts."""
    _, second, third = label_colors(sku)
    width, height = image.size
    ImageDraw.Draw(image).rectangle((0, 0, width, height * 0.18), fill=second)
    heading = (width * 0.06, height * 0.02, width * 0.94, height * 0.16)
    write_fitted(image, sku.name, heading, ink_on(second, ground, third), bold=0.03)
    _draw_text_block(image, sku, (width * 0.07, height * 0.22, width * 0.93, height * 0.52), ground)
    _draw_table(image, (width * 0.12, height * 0.56, width * 0.88, height * 0.93))


def _draw_facts_side(image: Image.Image, sku: Sku, ground: Rgb) -> None:
    width, height = image.size
    write_fitted(
        image, sku.brand or sku.name, (width * 0.08, height * 0.03, width * 0.92, height * 0.14), ink_on(ground)
    )
    _draw_table(image, (width * 0.1, height * 0.18, width * 0.9, height * 0.62))
    _draw_text_block(image, sku, (width * 0.1, height * 0.66, width * 0.9, height * 0.95), ground)


def _draw_code_side(image: Image.Image, sku: Sku, ground: Rgb) -> None:
    width, height = image.size
    write_fitted(image, sku.name, (width * 0.08, height * 0.03, width * 0.92, height * 0.18), ink_on(ground), bold=0.02)
    _draw_text_block(image, sku, (width * 0.1, height * 0.22, width * 0.9, height * 0.6), ground)
    code = barcode_image(ean13(sku.barcode or sku.sku))
    wide = min(width * 0.84, height * 0.28 * code.width / code.height)
    size = (max(round(wide), 12), max(round(wide * code.height / code.width), 8))
    place = (round((width - size[0]) / 2), round(height * 0.66))
    image.paste(code.resize(size, Image.Resampling.BOX), place)


def _draw_lid(image: Image.Image, sku: Sku, ground: Rgb) -> None:
    width, height = image.size
    _, second, third = label_colors(sku)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 0.42, width, height * 0.58), fill=_mixed(ground, (0, 0, 0), 0.08))
    box = (width * 0.1, height * 0.12, width * 0.9, height * 0.88)
    write_fitted(image, sku.brand or sku.name, box, ink_on(ground, second, third), bold=0.04)


def _draw_text_block(image: Image.Image, sku: Sku, box: tuple[float, float, float, float], ground: Rgb) -> None:
    """Small print: words of the product over and over, as large as print on packs is."""
    left, top, right, bottom = box
    draw = ImageDraw.Draw(image)
    pixels = max(image.height / 42, 7)
    font, ink = font_of(pixels), ink_on(ground)
    words = f"Ingredients: {sku.name}, water, sugar, salt, natural flavour. Store in a cool dry place.".split()
    rng = np.random.default_rng(_number(sku.name, 1 << 30))
    y, line = top, ""
    while y + pixels < bottom:
        word = words[rng.integers(len(words))]
        if draw.textlength(f"{line} {word}", font=font) > right - left:
            draw.text((left, y), line, fill=ink, font=font)
            y, line = y + pixels * 1.25, word
            if draw.textlength(word, font=font) > right - left:
                return
        else:
            line = f"{line} {word}".strip()


NUTRITION = (
    "Nutrition / 100 g",
    "Energy  1480 kJ",
    "Fat  4.1 g",
    "Carbohydrate  62 g",
    "Sugars  18 g",
    "Protein  9 g",
    "Salt  0.6 g",
)


def _draw_table(image: Image.Image, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    draw = ImageDraw.Draw(image)
    draw.rectangle(box, fill=(250, 250, 248), outline=(20, 20, 20), width=max(image.width // 150, 1))
    step = (bottom - top) / len(NUTRITION)
    for number, row in enumerate(NUTRITION):
        y = top + step * number
        write_fitted(image, row, (left + 3, y + step * 0.12, right - 3, y + step * 0.88), (20, 20, 20))
        draw.line((left, y, right, y), fill=(20, 20, 20), width=1)


PANELS: dict[str, Callable[[Image.Image, Sku, Rgb], None]] = {
    "front": _draw_front,
    "back": _draw_back,
    "left": _draw_facts_side,
    "right": _draw_code_side,
    "top": _draw_lid,
    "bottom": _draw_lid,
}
