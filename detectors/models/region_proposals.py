"""Proposals of detectors that classify given regions: their options, and the search in an image of the network."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from detectors.data.proposals import ProposalSettings, SearchMode, cached_proposals, search_proposals
from detectors.models import detector_module
from detectors.models.interface import DetectorOptions, options_of
from detectors.models.spec import ModelSpec


class ProposalOptions(DetectorOptions):
    """Options of detectors that take proposals of selective search."""

    proposals: int = Field(2000, ge=1, le=20_000, description="Proposals of an image at most.")
    search: SearchMode = Field("fast", description="Selective search: fast, or quality with three times the time.")
    search_width: int = Field(500, ge=32, le=2000, description="Width that images are searched at, in pixels.")

    @property
    def proposal_settings(self) -> ProposalSettings:
        """How proposals are made."""
        return ProposalSettings(self.search, self.search_width, self.proposals)


def proposal_settings(spec: ModelSpec) -> ProposalSettings | None:
    """Return how the proposals of a detector are made, None if it takes none."""
    module = detector_module(spec.detector)
    if not getattr(module, "NEEDS_PROPOSALS", False):
        return None
    options: ProposalOptions = options_of(module, spec)
    return options.proposal_settings


class ProposalSearch(nn.Module):
    """The search for proposals as part of a network. remember: whether to keep what was found in the user's cache.

    A validation meets the same images after every epoch. Elsewhere the search is part of the time of a detection.
    """

    def __init__(self, settings: ProposalSettings) -> None:
        super().__init__()
        self.settings, self.remember = settings, False

    def forward(self, images: Tensor) -> list[Tensor]:
        """Propose boxes (P, 4) float32 xyxy in each of (B, 3, H, W) images in 0..1, on their device."""
        find = cached_proposals if self.remember else search_proposals
        pixels = (images.detach().float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        found = [find(np.ascontiguousarray(image), self.settings) for image in pixels]
        return [torch.from_numpy(boxes).to(images.device) for boxes in found]

    def of_targets(self, images: Tensor, targets: list[dict[str, Tensor]]) -> list[Tensor]:
        """Return the proposals that targets come with, and search in the images of those that come without."""
        return [
            target["proposals"].float() if "proposals" in target else self(image[None])[0]
            for image, target in zip(images, targets, strict=True)
        ]


def remember_proposals(model: nn.Module) -> None:
    """Let a network keep the proposals that it finds in the user's cache."""
    for module in model.modules():
        if isinstance(module, ProposalSearch):
            module.remember = True
