"""Which image is drawn when: shares of several sources that hold in every epoch and nearly in every batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError, unknown_name

Shares = tuple[tuple[str, float], ...]


class TrainingStream(IntEnum):
    """Streams of chance in training: a draw added to one never moves another."""

    ORDER = 1
    AUGMENT = 2
    PARTNERS = 3
    STEP = 4
    HOLD_OUT = 5
    BOOTSTRAP = 6


def stream(seed: int, purpose: TrainingStream, *numbers: int) -> np.random.Generator:
    """The generator of one purpose at one place."""
    return np.random.default_rng([seed, int(purpose), *numbers])


class Draw(NamedTuple):
    """One sample of the training: an image of a source, as the `position`-th sample of all."""

    source: int
    image: int
    position: int


def complete_shares(shares: Shares, sources: Sequence[str]) -> tuple[float, ...]:
    """The share of each source: given ones, and the rest for the one that was not named.

    Raises SynthError for unknown names, for more than one source left unnamed, and where the shares do not sum to 1.
    """
    given = dict(shares)
    for name in given:
        if name not in sources:
            raise unknown_name("source in --mix", name, sources)
    unnamed = [name for name in sources if name not in given]
    rest = 1.0 - sum(given.values())
    if len(unnamed) > 1 or (not unnamed and abs(rest) > 1e-6) or (unnamed and rest <= 1e-6):
        raise SynthError(
            "the shares of --mix do not add up",
            code="mix-invalid",
            found=", ".join(f"{name}:{share:g}" for name, share in shares) + f" for {', '.join(sources)}",
            expected="shares for all sources, summing to 1, or for all but one, summing to less than 1",
        )
    completed = [given.get(name, rest) for name in sources]
    return tuple(share / sum(completed) for share in completed)


@dataclass(frozen=True, eq=False)
class Windows:
    """How a source in shards is gone through: its shards in another order each time, `width` of them mixed at once.

    sizes: (S,) int64, images of each shard; images count through the shards. Reading stays within a few shards, memory
    with one window, and the image at any place is known without those before it.
    """

    sizes: NDArray[np.int64]
    width: int

    def image_at(self, seed: int, source: int, turn: int, place: int) -> int:
        """The image at a place of the `turn`-th time through."""
        _, starts = _shard_order(self, seed, source, turn)
        window = int(np.searchsorted(starts, place, "right")) - 1
        return int(_window_order(self, seed, source, turn, window)[place - starts[window]])

    def window_at(self, seed: int, source: int, turn: int, place: int) -> NDArray[np.int64]:
        """The images of the window that a place lies in, mixed."""
        _, starts = _shard_order(self, seed, source, turn)
        return _window_order(self, seed, source, turn, int(np.searchsorted(starts, place, "right")) - 1)

    def shards_ahead(self, seed: int, source: int, turn: int, place: int) -> tuple[int, ...]:
        """The shards of the window that a place lies in, and of the one after it."""
        order, starts = _shard_order(self, seed, source, turn)
        window = int(np.searchsorted(starts, place, "right")) - 1
        further = order[window * self.width : (window + 2) * self.width]
        if (window + 1) * self.width >= len(order):
            further = np.concatenate([further, _shard_order(self, seed, source, turn + 1)[0][: self.width]])
        return tuple(dict.fromkeys(further.tolist()))


@lru_cache(maxsize=8)
def _shard_order(windows: Windows, seed: int, source: int, turn: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(S,) the shards in their order, and (W,) the place that each window begins at."""
    order = stream(seed, TrainingStream.ORDER, source, turn).permutation(len(windows.sizes))
    before = np.concatenate([[0], np.cumsum(windows.sizes[order])])
    return order, before[: -1 : windows.width]


@lru_cache(maxsize=8)
def _window_order(windows: Windows, seed: int, source: int, turn: int, window: int) -> NDArray[np.int64]:
    """The images of a window, mixed."""
    order, _ = _shard_order(windows, seed, source, turn)
    first = np.concatenate([[0], np.cumsum(windows.sizes)])
    shards = order[window * windows.width : (window + 1) * windows.width]
    images = np.concatenate([np.arange(first[shard], first[shard + 1]) for shard in shards])
    return images[stream(seed, TrainingStream.ORDER, source, turn, window + 1).permutation(len(images))]


