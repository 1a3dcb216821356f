"""Vocabulary of the synthetic catalogue (words.yaml): goods with their packs, flavours with colours, brands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Goods:
    """Kind of goods. package: package kind. wide, deep: width and depth divided by height. density: g/cm³ of the
    bounding box of the pack. grams: available sizes. flavours: a key of FLAVOURS. unit, count: package kind and number
    of the units of a multipack.
    """

    category: str
    name: str
    package: str
    wide: float
    deep: float
    density: float
    grams: list[int]
    flavours: str
    unit: str = ""
    count: int = 0


# libyaml takes a tenth of the time.
_WORDS = yaml.load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
)
FLAVOURS: dict[str, dict[str, str]] = _WORDS["flavours"]
GOODS: tuple[Goods, ...] = tuple(Goods(*row) for row in _WORDS["goods"])
# The parts of the names of product lines and brands.
LINES, STARTS, MIDDLES, ENDS = (tuple(_WORDS[name]) for name in ("lines", "starts", "middles", "ends"))
