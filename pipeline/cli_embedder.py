"""The commands of training of embeddings: synth embedder."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
