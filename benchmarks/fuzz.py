"""Fuzzing for as long as one likes: the strategies of tests/fuzzing with ever new seeds, each failure kept as files.

    PYTHONPATH=.:tests python benchmarks/fuzz.py --kind mesh --minutes 10 --keep /tmp/failures

Seeds count up from --seed, so a run can be repeated; a failure is written as the files that led to it, shrunk, with
the traceback beside them. Kinds: those of tests/support/fuzzing/kinds.py, and "set" (a small set is rendered first).
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import traceback
import warnings
from functools import partial
from pathlib import Path

import click
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

from support.fuzzing.files import Files, HangError, Sandbox, sandbox
from support.fuzzing.kinds import KINDS, Check

# Examples of one seed: hypothesis then starts afresh, and failures found so far are kept.
EXAMPLES = 200
MEMORY_GIB = 6


@click.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice([*KINDS, "set"]), help="Default: all.")
@click.option("--minutes", type=float, default=1.0, help="For each kind.")
@click.option("--seed", type=int, default=0)
@click.option("--keep", type=click.Path(path_type=Path), default=Path("fuzz-failures"), help="Where failures are kept.")
def main(kinds: tuple[str, ...], minutes: float, seed: int, keep: Path) -> None:
    """Fuzz the readers; ends with 1 if anything but success or a SynthError came out."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_GIB << 30, MEMORY_GIB << 30))
    warnings.simplefilter("ignore")
    failures = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        for kind in kinds or (*KINDS, "set"):
            draw, check = (partial(*_of_set(Path(name)))(), _set_check) if kind == "set" else _of_kind(kind)
            failures += _fuzz(kind, draw, check, seed=seed, minutes=minutes, keep=keep, scratch=Path(name) / kind)
    sys.exit(1 if failures else 0)


def _of_kind(kind: str) -> tuple[SearchStrategy[Files], Check]:
    draw, check = KINDS[kind]
    return draw(), check


def _fuzz(
    kind: str, draw: SearchStrategy[Files], check: Check, *, seed: int, minutes: float, keep: Path, scratch: Path
) -> int:
    """Number of different failures within the time."""
    end, first, tried, found = time.monotonic() + 60 * minutes, seed, [0], set()
    scratch.mkdir()
    last: list[Files] = [{}]

    def attempt(files: Files) -> None:
        if time.monotonic() > end + 120:
            return  # shrinking may take longer than is left, within bounds
        tried[0] += 1
        last[:] = [files]
        with tempfile.TemporaryDirectory(dir=scratch) as root, sandbox(Path(root) / "box") as box:
            check(files, box)

    while time.monotonic() < end:
        try:
            run = settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            )
            seeded(seed)(run(given(files=draw)(attempt)))()
        except (Exception, HangError) as error:
            place = _place(error)
            if place not in found:
                found.add(place)
                _keep(keep / f"{kind}-{seed}", last[0], error)
                click.echo(f"  {kind} seed {seed}: {type(error).__name__}: {str(error)[:200]} at {place}")
        seed += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    click.echo(f"{kind}: {tried[0]} inputs, seeds {first} to {seed - 1}, {len(found)} failures, peak {peak:.1f} GiB")
    return len(found)


def _place(error: BaseException) -> str:
    """The last line of our own code: two failures at one place are one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    return f"{type(error).__name__} {Path(own[-1].filename).name}:{own[-1].lineno}" if own else type(error).__name__


def _keep(folder: Path, files: Files, error: BaseException) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "traceback.txt").write_text("".join(traceback.format_exception(error)), errors="backslashreplace")


_good: list[Path] = []


def _of_set(scratch: Path) -> tuple[object, Path]:
    """The strategy over a small data set, rendered on the spot."""
    import io

    from rich.console import Console

    from assets.demo import demo_list
    from assets.progress import Reporter
    from pipeline.run.render import run_render
    from pipeline.run.settings import RunSettings
    from support.fuzzing.sets import damages

    run = RunSettings(
        sku_list=demo_list(),
        out=scratch / "good",
        scenes=3,
        width=64,
        height=48,
        splits=(("train", 0.5), ("val", 0.5)),
        recipe=(("tabletop", 0.5), ("shelf", 0.5)),
        extras=("depth", "normals", "ids", "shop"),
        cache=scratch / "cache",
    )
    run_render(run, Reporter(Console(file=io.StringIO())))
    _good[:] = [run.out, run.cache]
    return damages, run.out


def _set_check(files: Files, box: Sandbox) -> None:
    from support.fuzzing.sets import check_set_is_verified

    check_set_is_verified(files, box, *_good, sample=len(files) - 1)


if __name__ == "__main__":
    main()
