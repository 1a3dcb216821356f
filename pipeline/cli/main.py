"""The `synth` command and its handling of errors. Heavy imports happen inside the command that needs them."""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from assets.interrupt import exit_code, handle_signals, report_interruption, working
from pipeline.cli import catalog, data, embedder, gallery, job, learning, planogram, proof, reality, scenes
from pipeline.cli.command import CommandGroup
from pipeline.cli.output import mistake_of, open_console


class Group(CommandGroup):
    """The main command: prints users' mistakes without a traceback and exits with 1; with 130 or 143 if interrupted."""

    def main(self, *args: Any, **extra: Any) -> Any:
        with handle_signals(starting=True):
            return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):  # file names need not be valid text
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        with working():
            try:
                return self._run(ctx)
            except KeyboardInterrupt:
                report_interruption()
                ctx.exit(exit_code())

    def _run(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            mistake = mistake_of(error)
            if mistake is None:
                raise
            click.secho("error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(f"{mistake}\n  code: {mistake.code}", err=True)
            ctx.exit(1)


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110}
)
@click.version_option(package_name="synth")
def main() -> None:
    """Labelled synthetic shop scenes from a product catalogue, for training retail detectors."""


@main.command()
def doctor() -> None:
    """Report what works on this machine, and how to repair what does not."""
    from pipeline.doctor import diagnose, print_checks

    checks = diagnose()
    print_checks(open_console(), checks)
    sys.exit(0 if any(check.renders for check in checks) else 1)


for part in (scenes, catalog, planogram, learning, reality, proof, job, data, embedder, gallery):
    for command in part.COMMANDS:
        main.add_command(command)

if __name__ == "__main__":
    main()
