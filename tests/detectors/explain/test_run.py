"""Explanations of detectors: of a known one, of third parties without a method of their own, the page, the command."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor, nn

from detectors.data.class_match import Classes
from detectors.data.proposals import ProposalSettings
from detectors.evaluate.page.images import Color
from detectors.explain.plots import (
    MAX_BOXES,
    PLAIN,
    plot_assigned,
    plot_segments,
    plot_stage,
    sample_shapes,
    shown_rows,
)
from detectors.explain.stages import explain_detector, pixel_classes
from detectors.models.interface import DetectionStage, SoftHead, SoftOutputs
from detectors.models.region_proposals import ProposalSearch
from detectors.predict.plot import class_color
from pipeline.cli.main import main
from support.sets.shapes import tiny_training, write_shapes

HOSTILE = "<script>alert(1)</script>"
CLASSES = Classes(("a", HOSTILE), ("A", HOSTILE))
IMAGE = np.zeros((240, 480, 3), np.uint8)
BOX = torch.tensor([[100.0, 50, 200, 150]])


class Known:
    """A detector of one place and one detection."""

    def soft_outputs(self, images: Tensor) -> SoftOutputs:
        return SoftOutputs({"places": SoftHead(torch.tensor([[0.0, 2.0], [-1.0, -1.0]]), torch.cat([BOX, BOX + 9]))})

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        return [{"boxes": BOX, "scores": torch.tensor([0.75]), "labels": torch.tensor([1])}]


def test_a_detector_without_a_method_of_its_own() -> None:
    """Heads say 1 / (1 + exp(-2)) of the likeliest class; a detector that only detects has one step."""
    places, found = explain_detector(Known(), torch.zeros(1, 3, 8, 8)).stages
    assert (places.name, found.name) == ("places before suppression", "detections")
    assert places.scores is not None and places.labels is not None and found.scores is not None
    torch.testing.assert_close(places.scores, torch.tensor([0.880797, 0.268941]))
    assert places.labels.tolist()[0] == 1 and places.matched is None
    assert found.boxes.tolist() == BOX.tolist() and found.scores.tolist() == [0.75]

    class Plain:
        detect = Known.detect

    assert [stage.name for stage in explain_detector(Plain(), torch.zeros(1, 3, 8, 8)).stages] == ["detections"]


def test_proposals_and_classes_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network searches is its first step, with the true boxes that it overlaps by a half."""
    proposals = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 4], [20, 0, 30, 8]])

    class Searching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.search = ProposalSearch(ProposalSettings())

        def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
            self.search(images)
            return Known().detect(images)

        def segment(self, images: Tensor) -> Tensor:
            scores = torch.zeros(1, 3, 2, 2)
            scores[0, 0], scores[0, 2, 1, 0] = 1, 2
            return scores

    monkeypatch.setattr(ProposalSearch, "forward", lambda self, images: [proposals])
    target = {"boxes": torch.tensor([[20.0, 0, 30, 10], [0, 0, 10, 10]])}
    searched, found = explain_detector(Searching(), torch.zeros(1, 3, 8, 8), target).stages
    assert searched.matched is not None and searched.matched.tolist() == [1, -1, 0] and found.name == "detections"
    assert searched.boxes.tolist() == proposals.tolist()
    nothing = {"boxes": torch.zeros(0, 4)}
    assert explain_detector(Searching(), torch.zeros(1, 3, 8, 8), nothing).stages[0].matched.tolist() == [-1] * 3  # type: ignore[union-attr]
    classes = pixel_classes(Searching(), torch.zeros(1, 3, 2, 2))
    assert classes is not None and classes.tolist() == [[-1, -1], [1, -1]]
    assert pixel_classes(Known(), torch.zeros(1, 3, 2, 2)) is None


def test_pixels_are_drawn_in_the_colours_of_their_classes() -> None:
    labels = np.full((240, 480), -1)
    labels[100:200, 50:150] = 1
    picture = pixels(plot_segments(np.full((240, 480, 3), 100, np.uint8), labels, CLASSES))
    scale = picture.shape[1] / 480
    inside, outside = picture[round(150 * scale), round(100 * scale)], picture[round(50 * scale), round(300 * scale)]
    np.testing.assert_allclose(inside, 40 + 0.6 * np.array(class_color(1)), atol=2)
    np.testing.assert_allclose(outside, [40, 40, 40], atol=2)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def has_line(picture: np.ndarray, color: Color, box: tuple[int, int, int, int]) -> bool:
    """Whether the left and the lower edge of a box have a color, beside lines of other ones."""
    x0, y0, _, y1 = box
    here = np.abs(picture - np.array(color)).max(2) < 12
    left, low = here[y0 + 30 : y1 - 5, x0 - 2 : x0 + 3], here[y1 - 2 : y1 + 3, x0 + 5 : x0 + 60]
    return bool(left.any(1).mean() > 0.4 and low.any(0).mean() > 0.4)


