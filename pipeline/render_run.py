"""The render run: what is missing is rendered, then everything is merged into COCO files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.atomic import lock_folder, remove_leftovers, write_whole
from assets.catalog import Catalog
from assets.errors import SynthError
from pipeline.dataset_info import claim_folder, describe_run
from pipeline.layout import Layout, split_of, stem_of
from pipeline.progress import Reporter
from pipeline.resources import open_backdrops, render_settings
from pipeline.run_settings import RunSettings
from pipeline.scene_job import render_scene
from pipeline.workers import Job, Outcome, no_room, run_scenes

# Below this number of failed scenes a run goes on, whatever their share.
FEWEST_FAILURES = 3


@dataclass
class RunSummary:
    """What a run did. pictures, annotations, skus: of the whole set; made, seconds: of this run alone."""

    out: Path
    pictures: int = 0
    annotations: int = 0
    skus: int = 0
    catalog_size: int = 0
    made: int = 0
    found: int = 0
    seconds: float = 0.0
    failures: list[Outcome] = field(default_factory=list)


def run_render(settings: RunSettings, reporter: Reporter, job: Job = render_scene) -> RunSummary:
    """Renders what `settings` asks for and is not there yet, and writes the COCO files.

    Raises SynthError for a bad list, recipe, folder or setting before any work starts, and where too many scenes fail.
    KeyboardInterrupt passes through; everything finished stays, and the same call goes on from there.
    """
    from assets.catalog import load_catalog
    from render.recipes import load_recipe

    catalog = load_catalog(settings.sku_list)
    backdrops = open_backdrops(settings.backdrops)
    info = describe_run(settings, catalog, backdrops, load_recipe(settings.recipe), render_settings(settings))
    layout = Layout(settings.out)
    with lock_folder(settings.out):
        try:
            claim_folder(layout, info)
            for folder in (layout.root, *(path for path in layout.root.iterdir() if path.is_dir())):
                remove_leftovers(folder)
            summary = RunSummary(settings.out, catalog_size=len(catalog))
            _render_missing(settings, layout, reporter, job, summary)
            _merge(settings, layout, catalog, summary)
        except OSError as error:
            raise no_room(settings.out, error) from error
    return summary


def _render_missing(settings: RunSettings, layout: Layout, reporter: Reporter, job: Job, summary: RunSummary) -> None:
    finished = _finished(settings, layout)
    missing = [index for index in range(settings.scenes) if index not in finished]
    summary.found = len(finished)
    layout.failures.unlink(missing_ok=True)
    started = time.monotonic()
    with (
        reporter.scenes(settings.scenes, summary.found) as progress,
        closing(run_scenes(job, settings, missing)) as outcomes,
    ):
        for outcome in outcomes:
            if outcome.reason:
                summary.failures.append(outcome)
                _record_failure(settings, layout, outcome)
                _stop_if_hopeless(settings, summary, len(missing))
            else:
                summary.made += 1
            progress.advance(failed=bool(outcome.reason))
    summary.seconds = time.monotonic() - started


def _finished(settings: RunSettings, layout: Layout) -> set[int]:
    """Scenes of which every file of every view is there. Folders are listed once, not asked 100,000 times."""
    folders = {"labels": ".json", "scenes": ".json", "images": ".jpg", **dict.fromkeys(settings.extras, ".png")}
    complete: set[str] | None = None
    for name, suffix in folders.items():
        with os.scandir(layout.root / name) as entries:
            stems = {entry.name.removesuffix(suffix) for entry in entries if entry.name.endswith(suffix)}
        complete = stems if complete is None else complete & stems
    stems = complete or set()
    return {
        index
        for index in range(settings.scenes)
        if all(stem_of(index, view) in stems for view in range(settings.views))
    }


def _record_failure(settings: RunSettings, layout: Layout, outcome: Outcome) -> None:
    specs = []
    for view in range(settings.views):
        file = layout.scene(stem_of(outcome.index, view))
        if file.exists():
            specs.append(json.loads(file.read_text(encoding="utf-8")))
    line = {"index": outcome.index, "seed": settings.seed, "reason": outcome.reason, "scenes": specs}
    before = layout.failures.read_bytes() if layout.failures.exists() else b""
    write_whole(layout.failures, before + json.dumps(line).encode() + b"\n")


def _stop_if_hopeless(settings: RunSettings, summary: RunSummary, total: int) -> None:
    failed = len(summary.failures)
    if failed >= FEWEST_FAILURES and failed > settings.max_failures * total:
        raise SynthError(
            f"{failed} of {failed + summary.made} scenes failed: the run stops",
            where=str(Layout(settings.out).failures),
            found=summary.failures[-1].reason,
            expected=f"at most {settings.max_failures:.0%} of {total}",
            hint="mend the cause and give the same command again; what is finished is kept",
        )


def _merge(settings: RunSettings, layout: Layout, catalog: Catalog, summary: RunSummary) -> None:
    """Writes one COCO file per split from the pictures' own labels, in the order of the scenes."""
    from render.coco import write_coco

    seen: set[str] = set()
    for name, _ in settings.splits:
        counts = write_coco(
            layout.annotations(name),
            _fragments(settings, layout, name, seen),
            catalog,
            description=f"synthetic scenes, recipe {Path(settings.recipe).name}, {name}",
            licence=settings.licence,
            creator=settings.creator,
        )
        summary.pictures += counts.images
        summary.annotations += counts.annotations
    summary.skus = len(seen)


def _fragments(settings: RunSettings, layout: Layout, split: str, seen: set[str]) -> Iterator[dict[str, Any]]:
    for index in range(settings.scenes):
        if split_of(index, settings.splits) != split:
            continue
        for view in range(settings.views):
            file = layout.labels(stem_of(index, view))
            if not file.exists():
                continue  # a failed scene: reported, and not part of the set
            try:
                fragment: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                seen.update(annotation["sku"] for annotation in fragment["annotations"])
            except (ValueError, KeyError, TypeError) as error:
                hint = "delete the file and give the same command again: the picture is then made anew"
                raise SynthError(
                    "a picture's labels are damaged", where=str(file), found=str(error), hint=hint
                ) from error
            yield fragment
