"""The order in which a training uses the images of a stream: a sliding window in which each is used several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SlidingOrder:
    """An endless order without chance, as the scenes are random already: image i is used at i, i + stride, ...

    Draws come in groups: group g brings image g and repeats images g - stride, g - 2 stride, ..., so that each image is
    used `reuse` times, evenly spread over the time that it stays in memory. In the first groups there is less to repeat
    and rendering limits the rate. Shards are single images.

    kept: newest images that may be read, at least `reuse` x `stride`. margin: images that are rendered ahead of their
    use, and older ones that are kept longer, as threads that read do not keep step.
    """

    reuse: int
    stride: int
    kept: int
    margin: int
    endless: ClassVar[bool] = True

    def image_at(self, seed: int, source: int, turn: int, index: int) -> int:
        """Return the image of draw `index`; nothing else matters."""
        group, repeat = self._group_at(index)
        return group - repeat * self.stride

    def window_at(self, seed: int, source: int, turn: int, index: int) -> NDArray[np.int64]:
        """Return the images in use at draw `index`, the newest last."""
        group, _ = self._group_at(index)
        return np.arange(max(group + 1 - self.kept, 0), group + 1)

    def shards_ahead(self, seed: int, source: int, turn: int, index: int) -> range:
        """Return the images to keep in memory at draw `index`, those to render next included."""
        group, _ = self._group_at(index)
        return range(max(group + 1 - self.kept - self.margin, 0), group + 1 + self.margin)

    def _group_at(self, index: int) -> tuple[int, int]:
        """Return the group of a draw, and its number in that group.

        Groups p stride to (p + 1) stride - 1 have p + 1 draws each, from p = reuse - 1 on `reuse` draws.
        """
        repeats = 0
        before = 0
        while repeats < self.reuse - 1 and index >= before + self.stride * (repeats + 1):
            before += self.stride * (repeats + 1)
            repeats += 1
        group, repeat = divmod(index - before, repeats + 1)
        return repeats * self.stride + group, repeat
