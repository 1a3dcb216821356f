"""The networks of unpaired translation: what changes pictures, what judges them, and what compares their patches."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from detectors.translate.settings import TranslatorSpec

# Dimensions in which patches are compared.
PATCH_DIM = 128


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels)


class _Residual(nn.Module):
    """Two convolutions whose result is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            _norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            _norm(channels),
        )

    def forward(self, values: Tensor) -> Tensor:
        changed: Tensor = values + self.body(values)
        return changed


class Translator(nn.Module):
    """The network that changes pictures: of Johnson et al. (2016), at a quarter of the resolution inside.

    It predicts the difference from its input, at first none: print that nobody asks to change stays.
    """

    def __init__(self, spec: TranslatorSpec) -> None:
        super().__init__()
        width = spec.width
        self.stem = nn.Sequential(nn.Conv2d(3, width, 7, padding=3, padding_mode="reflect"), _norm(width), nn.ReLU())
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, 2, padding=1), _norm(2 * channels), nn.ReLU())
            for channels in (width, 2 * width)
        )
        self.blocks = nn.ModuleList(_Residual(4 * width) for _ in range(spec.blocks))
        # Enlarged and then convolved, where transposed convolutions leave a chequerboard.
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * channels, channels, 3, padding=1), _norm(channels), nn.ReLU())
            for channels in (2 * width, width)
        )
        self.last = nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect")
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Translate (B, 3, H, W) pictures, -1..1, whose sides are multiples of 4."""
        values = self.features(images)[-1]
        for part in self.up:
            values = part(functional.interpolate(values, scale_factor=2.0))
        changed: Tensor = (images + self.last(values)).clamp(-1, 1)
        return changed

    def features(self, images: Tensor) -> list[Tensor]:
        """Return maps of the encoder: the picture, each resolution, the middle and the last block."""
        values = self.stem(images)
        found = [images, values]
        for part in self.down:
            values = part(values)
            found.append(values)
        for number, block in enumerate(self.blocks, 1):
            values = block(values)
            if number == (len(self.blocks) + 1) // 2:
                found.append(values)
        return [*found, values]

    def channels(self) -> list[int]:
        """Return the channels of the maps of `features`."""
        width = self.last.in_channels
        return [3, width, 2 * width, 4 * width, 4 * width, 4 * width]


class Critic(nn.Module):
    """The network that tells photographs from translated pictures, patch by patch (Isola et al. 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for channels in (width, 2 * width):
            layers += [nn.Conv2d(channels, 2 * channels, 4, 2, 1), _norm(2 * channels), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (B, 1, h, w) of pictures (B, 3, H, W): 1 for photographs, 0 for others."""
        scores: Tensor = self.body(images)
        return scores


class PatchHeads(nn.Module):
    """Maps of features to points on a sphere, in which patches are compared."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(one, PATCH_DIM), nn.ReLU(), nn.Linear(PATCH_DIM, PATCH_DIM)) for one in channels
        )

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Return points (B, N, PATCH_DIM) of length 1 at places (N,) of flattened maps (B, C, H, W)."""
        return [
            functional.normalize(head(one.flatten(2)[:, :, place].transpose(1, 2)).float(), dim=2)
            for head, one, place in zip(self.heads, maps, places, strict=True)
        ]
