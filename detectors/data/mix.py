"""The order of training images: a mix of several sources whose shares hold in every epoch and nearly every batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError, unknown_name

Shares = tuple[tuple[str, float], ...]


class TrainingStream(IntEnum):
    """Random number streams of training: adding a draw to one does not affect the others."""

    ORDER = 1
    AUGMENT = 2
    PARTNERS = 3
    STEP = 4
    HOLD_OUT = 5
    BOOTSTRAP = 6
    CHANGE = 7


def stream(seed: int, purpose: IntEnum, *numbers: int) -> np.random.Generator:
    """Return the random number generator of one purpose. numbers: such as the position or step it is for."""
    return np.random.default_rng([seed, int(purpose), *numbers])


class Draw(NamedTuple):
    """The choice of one training sample: an image of a source, and the position of the sample in the training."""

    source: int
    image: int
    position: int


def complete_shares(shares: Shares, sources: Sequence[str]) -> tuple[float, ...]:
    """Return the share of each source; a single source that `shares` does not name gets the rest.

    Raises SynthError for unknown names, for several sources without a share, and if the shares do not sum to 1.
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


class ReadingOrder(Protocol):
    """The order in which the images of a source must be read. seed, source, turn: of the mix, the source and the pass.

    Each method computes its result from the position alone, without those before it.
    """

    @property
    def endless(self) -> bool:
        """Whether there is a single pass without an end, which later phases continue."""

    def image_at(self, seed: int, source: int, turn: int, index: int) -> int:
        """Return the image at position `index` of pass `turn`."""

    def window_at(self, seed: int, source: int, turn: int, index: int) -> NDArray[np.int64]:
        """Return the images that can be read around position `index` of pass `turn`."""

    def shards_ahead(self, seed: int, source: int, turn: int, index: int) -> Sequence[int]:
        """Return the shards needed from position `index` of pass `turn` on, those needed next first."""


@dataclass(frozen=True, eq=False)
class Windows:
    """The order of a source in shards: shards are permuted in every pass, and shuffled in windows of `width` shards.

    sizes: (S,) int64, images per shard; images are numbered across shards. Only a few shards are read at a time, memory
    use is that of one window, and the image at any position can be computed without those before it.
    """

    sizes: NDArray[np.int64]
    width: int
    endless: ClassVar[bool] = False

    def image_at(self, seed: int, source: int, turn: int, index: int) -> int:
        """Return the image at position `index` of pass `turn`."""
        _, starts = _shard_order(self, seed, source, turn)
        window = int(np.searchsorted(starts, index, "right")) - 1
        return int(_window_order(self, seed, source, turn, window)[index - starts[window]])

    def window_at(self, seed: int, source: int, turn: int, index: int) -> NDArray[np.int64]:
        """Return the shuffled images of the window around position `index` of pass `turn`."""
        _, starts = _shard_order(self, seed, source, turn)
        return _window_order(self, seed, source, turn, int(np.searchsorted(starts, index, "right")) - 1)

    def shards_ahead(self, seed: int, source: int, turn: int, index: int) -> tuple[int, ...]:
        """Return the shards of the window around position `index` of pass `turn` and of the next window."""
        order, starts = _shard_order(self, seed, source, turn)
        window = int(np.searchsorted(starts, index, "right")) - 1
        further = order[window * self.width : (window + 2) * self.width]
        if (window + 1) * self.width >= len(order):
            further = np.concatenate([further, _shard_order(self, seed, source, turn + 1)[0][: self.width]])
        return tuple(dict.fromkeys(further.tolist()))


