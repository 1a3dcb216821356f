"""All choices of an embedder's training, with their defaults and reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from assets.errors import SynthError, unknown_name
from detectors.data.settings import DataSettings
from detectors.recognition.embedder.augment import crop_preset
from detectors.recognition.embedder.crop_store import CropChoice
from detectors.recognition.embedder.losses import LOSSES
from detectors.training.settings import differing_fields, plain


@dataclass(frozen=True)
class EmbedSettings:
    """How an embedder is trained.

    data: sources, photos and validation set as detectors take them. choice: which of their boxes become crops.
    weights: none, imagenet, packaged or a file, of the backbone or of an earlier embedder. share: of class centres that
    each step sees beside those of its batch. skus, crops: P and K of a batch. epochs: of all crops once; 0 keeps the
    pretrained features. epoch_crops: crops that count as an epoch instead. learning_rate: of AdamW on the network, for
    a batch of 128, scaled with its root. centre_rate: of the class centres against it. patience: epochs without better
    top-1.
    """

    data: DataSettings
    out: Path
    choice: CropChoice = field(default_factory=CropChoice)
    backbone: str = "tf_efficientnet_lite0"
    weights: str = "imagenet"
    dim: int = 512
    side: int = 128
    loss: str = "arcface"
    # Below some 10,000 SKUs all centres cost next to nothing; at 170,000 a tenth is as good (An et al. 2021).
    share: float = 1.0
    augment: str = "strong"
    epochs: int = 20
    epoch_crops: int | None = None
    skus: int = 32
    crops: int = 4
    # Of the crops of a SKU that has labelled photographs.
    real_share: float = 0.25
    learning_rate: float = 5e-4
    # Centres begin at their crops. Moved ten times as fast as the network, Adam scattered those of thousands of SKUs
    # between two turns of theirs.
    centre_rate: float = 1.0
    weight_decay: float = 0.01
    clip_norm: float = 10.0
    patience: int = 8
    seed: int = 0
    workers: int | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"
    # Settings that may differ when a training goes on: they do not change what is learned.
    _free: tuple[str, ...] = field(default=("out", "workers", "patience"), repr=False)

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        crop_preset(self.augment)
        if self.skus < 2 or self.crops < 1 or self.epochs < 0 or not 0 < self.share <= 1:
            raise SynthError(
                "invalid training settings of an embedder",
                code="setting-invalid",
                found=f"{self.skus} SKUs x {self.crops} crops, {self.epochs} epochs, {self.share:g} of the centres",
                expected="at least 2 SKUs, 1 crop, 0 epochs, a share above 0 and up to 1",
            )

    @property
    def batch(self) -> int:
        """Crops of a step."""
        return self.skus * self.crops

    def to_json(self) -> dict[str, Any]:
        """For the run's folder and its checkpoints: paths as text."""
        fields = asdict(self)
        del fields["_free"]
        return plain(fields)

    def differing(self, other: dict[str, Any]) -> list[str]:
        """What would change the result if a training of settings `other` went on with these: "name: there, now"."""
        return differing_fields(self.to_json(), other, free=self._free)
