"""Everything that is measured at the size of a catalogue, one stage after another, each by its own script.

    python benchmarks/scale/run.py --out runs/scale                                # toy sizes: to see that all works
    python benchmarks/scale/run.py --out runs/scale --full --weights WEIGHTS.pth   # what docs/results.md states: hours
    python benchmarks/scale/run.py --out runs/scale --full --only plan,gallery

What a stage prints goes to OUT/STAGE.txt, which appears once it has ended well: the same command again goes on with the
others. Measure on a machine that does nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from assets.files.atomic import write_atomic

BENCHMARKS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Stage:
    """A script with the arguments of its toy and of its full size; {out} and {weights} are put in."""

    script: str
    toy: str
    full: str


STAGES: dict[str, Stage] = {
    "packshots": Stage("packshots.py", "--out {out}/packshots --count 20", "--out {out}/packshots --count 1000"),
    "plan": Stage("scale/jobs.py", "plan --skus 500 --scenes 10", "plan --skus 170000"),
    "scaling": Stage(
        "scale/jobs.py", "scaling --scenes 12 --kind sleep --workers 1 --workers 2", "scaling --scenes 400"
    ),
    "cost": Stage("scale/jobs.py", "cost --skus 12 --times 2 --size 160x120", "cost --skus 60 --times 20"),
    "kills": Stage("scale/kills.py", "--kills 2 --skus 12 --times 4", "--kills 20 --times 60"),
    "kills-ray": Stage(
        "scale/kills.py", "--kills 2 --skus 12 --times 4 --engine ray", "--kills 20 --times 60 --engine ray"
    ),
    "data": Stage("scale/data.py", "--images 400", "--images 300000 --skus 170000 --workers 2"),
    "gallery": Stage("scale/gallery.py", "--skus 500 --dim 64", "--skus 170000 --dim 512 --kinds exact,ivf,ivf8,hnsw"),
    "recognition": Stage(
        "recognition.py",
        "catalogue --out {out}/recognition --weights {weights} --skus 60 --queries 20 --query-scenes 8"
        " --train-skus 20 --train-scenes 8 --epochs 1",
        "catalogue --out {out}/recognition --weights {weights} --skus 1000,10000,170000 --workers 2",
    ),
}


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of what is printed and made.")
@click.option("--full", is_flag=True, help="At the size of 170,000 SKUs.")
@click.option("--only", default=",".join(STAGES), show_default=True)
@click.option(
    "--weights", default="none", show_default=True, help="Of the embedder's backbone: a file, imagenet, none."
)
def main(out: Path, full: bool, only: str, weights: str) -> None:
    """Run the stages that have not been run, and say how each ended; exit code 1 if one did not end well."""
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    names = [name.strip() for name in only.split(",")]
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        raise click.UsageError(f"unknown stage {unknown[0]!r}: {', '.join(STAGES)}")
    failed = [name for name in names if not _run(name, STAGES[name], full, out, weights, console)]
    sys.exit(1 if failed else 0)


def _run(name: str, stage: Stage, full: bool, out: Path, weights: str, console: Console) -> bool:
    result = out / f"{name}{'' if full else '-toy'}.txt"
    if result.exists():
        console.print(f"{name}: there already", highlight=False)
        return True
    words = (stage.full if full else stage.toy).format(out=out, weights=weights).split()
    begun = time.monotonic()
    command = [sys.executable, str(BENCHMARKS / stage.script), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    seconds = time.monotonic() - begun
    well = done.returncode == 0
    write_atomic(result if well else out / f"{name}-failed.txt", done.stdout)
    console.print(f"{name}: {'done' if well else 'FAILED'} in {seconds:.0f} s", highlight=False)
    return well


if __name__ == "__main__":
    main()
