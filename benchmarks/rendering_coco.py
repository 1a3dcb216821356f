"""A data set of any size out of one rendered scene, merged and verified: what 'rendering.py --only coco' measures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from assets.machine import cache_folder
from assets.progress import Reporter
from dataset.layout import Layout, stem_of
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from pipeline.verify.run import verify_set
from pipeline.verify.settings import VerifySettings

PRODUCTS = 30
RECIPE = f"recipe: tabletop\nproducts:\n  count: [{PRODUCTS}, {PRODUCTS}]\n"


def repeat_scene(sku_list: Path, out: Path, count: int, peak_mb: Callable[[], float]) -> list[tuple[str, float, float]]:
    """What was done, the seconds that it took, and the process's highest memory so far in MiB; for each step.

    The scene is rendered once and its files are repeated under other indices until there are `count` annotations; the
    run that follows finds every scene made and merges them, and verify reads all of it back but draws nothing again.
    """
    recipe = out / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    run = RunSettings(sku_list=sku_list, out=out / "set", scenes=1, recipe=str(recipe), cache=cache_folder())
    quiet = Reporter(Console(file=StringIO()))
    each = run_render(run, quiet).annotations
    scenes = -(-count // each)
    figures = [_timed("repeated on disk", peak_mb, lambda: _repeat(Layout(run.out), scenes))]
    figures.append(_timed("merged", peak_mb, lambda: run_render(replace(run, scenes=scenes), quiet)))
    figures.append(_timed("verified", peak_mb, lambda: _verify(run.out)))
    return figures


def _repeat(layout: Layout, scenes: int) -> None:
    first = stem_of(0, 0)
    labels = json.loads(layout.labels(first).read_text(encoding="utf-8"))
    spec = json.loads(layout.scene(first).read_text(encoding="utf-8"))
    for index in range(1, scenes):
        stem = stem_of(index, 0)
        os.link(layout.image(first), layout.image(stem))
        layout.scene(stem).write_text(json.dumps({**spec, "index": index}, separators=(",", ":")), encoding="utf-8")
        image = {**labels["image"], "file_name": layout.image(stem).name, "index": index}
        text = json.dumps({**labels, "image": image}, separators=(",", ":"))
        layout.labels(stem).write_text(text, encoding="utf-8")


def _verify(folder: Path) -> None:
    report = verify_set(str(folder), VerifySettings(sample=0), Console(quiet=True))
    if report.violations:
        raise RuntimeError(f"{len(report.violations)} violations, the first: {report.violations[0]}")


def _timed(what: str, peak_mb: Callable[[], float], work: Callable[[], object]) -> tuple[str, float, float]:
    started = time.perf_counter()
    work()
    return what, time.perf_counter() - started, peak_mb()
