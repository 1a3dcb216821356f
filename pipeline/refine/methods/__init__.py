"""Methods of refining pictures, one file and one line each.

A method is a module with

    LABELS                      "kept" if annotations stay as they are, "new" if the method makes others
    DONORS                      how many of the pictures before are given along, for methods that take products of them
    prepare(settings, task)     makes what all pictures need, such as a trained network; resumes what is there
    open_method(settings)       the function that refines a picture, in any process, after `prepare`

The first line of its docstring says what it is. Chance comes from the given generator alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from assets.plugins import PluginTable
from dataset.records import AnnotationRecord, ImageLabels
from dataset.store import StoredImage

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from dataset.store import CocoStore
    from pipeline.refine.photos import TargetPhotos

Pixels = NDArray[np.uint8]

# Name -> module.
METHODS = {
    "statistics": "pipeline.refine.methods.statistics",
    "fda": "pipeline.refine.methods.fda",
    "translate": "pipeline.refine.methods.translate",
    "paste": "pipeline.refine.methods.paste",
}
METHOD_TABLE = PluginTable(
    "refinement method",
    METHODS,
    group="synth.refinements",
    requires=("LABELS", "DONORS", "prepare", "open_method"),
)


@dataclass(frozen=True, eq=False)
class SourcePicture:
    """A picture to refine. pixels: (H, W, 3) uint8 sRGB. donors: pictures before it in the data set."""

    pixels: Pixels
    labels: ImageLabels
    donors: Sequence[StoredImage] = ()


@dataclass(frozen=True, eq=False)
class RefinedPicture:
    """A refined picture (H, W, 3) uint8 sRGB.

    before: what its edges are compared with: the same scene unrefined. annotations: None where they are those of the
    picture.
    """

    pixels: Pixels
    before: Pixels
    annotations: Sequence[AnnotationRecord] | None = None


class RefinePicture(Protocol):
    """Refines one picture. photo: (H, W, 3) uint8 sRGB, at least as large. strength: 0..1, share of the change."""

    def __call__(
        self, picture: SourcePicture, photo: Pixels, strength: float, rng: np.random.Generator
    ) -> RefinedPicture: ...


@dataclass(frozen=True)
class Preparation:
    """What methods prepare from. photos: all that are used. out: folder of the refined set. stop: whether to stop."""

    store: CocoStore
    photos: TargetPhotos
    out: Path
    console: Console
    stop: Callable[[], bool]


def blend(before: Pixels, after: NDArray, strength: float) -> Pixels:
    """Return a mix of a picture and its changed values (H, W, 3), 0..255."""
    mixed = before + strength * (np.asarray(after, dtype=np.float32) - before)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
