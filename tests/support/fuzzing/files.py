"""Broken files for fuzzing: valid ones with bytes, words or values changed; and the folder they are read in."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

# Name inside the folder -> content. The first one is what is read; the others lie beside it.
Files = dict[str, bytes]
# So long nothing takes that ends: what is waited for are endless loops.
HANG_S = 60


class HangError(BaseException):
    """Reading did not end. No Exception, so that nothing that is tested takes it for a mistake of the file."""


@contextmanager
def deadline(seconds: int = HANG_S) -> Iterator[None]:
    """Raises HangError inside what takes longer."""

    def ring(number: int, frame: object) -> None:
        raise HangError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Sandbox:
    """A folder for one input. inside: where its files are written; out: the only place where anything may appear."""

    root: Path

    @property
    def inside(self) -> Path:
        return self.root / "in"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def write(self, files: Mapping[str, bytes]) -> Path:
        """Lays the files out; returns the first one's path."""
        for name, data in files.items():
            path = self.inside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return self.inside / next(iter(files))


@contextmanager
def sandbox(root: Path) -> Iterator[Sandbox]:
    """A fresh sandbox; fails if, once left, anything but `out` holds other files than were laid out at the start."""
    box = Sandbox(root)
    for folder in (box.inside, box.out):
        folder.mkdir(parents=True)
    here = Path.cwd()
    os.chdir(box.out)  # what is written to a relative path shows as well
    try:
        with deadline():
            yield box
    finally:
        os.chdir(here)


def listing(box: Sandbox) -> dict[str, int]:
    """Everything in a sandbox but in `out`, with sizes."""
    return {
        str(file.relative_to(box.root)): file.lstat().st_size
        for file in sorted(box.root.rglob("*"))
        if not file.is_relative_to(box.out) and not file.is_dir()
    }


@contextmanager
def nothing_written(box: Sandbox) -> Iterator[None]:
    """Fails where files appeared, vanished or changed size outside `out`."""
    before = listing(box)
    yield
    assert listing(box) == before


NUMBERS = (0, 1, -1, 2, 3, 127, 255, 256, 65535, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
WORDS = (
    *(
        "nan",
        "inf",
        "-inf",
        "1e308",
        "-1e308",
        "1e-320",
        "1e30",
        "0",
        "-1",
        "99999999999999999999",
        "4294967295",
        "0.5",
    ),
    *(
        "",
        " ",
        "\n",
        "\r",
        "\0",
        "'",
        '"',
        "<",
        ">",
        "/",
        "//",
        "..",
        "../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
    ),
    *("x" * 3000, "\u202e", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "#", "%00", "data:,"),
    *("true", "null", "[[[[", "{}", "file:///dev/zero", "http://localhost/x.png", "a b c", "=1+1", "é", "é"),
)


@st.composite
def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes cut off, flipped, left out, doubled or overwritten at up to four places."""
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        place = draw(st.integers(0, len(data) - 1))
        length = draw(st.integers(1, 40))
        kind = draw(st.sampled_from(["cut", "flip", "drop", "double", "number", "junk", "zeros"]))
        if kind == "cut":
            data = data[:place]
        elif kind == "flip":
            data = data[:place] + bytes([data[place] ^ (1 << draw(st.integers(0, 7)))]) + data[place + 1 :]
        elif kind == "drop":
            data = data[:place] + data[place + length :]
        elif kind == "double":
            data = data[: place + length] + data[place:]
        elif kind == "number":
            number = draw(st.sampled_from(NUMBERS))
            order = draw(st.sampled_from(["little", "big"]))
            data = data[:place] + (number % 2**32).to_bytes(4, order) + data[place + 4 :]  # type: ignore[arg-type]
        elif kind == "junk":
            data = data[:place] + draw(st.binary(max_size=20)) + data[place:]
        else:
            data = data[:place] + bytes(length) + data[place + length :]
    return data


@st.composite
def changed_words(draw: st.DrawFn, data: bytes) -> bytes:
    """A text of which up to four words were replaced, left out or repeated."""
    words = re.split(rb"([\s,;:\"=<>/]+)", data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(words) - 1))
        new = draw(st.one_of(st.sampled_from(WORDS), st.just(None), st.text(max_size=6)))
        words[place] = words[place] * 2 if new is None else new.encode("utf-8", "surrogatepass")
    return b"".join(words)


# Stands for a nest of lists, which Python's writer refuses to write but a file can hold.
DEEP = "deep "
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [0, -1, 1, 2, 3, 0.5, 8192, 2**31, 2**63, -(2**63) - 1, 10**400, -(10**400), 1e308, -1e308, 1e-320]
    ),
    st.integers(),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=8),
    st.sampled_from([f"{DEEP}20", f"{DEEP}900", f"{DEEP}9000", [1] * 1500, {"a": 1}, [], {}]),
    st.lists(st.integers() | st.floats() | st.text(max_size=3) | st.none(), max_size=8),
    st.lists(st.lists(st.integers(-(10**9), 10**9) | st.floats(), max_size=9), max_size=4),
)
GONE = object()
Place = tuple[str | int, ...]


def places_in(value: Any, here: Place = ()) -> list[Place]:
    """The way to every value inside a tree of dicts and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([here] if here else []), *(place for key, part in inner for place in places_in(part, (*here, key)))]


@st.composite
def changed_json(draw: st.DrawFn, data: bytes, odd: st.SearchStrategy[Any] = ODD) -> bytes:
    """A JSON text of which up to three values were replaced by others of any kind, moved or taken out."""
    tree = json.loads(data)
    places = places_in(tree)
    for way in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
        parent, value = tree, draw(st.just(GONE) | odd)
        try:
            for key in way[:-1]:
                parent = parent[key]
            if value is GONE:
                del parent[way[-1]]
            elif isinstance(parent, dict | list):
                parent[way[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    text = json.dumps(tree)
    return re.sub(f'"{DEEP}([0-9]+)"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), text).encode()


def broken(data: bytes, *more: Callable[[bytes], st.SearchStrategy[bytes]]) -> st.SearchStrategy[bytes]:
    """A file broken in any of the ways: by bytes, by words, and by `more`."""
    return st.one_of(*(way(data) for way in (changed_bytes, *more)))


def run_command(*words: str) -> int:
    """The exit code of a `synth` command; fails where it ends with anything but 0, 1 or click's 2, or without words."""
    from click.testing import CliRunner

    from pipeline.cli.main import main

    result = CliRunner().invoke(main, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2)
    assert result.exit_code == 0 or result.output.strip()
    assert "Traceback" not in result.output
    return result.exit_code
