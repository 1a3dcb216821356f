"""Settings of a refinement."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from assets.errors import SynthError
from assets.options import MAX_SEED, Device, Option
from detectors.translate.settings import TranslateSettings


@dataclass(frozen=True)
class StatisticsSettings:
    """Settings of the method statistics."""

    transfer: Annotated[
        Literal["mean-std", "covariance"],
        Option("What is matched: each channel by itself, or all together.", "Method", "--transfer"),
    ] = "mean-std"
    space: Annotated[
        Literal["lab", "linear"], Option("Colour space of --method statistics.", "Method", "--color-space")
    ] = "lab"


@dataclass(frozen=True)
class FourierSettings:
    """Settings of the method fda."""

    beta: Annotated[
        float,
        Option("Half width of the exchanged spectrum, as a share of the picture's.", "Method", above=0, maximum=0.2),
    ] = 0.01


@dataclass(frozen=True)
class PasteSettings:
    """Settings of the method paste."""

    backgrounds: Annotated[
        Literal["any", "empty"],
        Option(
            "Whether the photographs show products: of any, the calmest parts are used; empty ones whole.", "Method"
        ),
    ] = "any"
    min_seen: Annotated[
        float, Option("Products are cut out of which at least this share is seen.", "Method", above=0, maximum=1)
    ] = 0.95
    max_hidden: Annotated[
        float, Option("Share of a pasted product that others may hide.", "Method", minimum=0, maximum=0.9)
    ] = 0.4


@dataclass(frozen=True)
class RefineSettings:
    """A refinement of the pictures of a data set.

    method: an entry of the table. strength: least and largest, sampled for each picture. max_shift: pixels. detector,
    gallery: what names products before and after; with neither, how well their crops still match.
    """

    source: Annotated[Path, Option("Folder of a data set, or a COCO file.", exists="any", argument=True)]
    target: Annotated[
        Path,
        Option("Folder of photographs, or a COCO file that lists them. Labels are not read.", "Data", exists="any"),
    ]
    out: Annotated[Path, Option("Folder of the refined data set. The same command again resumes it.", "Output")]
    method: Annotated[str, Option("How pictures are refined.", "Method", parse="refine_method")] = "statistics"
    strength: Annotated[
        tuple[float, float],
        Option("Share of the change, sampled for each picture between two.", "Method", parse="range"),
    ] = (0.5, 1.0)
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
    fda: FourierSettings = field(default_factory=FourierSettings)
    paste: PasteSettings = field(default_factory=PasteSettings)
    translate: TranslateSettings = field(default_factory=TranslateSettings)
    # Colour changes alone move edges by up to 0.34 px, a shift of half a pixel by 0.54 at least (docs/results.md).
    max_shift: Annotated[
        float, Option("Reject pictures in which print or outlines moved farther, in pixels.", "Checks", above=0)
    ] = 0.5
    min_agreement: Annotated[
        float,
        Option("Reject pictures in which edges correlate less with those before.", "Checks", minimum=-1, maximum=1),
    ] = 0.6
    detector: Annotated[
        Path | None,
        Option("Run whose detector names products before and after.", "Checks", exists="any"),
    ] = None
    gallery: Annotated[
        Path | None,
        Option("Gallery that names products before and after.", "Checks", exists="folder"),
    ] = None
    photos: Annotated[
        int, Option("Number of photographs used at most.", "Data", "--max-photos", minimum=1, maximum=100_000)
    ] = 1000
    seed: Annotated[int, Option("Random seed.", "Method", minimum=0, maximum=MAX_SEED)] = 0
    workers: Annotated[int, Option("Parallel processes.", "Compute", parse="workers")] = 1
    device: Device = "auto"

    def __post_init__(self) -> None:
        low, high = self.strength
        if not 0 <= low <= high <= 1:
            raise SynthError(
                "the range of strengths is invalid",
                code="setting-invalid",
                found=f"{low:g} to {high:g}",
                expected="two numbers from 0 to 1, the smaller one first",
                hint="--strength 0.5:1",
            )
        if self.detector is not None and self.gallery is not None:
            hint = "give one of --detector and --gallery"
            raise SynthError("two ways to name products", code="options-conflict", hint=hint)
