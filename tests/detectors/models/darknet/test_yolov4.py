"""YOLOv4's bag of items: each worked out by hand or against a slow reference, and each trains."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from detectors.models import build_model
from detectors.models.darknet.adversarial import deceive
from detectors.models.darknet.grid import GridOutputs, Level, best_anchor, make_places, match_objects
from detectors.models.darknet.layers import CrossBatchNorm, PointAttention
from detectors.models.darknet.suppression import distance_iou, suppress_by_distance
from detectors.models.darknet.yolov4 import BOX_LOSSES, YoloV4, overlap_loss
from detectors.models.spec import ModelSpec

SIDE = 64
STEP = 1e-3


def network(**options: bool | float | str) -> YoloV4:
    torch.manual_seed(0)
    named = tuple(sorted({"width": 0.05, "anchors": "published", **options}.items()))
    model = build_model(ModelSpec("yolov4", None, 2, SIDE, SIDE, (0, 0, 0), (1, 1, 1), named))
    assert isinstance(model, YoloV4)
    return model


def batch() -> tuple[Tensor, list[dict[str, Tensor]]]:
    images = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    target = {
        "boxes": torch.tensor([[4.0, 4, 30, 40], [20, 20, 60, 50]]),
        "labels": torch.tensor([0, 1]),
        "ignored": torch.tensor([[0.0, 50, 20, 64]]),
    }
    return images, [target, *({name: value[:1] for name, value in target.items()} for _ in range(3))]


def test_published_layers() -> None:
    """72 convolutions of CSPDarknet-53; with those of the neck and heads the 110 of Darknet, of 64 million weights."""
    with torch.device("meta"):
        model = build_model(ModelSpec("yolov4", None, 80, 416, 416, (0, 0, 0), (1, 1, 1)))
    assert sum(isinstance(part, nn.Conv2d) for part in model.backbone.modules()) == 72
    assert sum(isinstance(part, nn.Conv2d) for part in model.modules()) == 110 + 3
    assert sum(part.numel() for part in model.parameters()) == pytest.approx(64.4e6, rel=0.002)
    assert sum(isinstance(part, nn.Mish) for part in model.modules()) == 72


@pytest.mark.parametrize(
    "options",
    [
        {"mish": False, "attention": True, "drop_block": 0.2},
        {"grid_sensitivity": False, "anchor_overlap": 1.0, "box_loss": "squares"},
        {"box_loss": "giou", "label_smoothing": 0.1, "distance_nms": False},
        {"mosaic": 1.0, "cutmix": 1.0, "mini_batches": 2},
        {"adversarial": 1.0, "random_shapes": True, "box_loss": "diou"},
    ],
)
def test_every_item_trains_and_detects(options: dict[str, bool | float | str]) -> None:
    model = network(**options)
    images, targets = batch()
    torch.manual_seed(0)
    losses = model.losses(images, targets)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total) and losses["box"] > 0
    assert all(part.grad is not None for part in model.parameters())
    with torch.inference_mode():
        assert len(model.eval().detect(images)) == 4


def test_items_are_layers_only_where_asked_for() -> None:
    plain, other = network(), network(attention=True, mini_batches=2, mish=False)
    for kind, count in ((PointAttention, 3), (CrossBatchNorm, 107)):
        assert not any(isinstance(part, kind) for part in plain.modules())
        assert sum(isinstance(part, kind) for part in other.modules()) == count
    assert not any(isinstance(part, nn.Mish) for part in other.modules())


def test_complete_iou() -> None:
    """Place 0 says 32 x 16 around an object of 16 x 16: IoU 0.5, centres equal, aspects 2 and 1.

    v = 4 / pi^2 (atan 1 - atan 2)^2, alpha = v / (1 - 0.5 + v): the loss is 1 - 0.5 + alpha v.
    """
    places = make_places([Level((1, 2), torch.tensor([[16.0, 16]]))], 64, 32)
    raw = torch.zeros(1, 2, 4)
    raw[0, 0, 2] = math.log(2)
    said = GridOutputs(places, raw, torch.zeros(1, 2), torch.zeros(1, 2, 1))
    objects = [{"boxes": torch.tensor([[8.0, 8, 24, 24]]), "labels": torch.tensor([0])}]
    aspect = 4 / math.pi**2 * (math.atan(1) - math.atan(2)) ** 2
    found = overlap_loss(said, match_objects(places, objects, best_anchor), BOX_LOSSES["ciou"])
    assert float(found) == pytest.approx(0.5 + aspect**2 / (0.5 + aspect), abs=1e-5)


def test_distance_iou() -> None:
    """Half a box to the side: IoU 50 / 150; centres 5 apart, the box around both is 15 x 10: 25 / 325."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]])
    assert float(distance_iou(boxes, boxes)[0, 1]) == pytest.approx(1 / 3 - 25 / 325)
    suppress, scores, same = suppress_by_distance(0.3), torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.long)
    # Plain suppression at 0.3 would drop the second.
    assert suppress(boxes, scores, same).tolist() == [0, 1]
    assert suppress_by_distance(0.25)(boxes, scores, same).tolist() == [0]
    assert suppress_by_distance(0.25)(boxes, scores, torch.tensor([0, 1])).tolist() == [0, 1]


