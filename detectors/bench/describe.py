"""What a comparison must know of a detector before it is built, from the names that its module defines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.errors import SynthError
from detectors.bench.processes import Ending, run_process
from detectors.bench.settings import ALL
from detectors.models import DETECTORS, check_name, detector_module, detector_names
from detectors.models.interface import DetectorOptions

# The option of detectors that look at regions: how many of them.
PROPOSALS = "proposals"


@dataclass(frozen=True)
class DetectorFacts:
    """A detector before it is built. fixed_size: its only width and height.

    problem, code: why it cannot be used, "" if it can.
    """

    name: str
    fixed_size: tuple[int, int] | None = None
    has_proposals: bool = False
    takes_backbone: bool = True
    problem: str = ""
    code: str = ""


def describe_all(names: Sequence[str], logs: Path, silence_s: float) -> list[DetectorFacts]:
    """Return the facts of detectors by name or Python file; "all" stands for the whole table.

    Code of third parties runs in a process of its own. Raises SynthError for a name that is not in the table.
    """
    every = [name for one in names for name in (detector_names() if one == ALL else (one,))]
    return [_describe_safely(name, logs, silence_s) for name in dict.fromkeys(every)]


def describe(name: str) -> DetectorFacts:
    """Return the facts of a detector, whose module is imported."""
    module = detector_module(name)
    kind = getattr(module, "Options", DetectorOptions)
    size = module.FIXED_SIZE
    takes_backbone = bool(getattr(module, "TAKES_BACKBONE", True))
    return DetectorFacts(name, tuple(size) if size else None, PROPOSALS in kind.model_fields, takes_backbone)


def _describe_safely(name: str, logs: Path, silence_s: float) -> DetectorFacts:
    if name in DETECTORS:
        return _describe_own(name)
    check_name(name)
    log = logs / (re.sub(r"[^A-Za-z0-9_.-]", "_", Path(name).stem).lstrip(".") + ".txt")
    ending = run_process(describe, name, log=log, silence_s=silence_s)
    return _facts_of(name, ending)


def _facts_of(name: str, ending: Ending) -> DetectorFacts:
    if ending.kind == "finished":
        facts: DetectorFacts = ending.result
        return facts
    code = ending.code
    return DetectorFacts(name, problem=ending.reason or "it was stopped", code=code)


def _describe_own(name: str) -> DetectorFacts:
    try:
        return describe(name)
    except ModuleNotFoundError as error:
        return DetectorFacts(name, problem=f"it needs the package {error.name}", code="dependency-missing")
    except SynthError as error:
        code = error.code
        return DetectorFacts(name, problem=error.what, code=code)
