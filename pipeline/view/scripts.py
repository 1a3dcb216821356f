"""Data of the pages as scripts: pages on disk may not read other files, but may load scripts."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.files.atomic import write_atomic


def script_of(key: str, content: Any) -> bytes:
    """Return a script that hands `content` to the page under a key.

    All text is ASCII without "<": nothing in it can end a script or begin markup, wherever it is put.
    """
    text = json.dumps([key, content], ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return f"SynthView.add(...{text.replace('<', chr(92) + 'u003c')});\n".encode("ascii")


def write_script(path: Path, key: str, content: Any) -> None:
    """Write such a script atomically."""
    write_atomic(path, script_of(key, content))


def packed(values: NDArray[Any]) -> str:
    """Return an array as base64 of its little-endian numbers, which a browser reads twenty times faster than text."""
    return base64.b64encode(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()).decode()
