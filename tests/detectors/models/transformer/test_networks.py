"""DETR, RT-DETR and D-FINE: losses and detections by hand, ignored regions, and learning one image."""

from __future__ import annotations

import builtins
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from detectors.models import build_model, detector_module
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec
from detectors.models.transformer.network import count_queries, load_transformers, silence_queries
from support.errors import raises

pytest.importorskip("transformers", reason="these detectors need transformers, which is optional")

NAMES = ("detr", "dfine", "rtdetr")
# Small, and with fewer layers than the package builds by default.
BACKBONE = "test_efficientnet"


def network(name: str, width: int = 96, height: int = 64, **options: float) -> Any:
    module = detector_module(name)
    given = tuple(sorted({**module.SMALLEST, **options}.items()))
    torch.manual_seed(0)
    return build_model(ModelSpec(name, BACKBONE, 2, width, height, module.MEAN, module.STD, given))


def target(boxes: list[list[float]], labels: list[int], ignored: list[list[float]] | None = None) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "ignored": torch.tensor(ignored or []).reshape(-1, 4),
    }


class Said(nn.Module):
    """A network of the package that says what a test wants, by the loss function of the one it replaces."""

    def __init__(self, plain: Any, logits: Tensor, boxes: Tensor) -> None:
        super().__init__()
        self.plain, self.logits, self.boxes = (plain,), logits, boxes

    def forward(self, images: Tensor, labels: Any = None) -> Any:
        from types import SimpleNamespace

        found = SimpleNamespace(logits=self.logits, pred_boxes=self.boxes)
        if labels is not None:
            (plain,) = self.plain
            plain.config.auxiliary_loss = False
            found.loss, found.loss_dict, _ = plain.loss_function(
                self.logits, labels, images.device, self.boxes, plain.config
            )
        return found


def says(name: str, logits: list[list[float]], boxes: list[list[float]]) -> Any:
    """A detector for images of 96 x 64 whose network says these logits and boxes, as shares of the image."""
    detector = network(name)
    detector.network = Said(detector.network, torch.tensor([logits]), torch.tensor([boxes]))
    return detector


# Two queries: one at (24, 16) to (72, 48), the other in the upper left corner.
BOXES = [[0.5, 0.5, 0.5, 0.5], [0.125, 0.125, 0.25, 0.25]]


def test_detr_decoding_by_hand() -> None:
    """Two classes and "no object" share a softmax; each pair of query and class is a detection."""
    logits = [[math.log(6), math.log(1), math.log(3)], [0.0, math.log(3), 0.0]]
    (found,) = says("detr", logits, BOXES).detect(torch.zeros(1, 3, 64, 96))
    assert found["labels"].tolist()[:2] == [0, 1] or found["labels"].tolist()[:2] == [1, 0]
    assert sorted(found["scores"].tolist()) == pytest.approx([0.1, 0.2, 0.6, 0.6])
    by_class = {int(label): box.tolist() for label, box in zip(found["labels"][:2], found["boxes"][:2], strict=True)}
    assert by_class == {0: [24, 16, 72, 48], 1: [0, 0, 24, 16]}


@pytest.mark.parametrize("name", ["rtdetr", "dfine"])
def test_decoding_by_hand(name: str) -> None:
    (found,) = says(name, [[2.0, -9.0], [-9.0, 0.0]], BOXES).detect(torch.zeros(1, 3, 64, 96))
    assert found["scores"].tolist() == pytest.approx([1 / (1 + math.exp(-2)), 0.5])
    assert found["labels"].tolist() == [0, 1] and found["boxes"].tolist() == [[24, 16, 72, 48], [0, 0, 24, 16]]


def test_detr_loss_by_hand() -> None:
    """The first query fits the object but for 12 px to the right; the second is "no object", which counts a tenth."""
    detector = says("detr", [[0.0, 0.0, 0.0]] * 2, BOXES)
    losses = detector.losses(torch.zeros(1, 3, 64, 96), [target([[36.0, 16, 84, 48]], [1])])
    assert losses["classification"].item() == pytest.approx(math.log(3), rel=1e-5)
    # L1 of 0.125 of the width, times 5; overlap 36 of 60, which both boxes fill wholly: 2 x (1 - 0.6).
    assert losses["box"].item() == pytest.approx(5 * 0.125 + 2 * 0.4, rel=1e-4)


