"""Options of a method's own: a model per method, given as NAME=VALUE."""

from __future__ import annotations

from typing import Any

from detectors.models.interface import DetectorOptions, check_options, parse_options

FLAG = "--method-option"


class MethodOptions(DetectorOptions):
    """Base class of a method's options: fields with defaults, ranges and descriptions."""


def options_of_method(module: Any, pairs: tuple[str, ...], method: str) -> Any:
    """Return NAME=VALUE strings as the module's Options. Raises SynthError for unknown names and values."""
    return check_options(module, parse_options(pairs, "method option"), method, FLAG)


def as_pairs(options: MethodOptions) -> tuple[str, ...]:
    """Return options as NAME=VALUE strings, all of them, as a run records them."""
    return tuple(f"{name}={value}" for name, value in sorted(options.model_dump().items()))
