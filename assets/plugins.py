"""Tables of implementations by name: built-in ones, those of installed packages, and users' Python files.

A module is imported on first use; listing names imports nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from assets.errors import SynthError, unknown_name


@dataclass(frozen=True)
class PluginTable:
    """Implementations of one extension point.

    kind: what an entry is, for messages ("recipe"). modules: dotted module by name. group: entry-point group of
    installed packages ("synth.recipes"); built-in names take precedence. requires: names that each module must define.
    files: whether a path to a .py file is accepted in place of a name.
    """

    kind: str
    modules: Mapping[str, str]
    group: str
    requires: tuple[str, ...] = ()
    files: bool = False

    def names(self) -> tuple[str, ...]:
        """Return all known names, built-in ones first, in the order of the table."""
        return (*self.modules, *sorted(name for name in _entry_points(self.group) if name not in self.modules))

    def load(self, name: str) -> ModuleType:
        """Import the module of a name or of a path to a .py file. Raises SynthError if it is unknown or unusable."""
        if self.files and is_python_file(name):
            return self._checked(module_from_file(Path(name)), name)
        if name in self.modules:
            return importlib.import_module(self.modules[name])
        if name not in _entry_points(self.group):
            raise unknown_name(self.kind, name, self.names())
        return self._checked(_load_entry_point(self.kind, _entry_points(self.group)[name]), name)

    def origin(self, name: str) -> str:
        """Return the origin of a name's code: "sha256:..." of a Python file, "PACKAGE VERSION", "" if built in.

        Raises SynthError for an unreadable file; returns "" for an unknown name.
        """
        if self.files and is_python_file(name):
            return f"sha256:{file_digest(Path(name))}"
        point = None if name in self.modules else _entry_points(self.group).get(name)
        return "" if point is None else f"{point.dist.name} {point.dist.version}" if point.dist else point.value

    def _checked(self, module: ModuleType, name: str) -> ModuleType:
        missing = [required for required in self.requires if not hasattr(module, required)]
        if missing:
            raise SynthError(
                f"the {self.kind} {name!r} is incomplete",
                code="plugin-incomplete",
                where=getattr(module, "__file__", None),
                found=f"no {', no '.join(missing)}",
                expected=f"a module that defines {', '.join(self.requires)}",
            )
        return module


def is_python_file(name: str) -> bool:
    """Return whether a name is a path to a Python file rather than an entry of a table."""
    return name.endswith(".py")


def short_name(name: str) -> str:
    """Return the name of an entry as data sets record it: a Python file without its folder."""
    return Path(name).name if is_python_file(name) else name


def module_from_file(path: Path) -> ModuleType:
    """Run a user's Python file once per process and return its module. Raises SynthError if it fails.

    The module's name is derived from the file's name and content: copies of a file are one module.
    """
    source = _read_source(path)
    name = _module_name(path, source)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader_state = source
    sys.modules[name] = module
    try:
        # Run the text that was read and hashed, even if the file changes meanwhile.
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise SynthError(
            "the Python file failed to run", code="plugin-failed", where=str(path), found=_error_text(error)
        ) from error
    return module


def has_run(path: Path) -> bool:
    """Return whether this process has run a Python file with `module_from_file` in its current version."""
    return path.is_file() and _module_name(path, _read_source(path)) in sys.modules


def source_of(module: ModuleType) -> bytes:
    """Return the content of the Python file from which `module_from_file` made a module."""
    source: bytes = module.__spec__.loader_state if module.__spec__ is not None else b""
    return source


def file_digest(path: Path) -> str:
    """Return the digest of a Python file. Raises SynthError if it cannot be read."""
    return digest_of(_read_source(path))


def digest_of(source: bytes) -> str:
    """Return the SHA-256 of a Python file's content, as data sets record it."""
    return hashlib.sha256(source).hexdigest()


def _module_name(path: Path, source: bytes) -> str:
    return f"synth_file_{path.stem}_{digest_of(source)}"


def _read_source(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "give the path of an existing .py file; to resume or verify, by --plugin FILE"
        raise SynthError(
            "no such Python file", code="file-missing", where=str(path), found=str(error), hint=hint
        ) from error


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    found: Iterable[EntryPoint] = entry_points(group=group) if group else ()
    return {point.name: point for point in found}


def _load_entry_point(kind: str, point: EntryPoint) -> ModuleType:
    try:
        module: ModuleType = point.load()
    except Exception as error:
        package = point.dist.name if point.dist else point.value
        raise SynthError(
            f"the {kind} {point.name!r} of an installed package cannot be imported",
            code="plugin-failed",
            where=f"{package}: {point.value}",
            found=_error_text(error),
            hint=f"fix or remove the package: pip uninstall {package}",
        ) from error
    return module


def _error_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
