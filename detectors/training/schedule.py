"""The schedule of a training: phases with data mixes and learning rates, computed for any step without history."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from assets.errors import SynthError
from detectors.data.mix import Draw, Mix, ReadingOrder

ScheduleName = Literal["mix", "finetune", "mix+finetune", "adapt"]
# "adapt" is fine-tuning alone, from a trained detector.
SCHEDULES = ("mix", "finetune", "mix+finetune", "adapt")
# Fine-tuning at the full learning rate forgets what was learned from synthetic images.
FINETUNE_RATE = 0.1
LONGEST_WARM_UP = 500
WARM_UP_SHARE = 0.1
# Final factor of the cosine decay; not zero, so that the last epoch still learns.
LAST_RATE = 0.02


@dataclass(frozen=True)
class Phase:
    """A part of a training. steps: batches. shares: mix of the sources. rate: factor on the learning rate."""

    name: str
    steps: int
    shares: tuple[float, ...]
    rate: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """The phases of a training. counts: images per source. samples: per step, over all processes.

    windows: order of the sources that cannot be read in any order, by index of the source.
    """

    phases: tuple[Phase, ...]
    counts: tuple[int, ...]
    samples: int
    steps_per_epoch: int
    seed: int
    windows: Mapping[int, ReadingOrder] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """Return the phase of a step, and the first step of that phase."""
        start = 0
        for phase in self.phases:
            if step < start + phase.steps:
                return phase, start
            start += phase.steps
        return self.phases[-1], start - self.phases[-1].steps

    def shares_at(self, position: int) -> tuple[float, ...]:
        """Return the shares of the sources at sample `position`."""
        return self.phase_at(position // self.samples)[0].shares

    def draws(self, first: int, last: int) -> Iterator[Draw]:
        """Yield the draws at positions first to last - 1, which must lie in one phase, as those of a batch do."""
        mix, offset = self.mix_at(first)
        for draw in mix.draws(first - offset, last - offset):
            yield draw._replace(position=draw.position + offset)

    def mix_at(self, position: int) -> tuple[Mix, int]:
        """Return the mix of the phase of sample `position`, and the first position of that phase."""
        phase, start = self.phase_at(position // self.samples)
        return self._mix_of(self.phases.index(phase)), start * self.samples

    def _mix_of(self, number: int) -> Mix:
        """Return the mix of a phase, in which endless sources continue where the phase before ended."""
        earlier: dict[int, int] = {}
        endless = [source for source, order in self.windows.items() if order.endless]
        if number and endless:
            before = self._mix_of(number - 1).turns_before(self.phases[number - 1].steps * self.samples)
            earlier = {source: before[source] for source in endless}
        return Mix(self.counts, self.phases[number].shares, self.seed + number, self.windows, earlier)

    def rate_at(self, step: int) -> float:
        """Return the factor on the learning rate: warm-up and cosine decay per phase (Loshchilov and Hutter 2017)."""
        phase, start = self.phase_at(step)
        done = step - start
        warm = max(1, min(LONGEST_WARM_UP, round(WARM_UP_SHARE * phase.steps)))
        if done < warm:
            return phase.rate * (done + 1) / (warm + 1)
        way = (done - warm) / max(1, phase.steps - warm)
        return phase.rate * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(way, 1.0))))


def finetune_shares(shares: tuple[float, ...], replay: float) -> tuple[float, ...]:
    """Return shares of `replay` for the synthetic sources, split as in `shares`, and the rest for the real one."""
    others = sum(shares[:-1])
    if not others or not replay:
        return (*([0.0] * (len(shares) - 1)), 1.0)
    return (*(replay * share / others for share in shares[:-1]), 1.0 - replay)


def without_real(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return the shares of the synthetic sources alone, scaled to 1. Raises SynthError if all of them are 0."""
    others = sum(shares[:-1])
    if not others:
        raise SynthError(
            "the mix has no synthetic images to start with",
            code="mix-invalid",
            hint="change --mix or --schedule",
        )
    return (*(share / others for share in shares[:-1]), 0.0)
