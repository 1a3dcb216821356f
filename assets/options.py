"""Descriptions of settings beside their fields, from which command-line options are generated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

# Marker: the option has the default of the field.
FIELD = object()
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Option:
    """Description of a setting, written into its type: `seed: Annotated[int, Option("Random seed.")] = 0`.

    help: one sentence. group: panel of the help page. name: such as "--seed"; derived from the field's name if empty.
    minimum, maximum: inclusive bounds. above: exclusive lower bound. exists: kind of path that must exist. parse: how
    text becomes the value if the field's type does not determine it (pipeline/cli/kinds.py). fields: several fields
    that one option fills with a tuple. flags: names and help of one flag for each possible member of a tuple. default,
    shown: default on the command line and its text, if they differ from the field's. old: former names, for which an
    error gives the current one. argument: whether it is positional. metavar: of the value.
    """

    help: str
    group: str = "Options"
    name: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    exists: Literal["", "file", "folder", "any"] = ""
    parse: str = ""
    fields: tuple[str, ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    default: Any = FIELD
    shown: str = ""
    old: tuple[str, ...] = ()
    argument: bool = False
    metavar: str = ""


Seed = Annotated[int, Option("Random seed.", "Training", minimum=0, maximum=MAX_SEED)]
DeviceName = Literal["auto", "cpu", "gpu"]
Device = Annotated[DeviceName, Option("Device to compute on.", "Compute")]