@lru_cache(maxsize=8)
def _shard_order(windows: Windows, seed: int, source: int, turn: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (S,) the order of the shards in a pass, and (W,) the position at which each window starts."""
    order = stream(seed, TrainingStream.ORDER, source, turn).permutation(len(windows.sizes))
    before = np.concatenate([[0], np.cumsum(windows.sizes[order])])
    return order, before[: -1 : windows.width]


@lru_cache(maxsize=8)
def _window_order(windows: Windows, seed: int, source: int, turn: int, window: int) -> NDArray[np.int64]:
    """Return the shuffled images of a window."""
    order, _ = _shard_order(windows, seed, source, turn)
    first = np.concatenate([[0], np.cumsum(windows.sizes)])
    shards = order[window * windows.width : (window + 1) * windows.width]
    images = np.concatenate([np.arange(first[shard], first[shard + 1]) for shard in shards])
    return images[stream(seed, TrainingStream.ORDER, source, turn, window + 1).permutation(len(images))]


@dataclass(frozen=True)
class Mix:
    """The order of one training phase: an endless sequence of draws, each determined by its position alone.

    counts: images per source. shares: of each source, summing to 1; a source of share 0 is never drawn.
    windows: order of the sources that are in shards, by source; others are shuffled as a whole. earlier: how often
    endless sources were drawn in the phases before this one, by source.
    """

    counts: tuple[int, ...]
    shares: tuple[float, ...]
    seed: int
    windows: Mapping[int, ReadingOrder] = field(default_factory=dict)
    earlier: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if abs(sum(self.shares) - 1) > 1e-6 or len(self.counts) != len(self.shares):
            raise ValueError(f"shares {self.shares} of {len(self.counts)} sources")
        if any(share < 0 for share in self.shares):
            raise ValueError(f"negative shares {self.shares}")
        if any(share > 0 and not count for count, share in zip(self.counts, self.shares, strict=True)):
            raise ValueError("a source without images cannot have a share")

    def draws(self, start: int, stop: int) -> Iterator[Draw]:
        """Yield the draws at positions start to stop - 1."""
        sources = self._sources(start, stop)
        turns = self.turns_before(start)
        for position, source in enumerate(sources, start=start):
            turn, index = divmod(turns[source], self.counts[source])
            turns[source] += 1
            yield Draw(int(source), self._image(int(source), turn, index), position)

    def _image(self, source: int, turn: int, index: int) -> int:
        if source in self.windows:
            return self.windows[source].image_at(self.seed, source, turn, index)
        return int(_order(self.seed, source, turn, self.counts[source])[index])

    def partner(self, position: int, source: int, *, rng: np.random.Generator) -> int:
        """Sample an image to combine with the one at a position; of a source in shards one of the current window."""
        if source not in self.windows:
            return int(rng.integers(self.counts[source]))
        turn, index = divmod(self.turns_before(position)[source], self.counts[source])
        near = self.windows[source].window_at(self.seed, source, turn, index)
        return int(near[rng.integers(len(near))])

    def shards_ahead(self, position: int, source: int) -> Sequence[int]:
        """Return the shards that a source is read from at a position, and those of the next window."""
        turn, index = divmod(self.turns_before(position)[source], self.counts[source])
        return self.windows[source].shards_ahead(self.seed, source, turn, index)

    def turns_before(self, position: int) -> list[int]:
        """Return how often each source is drawn before a position; endless ones since the start of the training."""
        turns, left, rest = [0] * len(self.shares), position, 1.0
        *others, last = self._active()
        for source in others:
            turns[source] = int(_drawn(np.array([left]), self.shares[source] / rest)[0])
            left, rest = left - turns[source], rest - self.shares[source]
        turns[last] = left
        return [count + self.earlier.get(source, 0) for source, count in enumerate(turns)]

    def _active(self) -> list[int]:
        return [source for source, share in enumerate(self.shares) if share > 0]

    def _sources(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return (stop - start,) the source drawn at each position.

        The first source gets its share of the positions, spread as evenly as possible, the second its share of the
        remaining ones, and so on; so each position can be computed without those before it.
        """
        positions, rest = np.arange(start, stop, dtype=np.int64), 1.0
        *others, last = self._active()
        sources = np.full(stop - start, last)
        open_positions = np.arange(stop - start)
        for source in others:
            share = self.shares[source] / rest
            before = _drawn(positions, share)
            taken = _drawn(positions + 1, share) > before
            sources[open_positions[taken]] = source
            open_positions, positions = open_positions[~taken], (positions - before)[~taken]
            rest -= self.shares[source]
        return sources


@lru_cache(maxsize=16)
def _order(seed: int, source: int, turn: int, count: int) -> NDArray[np.int64]:
    """Return (count,) the order of a source's images in pass `turn`."""
    return stream(seed, TrainingStream.ORDER, source, turn).permutation(count)


def _drawn(positions: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return how many positions before each of `positions` a source of this share gets, up to rounding by 0.5."""
    return np.floor(np.minimum(share, 1.0) * positions + 0.5 - 1e-9).astype(np.int64)


def parse_shares(text: str) -> Shares:
    """Parse shares such as "real:0.2,scatter:0.3". Raises ValueError with the reason if they are invalid."""
    shares: dict[str, float] = {}
    for item in text.split(","):
        name, colon, number = (part.strip() for part in item.partition(":"))
        if not colon or not name:
            raise ValueError(f"{item!r} is not NAME:SHARE")
        try:
            share = float(number)
        except ValueError:
            raise ValueError(f"{number.strip()!r} is not a share of {name}") from None
        if not 0 <= share <= 1:
            raise ValueError(f"the share of {name} must be between 0 and 1")
        if name in shares:
            raise ValueError(f"{name} is given twice")
        shares[name] = share
    if sum(shares.values()) > 1 + 1e-6:
        raise ValueError(f"the shares sum to {sum(shares.values()):g}, more than 1")
    return tuple(shares.items())


def realised(drawn: Mapping[str, int]) -> str:
    """Return the actual mix as text. drawn: number of samples from each source."""
    total = max(sum(drawn.values()), 1)
    return ", ".join(f"{name} {count} ({count / total:.1%})" for name, count in drawn.items())
