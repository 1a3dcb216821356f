"""Restore an optimizer's state from a checkpoint, checked against the optimizer's parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from assets.errors import SynthError
from detectors.checkpoints.tensor_file import is_plain_tensor

# State of a parameter in Adam, AdamW and SparseAdam: number of steps, and the two moments.
PARTS = ("step", "exp_avg", "exp_avg_sq")


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: Any, where: str) -> None:
    """Load the moments of an earlier run; learning rates and weight decay stay those of the settings.

    Raises SynthError if the moments do not belong to the optimizer's parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = state.get("state") if isinstance(state, dict) else None
    if not isinstance(moments, dict) or not all(
        type(place) is int and 0 <= place < len(parameters) and _fits(part, parameters[place])
        for place, part in moments.items()
    ):
        hint = "it is damaged or was edited: give another --out to start again"
        raise SynthError("the optimizer state is invalid", code="checkpoint-damaged", where=where, hint=hint)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _fits(moments: Any, parameter: Tensor) -> bool:
    if not isinstance(moments, dict) or set(moments) != set(PARTS):
        return False
    step, *averages = (moments[name] for name in PARTS)
    counted = type(step) is int or (is_plain_tensor(step) and step.shape == ())
    return counted and all(
        is_plain_tensor(part) and part.shape == parameter.shape and bool(torch.isfinite(part).all())
        for part in averages
    )
