"""Random streams: one per (seed, scene, purpose), so that a new draw for the lights never moves a camera.

Streams have a version, which every scene and data set records. Version 1 ignored the SKU list, so that two lists with
one seed had the same lights and tables scene by scene; since version 2 the list's hash is part of every stream.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

# Version for new data sets; all earlier ones are supported.
STREAMS = 2


class StreamPurpose(IntEnum):
    """Purpose of a stream. The numbers are part of the data's identity: never reuse or change one."""

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
    REPEATS = 10
    STACKS = 11
    RECIPE = 12
    OPTICS = 13
    CHANGES = 14
    UNTIDY = 15
    FIXTURES = 16
    TALKERS = 17
    HOOKS = 18


@dataclass(frozen=True)
class Streams:
    """Streams of one view of one scene. salt: of the SKU list (`salt_of`); None for version 1."""

    seed: int
    index: int
    view: int = 0
    salt: int | None = None

    @property
    def version(self) -> int:
        """Version of the streams."""
        return 1 if self.salt is None else 2

    def scene(self, purpose: StreamPurpose) -> np.random.Generator:
        """Return a new generator at its start that is the same for all views of the scene."""
        return np.random.default_rng([*self._start, self.index, int(purpose)])

    def of_view(self, purpose: StreamPurpose) -> np.random.Generator:
        """Return a new generator for this view alone."""
        return np.random.default_rng([*self._start, self.index, int(purpose), 1 + self.view])

    @property
    def _start(self) -> list[int]:
        return [self.seed] if self.salt is None else [self.salt, self.seed]


def salt_of(catalog_hash: str) -> int:
    """Return the 63-bit number by which a SKU list, known by its hash, enters the streams of its scenes."""
    return int.from_bytes(hashlib.sha256(catalog_hash.encode()).digest()[:8], "big") >> 1
