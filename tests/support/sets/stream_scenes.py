"""Scenes of a stream without a renderer: taken from a rendered set, in workers that start quickly."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

from assets.errors import SynthError
from dataset.layout import Layout, stem_of
from dataset.records import ImageLabels
from dataset.shards.index import ShardSample, tar_of
from pipeline.run.settings import RunSettings
from pipeline.stream.renderer import REPLACEMENT
from pipeline.workers.process import MadeScene, SceneFunctions

# Scenes of the set that stands behind the stream.
SCENES = 4


def stored(folder: Path, settings: RunSettings, index: int) -> MadeScene:
    """A scene of the set in `folder`, which has SCENES of them; a replacement is the one after."""
    number = (index % REPLACEMENT + index // REPLACEMENT) % SCENES
    samples = []
    for view in range(settings.views):
        stem = stem_of(number, view)
        labels = ImageLabels.parse(json.loads(Layout(folder).labels(stem).read_bytes()))
        files = {"jpg": Layout(folder).image(stem).read_bytes()}
        samples.append(ShardSample(stem, files, labels.image, labels.annotations))
    return MadeScene(len(samples), sum(len(sample.annotations) for sample in samples), tar_of(samples))


def some_fail(folder: Path, settings: RunSettings, index: int) -> MadeScene:
    """Scene 1 cannot be made, nor can its first replacement."""
    if index in (1, 1 + REPLACEMENT):
        raise SynthError("the mesh has no triangles", code="mesh-empty", where="a.obj")
    return stored(folder, settings, index)


def all_fail(folder: Path, settings: RunSettings, index: int) -> MadeScene:
    """No scene can be made."""
    raise SynthError("there is no paper", code="mesh-empty")


def dies_once(folder: Path, settings: RunSettings, index: int) -> MadeScene:
    """Scene 2 takes its process down the first time."""
    marker = settings.cache / "died"
    if index == 2 and not marker.exists():
        settings.cache.mkdir(parents=True, exist_ok=True)
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return stored(folder, settings, index)


def scenes_of(folder: Path, scene: object = stored) -> SceneFunctions:
    """The functions of workers that take scenes from the set in `folder`."""
    return SceneFunctions(partial(scene, folder))  # type: ignore[arg-type]
