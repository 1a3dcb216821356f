"""Check the weights of a checkpoint against its network before the network is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import torch
from torch import Tensor, nn

from assets.errors import SynthError
from assets.plurals import first_few

MAX_PROBLEMS = 10


def outline_network(build: Callable[[], nn.Module], look: Callable[[nn.Module], object]) -> dict[str, Tensor]:
    """Return a network's weights by name, with shapes and dtypes but without memory for their values.

    look: runs the network on an image, to detect unsupported input sizes early. Raises SynthError if either fails.
    """
    try:
        with torch.device("meta"), torch.inference_mode():
            network = build().eval()
            with suppress(NotImplementedError):  # raised by layers that need actual values
                look(network)
            return dict(network.state_dict())
    except SynthError:
        raise
    except Exception as error:  # torchvision and timm raise many exception types, AssertionError among them
        raise network_error(error) from error


def network_error(error: Exception) -> SynthError:
    """Return the error for a network that torchvision or timm refuses to build."""
    return SynthError(
        "the network cannot be built", code="network-invalid", found=f"{type(error).__name__}: {str(error)[:200]}"
    )


def versions_hint(versions: Mapping[str, str]) -> str:
    """Return the hint for weights that do not fit. versions: package name -> version that wrote them, may be empty."""
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"use the versions it was made with ({made}), or train again" if made else "train again"


def check_weights(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], where: str, hint: str) -> None:
    """Raise SynthError that lists all tensors that are missing, unknown, of wrong shape or dtype, or not finite.

    expected: from `outline_network`. where: the file.
    """
    problems = [f"{name}: is missing" for name in expected if name not in weights]
    problems += [f"{name[:100]}: the network has no such tensor" for name in weights if name not in expected]
    for name in expected.keys() & weights.keys():
        problem = _difference(expected[name], weights[name]) or bad_numbers(name, weights[name])
        problems += [f"{name}: {problem}"] if problem else []
    if problems:
        raise SynthError(
            "the checkpoint's weights do not fit its network",
            code="checkpoint-mismatch",
            where=where,
            hint=hint,
            problems=first_few(sorted(problems), MAX_PROBLEMS),
        )


def check_norms(expected: Mapping[str, Tensor], norms: Iterable[str], where: str, hint: str) -> None:
    """Raise SynthError for names that are not batch norms of the network."""
    problems = [
        f"{name[:100]}: not a batch norm of the network" for name in norms if f"{name}.running_mean" not in expected
    ]
    if problems:
        raise SynthError(
            "the checkpoint is invalid",
            code="checkpoint-damaged",
            where=where,
            hint=hint,
            problems=problems[:MAX_PROBLEMS],
        )


def _difference(expected: Tensor, found: Tensor) -> str:
    if expected.shape != found.shape:
        return f"shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    return "" if expected.dtype == found.dtype else f"{found.dtype}, expected {expected.dtype}"


def bad_numbers(name: str, value: Tensor) -> str:
    """Describe what is wrong with the values of a network's tensor; "" if nothing is."""
    if value.is_floating_point() and not bool(torch.isfinite(value).all()):
        return "holds numbers that are not finite"
    if name.endswith("running_var") and bool((value < 0).any()):
        return "holds negative variances"
    return ""
