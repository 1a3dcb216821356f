"""Tar files whose headers lie: told at once, whatever they say of sizes, places and kinds."""

from __future__ import annotations

import io
import signal
import struct
import tarfile
from collections.abc import Iterator
from types import FrameType

import pytest

from dataset.shards.tar import samples_of
from support.errors import raises

SECONDS = 20


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """A test that never ends fails."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it takes for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header, with a negative size as GNU tar would write it."""
    member = tarfile.TarInfo(name)
    member.type = kind
    data = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    data[124:136] = struct.pack(">i", -1) + struct.pack(">q", size) if size < 0 else f"{size:011o}\0".encode()
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data):06o}\0 ".encode()
    return bytes(data)


def pax(records: bytes, name: str = "pax") -> bytes:
    return header(name, len(records), tarfile.XHDTYPE) + records.ljust(-(-len(records) // 512) * 512, b"\0")


def record(key: str, value: str) -> bytes:
    text = f" {key}={value}\n"
    length = next(n for n in range(1, 99) if n == len(str(n)) + len(text))
    return f"{length}{text}".encode()


GOOD = header("1.json", 2) + b"{}".ljust(512, b"\0")
END = bytes(1024)
HOSTILE = {
    "back to itself": header("1.jpg", -512),
    "back to the first": GOOD + header("1.jpg", -2048),
    "far back": GOOD + header("1.jpg", -(2**40)),
    "a long name of a negative size": header("././@LongLink", -512, tarfile.GNUTYPE_LONGNAME) + GOOD,
    "negative by an extended header": pax(record("size", "-1024")) + header("1.jpg", 0),
    "not a number": pax(record("size", "x")) + header("1.jpg", 0),
    "headers upon headers": pax(record("comment", "x")) * 4000 + GOOD,
    "a sparse file": header("1.jpg", 512, tarfile.GNUTYPE_SPARSE) + bytes(512),
    "a sparse file by an extended header": pax(record("GNU.sparse.map", "0,-5,1,-9")) + header("1.jpg", 0),
    "beyond the end": header("1.jpg", 2**40),
    "a link": header("1.jpg", 0, tarfile.SYMTYPE),
    "a device": header("1.jpg", 0, tarfile.CHRTYPE),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_lies_of_headers_are_told(data: bytes) -> None:
    with raises("shard-damaged", "shard-labels-damaged"):
        list(samples_of(data + END, "x.tar"))
    with raises("shard-damaged", "shard-labels-damaged"):
        list(samples_of(data + GOOD + END, "x.tar"))


def test_headers_made_here_are_headers() -> None:
    with tarfile.open(fileobj=io.BytesIO(GOOD + END)) as tar:
        assert [(one.name, one.size) for one in tar] == [("1.json", 2)]
