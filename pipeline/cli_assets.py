"""The commands of products made ahead: synth assets."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
