"""CenterNet by hand: radii, heat map, losses and peaks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from detectors.models.one_stage.centernet import CenterNet, Options, Peaks, focal_loss, gaussian_radius, heat_map
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec

# Of a network whose scores are all one half: the loss of a centre, and of a cell far from one.
HALF = 0.25 * math.log(2)


def target(boxes: list[list[float]], labels: list[int], ignored: list[list[float]] | None = None) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "ignored": torch.tensor(ignored or []).reshape(-1, 4),
    }


@pytest.fixture(scope="module")
def model() -> CenterNet:
    return CenterNet(ModelSpec("centernet", None, 2, 16, 16, IMAGENET_MEAN, IMAGENET_STD), Options()).eval()


def says(model: CenterNet, monkeypatch: pytest.MonkeyPatch, peaks: Peaks) -> CenterNet:
    monkeypatch.setattr(model, "_predict", lambda images: peaks)
    return model


def test_radius_of_a_box_of_20_by_30_cells() -> None:
    """The roots are 2.216, 1.952 and 2.350; of the published code 47.8, 92.2 and 6.58."""
    sides = (torch.tensor([20.0]), torch.tensor([30.0]))
    assert gaussian_radius(*sides).item() == pytest.approx(1.952, abs=1e-3)
    assert gaussian_radius(*sides, "cornernet").item() == pytest.approx(6.58, abs=1e-2)
    # By definition: with both corners 1.952 inwards 0.7 of the box remains.
    assert pytest.approx(0.7, abs=1e-3) == (20 - 2 * 1.952) * (30 - 2 * 1.952) / 600


def test_of_two_overlapping_gaussians_the_larger_counts() -> None:
    """Radius 1, so a deviation of one half: exp(-2) beside a centre, also between two; exp(-4) at a corner."""
    boxes = [[0.0, 0, 80, 120], [8, 0, 88, 120]]  # centres in cells 10 and 12 of row 15
    heat = heat_map(target(boxes, [1, 1]), torch.Size((2, 30, 25)), "exact")
    beside, corner = math.exp(-2), math.exp(-4)
    assert heat[1, 15, 8:15].tolist() == pytest.approx([0, beside, 1, beside, 1, beside, 0])
    assert heat[1, 14, 8:15].tolist() == pytest.approx([0, corner, beside, corner, beside, corner, 0])
    assert heat[0].sum() == 0 and heat[1].gt(0).sum() == 15


def test_focal_loss_of_three_cells() -> None:
    loss = focal_loss(torch.zeros(3), torch.tensor([1.0, 0.0, 0.1353]))
    assert loss.tolist() == pytest.approx([HALF, HALF, (1 - 0.1353) ** 4 * HALF])


def test_losses_of_one_box(model: CenterNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its centre (6, 9) px is (1.5, 2.25) cells, its size 1.5 x 2 cells; too small for a neighbour in its Gaussian."""
    silent = Peaks(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))
    images, boxes = torch.zeros(1, 3, 16, 16), [[3.0, 5, 9, 13]]
    losses = says(model, monkeypatch, silent).losses(images, [target(boxes, [1])])
    assert losses["classification"].item() == pytest.approx(32 * HALF, rel=1e-5)
    assert losses["size"].item() == pytest.approx(0.1 * 3.5) and losses["offset"].item() == pytest.approx(0.75)
    # Ignored: the upper half of the image, whose cells count no longer but for a centre.
    losses = model.losses(images, [target(boxes, [1], [[0, 0, 16, 8]])])
    assert losses["classification"].item() == pytest.approx(16 * HALF, rel=1e-5)
    losses = model.losses(images, [target(boxes, [1], [[0, 0, 16, 16]])])
    assert losses["classification"].item() == pytest.approx(HALF, rel=1e-5)


def test_sizes_and_offsets_count_at_centres_alone(model: CenterNet, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, offsets = torch.full((1, 2, 4, 4), 9.0), torch.full((1, 2, 4, 4), 9.0)
    sizes[0, :, 2, 1], offsets[0, :, 2, 1] = torch.tensor([1.5, 2.0]), torch.tensor([0.5, 0.25])
    said = says(model, monkeypatch, Peaks(torch.zeros(1, 2, 4, 4), sizes, offsets))
    losses = said.losses(torch.zeros(1, 3, 16, 16), [target([[3.0, 5, 9, 13]], [0])])
    assert losses["size"] == losses["offset"] == 0


def test_peaks_are_found_and_their_neighbours_are_not(model: CenterNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores .9 and .8 side by side in one class, .7 in another class at the same place."""
    scores = torch.full((1, 2, 4, 4), 1e-4)
    scores[0, 0, 2, 1], scores[0, 0, 2, 2], scores[0, 1, 2, 1] = 0.9, 0.8, 0.7
    sizes, offsets = torch.full((1, 2, 4, 4), 1.5), torch.full((1, 2, 4, 4), 0.5)
    sizes[0, 1] = 2.0
    offsets[0, 1] = 0.25
    (found,) = says(model, monkeypatch, Peaks(torch.logit(scores), sizes, offsets)).detect(torch.zeros(1, 3, 16, 16))
    assert found["labels"].tolist() == [0, 1] and found["scores"].tolist() == pytest.approx([0.9, 0.7])
    assert found["boxes"].tolist() == [[3.0, 5, 9, 13]] * 2


def test_an_image_without_objects_is_background_throughout(model: CenterNet, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Peaks(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))
    losses = says(model, monkeypatch, silent).losses(torch.zeros(1, 3, 16, 16), [target([], [])])
    assert losses["classification"].item() == pytest.approx(32 * HALF) and losses["size"] == losses["offset"] == 0
