"""Values on the command line: sizes, shares, numbers of processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dataset.storage.path import StoragePath

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)


# What a worker comes to in a thousand scenes (docs/results.md).
WORKER_MB = 2048


class Size(click.ParamType):
    """640x480."""

    name = "WIDTHxHEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and 8 <= int(width) <= 8192 and 8 <= int(height) <= 8192):
            self.fail(f"{value!r}: expected width x height in pixels, 8 to 8192 each, such as 640x480", param, ctx)
        return int(width), int(height)


class Shares(click.ParamType):
    """train:0.9,val:0.1."""

    name = "NAME:SHARE,..."

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


class Workers(click.ParamType):
    """A number, or auto: one for each core, as long as there is memory for them."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if str(value) == "auto":
            from assets.machine import usable_cores
            from pipeline.workers.memory import memory_share_mb

            return max(min(usable_cores(), int(memory_share_mb(1) / WORKER_MB)), 1)
        if not str(value).isdecimal() or not 1 <= int(value) <= 512:
            self.fail(f"{value!r}: expected a number of processes from 1 to 512, or auto", param, ctx)
        return int(value)


class MixShares(click.ParamType):
    """real:0.2,scatter:0.3."""

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


class DataPath(click.ParamType):
    """data/synth, or s3://bucket/synth where a sharded set lies."""

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


class NamedPath(click.ParamType):
    """data/synth, or scatter=data/scatter, or s3://bucket/synth where a sharded set lies."""

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
