"""The commands of catalogue-scale jobs: synth job."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
