"""The `synth` program: signals are handled before anything else is imported."""

from __future__ import annotations

from assets.interrupt import install_handlers


def main() -> None:
    """Runs the command line."""
    install_handlers(starting=True)
    from pipeline.cli.main import main as command_line

    command_line(prog_name="synth")


if __name__ == "__main__":
    main()