def test_boxes_are_drawn_where_they_are() -> None:
    stage = DetectionStage("x", "y", BOX, scores=torch.tensor([0.9]))
    picture = pixels(plot_stage(IMAGE, stage, CLASSES, 0.5))
    scale = picture.shape[1] / IMAGE.shape[1]
    at = tuple(round(scale * edge) for edge in (100, 50, 200, 150))
    assert has_line(picture, PLAIN, at) and not has_line(picture, PLAIN, (at[0] + 40, *at[1:]))  # type: ignore[arg-type]
    small = pixels(plot_stage(IMAGE[:24, :48], DetectionStage("x", "y", BOX / 10), CLASSES, 0.5))
    assert small.shape[1] >= 480


def test_places_of_a_true_box_have_its_colour() -> None:
    from assets.color import distinct_color

    places = torch.tensor([[20.0, 20, 60, 100], [300, 20, 380, 200], [100, 20, 160, 200]])
    stage = DetectionStage("x", "y", places, matched=torch.tensor([0, -1, 1]))
    truth = np.array([[10, 10, 70, 110], [90, 10, 170, 220]], np.float32)
    picture = pixels(plot_assigned(IMAGE, stage, truth))
    scale = picture.shape[1] / IMAGE.shape[1]

    def drawn(color: Color, box: list[float]) -> bool:
        return has_line(picture, color, tuple(round(scale * edge) for edge in box))  # type: ignore[arg-type]

    first, second = distinct_color(0), distinct_color(1)
    assert drawn(first, places[0].tolist()) and drawn(second, places[2].tolist())
    assert drawn(first, truth[0].tolist()) and drawn(second, truth[1].tolist())
    assert not drawn(first, places[1].tolist()) and not drawn(second, places[1].tolist())


def test_which_boxes_are_drawn() -> None:
    scores = torch.linspace(0, 1, 100)
    stage = DetectionStage("x", "y", torch.zeros(100, 4), scores=scores)
    assert len(shown_rows(stage, 0.0)) == MAX_BOXES and shown_rows(stage, 0.95).tolist() == [99, 98, 97, 96, 95]
    assert shown_rows(stage, 1.5).tolist() == list(range(99, 89, -1))
    shapes = np.array([[0, 0, 10, 10], [40, 40, 50, 50], [0, 0, 30, 10], [44, 46, 54, 56]], np.float32)
    assert sample_shapes(shapes, (100, 100)).tolist() == [3, 2]
    assert sample_shapes(shapes[:0], (100, 100)).tolist() == []


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp(HOSTILE.replace("/", "")), 4, seed=1)


@pytest.fixture(scope="module")
def run_folder(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from detectors.data.settings import DataSettings

    out = tmp_path_factory.mktemp("runs") / "a"
    data = DataSettings(synthetic=(("synthetic", labelled),))
    options: dict[str, Any] = {"detector": "yolo", "backbone": "test_efficientnet", "size": (64, 64)}
    tiny_training(out, data, epochs=1, epoch_images=2, **options)
    return out


def synth(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_page_of_a_trained_detector(run_folder: Path, labelled: Path, tmp_path: Path) -> None:
    image = labelled.parent / "images" / "train_002.png"
    done = synth("explain", run_folder, image, "--data", labelled, "--out", tmp_path / "out", "--patches", 2, "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert [stage["name"] for stage in summary["stages"]] == ["cells", "before suppression", "detections"]
    assert summary["labelled"] and summary["stages"][0]["matched"] > 0
    assert [(level["width"], level["height"]) for level in summary["levels"]] == [(8, 8), (4, 4), (2, 2)]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page
    pictures = {file.name for file in (tmp_path / "out" / "pictures").iterdir()}
    kinds = ("stage", "features", "filters")
    assert pictures == {
        "input.png",
        "assigned-1.png",
        *(f"{kind}-{number}.png" for kind in kinds for number in (1, 2, 3)),
    }
    assert all(f"pictures/{name}" in page for name in pictures)
    assert json.loads((tmp_path / "out" / "explanation.json").read_text())["detector"] == "yolo"


def test_images_without_labels_and_copies(run_folder: Path, labelled: Path, tmp_path: Path) -> None:
    """A copy has the labels of its name if they are asked for, but not of a set that merely holds such a name."""
    copy = shutil.copy(labelled.parent / "images" / "train_002.png", tmp_path / "train_002.png")
    other = shutil.copy(copy, tmp_path / "other.png")
    plain = json.loads(synth("explain", run_folder, other, "--out", tmp_path / "a", "--json").stdout)
    assert not plain["labelled"] and plain["levels"][0]["patches"] == "" and plain["stages"][0]["matched"] is None
    assert "--truth" in (tmp_path / "a" / "index.html").read_text()
    named = json.loads(
        synth("explain", run_folder, copy, "--truth", labelled, "--out", tmp_path / "b", "--json").stdout
    )
    assert named["labelled"]
    found = synth("explain", run_folder, copy, "--data", labelled, "--images", 1, "--out", tmp_path / "c", "--json")
    assert not json.loads(found.stdout)["labelled"]
    missing = synth("explain", run_folder, other, "--truth", labelled, "--out", tmp_path / "d")
    assert missing.exit_code == 1 and "code: labels-missing" in missing.output
