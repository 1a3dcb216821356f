"""The commands of galleries and recognition: synth gallery, synth recognize."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
