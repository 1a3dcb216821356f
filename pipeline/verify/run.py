"""`synth verify`: any data set checked as far as what it was made from is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from assets.files.scratch import scratch_folder
from assets.interrupt import never
from assets.progress import StepProgress
from dataset.find import find_splits
from dataset.layout import Layout
from dataset.store import CocoPart, CocoStore, sharded_store
from pipeline.verify.coco import CocoChecks
from pipeline.verify.rendered import open_rendered
from pipeline.verify.report import Tally, VerifyReport
from pipeline.verify.settings import VerifySettings
from pipeline.verify.shards import ShardChecks
from pipeline.verify.walk import SetChecks, walk


def verify_set(
    location: str, settings: VerifySettings, console: Console, *, stop: Callable[[], bool] = never
) -> VerifyReport:
    """All violations of a data set: a folder of `synth render`, any COCO file or folder with one, shards.

    stop: asked between images; once it says True the report is of what was checked until then. Raises SynthError
    where there is no data set; damage inside one is a violation, never an error.
    """
    with scratch_folder("verify") as folder, open_checks(location, settings) as checks:
        tally = Tally(Path(folder), stop)
        checks.check_set(tally)
        with StepProgress(console, "verifying", total=len(checks.parts), unit="parts") as progress:
            for found in walk(checks, settings.workers):
                for findings in found:
                    tally.take(findings)
                    if tally.ended:
                        break
                progress.advance()
                if tally.ended:
                    break
        checks.check_rest(tally)
        return tally.report()


@contextmanager
def open_checks(location: str, settings: VerifySettings) -> Iterator[SetChecks]:
    """What the data set at a location is checked for."""
    path = Path(location)
    layout = Layout(path)
    if store := sharded_store(location):
        yield ShardChecks(store, settings)
    elif os.path.lexists(layout.info):
        with open_rendered(layout, settings) as checks:
            yield checks
    else:
        yield CocoChecks(CocoStore(path, tuple(CocoPart(split) for split in find_splits(path, settings.images))))
