"""Texts of files on a terminal: what they say, and nothing that they ask for."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.table import Table

from assets.console import PlainConsole
from assets.progress import StepProgress

HOSTILE = "[/b][red]tea[/red] :boom: \x1b[2J\x1b]0;title\x07 \x9b31m \u202eevil"
SHOWN = r"[/b][red]tea[/red] :boom: \x1b[2J\x1b]0;title\x07 \x9b31m \u202eevil"


@pytest.mark.parametrize("terminal", [False, True])
def test_texts_are_shown_as_they_are(terminal: bool) -> None:
    """In lines, paths, errors and numbers, tables, their heads and titles, and progress bars."""
    file = io.StringIO()
    console = PlainConsole(file=file, force_terminal=terminal, width=300, color_system=None)
    console.print(HOSTILE, style="red")
    console.print(Path(HOSTILE.replace("/", "|")), ValueError(HOSTILE))
    table = Table(HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE)
    console.print(table)
    with StepProgress(console, HOSTILE, total=1) as progress:
        progress.print(HOSTILE)
        progress.advance(HOSTILE)
    told = file.getvalue()
    assert told.count(SHOWN) >= 8 and SHOWN.replace("/", "|") in told
    own = {"\x1b"} if terminal else set()  # of the bar, which moves the cursor
    assert {char for char in told if char in HOSTILE and not char.isprintable()} <= own
    assert "\x1b[2J" not in told and "\x1b]0" not in told
