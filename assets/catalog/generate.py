"""Synthetic catalogues of any size: brands, product lines, flavours that differ by a word or a colour, and sizes.

Brands are generated one after another, so a larger catalogue starts with the smaller one of the same seed. Keys are
EAN-13 from the range that GS1 reserves for shops (prefix 2), so none is the number of a real product.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from itertools import islice

import numpy as np

from assets.catalog.barcode import check_digit
from assets.catalog.csv_rows import csv_bytes
from assets.catalog.words import ENDS, FLAVOURS, GOODS, LINES, MIDDLES, STARTS, Goods

COLUMNS: tuple[str, ...] = (
    *("sku", "name", "category", "package", "width_m", "height_m", "depth_m", "mass_kg", "brand", "colors", "barcode"),
    *("unit_package", "pack_count", "licence"),
)
LICENCE = "CC0-1.0"
# The brand takes six digits of a key.
BRANDS = 1_000_000
# Mean number of lines per brand (geometric distribution: most have few, some have many).
MEAN_LINES_PER_BRAND = 6
# Print colours beside a pack's own two colours.
PRINT_COLORS = ("#ffffff", "#fff6df", "#f4efe2", "#eef4f7", "#fdf1f0", "#1d1d20")
Row = dict[str, str]


def generate_rows(count: int, *, seed: int) -> Iterator[Row]:
    """Generate the first `count` rows of the catalogue of `seed`, as texts by column (COLUMNS)."""
    return islice(_generate_rows(seed), count)


def generate_row(seed: int) -> Row:
    """Generate one product of a new brand, as texts by column (COLUMNS)."""
    rng = np.random.default_rng(seed)
    return next(_generate_brand(_sample_brand_name(set(), rng), int(rng.integers(BRANDS)), rng))


def generate_csv(count: int, *, seed: int) -> bytes:
    """Generate a catalogue as the bytes of a CSV list."""
    rows = generate_rows(count, seed=seed)
    return csv_bytes([COLUMNS, *([row.get(name, "") for name in COLUMNS] for row in rows)])


def _generate_rows(seed: int) -> Iterator[Row]:
    taken: set[str] = set()
    first = int(np.random.default_rng(seed).integers(BRANDS))  # different seeds give different keys
    for number in range(BRANDS):
        rng = np.random.default_rng([seed, number])
        brand = _sample_brand_name(taken, rng)
        taken.add(brand)
        yield from _generate_brand(brand, (first + number) % BRANDS, rng)


def _sample_brand_name(taken: set[str], rng: np.random.Generator) -> str:
    name = _sample_option(STARTS, rng) + _sample_option(MIDDLES, rng) + _sample_option(ENDS, rng)
    while name in taken:
        name = _sample_option(STARTS, rng) + name.lower()
    return name


def _generate_brand(brand: str, number: int, rng: np.random.Generator) -> Iterator[Row]:
    """Generate the products of a brand: related goods and a narrow hue range."""
    hue, item = rng.random(), 0
    home = int(rng.integers(len(GOODS)))
    used: set[tuple[str, str]] = set()
    for _ in range(rng.geometric(1 / MEAN_LINES_PER_BRAND)):
        goods = GOODS[(home + int(rng.geometric(0.25)) - 1) % len(GOODS)]
        line = _sample_option(LINES, rng)
        if (line, goods.name) in used:
            continue
        used.add((line, goods.name))
        for row in _generate_line(brand, line, goods, hue, rng):
            key = f"2{number:06d}{item:05d}"
            key += check_digit(key)
            item += 1
            yield {"sku": key, **row, "barcode": key}


def _generate_line(brand: str, line: str, goods: Goods, hue: float, rng: np.random.Generator) -> Iterator[Row]:
    """Generate the products of a line: its flavours in one or more sizes, in one design."""
    flavours = FLAVOURS[goods.flavours]
    words = rng.permutation(sorted(flavours))[: min(rng.geometric(0.16), len(flavours))]
    grams = goods.grams[: 1 + int(rng.integers(len(goods.grams)))]
    design, background, light = rng.random(), _sample_shade(hue, rng), _sample_option(PRINT_COLORS, rng)
    form = rng.uniform(0.9, 1.1, size=2)
    for word in words:
        # In one line in five the flavours differ by the word alone, as they do in real shops.
        own = (
            flavours[str(word)] if design < 0.8 else _sample_shade(hue + 0.45, np.random.default_rng([int(hue * 1e9)]))
        )
        colors = (background, own, light) if design < 0.5 else (own, background, light)
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
    """Compute the sizes of the pack, rounded to millimetres; round packs stay round."""
    wide, deep = goods.wide * form[0], goods.deep * (form[0] if goods.wide == goods.deep else form[1])
    height = (gram / goods.density * 1e-6 / (wide * deep)) ** (1 / 3)
    sides = {"width_m": wide * height, "height_m": height, "depth_m": deep * height}
    texts = {name: f"{max(round(side, 3), 0.004):.3f}" for name, side in sides.items()}
    return {**texts, "mass_kg": f"{gram / 1000:g}"}


def _sample_shade(hue: float, rng: np.random.Generator) -> str:
    saturation, value = rng.uniform(0.45, 0.95), rng.uniform(0.35, 0.95)
    red, green, blue = colorsys.hsv_to_rgb((hue + rng.uniform(-0.05, 0.05)) % 1, saturation, value)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _sample_option(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
