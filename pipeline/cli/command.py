"""The classes of all commands: an option given twice is a mistake, and long commands report as they are asked to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from pipeline.cli.output import reporting, reporting_mistakes


class Command(click.Command):
    """A command that refuses an option given twice, unless it is declared with multiple=True."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # of shell completion, which never complains
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            _refuse_repeated(ctx, order)
        with reporting_mistakes(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with reporting(ctx):
            return super().invoke(ctx)


class CommandGroup(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


def _refuse_repeated(ctx: click.Context, order: list[click.Parameter]) -> None:
    """Raises UsageError that names every option among the parameters in `order` that takes one value and has several.

    A flag without an opposite may stand there twice: it says the same again.
    """
    given = Counter(param for param in order if isinstance(param, click.Option))
    repeated = [
        max(option.opts, key=len)
        for option, times in given.items()
        if times > 1 and not option.multiple and not option.count and not _is_plain_flag(option)
    ]
    if repeated:
        names = " and ".join(repeated)
        raise click.UsageError(f"{names}: given more than once, but takes one value; leave out all but one", ctx)


def _is_plain_flag(option: click.Option) -> bool:
    return bool(option.is_flag and not option.secondary_opts)
