"""The description of a detector's network, from which it can be built again."""

from __future__ import annotations

from dataclasses import dataclass

OptionValue = bool | int | float | str


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to build a network again. classes: number of classes without background.

    backbone: name of a timm model, or None for the detector's own. width, height: of the network's input, in pixels.
    mean, std: per channel, used to normalise input images, as fractions of full scale. options: the detector's own
    options, sorted by name. origin: source of a third-party detector (package and version, or digest of its file).
    """

    detector: str
    backbone: str | None
    classes: int
    width: int
    height: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    options: tuple[tuple[str, OptionValue], ...] = ()
    origin: str | None = None
