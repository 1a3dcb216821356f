"""One scene of a stream in a worker process: rendered as `synth render` does, and sent instead of written."""

from __future__ import annotations

from dataset.shards.index import tar_of
from pipeline.run.scene import opened_worker, render_image, start_worker
from pipeline.run.settings import RunSettings
from pipeline.workers.process import MadeScene, SceneFunctions


def make_scene(settings: RunSettings, index: int) -> MadeScene:
    """Render all views of scene `index`; the content is a tar of their samples.

    Raises SynthError if the scene cannot be made.
    """
    worker = opened_worker(settings)
    views = (worker.sample(index, view) for view in range(settings.views))
    samples = [render_image(view, worker.library, worker.backend, settings) for view in views]
    return MadeScene(len(samples), sum(len(sample.annotations) for sample in samples), tar_of(samples))


STREAMING = SceneFunctions(make_scene, start_worker)
