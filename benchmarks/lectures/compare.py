"""Every detector of the table in one comparison: on rendered scenes of the demo catalogue, and on photographs.

    python -m benchmarks.lectures.compare --out runs/demo                          # 400 scenes, then the rows
    python -m benchmarks.lectures.compare --out runs/hope --data ../shared/data    # photographs of hope_real
    python -m benchmarks.lectures.compare ... --minutes-in-all 9                   # a piece; call again to go on
    python -m benchmarks.lectures.compare ... --detectors yolo,fcos --steps 20     # to see that it works

DATA is the folder with hope_real/ and weights/. Backbones that can be replaced are tf_efficientnet_lite0 with ImageNet
weights; detectors that cannot take it have their own network (the smallest, with --small), from random weights. What is
done is not done again. The exit status is 0 once every row has ended.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import click

from detectors.bench.rows import RowRecord, read_row
from detectors.checkpoints.pretrained import packaged_file

BACKBONE = "tf_efficientnet_lite0"
UNFIT = "backbone-unsupported"


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Photographs instead.")
@click.option("--weights", help="ImageNet weights of the backbone; by default the packaged ones, or those of DATA.")
@click.option("--scenes", default=400, show_default=True)
@click.option("--size", default="320x192", show_default=True)
@click.option("--detectors", default="all", show_default=True)
@click.option("--steps", type=int, help="Of each detector, instead of minutes.")
@click.option("--minutes", default=1.0, show_default=True, help="Of training each detector.")
@click.option("--learning-rate", type=float, help="Of every detector, instead of its own, which is for long trainings.")
@click.option("--batch", default=4, show_default=True)
@click.option("--minutes-in-all", type=float, help="Stop in good order after so long.")
@click.option("--small/--large", default=True, show_default=True, help="The smallest network of large detectors.")
def main(
    out: Path,
    data: Path | None,
    weights: str | None,
    scenes: int,
    size: str,
    detectors: str,
    steps: int | None,
    minutes: float,
    learning_rate: float | None,
    batch: int,
    minutes_in_all: float | None,
    small: bool,
) -> None:
    """Make what is not there yet, and print the table of all that is."""
    end = time.monotonic() + 60 * minutes_in_all if minutes_in_all is not None else None
    sets = photographs(data) if data else rendered(out / "scenes", scenes, size)
    budget = ["--steps", str(steps)] if steps else ["--minutes", str(minutes)]
    common = ["bench", *sets, "--weights", weights or initial_weights(data), "--sizes", size, *budget]
    common += ["--batch", str(batch), "--augment", "light", "--threads", "1", "--workers", "0", "--repeats", "30"]
    common += ["--learning-rate", str(learning_rate)] if learning_rate else []
    common += ["--out", str(out / "bench"), *(["--small"] if small else [])]
    status = synth(*common, "--detectors", detectors, "--backbones", BACKBONE, *left(end))
    refused = [row.asked for row in rows(out / "bench") if row.code == UNFIT]
    if refused and not status:
        status = synth(*common, "--detectors", ",".join(dict.fromkeys(refused)), *left(end))
    sys.exit(status)


def photographs(data: Path) -> list[str]:
    """Options for the photographs: four arrangements teach, two judge."""
    return ["--data", str(data / "hope_real" / "train.json"), "--judge", str(data / "hope_real" / "test.json")]


def rendered(folder: Path, scenes: int, size: str) -> list[str]:
    """Options for scenes of the demo catalogue, which are rendered first; a fifth of them judge."""
    if synth("render", "--demo", "--keypoints", "--scenes", str(scenes), "--size", size, "--out", str(folder)):
        sys.exit("the scenes were not rendered: call again")
    return ["--data", str(folder)]


def initial_weights(data: Path | None) -> str:
    """ImageNet weights that are there without a network."""
    if packaged_file() is not None:
        return "packaged"
    return str(data / "weights" / f"{BACKBONE}.pth") if data else "none"


def left(end: float | None) -> list[str]:
    """The option that leaves the rest of the time to a call."""
    return [] if end is None else ["--minutes-in-all", f"{max((end - time.monotonic()) / 60, 0.01):.2f}"]


def rows(folder: Path) -> list[RowRecord]:
    """The rows that have ended."""
    found = [read_row(file.parent) for file in sorted(folder.glob("rows/*/row.json"))]
    return [row for row in found if row is not None]


def synth(*words: str) -> int:
    """Call the command line, and return its exit status."""
    return subprocess.run([sys.executable, "-m", "pipeline", *words], check=False).returncode


if __name__ == "__main__":
    main()
