"""Names of literal tables as command-line values: listed in the help, completed by the shell, checked early.

Tables are read from their source file without importing it, since importing the modules takes up to ten seconds.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from assets.errors import unknown_name
from assets.plugins import PluginTable, is_python_file


@lru_cache(maxsize=64)
def table_names(table: str) -> tuple[str, ...]:
    """Return the names in a literal table, given as "package.module:TABLE": keys of a dict, or entries of a tuple."""
    module, _, name = table.partition(":")
    package, *rest = module.split(".")
    spec = find_spec(package)
    home = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    file = home.joinpath(*rest).with_suffix(".py")
    source = file if file.exists() else home.joinpath(*rest, "__init__.py")
    for statement in ast.parse(source.read_text(encoding="utf-8")).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            value = getattr(statement, "value", None)
            return _names_in(value)
    raise LookupError(f"no literal table {table}")


def _names_in(value: ast.expr | None) -> tuple[str, ...]:
    """Return the names in a literal dict, tuple or PluginTable; the latter includes names from installed packages."""
    if isinstance(value, ast.Call):
        parts = [*value.args, *(word.value for word in value.keywords)]
        names = _names_in(next(part for part in parts if isinstance(part, ast.Dict)))
        texts = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
        group = next((text for text in texts if text.startswith("synth.")), "")
        return PluginTable("", dict.fromkeys(names, ""), group).names()
    entries = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", [])
    return tuple(str(ast.literal_eval(entry)) for entry in entries if entry is not None)


class KnownName(click.ParamType):
    """Name of a table. kind: what it names. names: additional ones. without: excluded ones.

    free: whether anything else is accepted too, such as a file. files: whether a path to a .py file is accepted too.
    error: "module:function" that raises the table's own error for an unknown name, if it has one.
    """

    name = "name"

    def __init__(
        self,
        kind: str,
        table: str = "",
        *,
        names: Sequence[str] = (),
        without: Sequence[str] = (),
        free: bool = False,
        files: bool = False,
        error: str = "",
    ) -> None:
        self.kind, self._table, self._more, self._without = kind, table, tuple(names), without
        self.free, self._files, self._error = free, files, error

    @property
    def names(self) -> tuple[str, ...]:
        """All known names."""
        listed = table_names(self._table) if self._table else ()
        return tuple(name for name in (*listed, *self._more) if name not in self._without)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join((*self.names, *(['FILE'] if self.free or self._files else [])))}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name = str(value)
        if self.free or name in self.names:
            return name
        if self._error:
            module, _, function = self._error.partition(":")
            # It raises for what is unusable and accepts Python files and entries of installed packages.
            getattr(importlib.import_module(module), function)(name)
            return name
        if self._files and is_python_file(name):
            return name
        raise unknown_name(self.kind, name, self.names)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in self.names if name.startswith(incomplete)]
        return [*found, *([CompletionItem(incomplete, type="file")] if self.free or self._files else [])]


class RecipeChoice(KnownName):
    """A recipe's name or a YAML file, with a share of the scenes if several are given: tabletop:0.7."""

    def __init__(self) -> None:
        super().__init__("recipe", "render.recipes:TABLE", free=True)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(self.names)}|FILE][:SHARE]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float | None]:
        if isinstance(value, tuple):
            return value
        name, colon, share = str(value).rpartition(":")
        if not colon or Path(value).exists():
            return str(value), None
        try:
            weight = float(share)
        except ValueError:
            return str(value), None
        if not 0 < weight <= 1e6:
            self.fail(f"{value!r}: a share is a number over 0, such as tabletop:0.7", param, ctx)
        return name, weight


def recipe_of(given: Sequence[tuple[str, float | None]]) -> str | tuple[tuple[str, float], ...]:
    """Return one recipe, or several with the weights of their shares. Raises UsageError if only some have a share."""
    if len(given) == 1:
        return given[0][0]
    shares = [share for _, share in given if share is not None]
    if shares and len(shares) < len(given):
        raise click.UsageError("several --recipe: give a share with each, such as --recipe tabletop:0.7, or with none")
    return tuple((name, 1.0 if share is None else share) for name, share in given)
