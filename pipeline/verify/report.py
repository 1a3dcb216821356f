"""What `synth verify` says at the end."""

from __future__ import annotations

from rich.console import Console

from assets.plurals import count_of
from pipeline.verify.folder import VerifyReport

MAX_TOLD = 100


def print_report(console: Console, report: VerifyReport) -> None:
    """Each violation on a line, then one line that sums up."""
    for violation in report.violations[:MAX_TOLD]:
        console.print(str(violation), style="red", highlight=False, markup=False)
    if len(report.violations) > MAX_TOLD:
        console.print(f"and {len(report.violations) - MAX_TOLD} more", style="red")
    if report.checked:
        console.print(f"checked: {report.checked}", highlight=False, markup=False)
    for skipped in report.skipped:
        console.print(f"not proven: {skipped}", style="yellow", highlight=False, markup=False)
    counts = ", ".join(
        [
            count_of(report.images, "image"),
            count_of(report.annotations, "annotation"),
            f"{count_of(report.scenes_redrawn, 'scene')} drawn again",
            f"{count_of(report.pictures_rendered, 'picture')} rendered again",
        ]
    )
    violations = count_of(len(report.violations), "violation")
    if report.interrupted:
        words = f"stopped: not everything was checked; {violations} in what was: {counts}"
        console.print(words, style="bold yellow", highlight=False)
    elif report.violations:
        console.print(f"{violations} in {counts}", style="bold red", highlight=False)
    else:
        console.print(f"clean: {counts}", style="bold green", highlight=False)
