"""Settings of a translation of rendered pictures into photographs, and of the run that trains it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from assets.errors import SynthError
from assets.options import Option
from detectors.checkpoints.recorded import RecordedSettings

# Pictures are halved this often: sides are multiples of 4.
REDUCTION = 4


@dataclass(frozen=True)
class TranslateSettings:
    """Settings of the method translate. crop: pixels a side. width: channels at full resolution."""

    network: Annotated[
        Path | None,
        Option("Network that an earlier run trained, instead of a new one.", "Method", "--translator", exists="any"),
    ] = None
    steps: Annotated[int, Option("Training steps.", "Training", minimum=1)] = 4000
    batch: Annotated[int, Option("Crops of each kind in a step.", "Training", minimum=1, maximum=256)] = 4
    crop: Annotated[
        int, Option("Side of the crops trained on, a multiple of 4, in pixels.", "Training", minimum=32, maximum=512)
    ] = 128
    width: Annotated[int, Option("Channels of the network at full resolution.", "Model", minimum=4, maximum=128)] = 32
    blocks: Annotated[int, Option("Residual blocks of the network.", "Model", minimum=1, maximum=16)] = 6
    # Published: 1. The more, the nearer a picture stays to what it was; print is what is to stay.
    content: Annotated[
        float, Option("Weight of staying recognizable, patch by patch.", "Training", "--content-weight", minimum=0)
    ] = 2.0
    learning_rate: Annotated[float, Option("Peak learning rate.", "Training", above=0, maximum=0.1)] = 2e-4

    def __post_init__(self) -> None:
        if self.crop % REDUCTION:
            raise SynthError(
                "the side of crops is no multiple of 4", code="setting-invalid", found=str(self.crop), hint="--crop 128"
            )


@dataclass(frozen=True)
class TranslatorRun:
    """The training of a translator into a folder. data: digests of what it learns from, by name."""

    out: Path
    settings: TranslateSettings
    data: tuple[tuple[str, str], ...]
    seed: int = 0
    device: str = "auto"
    clip_norm: float = 10.0
    patience: int = 1
    devices: int = 1
    # Settings that may differ when a training is resumed, as they do not change the result.
    FREE: ClassVar[tuple[str, ...]] = ("out", "device", "patience")

    @property
    def batch(self) -> int:
        """Crops of each kind in a step."""
        return self.settings.batch

    def recorded(self) -> RecordedSettings:
        """Return what the run's folder and checkpoints record."""
        return RecordedSettings.of(self)

    def spec(self) -> TranslatorSpec:
        """Return what the network is built from."""
        return TranslatorSpec(self.settings.width, self.settings.blocks)


@dataclass(frozen=True)
class TranslatorSpec:
    """What a translating network is built from. width: channels at full resolution. blocks: residual ones."""

    width: int
    blocks: int
