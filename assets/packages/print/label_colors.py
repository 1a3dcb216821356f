"""Colours of labels: from the list, from a scheme chosen by brand, or by flavour words in the name."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from PIL import ImageColor

from assets.catalog.types import Sku
from assets.packages.print.lettering import Rgb

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


FLAVOURS: dict[str, str] = {
    **{"tomato": "#cd281e", "strawberry": "#d6283c", "cherry": "#960f28", "orange": "#f58c14", "lemon": "#fad732"},
    **{"honey": "#e1a528", "corn": "#f5cd46", "pea": "#6eaa3c", "mint": "#6ec8a0", "apple": "#96be3c"},
    **{"chocolate": "#552d19", "cocoa": "#5f371e", "coffee": "#462819", "bean": "#823228", "blueberry": "#464696"},
    **{"vanilla": "#f0e1aa", "oat": "#cdaa73", "rice": "#f0ebdc", "peach": "#faaf78", "milk": "#f0f0f5"},
    **{"herb": "#5a8c46", "chili": "#be1e14", "garlic": "#ebe1cd", "tuna": "#d9a08c", "raspberry": "#c72a66"},
    **{"apricot": "#f0933a", "lime": "#9fc93c", "pear": "#c9cf6a", "mango": "#f6a821", "pineapple": "#f0cf3c"},
    **{"banana": "#f3dc6b", "grape": "#6b3a80", "coconut": "#efe8da", "caramel": "#c58438", "hazelnut": "#8a5a33"},
    **{"almond": "#cfa671", "cinnamon": "#a3562a", "peanut": "#d19a4e", "paprika": "#c8371d", "cheese": "#f2b632"},
    **{"onion": "#b88a3e", "pepper": "#4a4a46", "basil": "#3f7d2e", "curry": "#d9a515", "beef": "#9a2b20"},
    **{"chicken": "#e0a030", "salmon": "#ef7f62", "lavender": "#8c78c0", "rose": "#d9798f", "cola": "#3c1810"},
    **{"peppermint": "#2f8f6b", "camomile": "#f0d15a", "rooibos": "#a8411c", "fennel": "#9fbf5c", "toffee": "#a9682c"},
    **{"beetroot": "#6d1236", "mushroom": "#a58c70", "lentil": "#8a5a3a", "chickpea": "#d6b271", "soy": "#e2d38e"},
    **{"blackcurrant": "#3f1f4f", "grapefruit": "#f0705a", "barbecue": "#6b2418", "rosemary": "#54724a"},
    **{"turkey": "#b5803f", "lamb": "#7a4a5a", "duck": "#5d7a3a", "citrus": "#f0c92f", "ocean": "#2f86b5"},
    **{"ginger": "#c79a4b", "spinach": "#2f5d2f", "carrot": "#ee8422", "potato": "#d9b45a", "olive": "#7a7d2c"},
}


def label_colors(sku: Sku) -> tuple[Rgb, Rgb, Rgb]:
    """Return background, second and third colour, sRGB 0..255: the list's own, else a scheme by brand or name."""
    chosen = [color for color in sku.colors.replace(",", " ").split() if _is_color(color)]
    scheme = PALETTE[hash_number(sku.brand or sku.name, len(PALETTE))]
    first, second, third = (_rgb(color) for color in [*chosen, *scheme[len(chosen) :]][:3])
    return first, second, third


def flavour_color(name: str) -> Rgb | None:
    """Return the colour of the last flavour word in a name, sRGB; None if there is none."""
    for word in reversed(re.findall(r"[a-z]+", name.lower())):
        color = FLAVOURS.get(word) or FLAVOURS.get(word.removesuffix("s")) or FLAVOURS.get(word.removesuffix("es"))
        if color:
            return _rgb(color)
    return None


def blend(color: Rgb, other: Rgb, share: float) -> Rgb:
    """Blend a colour with a fraction `share` of another."""
    red, green, blue = (round(a * (1 - share) + b * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def hash_number(text: str, limit: int) -> int:
    """Return a number below `limit` from the hash of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % limit


@lru_cache(maxsize=1 << 12)
def _rgb(color: str) -> Rgb:
    red, green, blue, *_ = ImageColor.getrgb(color)
    return red, green, blue


def _is_color(text: str) -> bool:
    try:
        _rgb(text)
    except ValueError:
        return False
    return True
