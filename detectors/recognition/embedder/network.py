"""The network from a picture of one product to a point: a timm backbone, pooled, projected, of unit length."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import SynthError, unknown_name
from detectors.training.setup import timm_normalisation

# Share of a box's width and height that is shown around it: print that reaches the edge keeps its surrounding, and a
# detector's box that is a little tight still holds the product.
MARGIN = 0.05
# A picture smaller than this has no print left, and the backbone no cell.
MIN_SIDE = 32
# GeM's power at the start (Radenovic et al. 2018): between the mean (1) and the greatest value.
POWER = 3.0


@dataclass(frozen=True)
class EmbedderSpec:
    """All that is needed to build an embedder again, and to show it crops as it has learned them.

    backbone: name of a timm model. dim: numbers per crop. side: pixels of the square that crops are fitted into.
    margin: share of a box's sides that is shown around it. mean, std: of the channels, as shares of full scale.
    """

    backbone: str
    dim: int
    side: int
    margin: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.side < MIN_SIDE or self.dim < 2 or not 0 <= self.margin < 1:
            raise SynthError(
                "invalid embedder settings",
                code="setting-invalid",
                found=f"{self.dim} dimensions, {self.side} px, a margin of {self.margin:g}",
                expected=f"at least 2 dimensions, at least {MIN_SIDE} px, a margin of 0 to less than 1",
            )

    def to_json(self) -> dict[str, Any]:
        """For checkpoints and reports."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """The spec that `to_json` gave."""
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})


def make_spec(backbone: str, *, dim: int, side: int, margin: float = MARGIN) -> EmbedderSpec:
    """The spec of an embedder on a timm backbone, normalised as that was pretrained. Raises SynthError for its name."""
    import timm

    if backbone not in timm.list_models():
        raise unknown_name("timm backbone", backbone, timm.list_models())
    mean, std = timm_normalisation(backbone)
    return EmbedderSpec(backbone, dim, side, margin, mean, std)


class EmbeddingNet(nn.Module):
    """(B, 3, S, S) normalised pictures to (B, dim) vectors of length 1.

    The last map of the backbone is pooled by GeM, projected and batch-normalised. Before any training the projection
    is orthonormal and the norm does nothing, so that angles between pretrained features stay: exactly where `dim` is
    at least the number of features, else in expectation, to about 1 / sqrt(dim).
    """

    def __init__(self, spec: EmbedderSpec) -> None:
        super().__init__()
        import timm

        # Names such as "hf-hub:OWNER/MODEL" make timm look elsewhere for what they mean.
        if spec.backbone not in timm.list_models():
            raise unknown_name("timm backbone", spec.backbone, timm.list_models())
        self.backbone = timm.create_model(spec.backbone, pretrained=False, num_classes=0)
        features = self.backbone.num_features
        self.pool = GeM()
        self.project = nn.Linear(features, spec.dim, bias=False)
        nn.init.orthogonal_(self.project.weight)
        self.norm = nn.BatchNorm1d(spec.dim)

    def points(self, images: Tensor) -> Tensor:
        """(B, dim) before they are brought to length 1, as losses take them."""
        return self.norm(self.project(self.pool(self.backbone.forward_features(images))))

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.points(images), dim=1)


class GeM(nn.Module):
    """(B, C, H, W) to (B, C): the mean of a learned power of what is above 0 (Radenovic et al. 2018)."""

    def __init__(self, least: float = 1e-6) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(POWER))
        self.least = least

    def forward(self, maps: Tensor) -> Tensor:
        # Powers of small numbers are lost in bfloat16.
        powered = maps.float().clamp(min=self.least).pow(self.power)
        return powered.mean(dim=(2, 3)).pow(1 / self.power)


@torch.inference_mode()
def check_maps(net: EmbeddingNet, spec: EmbedderSpec) -> None:
    """Raises SynthError for a backbone whose last features are no map of channels first (plain transformers)."""
    maps = net.backbone.eval().forward_features(torch.zeros(1, 3, spec.side, spec.side))
    if maps.ndim != 4 or maps.shape[1] != net.backbone.num_features:
        hint = "use a convolutional one, such as tf_efficientnet_lite0, mobilenetv3_large_100 or resnet50"
        found = f"features of shape {tuple(maps.shape)}"
        raise SynthError(
            f"backbone {spec.backbone!r} does not end in a feature map",
            code="backbone-unsupported",
            found=found,
            hint=hint,
        )
