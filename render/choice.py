"""Choice of the products of a scene: given, or taken from shuffled passes so that all are used equally often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.streams import StreamPurpose

Orientation = tuple[float, float, float]
# Multiples of an irrational number, modulo 1, are evenly spread, best those of the golden ratio. (sqrt(5) - 1) / 2,
# sqrt(2) - 1 and sqrt(3) - 1 are evenly spread jointly, too (Kronecker): of 20 of each, about 5 lie in every quarter.
STEPS = (0.6180339887498949, 0.41421356237309515, 0.7320508075688772)
# Each product starts at another multiple of this.
START = 0.7548776662466927


@dataclass(frozen=True)
class SceneProducts:
    """Products of a scene and their orientations for the first view.

    orientations: one per SKU, or empty: three numbers of 0..1 each, see `orientation_of`. planogram: number of the
    planogram of the library that they stand in, if any.
    """

    skus: tuple[str, ...]
    orientations: tuple[Orientation, ...] = ()
    planogram: int | None = None

    def __post_init__(self) -> None:
        if not self.skus or len(self.orientations) not in (0, len(self.skus)):
            raise ValueError(f"{len(self.skus)} products with {len(self.orientations)} orientations")


def orientation_of(product: int, number: int) -> Orientation:
    """Return the orientation of the product with id `product` in its appearance `number`, for uniform coverage.

    Any few successive appearances are evenly spread. Recipes use the first number for the turn about the vertical, or
    all three for any rotation.
    """
    start = product * START
    first, second, third = ((start + number * step) % 1.0 for step in STEPS)
    return first, second, third


def scene_products(keys: Sequence[str], count: tuple[int, int], *, seed: int, index: int) -> SceneProducts:
    """Choose the products of scene `index` from the sorted keys of the catalogue; see `choose_products`."""
    return SceneProducts(
        tuple(keys[position] for position in choose_products(len(keys), count, seed=seed, index=index))
    )


def choose_products(catalog_size: int, count: tuple[int, int], *, seed: int, index: int) -> tuple[int, ...]:
    """Choose between count[0] and count[1] (inclusive) products for scene `index`; returns positions in the catalogue.

    The scenes take products in order from one shuffled pass over the catalogue after another: after any number of
    scenes no product has been taken more than once more than another. A pure function: scene 1000 does not need scene
    999.
    """
    start, number = _taken(count, seed, index)
    return shuffled_products(catalog_size, start, number, seed)


def shuffled_products(catalog_size: int, start: int, number: int, seed: int) -> tuple[int, ...]:
    """Return the `number` products after the first `start` of the shuffled passes, as positions in the catalogue."""
    numbers = range(start, start + number)
    return tuple(int(_shuffled(catalog_size, seed, i // catalog_size)[i % catalog_size]) for i in numbers)


def assigned_count(count: tuple[int, int], repeat: tuple[float, float]) -> tuple[int, int]:
    """Return the range of different products for scenes that have `count` products including copies.

    repeat: the range of the share of copies among all products.
    """
    single = 1 - sum(repeat) / 2
    return max(round(count[0] * single), 1), max(round(count[1] * single), 1)


def sample_copies(
    different: int, count: tuple[int, int], repeat: tuple[float, float], *, rng: np.random.Generator
) -> list[int]:
    """Sample which of a scene's `different` products get copies (an index per copy), each product equally often.

    The share of copies is sampled from `repeat`. With copies there are count[0] to count[1] products, except where
    there are fewer different ones than `assigned_count` says.
    """
    if not repeat[1]:
        return []
    share = min(rng.uniform(*repeat), 0.95)
    wanted = int(different * share / (1 - share) + rng.random())
    fewest = count[0] - different if different >= assigned_count(count, repeat)[0] else 0
    number = int(np.clip(wanted, max(fewest, 0), max(count[1] - different, 0)))
    return [int(i) for i in rng.integers(different, size=number)]


def with_copies(skus: Sequence[str], copies: Sequence[int], *, rng: np.random.Generator) -> list[str]:
    """Return the SKUs and those with the indices `copies` once more, in random order."""
    shown = [*skus, *(skus[i] for i in copies)]
    return [shown[i] for i in rng.permutation(len(shown))]


def _taken(count: tuple[int, int], seed: int, index: int) -> tuple[int, int]:
    """Return how many products the scenes before `index` take, and how many it takes (5 ms per million scenes)."""
    rng = np.random.default_rng([seed, int(StreamPurpose.COUNT)])
    sizes = rng.integers(count[0], count[1] + 1, size=index + 1)
    return int(sizes[:-1].sum()), int(sizes[-1])


@lru_cache(maxsize=4)
def _shuffled(catalog_size: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, int(StreamPurpose.DECK), number]).permutation(catalog_size)
