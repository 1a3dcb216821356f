"""Resting poses of products: weights of standing, lying and leaning, from the list or by package kind."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from assets.catalog.types import Sku

MANNERS = ("stand", "lie", "lean")
SAMPLE = "such as stand:0.7 lie:0.3"
_WORDS = {
    **{name: name for name in MANNERS},
    **{"standing": "stand", "upright": "stand", "lying": "lie", "flat": "lie", "leaning": "lean"},
}
# Weights (stand, lie, lean) that replace a recipe's own; other kinds rest as the recipe says. Bottles and cans lie only
# by accident; a bag without a base could only stand on its seam; a tray, tube or card on its edge falls over.
DEFAULTS = {
    "can": (1.0, 0.3, 0.2),
    "bottle": (1.0, 0.3, 0.2),
    "jar": (1.0, 0.15, 0.1),
    "gable_top": (1.0, 0.2, 0.2),
    "multipack": (1.0, 0.2, 0.1),
    "tube": (0.6, 1.0, 0.4),
    "bag": (0.0, 1.0, 0.4),
    "blister": (0.0, 1.0, 0.6),
}
# A pouch flatter than this fraction of its smaller side is a sachet without a gusset to stand on. It lies like a bag.
MIN_GUSSET = 0.16


@dataclass(frozen=True)
class RestWeights:
    """Relative frequencies of a product standing, lying and leaning; at least one is over 0."""

    stand: float
    lie: float
    lean: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(weight) and weight >= 0 for weight in self.values) or not any(self.values):
            raise ValueError("weights are numbers of at least 0, one of them over 0")

    def __str__(self) -> str:
        pairs = zip(MANNERS, self.values, strict=True)
        return " ".join(f"{name}:{weight:g}" for name, weight in pairs if weight)

    @property
    def values(self) -> tuple[float, float, float]:
        """Weights in the order of MANNERS."""
        return self.stand, self.lie, self.lean


def parse_rests(text: str) -> RestWeights:
    """Parse a cell of the column `rests`: "stand:0.7 lie:0.3", or "lie lean" for equal weights.

    Poses that are not named get weight 0. Raises ValueError with a readable message for anything else.
    """
    found: dict[str, float] = {}
    for item in filter(None, re.split(r"[\s,;]+", text)):
        word, colon, number = item.replace("=", ":").partition(":")
        name = _WORDS.get(word.lower())
        if name is None or name in found:
            raise ValueError(f"{word[:20]!r} twice" if name else f"{word[:20]!r}, not one of {', '.join(MANNERS)}")
        try:
            found[name] = float(number) if colon else 1.0
        except ValueError:
            raise ValueError(f"{number[:20]!r}, not a number") from None
    return RestWeights(*(found.get(name, 0.0) for name in MANNERS))


def rests_of(sku: Sku, *, defaults: bool) -> RestWeights | None:
    """Return the weights from the list, or from the package kind if `defaults`; None if the recipe alone decides."""
    if sku.rests:
        return parse_rests(sku.rests)
    return _default_weights(sku) if defaults else None


def _default_weights(sku: Sku) -> RestWeights | None:
    width, height, depth = sku.width_m or 0.0, sku.height_m or 0.0, sku.depth_m or 0.0
    kind = sku.package
    if kind == "tray" or (kind == "pouch" and depth < MIN_GUSSET * min(width, height)):
        kind = "bag"
    if kind == "bag" and height < depth:
        return None  # modelled lying on its back: that is how it "stands"
    weights = DEFAULTS.get(kind)
    return RestWeights(*weights) if weights else None
