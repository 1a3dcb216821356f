"""Safe reading of untrusted tensor files: type, size and structure are checked before torch reads them.

torch.load(weights_only=True) runs no code, but it builds whatever the file asks for: lists of a hundred million
entries, nested tuples that take forever to hash, archives that unpack to a thousand times their size.
"""

from __future__ import annotations

import io
import pickletools
import struct
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from assets.errors import SynthError
from assets.limits import (
    TENSOR_FILE_BYTES,
    TENSOR_FILE_DIRECTORY,
    TENSOR_FILE_STEPS,
    TENSOR_FILE_STRUCTURE,
    TENSOR_FILE_TUPLES,
    Limit,
    check_file,
)

# The pickled part of torch's archive; everything else in it is tensor data.
STRUCTURE = "data.pkl"
# Pickles at the start of files of torch before 1.6: magic number, version, system, content, keys. Data follow.
OLD_PICKLES = 5
ZIP_START, ZIP_END, ZIP64_LOCATOR = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07"


def read_tensor_file(path: Path, what: str, expected: str | None = None) -> Any:
    """Load a file written by torch.save, with its tensors on the CPU.

    Uses memory for the file itself and up to 1 GB for its structure. what: "the checkpoint" or similar, for messages.
    Raises SynthError unless it is a regular file within the limits that torch reads without running code.
    """
    check_file(path, TENSOR_FILE_BYTES, what)
    try:
        if _is_archive(path):
            _check_archive(path, what)
        else:
            _check_old_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tensor types that are rejected later
            return torch.load(path, map_location="cpu", weights_only=True)
    except SynthError:
        raise
    except Exception as error:  # torch, zipfile and pickle raise many types
        raise _unreadable(path, what, error, expected) from error


def read_safetensors(path: Path, what: str) -> dict[str, Tensor]:
    """Load the tensors of a .safetensors file. Raises SynthError if it is too large or invalid."""
    from safetensors.torch import load_file

    check_file(path, TENSOR_FILE_BYTES, what)
    try:
        with path.open("rb") as file:
            head = int.from_bytes(file.read(8), "little")
        TENSOR_FILE_DIRECTORY.check(head, str(path))
        return dict(load_file(path))
    except SynthError:
        raise
    except Exception as error:  # types of safetensors, and of torch for unsupported dtypes
        raise _unreadable(path, what, error) from error


def _unreadable(path: Path, what: str, error: Exception, expected: str | None = None) -> SynthError:
    found = f"{type(error).__name__}: {str(error).split('. ')[0][:300]}"
    return SynthError(
        f"{what} cannot be read", code="tensor-file-unreadable", where=str(path), found=found, expected=expected
    )


def _is_archive(path: Path) -> bool:
    """Return whether a file is an archive, decided like torch by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(ZIP_START)) == ZIP_START


def is_plain_tensor(value: Any) -> bool:
    """Return whether a value is a dense, unquantized CPU tensor and not of a tensor subclass."""
    return (
        type(value) in (Tensor, torch.nn.Parameter)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _check_archive(path: Path, what: str) -> None:
    """Raise SynthError for an archive that would unpack to more than its size, or whose structure is too large."""
    where = str(path)
    with path.open("rb") as file:
        TENSOR_FILE_DIRECTORY.check(_directory_bytes(file), where)
        size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        # torch stores without compression. The data of overlapping entries would be read once per entry.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise SynthError(
                f"{what} cannot be read", code="tensor-file-unreadable", where=where, found="a compressed archive"
            )
        if sum(entry.file_size for entry in entries) > size:
            raise SynthError(
                f"{what} cannot be read",
                code="tensor-file-unreadable",
                where=where,
                found="overlapping entries",
            )
        for entry in entries:
            if entry.filename.lower().endswith(STRUCTURE):
                TENSOR_FILE_STRUCTURE.check(entry.file_size, where)
                check_pickle(io.BytesIO(archive.read(entry)), where)


def _directory_bytes(file: IO[bytes]) -> int:
    """Return the size in bytes of a zip archive's directory, which zipfile reads completely when opening it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    end = tail.rfind(ZIP_END)
    if end < 0 or len(tail) < end + 22:
        return 0
    (found,) = struct.unpack_from("<L", tail, end + 12)
    if end >= 20 and tail[end - 20 : end - 16] == ZIP64_LOCATOR:
        (place,) = struct.unpack_from("<Q", tail, end - 12)
        file.seek(min(place, size))
        record = file.read(56)
        found = max(found, struct.unpack_from("<Q", record, 40)[0]) if len(record) == 56 else size
    return int(found)


def _check_old_file(path: Path) -> None:
    """Raise SynthError if the pickles at the start of a file in the old format are too large."""
    with path.open("rb") as file:
        for _ in range(OLD_PICKLES):
            check_pickle(file, str(path))
            TENSOR_FILE_STRUCTURE.check(file.tell(), str(path))


def check_pickle(file: IO[bytes], where: str) -> None:
    """Walk through the pickle at the file's current position without building anything.

    Raises SynthError for more steps than the limit and for nested tuples that expand to too many values; ValueError
    if it is not a pickle.
    """
    limits = _Counts(where)
    for opcode, argument, _ in pickletools.genops(file):
        limits.take(opcode, argument)


class _Counts:
    """Counts of a pickle so far: steps, and the number of values that each entry of its stack expands to."""

    def __init__(self, where: str) -> None:
        self._where, self._steps = where, 0
        self._stack: list[int] = []
        self._marks: list[int] = []
        self._memo: dict[int, int] = {}

    def take(self, opcode: Any, argument: Any) -> None:
        """Count one step. Tuples matter because hashing one visits all nested values, shared ones each time."""
        self._steps += 1
        _check(TENSOR_FILE_STEPS, self._steps, self._where)
        name = opcode.name
        if name == "MARK":
            self._marks.append(len(self._stack))
        elif name.endswith("BINPUT"):
            self._memo[argument] = self._stack[-1] if self._stack else 1
        elif name.endswith("BINGET"):
            self._stack.append(self._memo.get(argument, 1))
        else:
            values = self._pop(opcode)
            if name.startswith("TUPLE"):
                _check(TENSOR_FILE_TUPLES, 1 + sum(values), self._where)
                self._stack.append(1 + sum(values))
            else:
                self._stack += [1] * len(opcode.stack_after)

    def _pop(self, opcode: Any) -> list[int]:
        before = opcode.stack_before
        if pickletools.markobject in before:
            place = self._marks.pop() if self._marks else 0
            place = max(0, place - before.index(pickletools.markobject))
        else:
            place = max(0, len(self._stack) - len(before))
        values, self._stack[place:] = self._stack[place:], []
        return values


def _check(limit: Limit, found: int, where: str) -> None:
    if found > limit.maximum:  # checked here first, because this runs a million times
        limit.check(found, where)
