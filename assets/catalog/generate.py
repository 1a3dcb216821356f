"""An invented catalogue of any size: brands with lines of goods, flavours that differ by a word or a colour, sizes.

It is made brand by brand, so a larger catalogue of the same seed begins with the smaller one. Keys are EAN-13 of the
range that GS1 leaves to shops (it begins with 2), so none is the number of a real product.
"""

from __future__ import annotations

import colorsys
import csv
import io
from collections.abc import Iterator
from itertools import islice

import numpy as np

from assets.catalog.barcode import check_digit
from assets.catalog.words import ENDS, FLAVOURS, GOODS, LINES, MIDDLES, STARTS, Goods

COLUMNS: tuple[str, ...] = (
    *("sku", "name", "category", "package", "width_m", "height_m", "depth_m", "mass_kg", "brand", "colors", "barcode"),
    *("unit_package", "pack_count", "licence"),
)
LICENCE = "CC0-1.0"
# As many as the six digits of a key can tell apart.
BRANDS = 1_000_000
# Lines of goods of a brand: most have few, some have many (geometric, this mean).
LINES_OF_A_BRAND = 6
# Tints that print is set in beside a pack's own colours.
LIGHTS = ("#ffffff", "#fff6df", "#f4efe2", "#eef4f7", "#fdf1f0", "#1d1d20")
Row = dict[str, str]


def generate_rows(count: int, *, seed: int) -> Iterator[Row]:
    """The first `count` rows of the catalogue of `seed`, as texts by column (COLUMNS)."""
    return islice(_rows(seed), count)


def generate_row(seed: int) -> Row:
    """One product of a brand of its own, as texts by column (COLUMNS)."""
    rng = np.random.default_rng(seed)
    return next(_rows_of_brand(_brand_name(set(), rng), int(rng.integers(BRANDS)), rng))


def generate_csv(count: int, *, seed: int) -> bytes:
    """The same as a SKU list."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(generate_rows(count, seed=seed))
    return text.getvalue().encode()


def _rows(seed: int) -> Iterator[Row]:
    taken: set[str] = set()
    first = int(np.random.default_rng(seed).integers(BRANDS))  # other seeds, other keys
    for number in range(BRANDS):
        rng = np.random.default_rng([seed, number])
        brand = _brand_name(taken, rng)
        taken.add(brand)
        yield from _rows_of_brand(brand, (first + number) % BRANDS, rng)


def _brand_name(taken: set[str], rng: np.random.Generator) -> str:
    name = _pick(STARTS, rng) + _pick(MIDDLES, rng) + _pick(ENDS, rng)
    while name in taken:
        name = _pick(STARTS, rng) + name.lower()
    return name


def _rows_of_brand(brand: str, number: int, rng: np.random.Generator) -> Iterator[Row]:
    """A brand keeps to one corner of the shop, a small hue range, and now and then to one design for everything."""
    hue, item = rng.random(), 0
    home = int(rng.integers(len(GOODS)))
    made: set[tuple[str, str]] = set()
    for _ in range(rng.geometric(1 / LINES_OF_A_BRAND)):
        goods = GOODS[(home + int(rng.geometric(0.25)) - 1) % len(GOODS)]
        line = _pick(LINES, rng)
        if (line, goods.name) in made:
            continue
        made.add((line, goods.name))
        for row in _rows_of_line(brand, line, goods, hue, rng):
            key = f"2{number:06d}{item:05d}"
            key += check_digit(key)
            item += 1
            yield {"sku": key, **row, "barcode": key}


def _rows_of_line(brand: str, line: str, goods: Goods, hue: float, rng: np.random.Generator) -> Iterator[Row]:
    """The products of a line: its flavours in one to three sizes, in one design."""
    flavours = FLAVOURS[goods.flavours]
    words = rng.permutation(sorted(flavours))[: min(rng.geometric(0.16), len(flavours))]
    grams = goods.grams[: 1 + int(rng.integers(len(goods.grams)))]
    design, ground, light = rng.random(), _shade(hue, rng), _pick(LIGHTS, rng)
    form = rng.uniform(0.9, 1.1, size=2)
    for word in words:
        # One line in five tells its flavours apart by the word alone, as shops know to their sorrow.
        own = flavours[str(word)] if design < 0.8 else _shade(hue + 0.45, np.random.default_rng([int(hue * 1e9)]))
        colors = (ground, own, light) if design < 0.5 else (own, ground, light)
        for gram in grams:
            size = f"{gram} g" if gram < 1000 else f"{gram / 1000:g} kg"
            name = " ".join(filter(None, (brand, line, str(word), goods.name, size)))
            yield {
                "name": name,
                "category": goods.category,
                "package": goods.package,
                **_sizes(goods, gram, form),
                "brand": brand,
                "colors": " ".join(colors),
                "unit_package": goods.unit,
                "pack_count": str(goods.count or ""),
                "licence": LICENCE,
            }


def _sizes(goods: Goods, gram: int, form: np.ndarray) -> Row:
    """Sizes of the pack in whole millimetres; what is round stays round."""
    wide, deep = goods.wide * form[0], goods.deep * (form[0] if goods.wide == goods.deep else form[1])
    height = (gram / goods.density * 1e-6 / (wide * deep)) ** (1 / 3)
    sides = {"width_m": wide * height, "height_m": height, "depth_m": deep * height}
    texts = {name: f"{max(round(side, 3), 0.004):.3f}" for name, side in sides.items()}
    return {**texts, "mass_kg": f"{gram / 1000:g}"}


def _shade(hue: float, rng: np.random.Generator) -> str:
    saturation, value = rng.uniform(0.45, 0.95), rng.uniform(0.35, 0.95)
    red, green, blue = colorsys.hsv_to_rgb((hue + rng.uniform(-0.05, 0.05)) % 1, saturation, value)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
