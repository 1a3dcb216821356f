"""Which products a scene shows: dealt from shuffled decks, so that every product comes equally often."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from render.streams import Purpose, Streams


def choose_skus(keys: Sequence[str], count: tuple[int, int], streams: Streams) -> list[str]:
    """The SKUs of a scene, out of the sorted keys of the catalogue; see `choose_products`."""
    return [keys[place] for place in choose_products(len(keys), count, seed=streams.seed, index=streams.index)]


def choose_products(catalog_size: int, count: tuple[int, int], *, seed: int, index: int) -> tuple[int, ...]:
    """Positions in the catalogue of the products of scene `index`: between count[0] and count[1] of them, inclusive.

    The catalogue is shuffled into one deck after another, and the scenes draw from them in order: after any number of
    scenes no product has been drawn more than once more than another. A pure function: scene 1000 needs no scene 999.
    """
    start, number = _hand(count, seed, index)
    draws = range(start, start + number)
    return tuple(int(_deck(catalog_size, seed, draw // catalog_size)[draw % catalog_size]) for draw in draws)


def _hand(count: tuple[int, int], seed: int, index: int) -> tuple[int, int]:
    """How many cards the scenes before `index` have taken, and how many it takes (5 ms per million scenes)."""
    rng = np.random.default_rng([seed, int(Purpose.COUNT)])
    sizes = rng.integers(count[0], count[1] + 1, size=index + 1)
    return int(sizes[:-1].sum()), int(sizes[-1])


@lru_cache(maxsize=4)
def _deck(catalog_size: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, int(Purpose.DECK), number]).permutation(catalog_size)
