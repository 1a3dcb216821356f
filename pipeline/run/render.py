"""Render run: renders the missing scenes, then merges all labels into COCO files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from assets.errors import SynthError
from assets.files.atomic import lock_folder, remove_leftovers, sweep_cache, sync_folder
from assets.files.source_pins import SourcePins
from assets.interrupt import never
from assets.library import check_sources
from assets.progress import Reporter
from dataset.checksums import spool_checksums
from dataset.layout import Layout, stem_of, suffix_of
from pipeline.run.dataset_info import check_folder, claim_folder, describe_run, keep_streams
from pipeline.run.extras import check_extras
from pipeline.run.failures import FailureList
from pipeline.run.merge import merge_labels
from pipeline.run.resources import open_backdrops, open_library, open_planograms, render_settings
from pipeline.run.scene import render_scene, start_worker
from pipeline.run.settings import RunSettings
from pipeline.workers.disk_errors import disk_error
from pipeline.workers.pool import Outcome, run_scenes
from pipeline.workers.process import SceneFunctions

RENDERING = SceneFunctions(render_scene, start_worker)
# Below this number of failed scenes a run continues, whatever their share.
MIN_FAILURES = 3
# If this many fail and none succeeds, the run stops early.
MAX_ONLY_FAILURES = 10


@dataclass
class RunSummary:
    """Result of a run. images, annotations, skus: of the whole set, once complete; made, seconds: of this run.

    found: scenes that existed before. again: scenes of this run that needed a second attempt. interrupted: the run was
    stopped before all scenes were made or had failed.
    """

    out: Path
    scenes: int = 0
    images: int = 0
    annotations: int = 0
    skus: int = 0
    catalog_size: int = 0
    made: int = 0
    found: int = 0
    again: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    failures: list[Outcome] = field(default_factory=list)


def run_render(
    settings: RunSettings,
    reporter: Reporter,
    functions: SceneFunctions = RENDERING,
    *,
    stop: Callable[[], bool] = never,
) -> RunSummary:
    """Render what `settings` asks for and does not exist yet, and write the COCO files.

    stop: once it returns True, scenes in progress are finished and no more are started. A KeyboardInterrupt during the
    scenes ends them at once. Both return a summary marked as interrupted; finished work is kept, and the same call
    resumes it. Raises SynthError for a bad list, recipe, folder or setting before any work starts, and if too many
    scenes fail or the disk cannot be written to.
    """
    from assets.catalog.load import load_catalog
    from render.recipes import load_recipe

    catalog = load_catalog(settings.sku_list)
    backdrops = open_backdrops(settings.backdrops)
    settings = keep_streams(settings)
    recipe = load_recipe(settings.recipe, streams=settings.streams)
    check_extras(settings.extras, recipe)
    if backdrops.planograms:
        for line in open_planograms(catalog, backdrops, recipe).describe():
            reporter.say(line)
    info = describe_run(settings, catalog, backdrops, recipe, render_settings(settings))
    layout = Layout(settings.out)
    with lock_folder(settings.out) as lock:
        summary = RunSummary(settings.out, settings.scenes, catalog_size=len(catalog))
        try:
            check_folder(layout, info)
            _check_products(settings, layout)
            claim_folder(layout, info)
            sweep_cache(settings.cache)
            _render_missing(settings, layout, functions, summary, _Run(reporter, stop, lock))
            _remove_leftovers(layout)
            if not summary.interrupted:
                _check_complete(settings, layout, summary)
                with spool_checksums(settings.out) as checksums:
                    counts, summary.skus = merge_labels(settings, layout, catalog, checksums)
                summary.images, summary.annotations = counts.images, counts.annotations
                for folder in _folders(layout):
                    sync_folder(folder)
        except BrokenPipeError:
            raise  # the reader of the output has closed it: no problem of the data set
        except OSError as error:
            raise disk_error(settings.out, error) from error
    return summary


@dataclass(frozen=True)
class _Run:
    """The context of a run: where to report, what may stop it, the descriptor of the folder's lock."""

    reporter: Reporter
    stop: Callable[[], bool]
    lock: int


def _check_products(settings: RunSettings, layout: Layout) -> None:
    """Raise SynthError if a set that is resumed was made with other products, before anything is written."""
    if not layout.sources.exists():
        return
    try:
        finished = len(_finished_scenes(settings, layout))
    except FileNotFoundError:  # a folder was deleted
        finished = 0
    if finished < settings.scenes:
        library = open_library(settings.sku_list, settings.backdrops, settings.cache)
        check_sources(SourcePins(layout.sources), library)


