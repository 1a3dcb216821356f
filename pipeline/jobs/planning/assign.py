"""Which SKUs each scene of a job shows: dealt so that every SKU comes exactly as often as it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.layout import GOLDEN, Splits

# Least and most products of a scene: of all alike, or by the scene's place in the deal.
Count = tuple[int, int] | Callable[[int], tuple[int, int]]
# Numbers of the streams that deals are drawn from, apart from those of scenes (render/streams.py).
DEAL = 1000


@dataclass(frozen=True, eq=False)
class Assignment:
    """The hands of many scenes. cards: (C,) int32, category ids. starts: (S + 1,) int64: scene s has
    cards[starts[s]:starts[s + 1]]. numbers: (C,) int32: how often the SKU had been dealt before."""

    cards: NDArray[np.int32]
    starts: NDArray[np.int64]
    numbers: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def hand(self, scene: int) -> slice:
        """Where the cards of a scene are."""
        return slice(int(self.starts[scene]), int(self.starts[scene + 1]))


def assign_scenes(
    needs: NDArray[np.int64],
    before: NDArray[np.int64],
    listed: NDArray[np.bool_],
    count: Count,
    *,
    rng: np.random.Generator,
) -> Assignment:
    """Hands of different SKUs, as many as `count` says, in which SKU i comes needs[i] times.

    needs, before, listed: (I,), by category id: how often it is to be dealt, how often it was before, and whether it
    may fill up a hand that would be too small. One shuffled deck after another of all that still need something, so
    that the neighbours of a SKU differ each time; the last hands of a deck are as large as is left.
    """
    decks: list[NDArray[np.int64]] = []
    sizes: list[NDArray[np.int64]] = []
    for already in range(int(needs.max(initial=0))):
        deck = rng.permutation(np.flatnonzero(needs > already))
        first = sum(map(len, sizes))
        least = (count(first) if callable(count) else count)[0]
        if len(deck) < least:
            others = rng.permutation(np.flatnonzero(listed & (needs <= already)))
            deck = np.concatenate([deck, others[: least - len(deck)]])
        decks.append(deck)
        made = _mixed_sizes(len(deck), count, first, rng) if callable(count) else _hand_sizes(len(deck), count, rng)
        sizes.append(made)
    if not decks:
        return Assignment(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32))
    cards = np.concatenate(decks).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    return Assignment(cards, starts.astype(np.int64), (before[cards] + _earlier(cards)).astype(np.int32))


def _hand_sizes(cards: int, count: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Sizes between count[0] and count[1] that sum up to `cards`; smaller ones only where there is no other way."""
    low, high = count
    fewest, most = -(-cards // high), cards // low
    hands = min(max(round(2 * cards / (low + high)), fewest), max(most, fewest))
    low = low if hands <= most else 1
    sizes = rng.integers(low, high + 1, size=hands)
    while missing := cards - int(sizes.sum()):
        step = 1 if missing > 0 else -1
        room = np.flatnonzero(sizes < high if step > 0 else sizes > low)
        sizes[rng.permutation(room)[: abs(missing)]] += step
    return sizes


def _mixed_sizes(
    cards: int, count: Callable[[int], tuple[int, int]], first: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The same where each scene has a range of its own; `first`: the place of the first one in the deal."""
    lows: list[int] = []
    sizes: list[int] = []
    reached = 0
    while reached < cards:
        low, high = count(first + len(sizes))
        lows.append(low)
        sizes.append(int(rng.integers(low, high + 1)))
        reached += sizes[-1]
    found, least = np.array(sizes, np.int64), np.array(lows, np.int64)
    while (excess := int(found.sum()) - cards) and len(room := np.flatnonzero(found > least)):
        found[rng.permutation(room)[:excess]] -= 1
    found[-1] -= excess  # less than the last hand, without which there were too few
    return found


def _earlier(cards: NDArray) -> NDArray[np.int64]:
    """For each card, how often the same one comes before it."""
    order = np.argsort(cards, kind="stable")
    ordered = cards[order]
    first = np.searchsorted(ordered, ordered, side="left")
    earlier = np.empty(len(cards), np.int64)
    earlier[order] = np.arange(len(cards)) - first
    return earlier


def splits_of(first: int, scenes: int, splits: Splits) -> NDArray[np.int64]:
    """(scenes,): for scenes first, first + 1, ..., which of the splits each belongs to; layout.split_of for many."""
    places = (np.arange(first, first + scenes) + 0.5) * GOLDEN % 1.0
    reached = 0.0
    edges = []
    for _, share in splits:
        reached += share
        edges.append(reached)
    return np.minimum(np.searchsorted(edges, places, side="right"), len(splits) - 1)


def shards_of(first: int, scenes: int, splits: Splits, shard_scenes: int) -> list[tuple[str, NDArray[np.int64]]]:
    """Of each shard the split and its scenes, counted from 0 within their deal; a shard holds one split."""
    belongs = splits_of(first, scenes, splits)
    shards = []
    for number, (split, _) in enumerate(splits):
        mine = np.flatnonzero(belongs == number)
        shards += [(split, mine[start : start + shard_scenes]) for start in range(0, len(mine), shard_scenes)]
    return shards
