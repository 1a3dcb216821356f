"""Output of commands: tables and progress for people, one line with --quiet, one JSON object with --json."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assets.errors import UNPRINTABLE, SynthError, printable

if TYPE_CHECKING:
    from rich.console import Console

# Keys of ctx.meta.
QUIET, JSON, SUMMARY = "synth.quiet", "synth.json", "synth.summary"
# Width of the output if it is no terminal, so that no line is cut or wrapped.
PIPE_WIDTH = 10_000
STOPPED = (130, 143)
# Packages of the extra "train".
LEARNING_PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "tensorboard",
    "matplotlib",
    "onnx",
)


def open_console(*, quiet: bool = False) -> Console:
    """Open a console on stdout; in a pipe or file its tables are as wide as needed."""
    from assets.console import PlainConsole

    console = PlainConsole(quiet=quiet)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return PlainConsole(quiet=quiet, width=PIPE_WIDTH)


def say(text: object, *, end: str = "\n") -> None:
    """Print a text on stdout, with control characters written out."""
    click.echo(f"{printable(str(text))}{end}", nl=False)


def report_options() -> list[click.Option]:
    """Return --quiet and --json, for commands that take long; `reporting` reads their values, not the command."""
    common: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
    quiet = "Print no progress and no tables: only errors, and one line at the end."
    as_json = "Print one JSON object to stdout at the end; everything else goes to stderr."
    return [
        click.Option(["--quiet"], callback=_store_flag(QUIET), help=quiet, **common),
        click.Option(["--json"], callback=_store_flag(JSON), help=as_json, **common),
    ]


def _store_flag(key: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def store(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        ctx.meta[key] = ctx.meta.get(key, False) or value

    return store


def report(summary: Any, *, without: Sequence[str] = ()) -> None:
    """Record the result of the current command for --json and --quiet: a mapping, or the fields of a dataclass.

    without: names that are left out.
    """
    ctx = click.get_current_context(silent=True)
    if ctx is not None:
        named = {name: value for name, value in _fields_of(summary).items() if name not in without}
        ctx.meta.setdefault(SUMMARY, {}).update(named)


def _fields_of(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    return {field.name: getattr(value, field.name) for field in fields(value)}


@contextmanager
def reporting(ctx: click.Context) -> Iterator[None]:
    """Run a command with its output redirected as --quiet and --json ask, and print its summary to stdout at the end.

    The summary is printed however the command ends; without the options nothing changes.
    """
    quiet, as_json = ctx.meta.get(QUIET, False), ctx.meta.get(JSON, False)
    if not quiet and not as_json:
        yield
        return
    started = time.monotonic()
    ended, error, code = "finished", None, None
    try:
        with ExitStack() as stack:
            sink = stack.enter_context(Path(os.devnull).open("w")) if quiet else sys.stderr
            stack.enter_context(redirect_stdout(sink))
            yield
    except BaseException as raised:
        ended, error, code = _ending_of(raised)
        raise
    finally:
        _print_ending(ctx, ended, error, code, time.monotonic() - started)


@contextmanager
def reporting_mistakes(ctx: click.Context) -> Iterator[None]:
    """While options are parsed, print usage errors as an object to stdout, too, with --json."""
    try:
        yield
    except (click.UsageError, SynthError) as raised:
        if ctx.meta.get(JSON):
            _print_ending(ctx, *_ending_of(raised), 0.0)
        raise


def _print_ending(ctx: click.Context, ended: str, error: str | None, code: str | None, seconds: float) -> None:
    content: dict[str, Any] = {"command": _name_of(ctx), "ended": ended, "error": error, "code": code}
    content = {**content, **ctx.meta.get(SUMMARY, {}), **content, "seconds": round(seconds, 3)}
    click.echo(json_line(content) if ctx.meta.get(JSON) else printable(_line_of(content)))


def json_line(content: Any) -> str:
    """Return a value as one line of JSON; what controls a terminal is written as an escape of JSON."""
    text = json.dumps(json_value(content), ensure_ascii=False)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _name_of(ctx: click.Context) -> str:
    """Return the command's words without the program's: "data pack"."""
    words = []
    while ctx.parent is not None:
        words.append(ctx.info_name or "")
        ctx = ctx.parent
    return " ".join(reversed(words))


def mistake_of(error: BaseException) -> SynthError | None:
    """Return the SynthError that an exception is or amounts to; None for bugs of the program."""
    if isinstance(error, SynthError):
        return error
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):  # click handles that one
        return SynthError("a file cannot be read or written", code="io-failed", found=str(error))
    if isinstance(error, MemoryError):
        return SynthError("not enough memory", code="out-of-memory")
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in LEARNING_PACKAGES:
        what = f"this command needs the package {error.name}"
        return SynthError(what, code="dependency-missing", hint="pip install 'synth[train]'")
    return None


def _ending_of(raised: BaseException) -> tuple[str, str | None, str | None]:
    """Return how a command that raised this ended, with the error and its code."""
    if isinstance(raised, KeyboardInterrupt | click.Abort):
        return "stopped", None, None
    status = raised.code if isinstance(raised, SystemExit) else getattr(raised, "exit_code", None)
    if isinstance(raised, SystemExit | click.exceptions.Exit):
        return "finished" if not status else "stopped" if status in STOPPED else "failed", None, None
    if isinstance(raised, click.ClickException):
        code = "command-line-invalid"
        return "failed", raised.format_message(), code
    mistake = mistake_of(raised)
    return "failed", str(mistake or raised) or type(raised).__name__, mistake.code if mistake else None


def json_value(value: Any) -> Any:
    """Convert a value to JSON types: paths to text, NumPy numbers to numbers, non-finite numbers to null."""
    if isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type)):
        return {str(key): json_value(one) for key, one in _fields_of(value).items()}
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes):
        return [json_value(one) for one in (sorted(value) if isinstance(value, Set) else value)]
    for method in ("tolist", "model_dump"):  # of NumPy and pydantic, neither of which is imported here
        if hasattr(value, method):
            return json_value(getattr(value, method)())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _line_of(content: Mapping[str, Any]) -> str:
    """Return the summary as one line: numbers, texts and lengths of lists, but nothing nested."""
    head, skipped = f"{content['command']}: {content['ended']}", ("command", "ended", "error", "code")
    named = {name: json_value(value) for name, value in content.items() if name not in skipped}
    shown = {name: _short(value) for name, value in named.items()}
    return "; ".join([head, *(f"{name} {text}" for name, text in shown.items() if text)])


def _short(value: Any) -> str:
    if isinstance(value, list):  # failures, violations; rows of numbers appear in --json only
        return "" if any(isinstance(one, int | float) for one in value) else str(len(value))
    if isinstance(value, dict) or value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
