"""The hourglass detector's targets, losses and decoding, worked out by hand on maps of a few cells."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from detectors.export import exporter_module
from detectors.export.agreement import check_agreement
from detectors.models import build_model, detector_module
from detectors.models.dense.hourglass import _losses, corner_maps, corner_peaks, place_corners, truth_of
from detectors.models.dense.hourglass_stack import Hourglass, Stack
from detectors.models.spec import ModelSpec

SHAPE = torch.Size((2, 6, 8))


def corners(*known: tuple[float, float, float]) -> Tensor:
    """The corners of one product: those given, the others absent."""
    points = torch.zeros(1, 8, 3)
    points[0, : len(known)] = torch.tensor(known)
    return points


def target(points: Tensor, box: list[float]) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor([box], dtype=torch.float32),
        "labels": torch.tensor([1]),
        "ignored": torch.zeros(0, 4),
        "keypoints": points,
    }


def test_heat_maps_of_corners() -> None:
    """Corner 0 in the middle of cell (2, 1), corner 1 between cells (3, 2) and (4, 2), half a cell from either."""
    maps = corner_maps(corners((10, 6, 2), (16, 10, 1)), SHAPE)
    assert maps.shape == (8, 6, 8) and not maps[2:].any()
    assert float(maps[0, 1, 2]) == 1 and float(maps[0, 1, 3]) == pytest.approx(math.exp(-1 / 2))
    assert float(maps[0, 3, 3]) == pytest.approx(math.exp(-5 / 2))
    assert maps[1, 2, 3:5].tolist() == pytest.approx([math.exp(-1 / 8)] * 2)
    two = torch.cat([corners((10, 6, 2)), corners((14, 6, 2))])
    assert corner_maps(two, SHAPE)[0, 1, 2:4].tolist() == [1, 1]
    assert corner_maps(torch.zeros(0, 8, 3), SHAPE).shape == (8, 6, 8)


def test_truth() -> None:
    """A box with its centre at (13, 9): cell (3, 2), whose middle is 3.5, 2.5; 6 x 4 px are 1.5 x 1 cells."""
    truth = truth_of(target(corners((10, 6, 2), (20, 4, 1)), [10, 7, 16, 11]), SHAPE)
    assert (truth.columns.tolist(), truth.rows.tolist()) == ([3], [2])
    assert truth.within.tolist() == [[0.25, 0.25]] and truth.sides.tolist() == [[1.5, 1]]
    assert truth.ways[0, :2].tolist() == [[-1, -1], [1.5, -1.5]]
    assert truth.known.tolist() == [[True, True, *[False] * 6]]
    assert float(truth.heat[1, 2, 3]) == 1 and not truth.heat[0].any()


def test_losses() -> None:
    """One object with one corner; all predictions are zero, so that scores are 1/2.

    Corners: the sum of the squares of the Gaussian. Ways: |-1| + |-1|, size 1.5 + 1, offset 1/4 + 1/4, the first two by
    a tenth. Focal loss: 1/4 log 2 of the only cell with truth 1 and of each other one, since the radius is 0 cells.
    """
    truth = truth_of(target(corners((10, 6, 2)), [10, 7, 16, 11]), SHAPE)
    widths = {"cls_logits": 2, "sizes": 2, "offsets": 2, "corners": 8, "ways": 16}
    losses = _losses({name: torch.zeros(1, count, 6, 8) for name, count in widths.items()}, [truth])
    squares = sum(math.exp(-((x - 2) ** 2) - (y - 1) ** 2) for x in range(8) for y in range(6))
    assert float(losses["corners"]) == pytest.approx(squares, rel=1e-5)
    assert float(losses["ways"]) == pytest.approx(0.2) and float(losses["size"]) == pytest.approx(0.25)
    assert float(losses["offset"]) == pytest.approx(0.5)
    assert float(losses["classification"]) == pytest.approx(96 * math.log(2) / 4, rel=1e-5)


def test_peaks_move_a_quarter_of_a_cell() -> None:
    """The cell right of the peak (3, 2) is higher than the left one, the one above higher than the one below."""
    heat = torch.zeros(8, 6, 8)
    heat[0, 2, 3] = 0.9
    heat[0, 2, 4], heat[0, 2, 2], heat[0, 1, 3], heat[0, 3, 3] = 0.5, 0.3, 0.4, 0.2
    points, scores = corner_peaks(heat)
    assert float(scores[0, 0]) == pytest.approx(0.9)
    assert points[0, 0].tolist() == [4 * 3.75, 4 * 2.25]
    # At the border what is outside counts as zero.
    heat[1, 0, 0], heat[1, 1, 0] = 0.8, 0.1
    assert corner_peaks(heat)[0][1, 0].tolist() == [4 * 0.5, 4 * 0.75]


def test_a_corner_takes_the_nearest_peak_in_reach() -> None:
    """Cell 19 is (3, 2), its middle (14, 10) px. Of corner 0 the way leads to (10, 10).

    Its peaks are at (2, 10) with 0.9, at (10, 14) with 0.5, 4 px off, and at (10, 8) with 0.05, which is too little.
    The others have none: they stay where their ways lead, with what the heat map says there.
    """
    heat = torch.zeros(8, 6, 8)
    heat[0, 2, 0], heat[0, 3, 2], heat[0, 1, 2], heat[1, 2, 4] = 0.9, 0.5, 0.05, 0.07
    ways = torch.zeros(1, 8, 2)
    ways[0, 0], ways[0, 1] = torch.tensor([-1.0, 0]), torch.tensor([1.0, 0])
    box = torch.tensor([[0.0, 4, 24, 16]])
    points = place_corners(heat, ways, torch.tensor([19]), box)
    assert points.shape == (1, 8, 3)
    assert points[0, 0, 2] == 0.5 and (points[0, 0, :2] - torch.tensor([10.0, 14])).abs().max() <= 1
    assert points[0, 1].tolist() == pytest.approx([18, 10, 0.07])
    assert points[0, 2].tolist() == [14, 10, 0]
    # Half the sides of a smaller box beyond its borders are x from 3.5 on and y up to 11.5, which leaves no peak.
    short = place_corners(heat, ways, torch.tensor([19]), torch.tensor([[9.0, 4, 20, 9]]))
    assert short[0, 0].tolist() == [10, 10, 0]


class Double(nn.Module):
    """Stands for an hourglass and remembers what it was given."""

    def forward(self, maps: Tensor) -> Tensor:
        self.given = maps
        return 2 * maps


def test_features_and_predictions_are_led_back() -> None:
    """x + A f + B p with f = 2 x and p = W f: A = 3, W = 5 and B = 7 times the identity give x + 6 x + 70 x = 77 x."""
    stack = Stack(2, 2, (("corners", 2),))
    doubles = [Double(), Double()]
    stack.hourglasses, stack.lines = nn.ModuleList(doubles), nn.ModuleList([nn.Identity(), nn.Identity()])
    with torch.no_grad():
        layers = (stack.features_back[0], stack.heads[0]["corners"], stack.predictions_back[0]["corners"])
        for layer, weight in zip(layers, (3.0, 5.0, 7.0), strict=True):
            layer.weight.copy_(weight * torch.eye(2)[:, :, None, None])
            layer.bias.zero_()
    maps = torch.rand(1, 2, 2, 3)
    found, predictions = stack(maps)
    torch.testing.assert_close(doubles[1].given, 77 * maps)
    torch.testing.assert_close(found, 154 * maps)
    torch.testing.assert_close(predictions[0]["corners"], 10 * maps)
    assert len(predictions) == 2


@pytest.mark.parametrize(("height", "width"), [(16, 32), (7, 5), (1, 3)])
def test_an_hourglass_keeps_the_size(height: int, width: int) -> None:
    assert Hourglass(16)(torch.rand(2, 16, height, width)).shape == (2, 16, height, width)


class Learned(NamedTuple):
    """A network, the image that it has learned, and boxes and corners in it."""

    model: nn.Module
    spec: ModelSpec
    images: Tensor
    boxes: Tensor
    points: Tensor


@pytest.fixture(scope="module")
def learned() -> Learned:
    """Two cuboids of two classes, drawn as rectangles."""
    module = detector_module("hourglass")
    torch.manual_seed(0)
    boxes = torch.tensor([[10.0, 8, 36, 40], [50, 20, 90, 56]])
    images = torch.full((1, 3, 64, 96), 0.5)
    images[:, 0, 8:40, 10:36] = images[:, 1, 20:56, 50:90] = 1
    offsets = torch.tensor([[0.0, 1], [1, 1], [0.8, 0.8], [0.2, 0.8], [0, 0], [1, 0], [0.8, 0.2], [0.2, 0.2]])
    points = boxes[:, None, :2] + offsets * (boxes[:, None, 2:] - boxes[:, None, :2])
    keypoints = torch.cat([points, torch.full((2, 8, 1), 2.0)], 2)
    both = {"boxes": boxes, "labels": torch.tensor([0, 1]), "ignored": torch.zeros(0, 4), "keypoints": keypoints}
    spec = ModelSpec("hourglass", None, 2, 96, 64, module.MEAN, module.STD, tuple(sorted(module.SMALLEST.items())))
    model = build_model(spec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(110):
        optimizer.zero_grad()
        torch.stack(list(model.losses(images, [both]).values())).sum().backward()
        optimizer.step()
    return Learned(model.eval(), spec, images, boxes, points)


def test_it_finds_the_corners_that_it_has_learned(learned: Learned) -> None:
    """Boxes within 6 px, since sizes learn slowly, and corners within 2 px on average."""
    with torch.inference_mode():
        (found,) = learned.model.detect(learned.images)
    order = found["labels"][:2].argsort()
    assert found["labels"][order].tolist() == [0, 1] and found["scores"][1] > 0.25
    assert (found["boxes"][order] - learned.boxes).abs().max() < 6
    apart = (found["keypoints"][order][..., :2] - learned.points).norm(dim=2)
    assert apart.mean() < 2 and apart.max() < 4


def test_an_exported_file_finds_the_same_corners(learned: Learned, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="export needs onnx and onnxruntime, which are optional")
    onnx = exporter_module("onnx")
    onnx.export(copy.deepcopy(learned.model), learned.spec, tmp_path / "model.onnx")
    pixels = learned.images.mul(255).round().byte().permute(0, 2, 3, 1)[0].numpy()
    agreement = check_agreement(learned.model, onnx.load(tmp_path / "model.onnx"), [pixels, pixels[:, ::-1].copy()])
    assert agreement.compared > 4 and agreement.wrong == 0 and agreement.pixels < 0.05
    boxes, _, _, corners = onnx.load(tmp_path / "model.onnx")(pixels)
    assert corners.shape == (len(boxes), 8, 3)
