"""One independent random stream per (seed, scene, purpose), so that a new draw for the lights never moves a camera."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of the data's identity: never reuse or change one."""

    COUNT = 0
    DECK = 1
    LAYOUT = 2
    CAMERA = 3
    LIGHTS = 4
    FINISH = 5
    BACKGROUND = 6
    SENSOR = 7
    PROPS = 8
    TABLE = 9


@dataclass(frozen=True)
class Streams:
    """The streams of one view of one scene."""

    seed: int
    index: int
    view: int = 0

    def scene(self, purpose: Purpose) -> np.random.Generator:
        """A generator that all views of the scene share (a fresh one, at its start)."""
        return np.random.default_rng([self.seed, self.index, int(purpose)])

    def of_view(self, purpose: Purpose) -> np.random.Generator:
        """A generator of this view alone."""
        return np.random.default_rng([self.seed, self.index, int(purpose), 1 + self.view])
