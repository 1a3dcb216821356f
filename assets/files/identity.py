"""What files hold, as digests: read once, then remembered by size, time of change and inode.

A training, a render or a gallery knows by them that its data are still those that it began with. The memory lies in the
cache folder; one that cannot be had costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from assets.machine import usable_cores

# A file changed this shortly ago may change again within one tick of its clock: not remembered.
SETTLED_NS = 2_000_000_000
MEMORY = "file-identity-1.sqlite"
FILES = (
    "CREATE TABLE IF NOT EXISTS files (folder TEXT, name TEXT, bytes INT, changed_ns INT, inode INT, digest TEXT, "
    "PRIMARY KEY (folder, name)) WITHOUT ROWID"
)
CHECKS = "CREATE TABLE IF NOT EXISTS checks (name TEXT PRIMARY KEY, states TEXT) WITHOUT ROWID"
MISSING = ""
MAX_NAMED = 5
State = tuple[int, int, int]


def cache_folder() -> Path:
    """The folder that keeps what was made or found out once."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "synth"


def digest_files(files: Sequence[Path], *, cache: Path | None = None) -> list[str]:
    """SHA-256 of each file, MISSING for what cannot be read or is no regular file; cold about as fast as the disk.

    cache: folder of the memory, by default the usual one.
    """
    memory = (cache or cache_folder()) / MEMORY
    # As text: with 300,000 of them, objects of pathlib would take longer than everything else.
    here = os.fspath(Path.cwd())
    paths = [text if text.startswith("/") else f"{here}/{text}" for text in map(os.fspath, files)]
    parts = [path.rpartition("/")[::2] for path in paths]
    known = _remembered(memory, {folder for folder, _ in parts})
    states = [_state(path) for path in paths]
    digests = [_known_digest(known, *part, state) for part, state in zip(parts, states, strict=True)]
    unread = [place for place, digest in enumerate(digests) if digest is None]
    if not unread:
        return [digest or MISSING for digest in digests]
    settled = time.time_ns() - SETTLED_NS
    fresh = []
    with ThreadPoolExecutor(2 * usable_cores()) as pool:
        read = pool.map(_sha256, (paths[place] for place in unread))
        for place, digest in zip(unread, read, strict=True):
            digests[place], state = digest, states[place]
            # A file that changed while it was read has a digest that belongs to no state.
            if digest and state and state[1] < settled and _state(paths[place]) == state:
                fresh.append((*parts[place], *state, digest))
    _write(memory, FILES, "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", fresh)
    return [digest or MISSING for digest in digests]


def check_once(
    groups: Mapping[str, Sequence[Path]], check: Callable[[str], list[str]], *, cache: Path | None = None
) -> list[str]:
    """What `check` finds wrong with groups of files, each of which is checked again only once a file of it has changed.

    groups: files by what the group is known by, such as a digest. Groups with problems are checked every time.
    """
    memory = (cache or cache_folder()) / MEMORY
    # By place, since copies of a gallery have parts of one name.
    places = {name: f"{name} {files[0].absolute()}" for name, files in groups.items()}
    states = {places[name]: json.dumps([_state(file) for file in files]) for name, files in groups.items()}
    good = _checked(memory, states)
    left = [name for name, place in places.items() if place not in good]
    if not left:
        return []
    begun = time.time_ns() - SETTLED_NS
    with ThreadPoolExecutor(2 * usable_cores()) as pool:
        found = dict(zip(left, pool.map(check, left), strict=True))
    right = [places[name] for name, problems in found.items() if not problems and _settled(groups[name], begun)]
    rows = [(place, states[place]) for place in right]
    _write(memory, CHECKS, "INSERT OR REPLACE INTO checks VALUES (?, ?)", rows)
    return [problem for problems in found.values() for problem in problems]


def _settled(files: Sequence[Path], before: int) -> bool:
    states = [_state(file) for file in files]
    return all(state is not None and state[1] < before for state in states)


def describe_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What has become of files, by name and digest: "3 changed: a.jpg, b.jpg, c.jpg", the same of new and gone ones."""
    kinds = {
        "changed": sorted(name for name in before.keys() & now.keys() if before[name] != now[name] != MISSING),
        "missing": sorted(name for name in before if now.get(name, MISSING) == MISSING != before[name]),
        "new": sorted(now.keys() - before.keys()),
    }
    return [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names]


def write_listing(digests: Mapping[str, str]) -> bytes:
    """Digests by name as `sha256sum` writes and checks them; names with line breaks are left out, as it cannot."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()) if "\n" not in name).encode(
        errors="surrogateescape"
    )


def read_listing(data: bytes) -> dict[str, str]:
    """What `write_listing` wrote."""
    rows = (line.partition("  ") for line in data.decode(errors="surrogateescape").split("\n") if line)
    return {name: digest for digest, _, name in rows}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _state(path: str | Path) -> State | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _known_digest(
    known: Mapping[str, Mapping[str, tuple[State, str]]], folder: str, name: str, state: State | None
) -> str | None:
    if state is None:
        return MISSING
    entry = known[folder].get(name)
    return entry[1] if entry is not None and entry[0] == state else None


def _sha256(path: str) -> str:
    try:
        if Path(path).is_file():  # a pipe would be waited for
            with Path(path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    return MISSING


def _remembered(memory: Path, folders: Iterable[str]) -> Mapping[str, Mapping[str, tuple[State, str]]]:
    """By folder and name: state and digest; nothing where there is no record or it is damaged."""
    known: dict[str, dict[str, tuple[State, str]]] = defaultdict(dict)
    question = "SELECT name, bytes, changed_ns, inode, digest FROM files WHERE folder = ?"
    with (
        contextlib.suppress(sqlite3.Error, ValueError),  # names need not be text
        contextlib.closing(sqlite3.connect(f"file:{memory}?mode=ro", uri=True)) as base,
    ):
        for folder in folders:
            rows = base.execute(question, (folder,))
            known[folder] = {name: ((size, changed, inode), digest) for name, size, changed, inode, digest in rows}
    return known


def _checked(memory: Path, states: Mapping[str, str]) -> set[str]:
    """The groups that were found good in the state in which they are."""
    good = set()
    with (
        contextlib.suppress(sqlite3.Error, ValueError),  # names need not be text
        contextlib.closing(sqlite3.connect(f"file:{memory}?mode=ro", uri=True)) as base,
    ):
        for name, state in states.items():
            row = base.execute("SELECT states FROM checks WHERE name = ?", (name,)).fetchone()
            if row == (state,):
                good.add(name)
    return good


def _write(memory: Path, table: str, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """A record that cannot be written costs time and nothing else."""
    if not rows:
        return
    with contextlib.suppress(sqlite3.Error, OSError, ValueError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(memory, timeout=10)) as base, base:
            base.execute(table)
            base.executemany(statement, rows)


def first_named(texts: Sequence[str]) -> list[str]:
    """The first few of what has changed, and how many more there are: problems of an error."""
    more = [f"and {len(texts) - MAX_NAMED} more"] if len(texts) > MAX_NAMED else []
    return [*texts[:MAX_NAMED], *more]
