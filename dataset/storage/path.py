"""Places: folders on a disk or an object storage that fsspec knows, such as s3://, with files that appear whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from assets.errors import SynthError
from assets.files.atomic import TEMPORARY, write_atomic
from assets.limits import SHARD_BYTES, Limit, check_file

# What comes with which package, for the hint.
EXTRA = "pip install 'synth[scale]'"
# Disks and object storages, which show a file whole or not at all. fsspec knows others, among them some that fetch any
# address (http, github), open archives (zip, chains with ::) or run a program: an URL may come from a file.
PROTOCOLS = ("file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")


@dataclass(frozen=True)
class StoredFile:
    """A file below a location. version: changes with its content, as far as the storage says so."""

    name: str
    size: int
    version: str


@dataclass(frozen=True)
class StoragePath:
    """A folder. url: a path, or one of PROTOCOLS (s3://bucket/folder). Names are relative to it, with forward slashes.

    Endpoint and credentials of a storage come from its usual variables (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...) or
    fsspec's configuration. A file is written whole or not at all: on disk by renaming, in object storage by its nature.
    Small enough to be handed to any process; the connection is made where it is used.
    """

    url: str

    def __truediv__(self, name: str) -> StoragePath:
        return StoragePath(f"{self.url.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.url

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import filesystem, url_to_fs

        protocol, named, _ = self.url.partition("://")
        if not named:
            return filesystem("file"), str(Path(self.url).expanduser().absolute()).rstrip("/")
        if "::" in self.url or protocol not in PROTOCOLS:
            raise SynthError(
                "unusable storage",
                code="storage-unusable",
                where=self.url,
                found="a chain of storages" if "::" in self.url else f"{protocol}://",
                expected=f"a folder, or one of {', '.join(f'{one}://' for one in PROTOCOLS)}",
                hint="copy the data set to one of them, or mount its storage as a folder",
            )
        try:
            system, root = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise SynthError(
                "unusable storage", code="storage-unusable", where=self.url, found=str(error), hint=EXTRA
            ) from error
        return system, str(root).rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url}

    @property
    def local(self) -> Path | None:
        """The folder on this machine's disk, None if it is elsewhere."""
        system, root = self._opened
        return Path(root) if "file" in _protocols(system) else None

    def locate(self, name: str) -> str:
        """Return the full name of a file for messages."""
        return f"{self.url.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        system, root = self._opened
        with _told(self, name):
            return bool(system.exists(f"{root}/{name}"))

    def size(self, name: str) -> int:
        """Return the size of a file in bytes. Raises FileNotFoundError if it is missing."""
        system, root = self._opened
        with _told(self, name):
            return int(system.size(f"{root}/{name}"))

    def read(self, name: str) -> bytes:
        """Read a file. Raises FileNotFoundError if it is missing, SynthError for a pipe or device."""
        system, root = self._opened
        self._check_plain(name)
        with _told(self, name):
            return bytes(system.cat_file(f"{root}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically, and create the folders above it."""
        local = self.local
        if local is not None:
            (local / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(local / name, data)
            return
        system, root = self._opened
        with _told(self, name):
            system.pipe_file(f"{root}/{name}", data)

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        system, root = self._opened
        with _told(self, name):
            if system.exists(f"{root}/{name}"):
                system.rm_file(f"{root}/{name}")

    def put(self, name: str, file: Path) -> None:
        """Upload a file from disk to a remote storage, piece by piece."""
        system, root = self._opened
        with _told(self, name):
            system.put_file(str(file), f"{root}/{name}")

    def look(self, name: str) -> StoredFile:
        """Return size and version of a file. Raises FileNotFoundError if it is missing."""
        system, root = self._opened
        with _told(self, name):
            entry = system.info(f"{root}/{name}")
        return StoredFile(name, int(entry["size"] or 0), _version_of(entry))

    def is_empty(self) -> bool:
        """Whether there is nothing at the location."""
        system, root = self._opened
        with _told(self, ""):
            system.invalidate_cache(root)
            try:
                return not [entry for entry in system.ls(root, detail=True) if entry["name"].rstrip("/") != root]
            except (FileNotFoundError, NotADirectoryError):
                return True

    def files(self, limit: Limit) -> list[StoredFile]:
        """List all files below the location, sorted by name. Raises SynthError if there are more than the limit."""
        system, root = self._opened
        with _told(self, ""):
            system.invalidate_cache(root)
            found = system.find(root, detail=True)
        limit.check(len(found), self.url)
        files = [
            StoredFile(name.removeprefix(f"{root}/"), int(entry["size"] or 0), _version_of(entry))
            for name, entry in found.items()
            if name.startswith(f"{root}/") and not name.endswith("/")
        ]
        return sorted(files, key=lambda file: file.name)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for reading with random access. Raises as `read`."""
        system, root = self._opened
        self._check_plain(name)
        with _told(self, name), system.open(f"{root}/{name}", "rb") as file:
            yield file

    def _check_plain(self, name: str) -> None:
        """On a disk there may be anything: opening a named pipe waits for ever, reading a device never ends."""
        local = self.local
        if local is None:
            return
        try:
            (local / name).stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(self.locate(name)) from error
        except OSError:
            pass  # reported with its reason by the check
        check_file(local / name, SHARD_BYTES, "the file", self.locate(name))

    def names(self, folder: str = "") -> list[str]:
        """Names of the files in a folder, sorted, without those being written; none where it is not there.

        Names are without the folder. What was written a moment ago is among them.
        """
        system, root = self._opened
        where = f"{root}/{folder}".rstrip("/")
        with _told(self, folder):
            system.invalidate_cache(where)
            try:
                entries = system.ls(where, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
        names = [entry["name"].rsplit("/", 1)[-1] for entry in entries if entry["type"] == "file"]
        return sorted(name for name in names if name and not (name.startswith(".") and name.endswith(TEMPORARY)))


@dataclass(frozen=True)
class RemoteFile:
    """A file at a location that is read when it is asked for."""

    location: StoragePath
    name: str

    def read(self) -> bytes | None:
        """Read the file; None if it is missing. Raises SynthError if the storage fails."""
        try:
            return self.location.read(self.name)
        except FileNotFoundError:
            return None


def _version_of(entry: Mapping[str, Any]) -> str:
    known = [entry[key] for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created") if entry.get(key)]
    return str(known[0]) if known else ""


def _protocols(system: Any) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


@contextmanager
def _told(location: StoragePath, name: str) -> Iterator[None]:
    """Turn errors of remote storage into SynthError; missing files stay FileNotFoundError, errors of disks OSError."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) or location.local is not None:
            raise
        raise _refused(location, name, error) from error
    except SynthError:
        raise
    except Exception as error:  # clients of storages raise kinds of their own
        if location.local is not None:
            raise
        raise _refused(location, name, error) from error


def _refused(location: StoragePath, name: str, error: Exception) -> SynthError:
    hint = "check the address, the credentials and the permissions to read and write there, and try again"
    found = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return SynthError(
        "storage request failed", code="storage-failed", where=location.locate(name), found=found, hint=hint
    )
