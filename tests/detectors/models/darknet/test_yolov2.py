"""YOLOv2's passthrough, loss and pull to the anchors, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from detectors.models import build_model
from detectors.models.darknet.grid import GridOutputs, Level, best_anchor, make_places, match_objects
from detectors.models.darknet.yolov2 import YoloV2, object_losses, objectness_loss, prior_loss, rearrange
from detectors.models.spec import ModelSpec

LN2, LN3 = math.log(2), math.log(3)


def network(**options: bool | float | str) -> YoloV2:
    named = tuple(sorted({"width": 0.05, **options}.items()))
    model = build_model(ModelSpec("yolov2", None, 2, 64, 32, (0, 0, 0), (1, 1, 1), named))
    assert isinstance(model, YoloV2)
    return model


def outputs(*changes: tuple[int, tuple[float, ...]]) -> GridOutputs:
    """A row of two cells of 32 pixels with anchors 16 x 16 and 32 x 32, all outputs 0 but t of some places.

    Classes everywhere 0 and ln 3: 0.25 and 0.75.
    """
    places = make_places([Level((1, 2), torch.tensor([[16.0, 16], [32, 32]]))], 64, 32)
    raw, classes = torch.zeros(1, 4, 4), torch.tensor([0, LN3]).repeat(1, 4, 1)
    for place, values in changes:
        raw[0, place] = torch.tensor(values)
    return GridOutputs(places, raw, torch.zeros(1, 4), classes)


def target(*boxes: tuple[float, ...]) -> dict[str, Tensor]:
    return {"boxes": torch.tensor(boxes).view(-1, 4), "labels": torch.ones(len(boxes), dtype=torch.long)}


# 16 x 16 in the middle of the first cell: just what its first anchor says with t = 0.
BOX = (8.0, 8.0, 24.0, 24.0)


def test_published_layers() -> None:
    """18 convolutions of Darknet-19, three more, one of the passthrough, and the head's."""
    with torch.device("meta"):
        model = build_model(ModelSpec("yolov2", None, 20, 416, 416, (0, 0, 0), (1, 1, 1)))
    convolutions = [part.out_channels for part in model.modules() if isinstance(part, nn.Conv2d)]
    assert sum(isinstance(part, nn.Conv2d) for part in model.backbone.modules()) == 18
    assert sorted(convolutions)[-2:] == [1024, 1024] and len(convolutions) == 18 + 3 + 1 + 2
    # 5 x (5 + 20) = 125, of 1024 + 4 x 64 channels before the last 3 x 3 convolution.
    assert model.heads[0].boxes.out_channels + model.heads[0].cls_logits.out_channels == 125
    assert model.join[0].in_channels == 1280


def test_passthrough_in_the_order_of_darknet() -> None:
    """Four 2 x 2 maps 0 .. 15, read as one of 4 x 4: every second row and column is 0 2 8 10, then 1 3 9 11, ..."""
    maps = torch.arange(16.0).view(1, 4, 2, 2)
    expected = [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]
    assert rearrange(maps).flatten().tolist() == expected and rearrange(maps).shape == (1, 16, 1, 1)
    assert nn.functional.pixel_unshuffle(maps, 2).flatten().tolist() != expected


def test_passthrough_agrees_with_the_rule_index_by_index() -> None:
    """Output (k, j, i), in the shape of the input, is what the input holds at (k mod c, 2 j + o / 2, 2 i + o mod 2),
    o = k / c, where the input is read as c = C / 4 maps of twice the sides.
    """
    maps = torch.randn(2, 8, 6, 4, generator=torch.Generator().manual_seed(0))
    wide, found = maps.reshape(2, 2, 12, 8), rearrange(maps).reshape(2, 8, 6, 4)
    for k in range(8):
        offset = k // 2
        for j in range(6):
            for i in range(4):
                assert torch.equal(found[:, k, j, i], wide[:, k % 2, 2 * j + offset // 2, 2 * i + offset % 2])


def test_objectness_of_an_exact_box() -> None:
    """Every objectness is 0.5. Responsible place: 5 (0.5 - 1)^2; the three others, which overlap too little, 0.5^2."""
    said, objects = outputs(), [target(BOX)]
    matches = match_objects(said.places, objects, best_anchor)
    assert matches.places.tolist() == [0]
    assert float(objectness_loss(said, matches, objects)) == pytest.approx(1.25 + 3 * 0.25)


def test_objectness_learns_the_overlap_and_spares_near_misses() -> None:
    """Place 0 says 32 x 16, IoU 0.5: 5 (0.5 - 0.5)^2 = 0. Place 1 says 18 x 16, IoU 16 / 18: no background."""
    said = outputs((0, (0, 0, LN2, 0)), (1, (0, 0, math.log(18 / 32), math.log(0.5))))
    objects = [target(BOX)]
    matches = match_objects(said.places, objects, best_anchor)
    assert float(objectness_loss(said, matches, objects)) == pytest.approx(2 * 0.25, abs=1e-6)


def test_box_and_class_losses() -> None:
    """sigmoid(ln 3) = 0.75 instead of 0.5, ln 2 instead of 0; softmax says 0.75 of the right class."""
    said = outputs((0, (LN3, 0, LN2, 0)))
    found = object_losses(said, match_objects(said.places, [target(BOX)], best_anchor))
    assert float(found["box"]) == pytest.approx(0.0625 + LN2**2)
    assert float(found["classification"]) == pytest.approx(-math.log(0.75))


def test_pull_to_the_anchors() -> None:
    """Of every place but the responsible one: place 2 says 0.75 instead of 0.5 and exp(1) times the width."""
    said = outputs((0, (LN3, 0, LN2, 0)), (2, (LN3, 0, 1, 0)))
    assert float(prior_loss(said, match_objects(said.places, [target(BOX)], best_anchor))) == pytest.approx(1.0625)


def test_the_pull_ends_after_12800_images_also_in_a_copy() -> None:
    """A batch of 4 after 12,796 is the last. Weights carry the count; evaluation counts nothing."""
    model, images = network().train(), torch.rand(4, 3, 32, 64)
    objects = [target(BOX)] * 4
    assert int(model.seen) == 0
    assert float(model.losses(images, objects)["prior"].detach()) > 0 and int(model.seen) == 4
    model.seen.fill_(12_796)
    resumed = network().train()
    resumed.load_state_dict(model.state_dict())
    for one in (model, resumed):
        one.eval().losses(images, objects)
        assert float(one.train().losses(images, objects)["prior"].detach()) > 0
        assert int(one.seen) == 12_800
        assert float(one.losses(images, objects)["prior"].detach()) == 0


def test_scores_are_one_softmax_times_objectness() -> None:
    model = network().eval()
    images = torch.rand(1, 3, 32, 64)
    with torch.inference_mode():
        said = model.outputs(images)
        soft = model.soft_outputs(images).heads["places"]
    whole = soft.logits.softmax(1)
    torch.testing.assert_close(whole[:, 0], 1 - said.objectness[0].sigmoid())
    torch.testing.assert_close(whole[:, 1:], said.objectness[0].sigmoid()[:, None] * said.classes[0].softmax(1))


def test_a_map_of_odd_sides_passes_through() -> None:
    """100 x 70 pixels: 7 x 5 cells of the finer map, 4 x 3 of the coarser one."""
    model = network().eval()
    with torch.inference_mode():
        assert model.features(torch.rand(1, 3, 70, 100))[0].shape[2:] == (3, 4)
