"""Size check of untrusted HDRIs by header: OpenCV allocates whatever a header claims."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from assets.errors import SynthError
from assets.limits import HDRI_BYTES, HDRI_PIXELS, check_file

# Headers are some hundred bytes; more cannot be just a header.
MAX_HEADER = 1 << 16
EXR_MAGIC = 20000630


def check_hdri(file: Path) -> None:
    """Raise SynthError if an HDRI is not a regular file, or its header has no size or one beyond the limit."""
    check_file(file, HDRI_BYTES, "the HDRI")
    try:
        with file.open("rb") as stream:
            start = stream.read(MAX_HEADER)
        width, height = _exr_size(start) if file.suffix.lower() == ".exr" else _radiance_size(start)
    except (OSError, ValueError, IndexError, struct.error) as error:
        expected = "a Radiance .hdr or OpenEXR file"
        raise SynthError(
            "the HDRI cannot be read", code="hdri-unreadable", where=str(file), found=str(error), expected=expected
        ) from error
    HDRI_PIXELS.check(width * height, str(file))


def _radiance_size(start: bytes) -> tuple[int, int]:
    """Read the size from the last header line of Radiance: "-Y height +X width", or a rotated or mirrored variant."""
    found = re.search(rb"^[-+][XY] ([0-9]{1,9}) [-+][XY] ([0-9]{1,9})\r?$", start, re.MULTILINE)
    if not start.startswith(b"#?") or found is None:
        raise ValueError("no Radiance header")
    return int(found[2]), int(found[1])


def _exr_size(start: bytes) -> tuple[int, int]:
    """Read the size from OpenEXR's attributes (name, kind, size, value); dataWindow has the first and last pixel."""
    if struct.unpack_from("<i", start)[0] != EXR_MAGIC:
        raise ValueError("no OpenEXR header")
    offset = 8
    while start[offset] != 0:
        name, kind, rest = start[offset:].split(b"\0", maxsplit=2)
        size = struct.unpack_from("<i", rest)[0]
        value = offset + len(name) + len(kind) + 2 + 4
        if name == b"dataWindow" and kind == b"box2i":
            left, top, right, bottom = struct.unpack_from("<4i", start, value)
            if right < left or bottom < top:
                raise ValueError("an empty data window")
            return right - left + 1, bottom - top + 1
        if size < 0:
            raise ValueError("an attribute of negative size")
        offset = value + size
    raise ValueError("no data window")
