"""Which products a scene shows: chosen beforehand, or taken from shuffled passes so that each comes equally often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.streams import StreamPurpose

Orientation = tuple[float, float, float]
# Multiples of irrational numbers fill 0..1 evenly, most evenly those of the golden ratio; (sqrt(5) - 1) / 2,
# sqrt(2) - 1 and sqrt(3) - 1 do so also together (Kronecker), and 20 of each are never far from 5 in each quarter.
STEPS = (0.6180339887498949, 0.41421356237309515, 0.7320508075688772)
# Multiples of this give every product a start of its own.
START = 0.7548776662466927


@dataclass(frozen=True)
class SceneProducts:
    """The products of a scene and how the first view is to see each.

    orientations: one per SKU, or none at all: three numbers of 0..1 that say how it is turned; see `orientation_of`.
    """

    skus: tuple[str, ...]
    orientations: tuple[Orientation, ...] = ()

    def __post_init__(self) -> None:
        if not self.skus or len(self.orientations) not in (0, len(self.skus)):
            raise ValueError(f"{len(self.skus)} products with {len(self.orientations)} orientations")


def orientation_of(product: int, number: int) -> Orientation:
    """How appearance `number` of the product of that id is turned: over its appearances, every way equally often.

    Any few successive ones are spread evenly. Recipes take the first number for the turn about the vertical, or all
    three for any rotation.
    """
    start = product * START
    first, second, third = ((start + number * step) % 1.0 for step in STEPS)
    return first, second, third


def scene_products(keys: Sequence[str], count: tuple[int, int], *, seed: int, index: int) -> SceneProducts:
    """The products of scene `index`, out of the sorted keys of the catalogue; see `choose_products`."""
    return SceneProducts(
        tuple(keys[position] for position in choose_products(len(keys), count, seed=seed, index=index))
    )


def choose_products(catalog_size: int, count: tuple[int, int], *, seed: int, index: int) -> tuple[int, ...]:
    """Positions in the catalogue of the products of scene `index`: between count[0] and count[1] of them, inclusive.

    The catalogue is shuffled in one pass after another, and the scenes take from them in order: after any number of
    scenes no product has been taken more than once more than another. A pure function: scene 1000 needs no scene 999.
    """
    start, number = _taken(count, seed, index)
    return shuffled_products(catalog_size, start, number, seed)


def shuffled_products(catalog_size: int, start: int, number: int, seed: int) -> tuple[int, ...]:
    """The `number` products after the first `start` of the shuffled passes, as positions in the catalogue."""
    places = range(start, start + number)
    return tuple(int(_shuffled(catalog_size, seed, place // catalog_size)[place % catalog_size]) for place in places)


def assigned_count(count: tuple[int, int], repeat: tuple[float, float]) -> tuple[int, int]:
    """How many different products a scene gets that is to have `count` with its further copies.

    repeat: the range of the share of copies among all products.
    """
    single = 1 - sum(repeat) / 2
    return max(round(count[0] * single), 1), max(round(count[1] * single), 1)


def sample_copies(
    different: int, count: tuple[int, int], repeat: tuple[float, float], *, rng: np.random.Generator
) -> list[int]:
    """Which of a scene's `different` products have a further copy, as often as they have: each product equally often.

    The share of copies is the scene's own, out of `repeat`; with them there are count[0] to count[1] products, save
    where there are fewer different ones than `assigned_count` says.
    """
    if not repeat[1]:
        return []
    share = min(rng.uniform(*repeat), 0.95)
    wanted = int(different * share / (1 - share) + rng.random())
    fewest = count[0] - different if different >= assigned_count(count, repeat)[0] else 0
    number = int(np.clip(wanted, max(fewest, 0), max(count[1] - different, 0)))
    return [int(place) for place in rng.integers(different, size=number)]


def _taken(count: tuple[int, int], seed: int, index: int) -> tuple[int, int]:
    """How many products the scenes before `index` have taken, and how many it takes (5 ms per million scenes)."""
    rng = np.random.default_rng([seed, int(StreamPurpose.COUNT)])
    sizes = rng.integers(count[0], count[1] + 1, size=index + 1)
    return int(sizes[:-1].sum()), int(sizes[-1])


@lru_cache(maxsize=4)
def _shuffled(catalog_size: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, int(StreamPurpose.DECK), number]).permutation(catalog_size)
