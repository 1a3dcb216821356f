"""What a page speaks of: which detector, which data, which day. Pages alone carry dates; report.json never does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from detectors.checkpoints.detector import Checkpoint

# What a training leaves in its run folder, in the order in which people look at it.
CURVES = (
    ("training curves", "curves.png"),
    ("log as CSV", "logs/csv/version_*/metrics.csv"),
    ("TensorBoard logs", "logs/tensorboard"),
)


@dataclass(frozen=True)
class About:
    """The head of a page; equal values give equal pages.

    subject: the detector's short name. data: the data set's. day: of the evaluation, YYYY-MM-DD, empty for none.
    facts: label and text. links: label and URL relative to the page.
    """

    subject: str = "Detector"
    data: str = ""
    day: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def title(self, fallback: str) -> str:
        """What was judged on what and when. fallback: the name of the data where none is given."""
        return ", ".join(part for part in (f"{self.subject} on {self.data or fallback}", self.day) if part)


def about_run(name: str, file: Path, checkpoint: Checkpoint, labels: Path, folder: Path, *, today: date) -> About:
    """The head of the page in `folder` about a detector on `labels`, a COCO file.

    name: of the run. file: of the checkpoint, whose day is that of its last change (UTC).
    """
    made = datetime.fromtimestamp(file.stat().st_mtime, UTC).date().isoformat()
    what = f"{checkpoint.spec.detector}, {checkpoint.spec.classes} SKUs, step {checkpoint.step}, file of {made}"
    facts = (("checkpoint", f"{file} ({what})"), ("data", str(labels)), ("evaluated", today.isoformat()))
    return About(name, _short_name(labels), today.isoformat(), facts, curve_links(file.parent, folder))


def curve_links(run: Path, folder: Path) -> tuple[tuple[str, str], ...]:
    """Links from a page in `folder` to what a training has left in `run`, as far as it is there."""
    found = [(label, sorted(run.glob(pattern), key=_version)) for label, pattern in CURVES]
    return tuple((label, _url(files[-1], folder)) for label, files in found if files)


def _short_name(labels: Path) -> str:
    """syn/val of syn/annotations/instances_val.json."""
    home = labels.parent.parent if labels.parent.name == "annotations" else labels.parent
    return f"{home.resolve().name}/{labels.stem.removeprefix('instances_')}"


def _version(file: Path) -> tuple[int, str]:
    """version_10 comes after version_2."""
    return len(file.parent.name), file.parent.name


def _url(target: Path, folder: Path) -> str:
    relative = os.path.relpath(target.resolve(), folder.resolve())
    # A folder opens as a listing only with its slash.
    return quote(Path(relative).as_posix()) + ("/" if target.is_dir() else "")
