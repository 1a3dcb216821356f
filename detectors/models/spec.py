"""ModelSpec: what a detector's network is built from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to build a network again. classes: how many, without background.

    backbone: name of a timm model, or None for the detector's own. width, height: of the pictures it is given, pixels.
    mean, std: of the channels that its pictures are normalised by, as shares of full scale.
    """

    detector: str
    backbone: str | None
    classes: int
    width: int
    height: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})
