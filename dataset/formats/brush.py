"""Run lengths of Label Studio's brushes: bits of a four-channel image whose last channel is the mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CHANNELS = 4
# Bits of the header: count of values, bits of a value less one, and of the four kinds of lengths less one each.
COUNT, SIDE, LENGTH = 32, 5, 4


def decode_brush(codes: Sequence[object], height: int, width: int) -> NDArray[np.bool_] | None:
    """Decode run lengths into a mask (height, width) bool; None if they do not fill the image.

    codes: bytes. After the header come blocks: a bit that says whether one value is repeated, two bits that choose the
    length's size, the length less one, and one value or as many as the block is long.
    """
    if not all(isinstance(code, int) and 0 <= code < 256 for code in codes):
        return None
    reader = _Bits(bytes(codes))  # type: ignore[arg-type]
    count = reader.take(COUNT)
    if count != height * width * CHANNELS:
        return None
    bits = reader.take(SIDE) + 1
    sizes = [reader.take(LENGTH) + 1 for _ in range(4)]
    marked = np.zeros(count, bool)
    place = 0
    while place < count:
        repeated = reader.take(1)
        end = place + reader.take(sizes[reader.take(2)]) + 1
        if end > count or reader.ended:
            return None
        values = [reader.take(bits) > 0] if repeated else [reader.take(bits) > 0 for _ in range(end - place)]
        marked[place:end] = values
        place = end
    return None if reader.ended else marked.reshape(height, width, CHANNELS)[..., -1]


class _Bits:
    """Numbers from a string of bits, the highest first; zeros after its end."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._place = np.unpackbits(np.frombuffer(data, np.uint8)), 0

    @property
    def ended(self) -> bool:
        """Whether more was taken than there is."""
        return self._place > len(self._bits)

    def take(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        part = self._bits[self._place : self._place + count]
        self._place += count
        number = 0
        for bit in part.tolist():
            number = number << 1 | bit
        return number << (count - len(part))
