"""Several SKU lists taken as one, and the folders that the files of their products may lie in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Paths that leave the list's folder: from a root or a drive, or upwards; no file name has a zero byte.
LEAVES = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\0")


@dataclass(frozen=True)
class SkuLists:
    """Lists that are read one after the other. mesh_roots: folders outside theirs that files of products may lie in."""

    paths: tuple[Path, ...]
    mesh_roots: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("no SKU list")

    def __str__(self) -> str:
        return ", ".join(map(str, self.paths))

    @property
    def name(self) -> str:
        """The names of the files, for people."""
        return ", ".join(path.name for path in self.paths)

    def resolve(self) -> SkuLists:
        """The same with absolute paths, links followed."""
        return SkuLists(*(tuple(path.resolve() for path in paths) for paths in (self.paths, self.mesh_roots)))

    def absolute(self) -> SkuLists:
        """The same with absolute paths."""
        return SkuLists(*(tuple(path.absolute() for path in paths) for paths in (self.paths, self.mesh_roots)))


SkuSource = Path | SkuLists


def sku_source(paths: Sequence[Path], mesh_roots: Sequence[Path] = ()) -> SkuSource:
    """What the command line names: one list is its path, as it was before there could be several."""
    return paths[0] if len(paths) == 1 and not mesh_roots else SkuLists(tuple(paths), tuple(mesh_roots))


def as_lists(source: SkuSource | str) -> SkuLists:
    """The lists of a source."""
    return source if isinstance(source, SkuLists) else SkuLists((Path(source),))


@dataclass(frozen=True)
class Roots:
    """Folders that the files of a list lie in: the list's own, then others; `roots / "a.glb"` is the file."""

    folder: Path
    others: tuple[Path, ...] = ()

    def __truediv__(self, value: str) -> Path:
        return self.find(value) or self.folder / value

    def find(self, value: str) -> Path | None:
        """The file that a cell names: below the list's folder, below another one, or at a place that lies in one.

        None where there is none, or it lies in none of the folders.
        """
        if "\0" in value:
            return None
        if not LEAVES.search(value):
            places = [folder / value for folder in (self.folder, *self.others)]
        else:
            place = inside(self.folder, value)
            places = [place] if any(place.is_relative_to(plain(root)) for root in self.others) else []
        return next((place for place in places if place.is_file()), None)

    def resolve(self) -> Roots:
        """The same with absolute paths, links followed."""
        return Roots(self.folder.resolve(), tuple(folder.resolve() for folder in self.others))

    def containing(self, path: Path) -> Path:
        """The folder that a file found here lies in."""
        return next(
            (root for root in (self.folder, *self.others) if plain(path).is_relative_to(plain(root))), self.folder
        )


Root = Path | Roots


def folder_of(root: Root, path: Path) -> Path:
    """The folder that a file, and whatever it names, lies in."""
    return root.containing(path) if isinstance(root, Roots) else root


def plain(path: Path) -> Path:
    """The absolute path without `..`, links not followed."""
    return Path(os.path.normpath(path.absolute()))


def inside(folder: Path, value: str) -> Path:
    """Where a cell of a list in `folder` leads to."""
    return plain(folder / value)