def _folders(layout: Layout) -> list[Path]:
    return [layout.root, *(path for path in layout.root.iterdir() if path.is_dir())]


def _remove_leftovers(layout: Layout) -> None:
    """Delete what killed workers left half written; none of them is alive now."""
    for folder in _folders(layout):
        remove_leftovers(folder)


def _render_missing(
    settings: RunSettings, layout: Layout, functions: SceneFunctions, summary: RunSummary, run: _Run
) -> None:
    finished = _finished_scenes(settings, layout)
    missing = [index for index in range(settings.scenes) if index not in finished]
    summary.found = len(finished)
    pins = SourcePins(layout.sources)
    failures = FailureList(settings, finished)
    stop = _announce_stop(run)
    started = time.monotonic()
    try:
        with (
            run.reporter.scenes(settings.scenes, summary.found) as progress,
            closing(run_scenes(functions, settings, missing, stop=stop, lock=run.lock)) as outcomes,
        ):
            for outcome in outcomes:
                _count_outcome(outcome, summary, failures)
                progress.advance(failed=bool(outcome.reason))
                _check_failures(settings, summary)
    except KeyboardInterrupt:
        summary.interrupted = True
    finally:
        summary.seconds = time.monotonic() - started
        with suppress(OSError):  # a full disk: the lines exist, only unsorted
            failures.settle()
            pins.settle()
    summary.interrupted |= summary.made + len(summary.failures) < len(missing)


def _announce_stop(run: _Run) -> Callable[[int], bool]:
    """Return a `stop` that reports once what the run is waiting for."""
    announced: list[int] = []

    def stop(in_progress: int) -> bool:
        if run.stop() and not announced:
            announced.append(in_progress)
            scenes = "the scene" if in_progress == 1 else f"the {in_progress} scenes"
            doing = f"finishing {scenes} in progress" if in_progress else "stopping: no scene is in progress"
            run.reporter.say(f"{doing}; press Ctrl-C again to stop now")
        return bool(announced)

    return stop


def _count_outcome(outcome: Outcome, summary: RunSummary, failures: FailureList) -> None:
    summary.again += outcome.attempts > 1
    if outcome.reason:
        summary.failures.append(outcome)
        failures.add(outcome)
    else:
        summary.made += 1
        failures.drop(outcome.index)


def _finished_scenes(settings: RunSettings, layout: Layout) -> set[int]:
    """Return scenes with all files of all views. Folders are listed once instead of 100,000 lookups."""
    complete: set[str] | None = None
    for name in ("labels", "scenes", "images", *settings.extras):
        suffix = suffix_of(name)
        with os.scandir(layout.root / name) as entries:
            stems = {entry.name.removesuffix(suffix) for entry in entries if entry.name.endswith(suffix)}
        complete = stems if complete is None else complete & stems
    stems = complete or set()
    return {
        index
        for index in range(settings.scenes)
        if all(stem_of(index, view) in stems for view in range(settings.views))
    }


def _check_failures(settings: RunSettings, summary: RunSummary) -> None:
    """Raise SynthError if too many scenes of the whole set fail: a resumed run may have only bad scenes left."""
    failed = len(summary.failures)
    too_many = failed >= MIN_FAILURES and failed > settings.max_failures * settings.scenes
    only_failures = failed >= MAX_ONLY_FAILURES and not summary.made and not summary.found and settings.max_failures < 1
    if too_many or only_failures:
        raise SynthError(
            f"{failed} of {failed + summary.made} scenes failed, so the run stops",
            code="scenes-failed",
            where=str(Layout(settings.out).failures),
            found=summary.failures[-1].reason,
            expected=f"at most {settings.max_failures:.0%} of {settings.scenes}",
            hint="fix the cause and run the same command again; finished work is kept",
        )


def _check_complete(settings: RunSettings, layout: Layout, summary: RunSummary) -> None:
    """Raise SynthError if finished scenes have disappeared: a run with missing images must not succeed."""
    lost = summary.found + summary.made - len(_finished_scenes(settings, layout))
    if lost > 0:
        scenes = "1 rendered scene is" if lost == 1 else f"{lost} rendered scenes are"
        hint = "check whether something else changes the folder, and run the same command again: it renders them again"
        raise SynthError(f"{scenes} missing", code="scenes-lost", where=str(settings.out), hint=hint)
