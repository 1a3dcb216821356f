"""Scenes of a job made again, dealt from its plan, by a worker of this machine, and compared with its shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.catalog.load import load_catalog
from assets.errors import SynthError
from assets.files.image_input import decode_pixels
from assets.files.scratch import scratch_folder
from dataset.layout import stem_of
from dataset.shards.index import ShardEntry, ShardSample, tar_name
from dataset.shards.tar import read_whole, samples_of
from dataset.shop import SHOP_MEMBER
from dataset.storage.path import StoragePath
from pipeline.jobs.files import JobIdentity
from pipeline.jobs.pilot import run_tasks
from pipeline.jobs.planning.digests import sku_digests
from pipeline.jobs.planning.plan import matching_receipts, planned_shards, scene_task
from pipeline.jobs.planning.store import Plan, read_plan
from pipeline.jobs.receipts import Receipt, read_receipts
from pipeline.jobs.run import RENDERING, job_context
from pipeline.jobs.scene import spool_file
from pipeline.jobs.settings import JobSettings, existing_identity, identity_of, read_settings
from pipeline.jobs.tasks import JobContext, SceneTask
from pipeline.run.plugins import HINT, lacking, trusted_files
from pipeline.verify.extras import EXTRA_CHECKS
from pipeline.verify.images import ImagesChecked, rendering_problems, too_costly
from pipeline.verify.records import Violation
from pipeline.verify.scenes import compare_shop, compare_traced
from pipeline.verify.settings import VerifySettings

AGAIN = "sampling scenes and rendering images again"


def check_job_scenes(
    location: StoragePath, shards: Sequence[ShardEntry], asked: VerifySettings, stop: Callable[[], bool]
) -> ImagesChecked:
    """Make some scenes of the job at `location` again, evenly spread over those that lie in `shards`.

    What prevents that is reported in `skipped`; stop: asked between scenes and shards.
    """
    checked = ImagesChecked()
    with scratch_folder("verify") as folder:
        try:
            work, chosen = _prepare(location, shards, asked, Path(folder), checked)
        except (SynthError, OSError, KeyError, ValueError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
            checked.skipped.append(f"{AGAIN}: {why}")
            return checked
        tasks = [task for tasks in chosen.values() for task in tasks]
        outcomes = run_tasks(RENDERING, work, tasks, stop=stop)
        failed = {outcome.index: outcome.reason for outcome in outcomes if outcome.reason}
        checked.skipped += [f"making scene {index} again: {reason}" for index, reason in failed.items()]
        made = {outcome.index for outcome in outcomes if not outcome.reason}
        for name, tasks in chosen.items():
            if stop():
                break
            _compare_shard(location, name, [task for task in tasks if task.index in made], work, checked)
    checked.tell_near()
    return checked


def _prepare(
    location: StoragePath, shards: Sequence[ShardEntry], asked: VerifySettings, folder: Path, checked: ImagesChecked
) -> tuple[JobContext, dict[str, list[SceneTask]]]:
    """The work of the job in a spool of its own, and the scenes to make by the names of their shards.

    Raises SynthError if what they were made from is not available, or has changed.
    """
    settings = read_settings(location, folder / "recipe.yaml", asked.plugins)
    lists = asked.sku_list or settings.render.sku_list
    render = replace(settings.render, sku_list=lists, cache=asked.mesh_cache, workers=1)
    settings = replace(settings, render=render)
    identity = _checked_identity(location, settings, asked.plugins)
    plan, catalog = read_plan(location), load_catalog(lists)
    if any(version.catalog_hash != catalog.hash for version in plan.versions):
        raise SynthError("the SKU list is not the one that all scenes were rendered with", code="list-changed")
    if (sku_digests(catalog, asked.mesh_cache)[plan.lists(catalog.keys)] != plan.current.digests).any():
        raise SynthError("files of its products have changed", code="product-files-changed")
    work = job_context(plan, settings, identity)
    work = replace(work, settings=replace(work.settings, out=folder / "spool")).with_spool_files()
    return work, _choose(plan, settings, shards, asked.sample, checked)


def _checked_identity(location: StoragePath, settings: JobSettings, plugins: Sequence[Path]) -> JobIdentity:
    """What job.json says, found to be what would be made now."""
    said = existing_identity(location)
    trusted = trusted_files(said.plugins, plugins)
    if why_not := lacking(said.plugins, trusted):
        raise SynthError(why_not, code="plugin-file-missing", hint=HINT)
    if problems := rendering_problems(said, trusted):
        raise SynthError(f"job.json: {problems[0]}", code="job-damaged")
    if costly := too_costly(said):
        raise SynthError(costly, code="scene-too-costly")
    now = identity_of(settings)
    if differing := [name for name in JobIdentity.model_fields if getattr(now, name) != getattr(said, name)]:
        raise SynthError(f"changed since the job was started: {', '.join(differing)}", code="settings-differ")
    return now


def _choose(
    plan: Plan, settings: JobSettings, shards: Sequence[ShardEntry], count: int, checked: ImagesChecked
) -> dict[str, list[SceneTask]]:
    """`count` of the scenes that shards hold, evenly spread. Shards that differ from their receipts are reported."""
    entries = {shard.name: shard for shard in shards}
    receipts = matching_receipts(plan, read_receipts(settings.location), settings)
    there = []
    for generation, shard in planned_shards(plan, settings):
        receipt = receipts.get(shard.name)
        if receipt is None or receipt.entry.name not in entries:
            continue
        if receipt.entry != entries[receipt.entry.name]:
            checked.found.append(Violation("index.json", f"{receipt.entry.name} is another one in the job's receipts"))
        lacking = _lacking(receipt)
        there += [
            (receipt.entry.name, generation, int(scene))
            for scene in shard.scenes
            if int(scene) + generation.first not in lacking
        ]
    chosen: dict[str, list[SceneTask]] = {}
    for number in np.unique(np.linspace(0, len(there) - 1, min(count, len(there))).astype(int)):
        name, generation, scene = there[number]
        chosen.setdefault(name, []).append(scene_task(plan, generation, scene))
    return chosen


def _lacking(receipt: Receipt) -> set[int]:
    """Scenes of a shard that it does not hold."""
    return {*receipt.dropped, *(failure.index for failure in receipt.failures)}


def _compare_shard(
    location: StoragePath, name: str, tasks: Sequence[SceneTask], work: JobContext, checked: ImagesChecked
) -> None:
    """The scenes of one shard against those that were made again."""
    try:
        # Whatever its checksum: that is reported where all shards are read, and says nothing of what has changed.
        stored = {sample.stem: sample for sample in samples_of(read_whole(location, tar_name(name)), name)}
    except (SynthError, OSError):
        return  # reported where all shards are read
    for task in tasks:
        made = {sample.stem: sample for sample in samples_of(spool_file(work.settings, task).read_bytes(), name)}
        checked.scenes += 1
        for view in range(work.settings.views):
            stem = stem_of(task.index, view)
            where = f"{tar_name(name)} {stem}"
            if stem not in stored:
                checked.found.append(Violation(where, "is missing"))
            else:
                _compare_sample(stored[stem], made[stem], where, checked)


def _compare_sample(stored: ShardSample, made: ShardSample, where: str, checked: ImagesChecked) -> None:
    if stored.files.get("scene.json") != made.files["scene.json"]:
        told = "differs from the scene sampled again from catalogue, recipe, plan, seed and index"
        checked.found.append(Violation(where, told))
        return
    if stored.annotations != made.annotations:
        counts = f"{len(made.annotations)} annotations, {len(stored.annotations)} stored"
        told = f"the annotations differ from those traced again ({counts})"
        checked.found.append(Violation(where, told))
    checked.found += _compare_extras(stored.files, made.files, where)
    same = stored.image.renderer == made.image.renderer
    checked.compare(stored.files.get("jpg", b""), made.files["jpg"], where, same=same)


def _compare_extras(stored: Mapping[str, bytes], made: Mapping[str, bytes], where: str) -> Iterator[Violation]:
    for kind in EXTRA_CHECKS:
        name = f"{kind}.png"
        if name not in made:
            continue
        try:
            pixels: NDArray[Any] = decode_pixels(stored[name], cv2.IMREAD_UNCHANGED, name, "the image")
        except KeyError:
            yield Violation(where, f"{name} is missing")
        except SynthError:
            continue  # reported where all shards are read
        else:
            yield from compare_traced(pixels, made[name], kind, f"{where}.{name}")
    if SHOP_MEMBER in made and SHOP_MEMBER not in stored:
        yield Violation(where, f"{SHOP_MEMBER} is missing")
    elif SHOP_MEMBER in made:
        yield from compare_shop(stored[SHOP_MEMBER], made[SHOP_MEMBER], f"{where}.{SHOP_MEMBER}")
