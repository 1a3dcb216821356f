"""A mix of recipes, each with a share of the scenes; a scene's recipe follows from its index alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializeAsAny

from render.choice import SceneProducts, shuffled_products
from render.recipes.parts import SceneRecipe, Section
from render.streams import StreamPurpose, Streams

MIX = "mix"
# A mix with every recipe written out in full must stay under the limit on a recipe's size (RECIPE_BYTES).
MAX_PARTS = 8
# Multiples of an irrational number, modulo 1, are evenly spread, so the shares hold for any number of scenes. This one
# is also evenly spread together with the golden ratio, which divides scenes into splits (dataset/layout.py).
STEP = 0.7548776662466927

ShareWeight = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class RecipePart(Section):
    """One recipe of a mix. share: its weight relative to the other parts."""

    share: ShareWeight = 1.0
    of: SerializeAsAny[SceneRecipe]


class RecipeMix(Section):
    """Several recipes that share the scenes of a run."""

    recipe: Literal["mix"] = "mix"
    parts: Annotated[tuple[RecipePart, ...], Field(min_length=1, max_length=MAX_PARTS)]


def parts_by_scene(mix: RecipeMix, seed: int) -> Callable[[int | NDArray[np.int64]], NDArray[np.int64]]:
    """Return a function from scene indices to part numbers: a low-discrepancy sequence with a random start."""
    start = float(Streams(seed, 0).scene(StreamPurpose.RECIPE).random())
    total = sum(part.share for part in mix.parts)
    edges = [edge / total for edge in accumulate(part.share for part in mix.parts)][:-1]
    return lambda index: np.searchsorted(edges, (start + index * STEP) % 1.0, side="right")


Recipe = SceneRecipe | RecipeMix


def recipe_at(mix: RecipeMix, seed: int, index: int) -> SceneRecipe:
    """Return the recipe of scene `index`."""
    return mix.parts[int(parts_by_scene(mix, seed)(index))].of


def products_at(mix: RecipeMix, keys: Sequence[str], seed: int, index: int) -> SceneProducts:
    """Choose the products of scene `index`. All recipes share the shuffled passes, so SKUs are used equally often.

    keys: the catalogue's keys, sorted. Like `choose_products`, for numbers of products that differ from scene to scene.
    """
    ranges = np.array([part.of.product_count() for part in mix.parts])
    low, high = ranges[parts_by_scene(mix, seed)(np.arange(index + 1))].T
    shares = np.random.default_rng([seed, int(StreamPurpose.COUNT)]).random(index + 1)
    sizes = low + (shares * (high - low + 1)).astype(np.int64)
    return SceneProducts(
        tuple(keys[place] for place in shuffled_products(len(keys), int(sizes[:-1].sum()), int(sizes[-1]), seed))
    )