def test_a_dropped_box_drops_none() -> None:
    """Five boxes in a row, each overlapping its neighbours alone: every second one stays."""
    boxes = torch.tensor([[3.0 * place, 0, 3 * place + 10, 10] for place in range(5)])
    kept = suppress_by_distance(0.4)(boxes, torch.linspace(0.9, 0.5, 5), torch.zeros(5, dtype=torch.long))
    assert kept.tolist() == [0, 2, 4]


def test_suppression_agrees_with_the_greedy_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(150, 2, generator=generator) * 40
    boxes = torch.cat([corners, corners + 5 + 20 * torch.rand(150, 2, generator=generator)], 1)
    labels = torch.randint(2, (150,), generator=generator)
    near, kept = distance_iou(boxes, boxes) > 0.3, list[int]()
    for place in range(150):
        if not any(near[other, place] and labels[other] == labels[place] for other in kept):
            kept.append(place)
    assert suppress_by_distance(0.3)(boxes, torch.linspace(1, 0.1, 150), labels).tolist() == kept
    assert suppress_by_distance(0.3)(boxes[:0], torch.zeros(0), labels[:0]).tolist() == []


def test_drop_block_keeps_the_expected_share_and_the_mean() -> None:
    """A tenth, in blocks: where the middle of a block of 7 x 7 is zero, all of it is."""
    drop = network(drop_block=0.1).drop.train()
    torch.manual_seed(0)
    dropped = drop(torch.ones(64, 8, 32, 32))
    gone = dropped == 0
    assert float(gone.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1, abs=1e-3)
    # Every zero belongs to a block: opening by 7 x 7 (erosion, then dilation) changes nothing.
    eroded = -nn.functional.max_pool2d(-gone.float(), 7, 1)
    opened = nn.functional.max_pool2d(nn.functional.pad(eroded, (6, 6, 6, 6)), 7, 1)
    assert torch.equal(opened > 0, gone)
    assert torch.equal(drop.eval()(torch.ones(2, 2, 32, 32)), torch.ones(2, 2, 32, 32))
    # Small maps get smaller blocks, of odd sides.
    assert drop.train()(torch.ones(2, 2, 4, 2)).shape == (2, 2, 4, 2)


def test_self_adversarial_training_changes_the_images_alone() -> None:
    """Its first pass leaves weights, statistics and gradients; each value moves by the step, to less objectness."""
    model = network().train()
    images, targets = batch()
    before = copy.deepcopy(model.state_dict())
    # Not even ignored regions, which boxes enter and leave.
    nothing = [{name: value[:0] for name, value in one.items()} for one in targets]

    def objectness(seen: Tensor) -> Tensor:
        return model._losses_of(seen, nothing)["objectness"]

    altered = deceive(model, images, objectness, STEP)
    model.eval()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(part.grad is None for part in model.parameters())
    moved = (altered - images).abs()
    assert float(moved.max()) == pytest.approx(STEP, abs=1e-6) and float((moved > 0.9 * STEP).float().mean()) > 0.9
    assert altered.min() >= 0 and altered.max() <= 1 and not altered.requires_grad
    # With statistics of a batch norm of two values each, sixty layers are too rough for a step.
    altered = deceive(model, images, objectness, STEP)
    with torch.no_grad():
        assert objectness(altered) < objectness(images)


def test_chance_follows_from_the_step_alone() -> None:
    options = {"mosaic": 0.5, "cutmix": 0.5, "adversarial": 0.5, "drop_block": 0.1}
    images, targets = batch()
    found = []
    for _ in range(2):
        model = network(**options)
        torch.manual_seed(5)
        found.append({name: float(loss.detach()) for name, loss in model.losses(images, targets).items()})
    assert found[0] == found[1]


def test_evaluation_changes_no_image() -> None:
    images, targets = batch()
    with torch.no_grad():
        plain = network().eval().losses(images, targets)
        changed = network(mosaic=1.0, cutmix=1.0, adversarial=1.0).eval().losses(images, targets)
    assert {name: float(loss) for name, loss in plain.items()} == {name: float(loss) for name, loss in changed.items()}


def test_sensitivity_of_levels() -> None:
    assert network().sensitivity == (1.2, 1.1, 1.05)
    assert network(grid_sensitivity=False).sensitivity == (1.0, 1.0, 1.0)
