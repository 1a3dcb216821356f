"""The console of all commands, to which names, paths and texts from files are text and nothing else.

A file may name a product `[/b]`, `:boom:` or with the codes that clear a terminal. Here nothing is markup, and control
characters are written out: tests/test_gates.py checks that no other console is made.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.protocol import is_renderable
from rich.text import Text

from assets.errors import printable


class PlainConsole(Console):
    """A console whose texts have styles by `style=` alone. Keywords: those of rich's, but `markup` and `emoji`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich's console does."""
        super().print(*(one if is_renderable(one) else str(one) for one in objects), **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a text, or one in a table, into what is shown."""
        return super().render_str(printable(text), **options)
