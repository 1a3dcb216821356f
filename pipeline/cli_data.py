"""The commands of sharded data sets: synth data."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
