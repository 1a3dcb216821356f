"""One scene in a worker process: sampled, rendered, labelled, written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from assets.files.atomic import write_atomic
from assets.files.source_pins import SourcePins
from assets.plugins import short_name
from dataset.checksums import sha256
from dataset.layout import Layout, stem_of, suffix_of
from dataset.records import ImageLabels
from dataset.shards.index import ShardSample
from pipeline.run.extras import EXTRAS
from pipeline.run.settings import RunSettings

if TYPE_CHECKING:
    from assets.library import Library
    from render.backends.protocol import Backend
    from render.choice import SceneProducts
    from render.frame import Frame
    from render.recipes.mix import Recipe
    from render.scene import SceneSpec

# From this quality on chroma is stored at full resolution, below it halved, as cameras do.
FULL_COLOUR_QUALITY = 90


@dataclass
class SceneWorker:
    """Open resources of a worker process."""

    settings: RunSettings
    library: Library
    recipe: Recipe
    backend: Backend

    def sample(self, index: int, view: int, products: SceneProducts | None = None) -> SceneSpec:
        """Sample a view of scene `index`, with the products assigned to it if there are any.

        Raises SynthError if it cannot be sampled.
        """
        from render.sample import sample_scene

        settings = self.settings
        return sample_scene(
            self.library,
            self.recipe,
            seed=settings.seed,
            index=index,
            view=view,
            width=settings.width,
            height=settings.height,
            products=products,
            streams=settings.streams,
        )


_worker: SceneWorker | None = None


def start_worker(settings: RunSettings) -> None:
    """Open what all scenes need. Raises SynthError if that fails: then no scene could be made."""
    opened_worker(settings)


def render_scene(settings: RunSettings, index: int) -> tuple[int, int]:
    """Render all views of scene `index` and write their files; return its numbers of images and annotations.

    Raises SynthError if the scene cannot be made.
    """
    worker = opened_worker(settings)
    counts = [
        write_image(worker.sample(index, view), worker.library, worker.backend, settings)
        for view in range(settings.views)
    ]
    return len(counts), sum(counts)


def opened_worker(settings: RunSettings) -> SceneWorker:
    """Return what this process has open for its scenes. Raises SynthError if it cannot be opened."""
    global _worker
    if _worker is None:
        _worker = _open_worker(settings)
    return _worker


def _open_worker(settings: RunSettings) -> SceneWorker:
    import cv2

    from pipeline.run.dataset_info import check_sources
    from pipeline.run.resources import open_library, render_settings
    from render.backends import open_backend
    from render.recipes import load_recipe

    cv2.setNumThreads(settings.threads)
    layout = Layout(settings.out)
    # Jobs have no such folder and no number of scenes; their plan tracks the products.
    pins = SourcePins(layout.sources) if settings.scenes and layout.info.exists() else None
    library = open_library(settings.sku_list, settings.backdrops, settings.cache, pins=pins)
    recipe = load_recipe(settings.recipe, streams=settings.streams)
    check_sources(layout, library.catalog, recipe, settings.backend)
    return SceneWorker(settings, library, recipe, open_backend(library, render_settings(settings)))


def write_image(scene: SceneSpec, library: Library, backend: Backend, settings: RunSettings) -> int:
    """Render a scene and write its files into the run's folder; return its number of annotations."""
    layout, stem = Layout(settings.out), stem_of(scene.index, scene.view)
    spec = scene.to_json().encode()
    # Before the image: if rendering crashes the process, the spec of the scene is kept.
    write_atomic(layout.scene(stem), spec)
    image = render_image(scene, library, backend, settings)
    extras = {kind: image.files[f"{kind}{suffix_of(kind)}"] for kind in settings.extras}
    rendered = {"images": image.files["jpg"], **extras}
    for folder, content in rendered.items():
        write_atomic(layout.file(folder, stem), content)
    # Last: its existence means that the image is complete.
    write_atomic(layout.labels(stem), labels_json(image.labels, {**rendered, "scenes": spec}))
    return len(image.annotations)


def labels_json(labels: ImageLabels, files: dict[str, bytes]) -> bytes:
    """Return an image's own labels. files: folder to content of its other files, whose digests are stored."""
    digests = {folder: sha256(content) for folder, content in sorted(files.items())}
    fragment = {**labels.content(), "sha256": digests}
    return json.dumps(fragment, allow_nan=False, separators=(",", ":")).encode()


def render_image(scene: SceneSpec, library: Library, backend: Backend, settings: RunSettings) -> ShardSample:
    """Render a scene and return what is stored of it, without writing it."""
    from pipeline.run.dataset_info import versions_digest
    from render.coco import annotation_records, image_record
    from render.make_frame import render_frame

    frame = render_frame(scene, library, backend)
    files = {"jpg": jpeg_of(frame, scene)}
    for kind in settings.extras:
        files[f"{kind}{suffix_of(kind)}"] = EXTRAS[kind](scene, library, frame.geometry, frame.annotations)
    renderer = f"{backend.device}; versions {versions_digest()}"
    stem = stem_of(scene.index, scene.view)
    image = image_record(scene, file_name=f"{stem}.jpg", backend=short_name(settings.backend), renderer=renderer)
    records = annotation_records(scene, library, frame.geometry, frame.annotations, keypoints=settings.keypoints)
    return ShardSample(stem, files, image, records)


def jpeg_of(frame: Frame, scene: SceneSpec) -> bytes:
    """Return the stored image in the quality of the scene's sensor."""
    from PIL import Image

    quality = scene.sensor.jpeg_quality
    buffer = BytesIO()
    subsampling = 0 if quality >= FULL_COLOUR_QUALITY else 2
    Image.fromarray(frame.rgb).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()
