"""Command classes: options generated from settings types and grouped in panels; a repeated option is an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import click

from pipeline.cli.options import Binding, SettingOption, Use, bind_command
from pipeline.cli.output import report_options, reporting, reporting_mistakes

# Order of the panels of the help, after panels that only one command has.
GENERAL = "General"
PANELS = (
    *(
        "Options",
        "Method",
        "Data",
        "Selection",
        "Stream",
        "Gallery",
        "Coverage",
        "Scenes",
        "Rendering",
        "Crops",
        "Model",
    ),
    "Training",
    *("Detection", "Decision", "Evaluation", "Output", "Compute", GENERAL),
)
# Limit of the short help of a command, which none reaches, so that it is never cut.
MAX_CHARACTERS = 1000


class Command(click.Command):
    """A command whose options come from its settings and parameters, and are created on first use.

    uses: settings of each parameter of the function. reports: whether it has --quiet and --json. examples: command
    lines shown in its help. An option that is not repeatable must not be given twice.
    """

    def __init__(
        self,
        *arguments: Any,
        uses: Mapping[str, Use] | None = None,
        reports: bool = False,
        examples: tuple[str, ...] = (),
        **attributes: Any,
    ) -> None:
        super().__init__(*arguments, **attributes)
        self._uses, self._reports, self._examples = uses or {}, reports, examples

    @cached_property
    def _binding(self) -> Binding:
        declared = [param.name or "" for param in self.params]
        assert self.callback is not None
        binding = bind_command(self.callback, self._uses, declared)
        self.params = [*binding.params, *self.params, *(report_options() if self._reports else ())]
        return binding

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        _ = self._binding
        return super().get_params(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # set by shell completion, which must not raise
            _refuse_repeated(ctx, self._order_given(ctx, args))
        with reporting_mistakes(ctx):
            return super().parse_args(ctx, args)

    def _order_given(self, ctx: click.Context, args: list[str]) -> list[click.Parameter]:
        try:
            return self.make_parser(ctx).parse_args(args=list(args))[2]
        except click.NoSuchOption as error:
            for param in self.get_params(ctx):
                if isinstance(param, SettingOption) and error.option_name in param.old:
                    raise click.UsageError(f"{error.option_name} is now called {param.opts[0]}", ctx) from error
            raise

    def invoke(self, ctx: click.Context) -> Any:
        with reporting(ctx):
            assert self.callback is not None
            made = {param.name for param in self._binding.params}
            others = {name: value for name, value in ctx.params.items() if name not in made}
            return ctx.invoke(self.callback, **others, **self._binding.values(ctx.params))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                panels.setdefault(getattr(param, "group", GENERAL), []).append(record)
        for title in sorted(panels, key=lambda title: PANELS.index(title) if title in PANELS else 0):
            with formatter.section(title):
                formatter.write_dl(panels[title], col_max=28)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self._examples:
            with formatter.section("Examples"):
                for line in self._examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help, uncut."""
        return super().get_short_help_str(MAX_CHARACTERS)


class CommandGroup(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help, uncut."""
        return super().get_short_help_str(MAX_CHARACTERS)


def _refuse_repeated(ctx: click.Context, order: list[click.Parameter]) -> None:
    """Raise UsageError that names every option in `order` that takes one value and has several.

    A flag without an opposite may be repeated.
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
