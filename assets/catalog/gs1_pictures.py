"""Packshots named as the GS1 Product Image Specification says, `GTIN14_TFOS.ext`: which image is which side of what.

T: type (A main web, B other web, C planogram, D supporting, E turntable). F: facing, a key of FACINGS. O: orientation
(N flat, C from the centre but perhaps from above, L and R turned by about 15 degrees). S: state (1 in its pack).
Release 4.4 calls C the centre angle and N "no plunge angle": only N promises that no other side shows, so C is second.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assets.catalog.barcode import is_gtin
from assets.catalog.sku_lists import LEAVES
from assets.errors import SynthError
from assets.files.image_input import open_image, reason_of
from assets.limits import PACKSHOT_FILES

# Shorter GTINs are those of 14 digits without their leading zeros. Suppliers append a language or a number.
NAME = re.compile(r"(\d{14}|\d{13}|\d{12}|\d{8})_([A-Z])(\d)([A-Z])([0-9A-Z])(_[0-9A-Z_-]+)?", re.ASCII | re.IGNORECASE)
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
FACINGS = {
    "1": "packshot",
    "2": "packshot_left",
    "3": "packshot_top",
    "7": "packshot_back",
    "8": "packshot_right",
    "9": "packshot_bottom",
}
# Of several images of one side the first of these orientations is taken, then the first of these types: planogram
# images are the flattest and the largest.
ORIENTATIONS, TYPES = "NC", "CAB"
# What else there is, and why it cannot be a side of a package.
OTHER_TYPES = {"D": "a supporting image (D)", "E": "a frame of a turntable (E)"}
ANGLED = {
    "L": "turned to the left (L): two sides show",
    "R": "turned to the right (R): two sides show",
}
STATES = {
    "0": "out of its pack (0)",
    "A": "a case (A)",
    "B": "an inner pack (B)",
    "C": "raw (C)",
    "D": "prepared (D)",
    "M": "an open case (M)",
    "P": "a pallet (P)",
}


@dataclass(frozen=True)
class SidePicture:
    """Image of a side of a product. gtin: 14 digits. column: of the SKU list. rank: the lowest is taken."""

    gtin: str
    column: str
    rank: tuple[int, int, str]

    @property
    def flat(self) -> bool:
        """Whether the name promises that no other side shows."""
        return ORIENTATIONS[self.rank[0]] == "N"

    @property
    def key(self) -> str:
        """The GTIN as it is printed: 13 digits, or 14 for cases."""
        return self.gtin.removeprefix("0")


@dataclass
class PictureChoice:
    """Images chosen from a folder; all paths as in the call.

    sides: image by column, by key. not_flat: those of them that may be taken from above (C), if no flat one is usable.
    duplicates: (image, the one taken instead). refused: (file, reason).
    """

    sides: dict[str, dict[str, str]] = field(default_factory=dict)
    not_flat: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def read_picture_name(name: str) -> SidePicture | str:
    """Return what the name of a file says about its image, or the reason why it cannot be a side of a package."""
    stem, dot, ending = name.rpartition(".")
    found = NAME.fullmatch(stem)
    if found is None:
        return "no GS1 name (GTIN_TFOS, such as 04006381333931_C1N1.png)"
    digits, kind, facing, orientation, state, suffix = (part or "" for part in found.groups())
    reason = _find_fault(f"{dot}{ending}".lower(), digits, *map(str.upper, (kind, facing, orientation, state)))
    if reason:
        return reason
    rank = (ORIENTATIONS.index(orientation.upper()), TYPES.index(kind.upper()), suffix.lower())
    return SidePicture(digits.zfill(14), FACINGS[facing], rank)


def _find_fault(ending: str, digits: str, kind: str, facing: str, orientation: str, state: str) -> str:
    """Return the first reason to refuse an image, "" if there is none."""
    if ending not in ENDINGS:
        return f"not a kind of image that is read: {', '.join(ENDINGS)}"
    if not is_gtin(digits):
        return "the check digit of its GTIN is wrong"
    if kind not in TYPES:
        return OTHER_TYPES.get(kind, f"unknown type ({kind})")
    if facing not in FACINGS:
        return "shows no side (0)" if facing == "0" else f"unknown facing ({facing})"
    if orientation not in ORIENTATIONS:
        return ANGLED.get(orientation, f"unknown orientation ({orientation})")
    return "" if state == "1" else STATES.get(state, f"not in its pack ({state})")


def find_files(folder: Path, *, skip: Collection[Path] = ()) -> list[str]:
    """List the files below a folder as sorted paths relative to it, links to folders included but not followed.

    skip: paths to leave out, as they are found from `folder`. Raises SynthError if it is no folder, cannot be read or
    holds too many files.
    """
    if not folder.is_dir():
        raise SynthError("no such folder of packshots", code="folder-missing", where=str(folder))
    paths: list[str] = []
    for inside, folders, names in os.walk(folder, onerror=_raise):
        links = [name for name in folders if Path(inside, name).is_symlink()]
        files = [Path(inside, name) for name in (*names, *links)]
        paths += [file.relative_to(folder).as_posix() for file in files if file not in skip]
        PACKSHOT_FILES.check(len(paths), str(folder))
    return sorted(paths)


def _raise(error: OSError) -> None:
    where = str(error.filename)
    raise SynthError("a folder of packshots cannot be read", code="file-unreadable", where=where, found=error.strerror)


def find_unusable(folder: Path, path: str) -> str:
    """Return why a list beside or above `folder` (resolved) cannot name the image at `path` in it, or ""."""
    if not path.isprintable() or "\\" in path or LEAVES.search(path) or path != path.strip():
        return "a folder with characters in its name that a SKU list cannot hold"
    file = folder / path
    try:
        if not file.resolve().is_relative_to(folder):
            return "a link that leads out of the folder"
        open_image(file, path, "the packshot").close()
    except SynthError as error:
        return reason_of(error)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        return f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    return ""


def choose_pictures(paths: Sequence[str], unusable: Callable[[str], str]) -> PictureChoice:
    """Choose an image for each side of each product: by orientation, type, whether the name is plain, and path.

    unusable: returns why an image cannot be used, or ""; the next best is taken then. Called for those that are needed.
    """
    choice = PictureChoice()
    candidates: dict[tuple[str, str], list[tuple[SidePicture, str]]] = {}
    for path in paths:
        picture = read_picture_name(path.rpartition("/")[2])
        if isinstance(picture, str):
            choice.refused.append((path, picture))
        else:
            candidates.setdefault((picture.key, picture.column), []).append((picture, path))
    for (key, column), pictures in sorted(candidates.items()):
        taken = ""
        for picture, path in sorted(pictures, key=lambda pair: (pair[0].rank, pair[1])):
            if taken:
                choice.duplicates.append((path, taken))
            elif reason := unusable(path):
                choice.refused.append((path, reason))
            else:
                taken = path
                choice.sides.setdefault(key, {})[column] = path
                choice.not_flat += [] if picture.flat else [path]
    choice.refused.sort()
    return choice
