"""The embedding network: a timm backbone, pooling, projection and normalisation to unit length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import SynthError, unknown_name
from detectors.models.backbones.table import normalisation

# Margin around a box as a fraction of its width and height: print at the edge keeps its surroundings, and a detection
# that is slightly too small still contains the product.
MARGIN = 0.05
# In smaller crops print is illegible, and the backbone's last feature map would be empty.
MIN_SIDE = 32
# Initial power of GeM (Radenovic et al. 2018): 1 is the mean, infinity the maximum.
POWER = 3.0


@dataclass(frozen=True)
class EmbedderSpec:
    """All that is needed to build an embedder again, and to preprocess crops as in its training.

    backbone: name of a timm model. dim: length of the vectors. side: of the square input, in pixels. margin: around a
    box, as a fraction of its sides. mean, std: per channel, as fractions of full scale.
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


def make_spec(backbone: str, *, dim: int, side: int, margin: float = MARGIN) -> EmbedderSpec:
    """Return a spec with the normalisation of its pretrained backbone. Raises SynthError for an unknown backbone."""
    import timm

    if backbone not in timm.list_models():
        raise unknown_name("timm backbone", backbone, timm.list_models())
    mean, std = normalisation(backbone)
    return EmbedderSpec(backbone, dim, side, margin, mean, std)


class EmbeddingNet(nn.Module):
    """The network: (B, 3, S, S) normalised images to (B, dim) unit vectors.

    The last feature map of the backbone is pooled by GeM, projected and batch-normalised. Before training the
    projection is orthonormal and the norm is the identity, which preserves angles between pretrained features: exactly
    if `dim` is at least the number of features, else in expectation, to about 1 / sqrt(dim).
    """

    def __init__(self, spec: EmbedderSpec) -> None:
        super().__init__()
        import timm

        # Checked first, because names such as "hf-hub:OWNER/MODEL" would make timm download a configuration.
        if spec.backbone not in timm.list_models():
            raise unknown_name("timm backbone", spec.backbone, timm.list_models())
        self.backbone = timm.create_model(spec.backbone, pretrained=False, num_classes=0)
        features = self.backbone.num_features
        self.pool = GeM()
        self.project = nn.Linear(features, spec.dim, bias=False)
        nn.init.orthogonal_(self.project.weight)
        self.norm = nn.BatchNorm1d(spec.dim)

    def points(self, images: Tensor) -> Tensor:
        """Return (B, dim) vectors before normalisation to length 1, the input of losses."""
        return self.norm(self.project(self.pool(self.backbone.forward_features(images))))

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.points(images), dim=1)


class GeM(nn.Module):
    """Generalized mean pooling with a learned power (Radenovic et al. 2018): (B, C, H, W) to (B, C)."""

    def __init__(self, least: float = 1e-6) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(POWER))
        self.least = least

    def forward(self, maps: Tensor) -> Tensor:
        # In float32, because powers of small values underflow in bfloat16.
        powered = maps.float().clamp(min=self.least).pow(self.power)
        return powered.mean(dim=(2, 3)).pow(1 / self.power)


@torch.inference_mode()
def check_maps(net: EmbeddingNet, spec: EmbedderSpec) -> None:
    """Raise SynthError if the backbone's last features are not a (B, C, H, W) map, as in plain transformers."""
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
