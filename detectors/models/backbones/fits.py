"""Which detector takes which backbone, and why it does not take another."""

from __future__ import annotations

from typing import Any

from assets.errors import SynthError
from detectors.models.backbones.stages import backbone_strides
from detectors.models.backbones.table import BACKBONES

# What detectors with a pyramid need, and what a module without BACKBONE_STRIDES says.
PYRAMID_STRIDES = (8, 16, 32)


def strides_wanted(module: Any) -> tuple[int, ...] | None:
    """Return the strides of the stages that a detector needs: () if any network will do, None if it takes none."""
    if not getattr(module, "TAKES_BACKBONE", True):
        return None
    return getattr(module, "BACKBONE_STRIDES", PYRAMID_STRIDES)


def backbone_problem(module: Any, backbone: str) -> str | None:
    """Return why a detector does not take a backbone, as one clause; None if it does.

    module: interface.DetectorModule. backbone: of the table, or any timm model. Raises SynthError for unknown names.
    """
    wanted = strides_wanted(module)
    if wanted is None:
        return "it has a network of its own"
    found = backbone_strides(backbone)
    lacking = [str(stride) for stride in wanted if stride not in found]
    if lacking:
        return f"it needs stages of stride {', '.join(lacking)}; {backbone} has {', '.join(map(str, found))}"
    return None


def check_backbone(module: Any, backbone: str, detector: str) -> None:
    """Raise SynthError if a detector does not take a backbone. Other models of timm are only checked when built."""
    if strides_wanted(module) is not None and backbone not in BACKBONES:
        return
    problem = backbone_problem(module, backbone)
    if problem:
        fitting = [name for name in BACKBONES if backbone_problem(module, name) is None]
        raise SynthError(
            f"{detector} does not take the backbone {backbone!r}",
            code="backbone-unsupported",
            found=problem,
            expected=f"one of {', '.join(fitting)}, or a timm model with such stages" if fitting else "no --backbone",
        )
