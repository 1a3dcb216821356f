"""Types of command-line values: sizes, shares, numbers of processes. `show` returns the text of a default."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dataset.storage.path import StoragePath

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
# Memory of a worker process after a thousand scenes (docs/results.md).
WORKER_MB = 2048
# Upper bounds above this only guard against typing errors.
HUGE = 1_000_000


def shown_default(default: Any, kind: click.ParamType) -> str:
    """Return a default as one would type it; empty if there is none to show."""
    if default is None or default == "" or default == ():
        return ""
    show = getattr(kind, "show", None)
    if show is not None:
        return str(show(default))
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def shown_range(kind: click.IntRange | click.FloatRange) -> str:
    """Return the range of a number in words, without a bound that nobody reaches."""
    most = kind.max if kind.max is not None and kind.max < HUGE else None
    if kind.min is None:
        return f"at most {most:g}" if most is not None else ""
    if kind.min_open:
        return f"above {kind.min:g}" + (f", up to {most:g}" if most is not None else "")
    return f"{kind.min:g} to {most:g}" if most is not None else f"at least {kind.min:g}"


class _Text(click.ParamType):
    """A type whose name is its format, shown in the help."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name


class Size(_Text):
    """Format: 640x480."""

    name = "WIDTHxHEIGHT"

    def show(self, value: tuple[int, int]) -> str:
        return f"{value[0]}x{value[1]}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and 8 <= int(width) <= 8192 and 8 <= int(height) <= 8192):
            self.fail(f"{value!r}: expected width x height in pixels, 8 to 8192 each, such as 640x480", param, ctx)
        return int(width), int(height)


class Shares(_Text):
    """Format: train:0.9,val:0.1."""

    name = "NAME:SHARE,..."

    def show(self, value: tuple[tuple[str, float], ...]) -> str:
        return ",".join(f"{name}:{share:g}" for name, share in value)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[str, float], ...]:
        if isinstance(value, tuple):
            return value
        try:
            shares = tuple(self._share(item) for item in str(value).split(","))
        except ValueError as error:
            self.fail(f"{value!r}: {error}; expected such as train:0.9,val:0.1", param, ctx)
        names = [name for name, _ in shares]
        if len(set(names)) != len(names):
            self.fail(f"{value!r}: each split once", param, ctx)
        if abs(sum(share for _, share in shares) - 1) > 1e-6:
            self.fail(f"{value!r}: the shares must sum to 1, found {sum(s for _, s in shares):g}", param, ctx)
        return shares

    def _share(self, item: str) -> tuple[str, float]:
        name, colon, share = item.strip().partition(":")
        if not name.isidentifier() or not colon:
            raise ValueError(f"{item!r} is not NAME:SHARE")
        number = float(share)
        if not 0 < number <= 1:
            raise ValueError(f"the share of {name} must be over 0 and at most 1")
        return name, number


class Range(_Text):
    """Format: 0.5:1, or one number for both ends."""

    name = "LEAST:MOST"

    def show(self, value: tuple[float, float]) -> str:
        return f"{value[0]:g}:{value[1]:g}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            ends = [float(part) for part in str(value).split(":")]
        except ValueError:
            ends = []
        if len(ends) not in (1, 2) or not all(-1e9 < end < 1e9 for end in ends) or ends[0] > ends[-1]:
            self.fail(f"{value!r}: expected a number, or two such as 0.5:1, the smaller one first", param, ctx)
        return ends[0], ends[-1]


class Workers(_Text):
    """A number, or auto: one per core, as far as memory allows."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if str(value) == "auto":
            from assets.machine import memory_share_mb, usable_cores

            return max(min(usable_cores(), int(memory_share_mb(1) / WORKER_MB)), 1)
        if not str(value).isdecimal() or not 1 <= int(value) <= 512:
            self.fail(f"{value!r}: expected a number of processes from 1 to 512, or auto", param, ctx)
        return int(value)


class Listed(click.ParamType):
    """Several values in one text, separated by commas: 320x192,640x384. one: the type of each. name: of the format."""

    def __init__(self, one: click.ParamType, name: str) -> None:
        self._one, self.name = one, name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name

    def show(self, value: tuple[Any, ...]) -> str:
        return ",".join(shown_default(one, self._one) for one in value)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(parts):
            self.fail(f"{value!r}: expected values separated by commas", param, ctx)
        return tuple(self._one.convert(part, param, ctx) for part in parts)


class MixShares(_Text):
    """Format: real:0.2,scatter:0.3."""

    name = "NAME:SHARE,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[str, float], ...]:
        if isinstance(value, tuple):
            return value
        from detectors.data.mix import parse_shares

        try:
            return parse_shares(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}; expected such as real:0.2 or real:0.2,scatter:0.3", param, ctx)


class DataPath(_Text):
    """Format: data/synth, or s3://bucket/synth for a sharded set."""

    name = "PATH|PLACE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | StoragePath:
        if not isinstance(value, str):
            return value
        if "://" in value:
            from dataset.storage.path import StoragePath

            return StoragePath(value)
        if not Path(value).exists():
            self.fail(f"{value!r} does not exist", param, ctx)
        return Path(value)


class NamedPath(_Text):
    """Format: data/synth, or scatter=data/scatter, or s3://bucket/synth for a sharded set."""

    name = "[NAME=]PATH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path | StoragePath]:
        if isinstance(value, tuple):
            return value
        name, equals, path = str(value).partition("=")
        if not equals or "://" in name:
            name, path = "", str(value)
        elif not name.isidentifier():
            self.fail(f"{value!r}: a name is made of letters, digits and _", param, ctx)
        return name, DataPath().convert(path, param, ctx)


class Gigabytes(_Text):
    """Gigabytes on disk, at least 0.1; the value is in bytes."""

    name = "GB"

    def show(self, value: int) -> str:
        return f"{value / 1e9:g}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        return int(click.FloatRange(0.1).convert(value, param, ctx) * 1e9)


class Place(_Text):
    """A folder, or the URL of one in an object storage, such as s3://bucket/folder."""

    name = "PLACE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> StoragePath:
        from dataset.storage.path import StoragePath

        return StoragePath(value) if isinstance(value, str) else value
