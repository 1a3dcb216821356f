"""Several SKU lists combined into one, and the folders that their products' files may be in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Paths that leave the list's folder: absolute, with a drive, or upwards; and zero bytes, which no file name has.
LEAVES = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\0")


@dataclass(frozen=True)
class SkuLists:
    """SKU lists in reading order. mesh_roots: further folders that the files of products may be in."""

    paths: tuple[Path, ...]
    mesh_roots: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("no SKU list")

    def __str__(self) -> str:
        return ", ".join(map(str, self.paths))

    @property
    def name(self) -> str:
        """Names of the files, for messages."""
        return ", ".join(path.name for path in self.paths)

    def resolve(self) -> SkuLists:
        """Return the same lists with absolute paths, links resolved."""
        return SkuLists(*(tuple(path.resolve() for path in paths) for paths in (self.paths, self.mesh_roots)))

    def absolute(self) -> SkuLists:
        """Return the same lists with absolute paths, links kept."""
        return SkuLists(*(tuple(path.absolute() for path in paths) for paths in (self.paths, self.mesh_roots)))


SkuSource = Path | SkuLists


def sku_source(paths: Sequence[Path], mesh_roots: Sequence[Path] = ()) -> SkuSource:
    """Return the source named on the command line; one list alone stays a plain path, as in earlier versions."""
    return paths[0] if len(paths) == 1 and not mesh_roots else SkuLists(tuple(paths), tuple(mesh_roots))


def as_lists(source: SkuSource | str) -> SkuLists:
    """Return the lists of a source."""
    return source if isinstance(source, SkuLists) else SkuLists((Path(source),))


@dataclass(frozen=True)
class Roots:
    """Folders with the files of a list: the list's own, then others; `roots / "a.glb"` is the file."""

    folder: Path
    others: tuple[Path, ...] = ()

    def __truediv__(self, value: str) -> Path:
        return self.find(value) or self.folder / value

    def find(self, value: str) -> Path | None:
        """Find the file that a cell names: below the list's folder, below another one, or at a path inside one of them.

        None if there is no such file, or if it is in none of the folders.
        """
        if "\0" in value:
            return None
        if not LEAVES.search(value):
            paths = [folder / value for folder in (self.folder, *self.others)]
        else:
            path = resolve_cell(self.folder, value)
            paths = [path] if any(path.is_relative_to(normalize_path(root)) for root in self.others) else []
        return next((path for path in paths if path.is_file()), None)

    def resolve(self) -> Roots:
        """Return the same folders with absolute paths, links resolved."""
        return Roots(self.folder.resolve(), tuple(folder.resolve() for folder in self.others))

    def containing(self, path: Path) -> Path:
        """Return the folder that contains a file found here."""
        return next(
            (root for root in (self.folder, *self.others) if normalize_path(path).is_relative_to(normalize_path(root))),
            self.folder,
        )


Root = Path | Roots


def folder_of(root: Root, path: Path) -> Path:
    """Return the folder that must contain a file and everything it refers to."""
    return root.containing(path) if isinstance(root, Roots) else root


def normalize_path(path: Path) -> Path:
    """Return the absolute path without `..`; links are not resolved."""
    return Path(os.path.normpath(path.absolute()))


def resolve_cell(folder: Path, value: str) -> Path:
    """Return the path that a cell of a list in `folder` refers to."""
    return normalize_path(folder / value)
