"""Descriptions of settings, written beside each field: a sentence of help and a range, from which options are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

# Stands for "the default of the field itself".
FIELD = object()
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Option:
    """The description of a setting, written into its type: `seed: Annotated[int, Option("Random seed.")] = 0`.

    help: one sentence. group: the panel of the help page. name: such as "--seed"; made from the field's name if empty.
    minimum, maximum: inclusive bounds. above: exclusive lower bound. exists: what a path must already be.
    parse: how a text becomes the value where the field's type does not say (pipeline/cli/kinds.py). fields: several
    fields that one option fills, with a tuple. flags: names and help of one flag for each possible member of a tuple.
    default, shown: default on the command line and its text, where they differ from the field's. old: former names,
    which end with an error that names the present one. argument: whether it is positional. metavar: of the value.
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
Device = Annotated[Literal["auto", "cpu", "gpu"], Option("Device to compute on.", "Compute")]
