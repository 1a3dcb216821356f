"""Digests of each product's sources, so that no data set mixes two versions of a mesh or packshot."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.plurals import first_few

CHANGED = "files of products have changed since the data set was started"
HINT = "restore them, or render into another --out"


class SourcePins:
    """Source digests of the products used by a run, in a file shared by its workers: one line per product."""

    def __init__(self, path: Path) -> None:
        self._path, self._known, self._read = path, dict[str, str](), 0

    def pin(self, sku: str, digest: str) -> None:
        """Record the source digest of a product on first use.

        Raises SynthError if the data set has used it with other files.
        """
        if sku not in self._known:
            with self._open_locked() as file:
                self._read_new(file)
                if sku not in self._known:
                    file.write(json.dumps([sku, digest]).encode() + b"\n")
                    file.flush()
                    self._known[sku], self._read = digest, file.tell()
        if self._known[sku] != digest:
            raise SynthError(CHANGED, code="product-files-changed", hint=HINT)

    def check(self, digest_of: Callable[[str], str | None]) -> None:
        """Compare every used product with its current files.

        digest_of: digest by SKU, None if there is nothing to compare. Raises SynthError that lists the differences.
        """
        if not self._path.exists():
            return
        with self._open_locked() as file:
            self._read_new(file)
        changed = [sku for sku, digest in sorted(self._known.items()) if digest_of(sku) not in (digest, None)]
        if changed:
            problems = first_few([f"SKU {sku!r}" for sku in changed])
            raise SynthError(
                CHANGED,
                code="product-files-changed",
                found=f"{len(changed)} of {len(self._known)}",
                problems=problems,
                hint=HINT,
            )

    def settle(self) -> None:
        """Sort the lines by SKU, so that the file does not depend on the order of the workers; for the end of a run."""
        if self._path.exists():
            with self._open_locked() as file:
                self._read_new(file)
            lines = "".join(f"{json.dumps([sku, digest])}\n" for sku, digest in sorted(self._known.items()))
            write_atomic(self._path, lines.encode())

    @contextmanager
    def _open_locked(self) -> Iterator[IO[bytes]]:
        with self._path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _read_new(self, file: IO[bytes]) -> None:
        """Read what other workers have recorded; a partial line of a killed worker is cut off."""
        file.seek(self._read)
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            file.truncate(self._read + whole)
        try:
            for line in data[:whole].splitlines():
                sku, digest = json.loads(line)
                self._known.setdefault(str(sku), str(digest))
        except (ValueError, TypeError) as error:
            hint = "delete it: the files are then recorded as they are now"
            raise SynthError(
                "the record of the product files is damaged",
                code="source-pins-damaged",
                where=str(self._path),
                hint=hint,
            ) from error
        self._read += whole
        file.seek(0, 2)
