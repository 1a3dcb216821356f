"""One scene of a job in a worker process: sampled, rendered, labelled, and stored in the spool for its shard."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.library import Library
from dataset.shards.index import ShardSample, annotation_id, image_id, tar_of
from pipeline.jobs.tasks import CATALOG, SceneTask
from pipeline.run.scene import SceneWorker, opened_worker, render_image
from pipeline.run.settings import RunSettings


def spool_file(settings: RunSettings, task: SceneTask) -> Path:
    """Return the path of a finished scene: a tar of its samples, written atomically."""
    return settings.out / f"{task.stem}.tar"


def spec_file(settings: RunSettings, task: SceneTask) -> Path:
    """Return the path of the spec of the current view, which stays if rendering crashes the process."""
    return settings.out / f"{task.stem}.spec"


def broken_file(settings: RunSettings, task: SceneTask) -> Path:
    """Return the path of the list of a failed scene's unusable SKUs with reasons."""
    return settings.out / f"{task.stem}.broken"


def make_scene(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """Make a scene and store it in the spool; return its numbers of images and annotations.

    Raises SynthError if it cannot be made.
    """
    worker = opened_worker(settings)
    try:
        samples = [_render_sample(worker, task, view) for view in range(settings.views)]
    except SynthError:
        _write_broken_skus(worker.library, settings, task)
        raise
    write_atomic(spool_file(settings, task), tar_of(samples))
    spec_file(settings, task).unlink(missing_ok=True)
    return len(samples), sum(len(sample.annotations) for sample in samples)


def start_worker(settings: RunSettings) -> None:
    """Open what all scenes need. Raises SynthError if that fails or the SKU list here differs from the job's."""
    catalog = opened_worker(settings).library.catalog
    if catalog.hash != (settings.out / CATALOG).read_text():
        hint = "let all machines read the same list; 'synth job run LIST' updates the job to a changed one"
        raise SynthError(
            "the SKU list is not the one that the job was started with",
            code="list-changed",
            where=str(catalog.source),
            hint=hint,
        )


def _render_sample(worker: SceneWorker, task: SceneTask, view: int) -> ShardSample:
    settings, scene = worker.settings, worker.sample(task.index, view, task.products)
    spec = scene.to_json().encode()
    write_atomic(spec_file(settings, task), spec)
    rendered = render_image(scene, worker.library, worker.backend, settings)
    number = image_id(task.index, view, settings.views)
    kinds = dict(zip(task.skus, task.ids, strict=True))
    annotations = [
        replace(
            record,
            id=annotation_id(number, record.instance or 0),
            image_id=number,
            category_id=kinds[record.sku or ""],
        )
        for record in rendered.annotations
    ]
    image = replace(rendered.image, id=number, license=settings.licence or None)
    return replace(rendered, files={**rendered.files, "scene.json": spec}, image=image, annotations=annotations)


def _write_broken_skus(library: Library, settings: RunSettings, task: SceneTask) -> None:
    """Write which products make a scene fail, so that the others can be assigned again."""
    broken = {}
    for sku in task.skus:
        try:
            library.rest(sku)
        except SynthError as error:
            broken[sku] = " ".join(str(error).split())
    with suppress(OSError):
        write_atomic(broken_file(settings, task), json.dumps(broken).encode())
