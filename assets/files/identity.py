"""Content digests of files, cached by size, modification time and inode.

Trainings, renders and galleries use them to check that their data have not changed. The database is in the cache
folder; without it everything still works, only slower.
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

from assets.machine import cache_folder, usable_cores
from assets.plurals import join_few

# A file modified this recently may change again within one clock tick: not cached.
SETTLED_NS = 2_000_000_000
DATABASE = "file-identity-1.sqlite"
FILES = (
    "CREATE TABLE IF NOT EXISTS files (folder TEXT, name TEXT, bytes INT, changed_ns INT, inode INT, digest TEXT, "
    "PRIMARY KEY (folder, name)) WITHOUT ROWID"
)
CHECKS = "CREATE TABLE IF NOT EXISTS checks (name TEXT PRIMARY KEY, states TEXT) WITHOUT ROWID"
MISSING = ""
State = tuple[int, int, int]


def digest_files(files: Sequence[Path], *, cache: Path | None = None) -> list[str]:
    """Compute the SHA-256 of each file, MISSING if it is unreadable or not a regular file; uncached at disk speed.

    cache: folder of the database, by default `cache_folder()`.
    """
    database = (cache or cache_folder()) / DATABASE
    # Strings: with 300,000 files, pathlib objects would take longer than everything else.
    here = os.fspath(Path.cwd())
    paths = [text if text.startswith("/") else f"{here}/{text}" for text in map(os.fspath, files)]
    parts = [path.rpartition("/")[::2] for path in paths]
    known = _load_digests(database, {folder for folder, _ in parts})
    states = [file_state(path) for path in paths]
    digests = [_known_digest(known, *part, state) for part, state in zip(parts, states, strict=True)]
    unread = [index for index, digest in enumerate(digests) if digest is None]
    if not unread:
        return [digest or MISSING for digest in digests]
    settled = time.time_ns() - SETTLED_NS
    fresh = []
    with ThreadPoolExecutor(2 * usable_cores()) as pool:
        read = pool.map(_sha256, (paths[index] for index in unread))
        for index, digest in zip(unread, read, strict=True):
            digests[index], state = digest, states[index]
            # The digest of a file that changed while it was read belongs to no state.
            if digest and state and state[1] < settled and file_state(paths[index]) == state:
                fresh.append((*parts[index], *state, digest))
    _store_rows(database, FILES, "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", fresh)
    return [digest or MISSING for digest in digests]


def check_once(
    groups: Mapping[str, Sequence[Path]], check: Callable[[str], list[str]], *, cache: Path | None = None
) -> list[str]:
    """Run `check` on groups of files and return all problems; a group without problems is rechecked only if it changes.

    groups: files by the name of the group, such as a digest. Groups with problems are checked every time.
    """
    database = (cache or cache_folder()) / DATABASE
    # The path is part of the key, since copies of a gallery have parts of the same name.
    keys = {name: f"{name} {files[0].absolute()}" for name, files in groups.items()}
    states = {keys[name]: json.dumps([file_state(file) for file in files]) for name, files in groups.items()}
    good = _load_passed(database, states)
    pending = [name for name, key in keys.items() if key not in good]
    if not pending:
        return []
    started = time.time_ns() - SETTLED_NS
    with ThreadPoolExecutor(2 * usable_cores()) as pool:
        found = dict(zip(pending, pool.map(check, pending), strict=True))
    passed = [keys[name] for name, problems in found.items() if not problems and _is_settled(groups[name], started)]
    rows = [(key, states[key]) for key in passed]
    _store_rows(database, CHECKS, "INSERT OR REPLACE INTO checks VALUES (?, ?)", rows)
    return [problem for problems in found.values() for problem in problems]


def _is_settled(files: Sequence[Path], before: int) -> bool:
    states = [file_state(file) for file in files]
    return all(state is not None and state[1] < before for state in states)


def describe_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Describe changed, missing and new files, given digests by name: "3 changed: a.jpg, b.jpg, c.jpg"."""
    kinds = {
        "changed": sorted(name for name in before.keys() & now.keys() if before[name] != now[name] != MISSING),
        "missing": sorted(name for name in before if now.get(name, MISSING) == MISSING != before[name]),
        "new": sorted(now.keys() - before.keys()),
    }
    return [f"{len(names)} {kind}: {join_few(names)}" for kind, names in kinds.items() if names]


def write_listing(digests: Mapping[str, str]) -> bytes:
    """Return digests by name in the format of `sha256sum`, omitting names with line breaks (not supported there)."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()) if "\n" not in name).encode(
        errors="surrogateescape"
    )


def read_listing(data: bytes) -> dict[str, str]:
    """Parse a listing of `write_listing` into digests by name."""
    rows = (line.partition("  ") for line in data.decode(errors="surrogateescape").split("\n") if line)
    return {name: digest for digest, _, name in rows}


def file_state(path: str | Path) -> State | None:
    """Return size, modification time and inode of a file, None if it is missing."""
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
        if Path(path).is_file():  # reading a pipe would block
            with Path(path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    return MISSING


def _load_digests(database: Path, folders: Iterable[str]) -> Mapping[str, Mapping[str, tuple[State, str]]]:
    """Load state and digest by folder and name; empty if the database is missing or damaged."""
    known: dict[str, dict[str, tuple[State, str]]] = defaultdict(dict)
    query = "SELECT name, bytes, changed_ns, inode, digest FROM files WHERE folder = ?"
    with (
        contextlib.suppress(sqlite3.Error, ValueError),  # names need not be text
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as base,
    ):
        for folder in folders:
            rows = base.execute(query, (folder,))
            known[folder] = {name: ((size, changed, inode), digest) for name, size, changed, inode, digest in rows}
    return known


def _load_passed(database: Path, states: Mapping[str, str]) -> set[str]:
    """Return the groups that passed the check in their current state."""
    good = set()
    with (
        contextlib.suppress(sqlite3.Error, ValueError),  # names need not be text
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as base,
    ):
        for name, state in states.items():
            row = base.execute("SELECT states FROM checks WHERE name = ?", (name,)).fetchone()
            if row == (state,):
                good.add(name)
    return good


def _store_rows(database: Path, table: str, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Store rows; a failure only costs time later, so it is ignored."""
    if not rows:
        return
    with contextlib.suppress(sqlite3.Error, OSError, ValueError):
        database.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as base, base:
            base.execute(table)
            base.executemany(statement, rows)