def test_rtdetr_loss_by_hand() -> None:
    """Varifocal: the match against its overlap 0.6, weighted with it, the others 0.75 p^2 against nothing."""
    detector = says("rtdetr", [[0.0, 0.0]] * 2, BOXES)
    losses = detector.losses(torch.zeros(1, 3, 64, 96), [target([[36.0, 16, 84, 48]], [1])])
    half = math.log(2)
    assert losses["classification"].item() == pytest.approx(0.6 * half + 3 * 0.75 * 0.25 * half, rel=1e-4)
    assert losses["box"].item() == pytest.approx(5 * 0.125 + 2 * 0.4, rel=1e-4)


@pytest.mark.parametrize("name", ["detr", "rtdetr"])
def test_a_query_in_an_ignored_region_is_no_background(name: str) -> None:
    """The second query lies in it, and says nothing; the first matches the object and counts, ignored or not."""
    logits = [[0.0] * (3 if name == "detr" else 2)] * 2
    detector = says(name, logits, BOXES)
    objects = [[36.0, 16, 84, 48]]
    with_it = detector.losses(torch.zeros(1, 3, 64, 96), [target(objects, [1], [[0, 0, 96, 64]])])
    plain = detector.losses(torch.zeros(1, 3, 64, 96), [target(objects, [1])])
    half = math.log(2)
    # Of DETR a mean over weights of 1 and 0.1, of which the second is now of a loss of 0.
    first = math.log(3) / 1.1 if name == "detr" else 0.6 * half + 0.75 * 0.25 * half
    assert with_it["classification"].item() == pytest.approx(first, rel=1e-4)
    assert with_it["classification"] < plain["classification"]
    torch.testing.assert_close(with_it["box"], plain["box"])


def test_silenced_queries_by_hand() -> None:
    outputs = {"logits": torch.zeros(1, 3, 3), "pred_boxes": torch.tensor([[*BOXES, [0.9, 0.9, 0.1, 0.1]]])}
    ignored = torch.tensor([[0.0, 0.0, 0.5, 1.0]])
    matched = [(torch.tensor([1]), torch.tensor([0]))]
    nothing = [(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long))]
    targets = [{"ignored": ignored}]
    # The first box is covered by half, no more; the second wholly, unless it matched.
    assert silence_queries(outputs, targets, matched, True).abs().sum() == 0
    silent = silence_queries(outputs, targets, nothing, True)[0]
    assert silent[1].tolist() == [-50, -50, 50] and silent[[0, 2]].abs().sum() == 0
    assert silence_queries(outputs, targets, nothing, False)[0, 1].tolist() == [-50, -50, -50]


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_the_backbone_have_one_name_and_sizes_need_not_divide(name: str) -> None:
    model = network(name, 90, 50).train()
    names = [key for key, _ in model.named_parameters(remove_duplicate=False)]
    assert not any(".backbone." in key for key in names) and any(key.startswith("backbone.") for key in names)
    losses = model.losses(torch.rand(2, 3, 50, 90), [target([[5.0, 5, 40, 40]], [1]), target([], [])])
    assert set(losses) == {"classification", "box"} and all(torch.isfinite(one) for one in losses.values())


def test_there_are_no_more_queries_than_places() -> None:
    """Strides 8, 16 and 32 of 96 x 80: 120 + 30 + 9 places."""
    spec = ModelSpec("rtdetr", None, 2, 96, 80, IMAGENET_MEAN, IMAGENET_STD)
    assert count_queries(300, spec, (8, 16, 32)) == 159 and count_queries(30, spec, (8, 16, 32)) == 30


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def refuse(name: str, *others: Any, **named: Any) -> Any:
        if name == "transformers":
            raise ImportError("No module named 'transformers'")
        return plain(name, *others, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with raises("dependency-missing", hint=r"pip install 'synth\[transformers\]'"):
        load_transformers()


@pytest.mark.trains
@pytest.mark.parametrize(
    ("name", "steps", "rate", "options"),
    [
        ("detr", 180, 1e-3, {"decoder_layers": 1}),
        ("rtdetr", 70, 2e-3, {"denoising": 0}),
        ("dfine", 100, 1e-3, {}),
    ],
)
def test_it_learns_one_image(name: str, steps: int, rate: float, options: dict[str, float]) -> None:
    """Two objects of two classes: of each class the best box is the object's. Four scenes would take minutes."""
    model = network(name, **options).train()
    boxes = torch.tensor([[10.0, 8, 36, 40], [50, 20, 90, 56]])
    images = torch.full((1, 3, 64, 96), 0.5)
    images[:, 0, 8:40, 10:36] = images[:, 1, 20:56, 50:90] = 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack(list(model.losses(images, [target(boxes.tolist(), [0, 1])]).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        (found,) = model.eval().detect(images)
    for label in (0, 1):
        first = int((found["labels"] == label).nonzero()[0])
        assert box_iou(found["boxes"][first : first + 1], boxes[label : label + 1]).item() > 0.5
