"""What `synth verify` says at the end."""

from __future__ import annotations

from rich.console import Console

from pipeline.verify import VerifyReport

MOST_TOLD = 100


def print_report(console: Console, report: VerifyReport) -> None:
    """Each violation on a line, then one line that sums up."""
    for violation in report.violations[:MOST_TOLD]:
        console.print(str(violation), style="red", highlight=False, markup=False)
    if len(report.violations) > MOST_TOLD:
        console.print(f"and {len(report.violations) - MOST_TOLD} more", style="red")
    for skipped in report.skipped:
        console.print(f"not proven: {skipped}", style="yellow", highlight=False, markup=False)
    counts = f"{report.images} images, {report.annotations} annotations, {report.scenes_redrawn} scenes drawn again"
    if report.violations:
        console.print(f"{len(report.violations)} violations in {counts}", style="bold red", highlight=False)
    else:
        console.print(f"clean: {counts}", style="bold green", highlight=False)
