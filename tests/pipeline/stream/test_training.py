"""Trainings on a stream: the labels of a render, the same weights as from a folder, interrupted or not."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from assets.catalog.load import load_catalog
from assets.demo import demo_list
from dataset.checksums import spool_checksums
from dataset.find import open_source
from dataset.identity import DataIdentity
from dataset.layout import Layout
from dataset.problems import Problems
from detectors.checkpoints.detector import LAST, load_checkpoint
from detectors.data.class_match import PRODUCT, Classes
from detectors.data.image_set import ImageSet
from detectors.data.read_coco import read_images
from detectors.data.settings import DataSettings
from detectors.data.source import ENDLESS, LiveSource
from detectors.training.run import run_training
from detectors.training.summary import TrainSummary
from pipeline.cli.main import main
from pipeline.run.merge import merge_labels
from pipeline.run.settings import RunSettings
from pipeline.stream.open import open_stream
from pipeline.stream.order import SlidingOrder
from pipeline.stream.settings import StreamSettings
from pipeline.workers.process import SceneFunctions
from support.errors import raises
from support.same_run import assert_same_run, at_step
from support.sets.shapes import tiny_settings
from support.sets.stream_scenes import all_fail, scenes_of, some_fail

QUIET = Console(quiet=True)


def stream_of(rendered: RunSettings, **changes: Any) -> StreamSettings:
    """A stream of the scenes of a rendered set, 20 draws of which need no more than that set has."""
    settings = replace(rendered, splits=(("train", 1.0),), extras=(), licence="", **changes)
    return StreamSettings(settings, reuse=4, window=8)


@pytest.fixture(scope="module")
def stubs(rendered: RunSettings) -> SceneFunctions:
    return scenes_of(rendered.out)


@pytest.fixture(scope="module")
def folder(rendered: RunSettings, tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """The rendered set as one split, its images in the order of the stream."""
    out = tmp_path_factory.mktemp("folder") / "set"
    shutil.copytree(rendered.out, out)
    settings = replace(rendered, out=out, splits=(("train", 1.0),))
    with spool_checksums(out) as checksums:
        merge_labels(replace(settings, extras=()), Layout(out), load_catalog(rendered.sku_list), checksums)
    Layout(out).annotations("val").unlink()
    return read_images(open_source(out, name="stream", splits=("train",)), Problems("stream"))


class InOrder:
    """The images of a folder in the order of a stream."""

    def __init__(self, images: ImageSet, windows: SlidingOrder) -> None:
        self._images, self.windows = images, windows

    def __len__(self) -> int:
        return ENDLESS

    def __getattr__(self, name: str) -> Any:
        return getattr(self._images, name)

    def relabelled(self, classes: Classes) -> InOrder:
        return InOrder(self._images.relabelled(classes), self.windows)


def train(out: Path, live: LiveSource, **fields: Any) -> TrainSummary:
    settings = tiny_settings(out, DataSettings(), epochs=1, augment="strong", **fields)
    return run_training(settings, QUIET, live=[live])


@pytest.fixture(scope="module")
def undisturbed(rendered: RunSettings, stubs: SceneFunctions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    with open_stream(stream_of(rendered), out, stubs) as live:
        summary = train(out, live)
    assert summary.finished and summary.drawn == {"stream": 20}
    (counts,) = summary.live
    assert counts.scenes >= 4 and not counts.failed and 0 <= summary.waiting <= 1
    return out


def test_labels_are_those_of_a_render(rendered: RunSettings, folder: ImageSet, tmp_path: Path) -> None:
    with open_stream(stream_of(rendered), tmp_path / "run") as live:
        source = live.images
        assert source.classes == folder.classes and source.rendered and len(source) == ENDLESS
        source.fetch_ahead(range(4))
        for index in range(4):
            for ours, theirs in (
                (source.read_sample(index, masks=True), folder.read_sample(index, masks=True)),
                (
                    source.relabelled(PRODUCT).read_sample(index, masks=False),
                    folder.relabelled(PRODUCT).read_sample(index, masks=False),
                ),
            ):
                np.testing.assert_array_equal(ours.image, theirs.image)
                np.testing.assert_array_equal(ours.boxes, theirs.boxes)
                np.testing.assert_array_equal(ours.labels, theirs.labels)
                np.testing.assert_array_equal(ours.visibility, theirs.visibility)
                if theirs.masks is not None:
                    np.testing.assert_array_equal(ours.masks, theirs.masks)
            np.testing.assert_array_equal(source.read_image(index), folder.read_image(index))
        assert source.lost_classes(Classes(("other",), ("Other",))) == list(source.classes.keys)
        assert source.locate(3) == "recipe tabletop, seed 0, scene 1, view 1"


def test_a_folder_in_the_same_order_gives_the_same_weights(
    folder: ImageSet, undisturbed: Path, rendered: RunSettings, tmp_path: Path
) -> None:
    identity = DataIdentity(load_checkpoint(undisturbed / LAST).data["stream"], "")
    images: Any = InOrder(folder, stream_of(rendered).order)
    assert train(tmp_path / "run", LiveSource(images, identity), workers=1).finished
    assert_same_run(undisturbed, tmp_path / "run")


def test_going_on_equals_no_interruption_with_any_number_of_workers(
    rendered: RunSettings, stubs: SceneFunctions, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_step(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGINT))
    with open_stream(stream_of(rendered), tmp_path / "run", stubs) as live:
        first = train(tmp_path / "run", live)
        assert not first.finished and first.steps == 6
    other = replace(stream_of(rendered, recipe="scatter"))
    with open_stream(other, tmp_path / "run", stubs) as live, raises("data-changed") as caught:
        train(tmp_path / "run", live)
    assert caught.value.problems == ("stream: 1 changed: recipe",)
    with open_stream(stream_of(rendered, workers=2), tmp_path / "run", stubs) as live:
        assert train(tmp_path / "run", live, workers=3).finished
    assert_same_run(undisturbed, tmp_path / "run")
    recorded = json.loads((tmp_path / "run" / "data" / "stream" / "dataset.json").read_text())
    assert recorded["identity"]["seed"] == 0 and "tabletop" in recorded["recipe"]


def test_a_stream_mixes_with_photographs_and_replaces_what_fails(
    rendered: RunSettings, folder: ImageSet, tmp_path: Path
) -> None:
    data = DataSettings(real=folder.root.parent, hold_out=0.25)
    with open_stream(stream_of(rendered), tmp_path / "run", scenes_of(rendered.out, some_fail)) as live:
        settings = tiny_settings(
            tmp_path / "run", data, schedule="mix+finetune", epochs=1, finetune_epochs=1, mix=(("stream", 0.5),)
        )
        summary = run_training(settings, QUIET, live=[live])
    assert summary.finished and summary.drawn == {"stream": 10 + 4, "real": 10 + 16}
    assert summary.live[0].failed == 2


def test_an_error_of_the_stream_ends_the_training(rendered: RunSettings, tmp_path: Path) -> None:
    functions = scenes_of(rendered.out, all_fail)
    with open_stream(stream_of(rendered), tmp_path / "run", functions) as live, raises("scenes-failed"):
        train(tmp_path / "run", live)


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    demo = str(demo_list())

    def told(*words: str) -> str:
        result = CliRunner().invoke(main, ["train", "--out", str(tmp_path / "run"), *words])
        assert result.exit_code in (1, 2), result.output
        return " ".join(result.output.split())

    assert "give --sku-list" in told("--stream", "tabletop")
    assert "give --stream" in told("--sku-list", demo, "--real", demo)
    assert "unknown" in told("--stream", "tabeltop", "--sku-list", demo)
    assert "at least 100" in told(
        "--stream", "tabletop", "--sku-list", demo, "--stream-reuse", "50", "--stream-window", "50"
    )
    assert "another name" in told("--stream", "tabletop", "--sku-list", demo, "--synthetic", f"stream={demo}")
    assert "one device" in told("--stream", "tabletop", "--sku-list", demo, "--devices", "2")
    assert not (tmp_path / "run").exists()
