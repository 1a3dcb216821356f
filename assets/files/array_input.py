"""Reading of untrusted NumPy arrays: headers are checked first, so no more memory is allocated than the file holds."""

from __future__ import annotations

import io
import math
import zipfile
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.limits import ARRAY_BYTES


def read_arrays(data: bytes, what: str, where: str, hint: str | None = None) -> dict[str, NDArray]:
    """Read the arrays of an .npz by name, without pickle. Raises SynthError if it is invalid, damaged or too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            ARRAY_BYTES.check(sum(member.file_size for member in archive.infolist()), where)
            found = {}
            for member in archive.infolist():
                with archive.open(member) as file:
                    found[member.filename.removesuffix(".npy")] = _read_array(file, member.file_size)
            return found
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError, TypeError) as error:
        found_text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise SynthError(
            f"{what} cannot be read", code="arrays-unreadable", where=where, found=found_text, hint=hint
        ) from error


def check_array(array: NDArray | None, kind: type[np.generic], *sides: int | None) -> NDArray:
    """Return the array if it has this dtype and shape (None: any length). Raises ValueError with the actual ones."""
    if array is None:
        raise ValueError("an array is missing")
    expected = " x ".join("N" if side is None else str(side) for side in sides)
    fits = array.ndim == len(sides) and all(
        side is None or side == length for side, length in zip(sides, array.shape, strict=True)
    )
    if array.dtype != kind or not fits:
        shape = " x ".join(map(str, array.shape)) or "a single"
        raise ValueError(f"an array of {shape} {array.dtype}, expected {expected} {np.dtype(kind)}")
    return array


def _read_array(file: IO[bytes], size: int) -> NDArray:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError(f"an array of {dtype}")
    content = file.read(size)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(content)} bytes for {shape} {dtype}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