@dataclass(frozen=True)
class Mix:
    """The order of one phase of training: an endless sequence of draws, each known from its position alone.

    counts: images of each source. shares: of each source, summing to 1; a source of share 0 is never drawn.
    windows: by source, how one that lies in shards is gone through; others are shuffled whole.
    """

    counts: tuple[int, ...]
    shares: tuple[float, ...]
    seed: int
    windows: Mapping[int, Windows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if abs(sum(self.shares) - 1) > 1e-6 or len(self.counts) != len(self.shares):
            raise ValueError(f"shares {self.shares} of {len(self.counts)} sources")
        if any(share < 0 for share in self.shares):
            raise ValueError(f"negative shares {self.shares}")
        if any(share > 0 and not count for count, share in zip(self.counts, self.shares, strict=True)):
            raise ValueError("a source without images cannot have a share")

    def draws(self, start: int, stop: int) -> Iterator[Draw]:
        """The draws at positions start to stop - 1."""
        sources = self._sources(start, stop)
        turns = self._turns_before(start)
        for position, source in enumerate(sources, start=start):
            turn, place = divmod(turns[source], self.counts[source])
            turns[source] += 1
            yield Draw(int(source), self._image(int(source), turn, place), position)

    def _image(self, source: int, turn: int, place: int) -> int:
        if source in self.windows:
            return self.windows[source].image_at(self.seed, source, turn, place)
        return int(_order(self.seed, source, turn, self.counts[source])[place])

    def partner(self, position: int, source: int, *, rng: np.random.Generator) -> int:
        """An image of a source to go with the one drawn at a position: any, of a source in shards a near one."""
        if source not in self.windows:
            return int(rng.integers(self.counts[source]))
        turn, place = divmod(self._turns_before(position)[source], self.counts[source])
        near = self.windows[source].window_at(self.seed, source, turn, place)
        return int(near[rng.integers(len(near))])

    def shards_ahead(self, position: int, source: int) -> tuple[int, ...]:
        """The shards that a source in shards is read from at a position, and those of its window after that."""
        turn, place = divmod(self._turns_before(position)[source], self.counts[source])
        return self.windows[source].shards_ahead(self.seed, source, turn, place)

    def _turns_before(self, position: int) -> list[int]:
        """How often each source is drawn before a position."""
        turns, left, rest = [0] * len(self.shares), position, 1.0
        *others, last = self._active()
        for source in others:
            turns[source] = int(_drawn(np.array([left]), self.shares[source] / rest)[0])
            left, rest = left - turns[source], rest - self.shares[source]
        turns[last] = left
        return turns

    def _active(self) -> list[int]:
        return [source for source, share in enumerate(self.shares) if share > 0]

    def _sources(self, start: int, stop: int) -> NDArray[np.int64]:
        """(stop - start,) the source drawn at each position.

        The first source takes its share of the positions as evenly as can be, the second its share of those left over,
        and so on: each position is known without those before it.
        """
        places, rest = np.arange(start, stop, dtype=np.int64), 1.0
        *others, last = self._active()
        sources = np.full(stop - start, last)
        open_places = np.arange(stop - start)
        for source in others:
            share = self.shares[source] / rest
            before = _drawn(places, share)
            taken = _drawn(places + 1, share) > before
            sources[open_places[taken]] = source
            open_places, places = open_places[~taken], (places - before)[~taken]
            rest -= self.shares[source]
        return sources


@lru_cache(maxsize=16)
def _order(seed: int, source: int, turn: int, count: int) -> NDArray[np.int64]:
    """(count,) the order in which a source is gone through for the `turn`-th time."""
    return stream(seed, TrainingStream.ORDER, source, turn).permutation(count)


def _drawn(places: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """How many of the first `places` positions a source of this share takes: rounded, so never off by more than 0.5."""
    return np.floor(np.minimum(share, 1.0) * places + 0.5 - 1e-9).astype(np.int64)


def parse_shares(text: str) -> Shares:
    """real:0.2,scatter:0.3. Raises ValueError with what is wrong."""
    shares: dict[str, float] = {}
    for item in text.split(","):
        name, colon, number = (part.strip() for part in item.partition(":"))
        if not colon or not name:
            raise ValueError(f"{item!r} is not NAME:SHARE")
        try:
            share = float(number)
        except ValueError:
            raise ValueError(f"{number.strip()!r} is no share of {name}") from None
        if not 0 <= share <= 1:
            raise ValueError(f"the share of {name} must be between 0 and 1")
        if name in shares:
            raise ValueError(f"{name} is given twice")
        shares[name] = share
    if sum(shares.values()) > 1 + 1e-6:
        raise ValueError(f"the shares sum to {sum(shares.values()):g}, more than 1")
    return tuple(shares.items())


def realised(drawn: Mapping[str, int]) -> str:
    """The mix as it came out, in words."""
    total = max(sum(drawn.values()), 1)
    return ", ".join(f"{name} {count} ({count / total:.1%})" for name, count in drawn.items())
