"""The plan of a training: phases with mixes and learning rates, known at every step without what was before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from assets.errors import SynthError
from detectors.data.mix import Draw, Mix, Windows

ScheduleName = Literal["mix", "finetune", "mix+finetune", "adapt"]
# "adapt" is fine-tuning alone, from a trained detector.
SCHEDULES = ("mix", "finetune", "mix+finetune", "adapt")
# Fine-tuning at the full rate forgets what the synthetic images taught.
FINETUNE_RATE = 0.1
LONGEST_WARM_UP = 500
WARM_UP_SHARE = 0.1
# The cosine ends here, not at zero, so that the last epoch still learns.
LAST_RATE = 0.02


@dataclass(frozen=True)
class Phase:
    """steps: batches. shares: of each source. rate: factor on the learning rate."""

    name: str
    steps: int
    shares: tuple[float, ...]
    rate: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """Phases in their order. counts: images of each source. samples: drawn per step by all processes together.

    windows: of the sources that lie in shards, by their place.
    """

    phases: tuple[Phase, ...]
    counts: tuple[int, ...]
    samples: int
    steps_per_epoch: int
    seed: int
    windows: Mapping[int, Windows] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """The phase of a step, and the step that it begins at."""
        start = 0
        for phase in self.phases:
            if step < start + phase.steps:
                return phase, start
            start += phase.steps
        return self.phases[-1], start - self.phases[-1].steps

    def shares_at(self, position: int) -> tuple[float, ...]:
        """The mix that sample `position` is drawn by."""
        return self.phase_at(position // self.samples)[0].shares

    def draws(self, first: int, last: int) -> Iterator[Draw]:
        """The samples at positions first to last - 1; a batch lies in one phase."""
        mix, offset = self.mix_at(first)
        for draw in mix.draws(first - offset, last - offset):
            yield draw._replace(position=draw.position + offset)

    def mix_at(self, position: int) -> tuple[Mix, int]:
        """The mix of the phase that sample `position` lies in, and the position that the phase begins at."""
        phase, start = self.phase_at(position // self.samples)
        number = self.phases.index(phase)
        return Mix(self.counts, phase.shares, self.seed + number, self.windows), start * self.samples

    def rate_at(self, step: int) -> float:
        """Factor on the learning rate: linear warm-up, then a cosine, within each phase (Loshchilov & Hutter 2017)."""
        phase, start = self.phase_at(step)
        done = step - start
        warm = max(1, min(LONGEST_WARM_UP, round(WARM_UP_SHARE * phase.steps)))
        if done < warm:
            return phase.rate * (done + 1) / (warm + 1)
        way = (done - warm) / max(1, phase.steps - warm)
        return phase.rate * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(way, 1.0))))


def finetune_shares(shares: tuple[float, ...], replay: float) -> tuple[float, ...]:
    """Mostly the last source (the real one), and `replay` of the others in the proportions of `shares`."""
    others = sum(shares[:-1])
    if not others or not replay:
        return (*([0.0] * (len(shares) - 1)), 1.0)
    return (*(replay * share / others for share in shares[:-1]), 1.0 - replay)


def without_real(shares: tuple[float, ...]) -> tuple[float, ...]:
    """The synthetic sources alone, in their proportions. Raises SynthError where they have no share at all."""
    others = sum(shares[:-1])
    if not others:
        raise SynthError(
            "the mix has no share of synthetic images to start with",
            code="mix-invalid",
            hint="change --mix or --schedule",
        )
    return (*(share / others for share in shares[:-1]), 0.0)
