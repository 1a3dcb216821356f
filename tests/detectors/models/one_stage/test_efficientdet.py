"""EfficientDet by hand: anchors, fusion, losses and decoding. benchmarks/oracles/ compares the networks with effdet."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detectors.models import build_model, detector_module
from detectors.models.one_stage.bifpn import BiFpn, Fusion, LevelNorm
from detectors.models.one_stage.efficientdet import anchors_of, focal_loss
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec


def network(name: str, **options: float) -> Any:
    spec = ModelSpec(name, None, 2, 64, 64, IMAGENET_MEAN, IMAGENET_STD, tuple(sorted(options.items())))
    return build_model(spec)


def target(boxes: list[list[float]], labels: list[int], ignored: list[list[float]] | None = None) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "ignored": torch.tensor(ignored or []).reshape(-1, 4),
    }


def test_anchors_of_512_pixels() -> None:
    """9 x (64^2 + 32^2 + 16^2 + 8^2 + 4^2); of the first cell 32 px square, then 44.8 x 22.4 and 22.4 x 44.8."""
    anchors = anchors_of(tuple((512 // stride,) * 2 for stride in (8, 16, 32, 64, 128)))
    assert len(anchors) == 49104
    assert anchors[0].tolist() == [-12, -12, 20, 20]
    assert anchors[1].tolist() == pytest.approx([4 - 22.4, 4 - 11.2, 4 + 22.4, 4 + 11.2])
    assert anchors[2].tolist() == pytest.approx([4 - 11.2, 4 - 22.4, 4 + 11.2, 4 + 22.4])
    assert (anchors[3, 2] - anchors[3, 0]).item() == pytest.approx(32 * 2 ** (1 / 3), rel=1e-6)
    assert (anchors[9, :2] - anchors[0, :2]).tolist() == [8, 0]
    assert (anchors[-9, 2] - anchors[-9, 0]).item() == 512


@pytest.mark.parametrize(
    ("name", "size", "channels", "layers", "millions"),
    [("efficientdet_d0", 512, 64, 3, 3.9), ("efficientdet_d1", 640, 88, 4, 6.6), ("efficientdet_d2", 768, 112, 5, 8.1)],
)
def test_sizes_of_the_paper(name: str, size: int, channels: int, layers: int, millions: float) -> None:
    """Table 1; with the paper's 90 classes the parameters are those of its table 2, within what it rounds off."""
    module = detector_module(name)
    assert size == module.LONG_SIDE
    assert (module.SIZE.channels, module.SIZE.layers, module.SIZE.repeats) == (channels, layers, 3)
    with torch.device("meta"):
        model = build_model(ModelSpec(name, None, 90, size, size, IMAGENET_MEAN, IMAGENET_STD))
    assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)
    norms = [part for part in model.modules() if isinstance(part, LevelNorm)]
    assert {(part.eps, part.momentum) for part in norms} == {(1e-3, 0.01)}
    # Of the first layer five inputs are of other channels, and one makes the coarser levels: 8 norms a layer, 6 more,
    # and those of both heads on five levels.
    assert len(norms) == 8 * layers + 6 + 2 * 3 * 5


def test_fusion_is_a_weighted_mean_of_positive_weights() -> None:
    """Weights 2, 1 and -1 of maps of 3, 6 and 9: (2 x 3 + 1 x 6 + 0 x 9) / (3 + 0.0001)."""
    fusion = Fusion([1, 1, 1], 1, 0.01).eval()
    seen = []
    fusion.convolution.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        fusion.weights.copy_(torch.tensor([2.0, 1.0, -1.0]))
        fusion([torch.full((1, 1, 2, 2), value) for value in (3.0, 6.0, 9.0)], torch.Size((2, 2)))
    mean = 12 / 3.0001
    assert seen[0].unique().tolist() == pytest.approx([mean / (1 + math.exp(-mean))], rel=1e-5)


def test_inputs_of_a_fusion_are_brought_to_its_size() -> None:
    """Coarser by repeating, finer by the largest of 3 x 3."""
    fusion = Fusion([1, 1], 1, 0.01).eval()
    seen = []
    fusion.convolution.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    fine = torch.arange(16.0).view(1, 1, 4, 4)
    with torch.no_grad():
        fusion([torch.full((1, 1, 1, 1), 7.0), fine], torch.Size((2, 2)))
    means = [(7 + value) / 2.0001 for value in (5, 7, 13, 15)]
    assert seen[0].flatten().tolist() == pytest.approx([mean / (1 + math.exp(-mean)) for mean in means], rel=1e-5)


def test_pyramid_of_odd_sizes() -> None:
    pyramid = BiFpn([2, 3, 4], 8, 2, 0.01)
    maps = pyramid([torch.rand(2, c, h, w) for c, h, w in ((2, 13, 9), (3, 7, 5), (4, 4, 3))])
    assert [tuple(one.shape[1:]) for one in maps] == [(8, 13, 9), (8, 7, 5), (8, 4, 3), (8, 2, 2), (8, 1, 1)]


def test_a_single_value_leaves_the_statistics_as_they_are() -> None:
    norm = LevelNorm(2, 0.1)
    assert torch.allclose(norm(torch.ones(1, 2, 1, 1)), torch.full((), 1 / math.sqrt(1 + 1e-3)))
    assert norm.running_mean is not None and norm.running_mean.tolist() == [0, 0]


def test_untrained_scores_are_a_hundredth() -> None:
    model = network("efficientdet_d0")
    bias = model.class_head.get_submodule("cls_logits").pointwise.bias
    assert bias.unique().tolist() == pytest.approx([-math.log(99)])


def test_focal_loss_by_hand() -> None:
    """Scores of one half: alpha x 0.5^1.5 x ln 2 where it is true, (1 - alpha) x the same where not."""
    half = 0.5**1.5 * math.log(2)
    assert focal_loss(torch.zeros(2), torch.tensor([1.0, 0.0])).tolist() == pytest.approx([half / 4, half * 3 / 4])
    # 0.8 of what is true: 0.25 x 0.2^1.5 x -ln 0.8.
    loss = focal_loss(torch.logit(torch.tensor([0.8])), torch.ones(1))
    assert loss.item() == pytest.approx(0.25 * 0.2**1.5 * -math.log(0.8), rel=1e-5)


@pytest.fixture(scope="module")
def model() -> Any:
    return network("efficientdet_d0", channels=16, layers=1, repeats=1).eval()


def says(model: Any, monkeypatch: pytest.MonkeyPatch, logits: Tensor, codes: Tensor) -> Any:
    """The network, with four anchors; each says these logits and codes."""
    anchors = torch.tensor([[0.0, 0, 20, 20], [10, 0, 30, 20], [40, 40, 60, 60], [100, 100, 120, 120]])
    monkeypatch.setattr(model, "_predict", lambda images: (logits, codes, anchors))
    return model


def test_losses_by_hand(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object overlaps its anchor by 0.5 and the one beside by less; a second, small one takes its best anchor."""
    said = says(model, monkeypatch, torch.zeros(1, 4, 2), torch.zeros(1, 4, 4))
    images = torch.zeros(1, 3, 64, 64)
    truth = target([[0.0, 0, 20, 10], [48, 48, 52, 52]], [0, 1])
    losses = said.losses(images, [truth])
    half = 0.5**1.5 * math.log(2)
    # Two matches and one: 2 true scores, 6 others.
    assert losses["classification"].item() == pytest.approx((2 * half / 4 + 6 * half * 3 / 4) / 3, rel=1e-5)
    # Codes (0, -0.25, 0, ln 0.5) and (0, 0, ln 0.2, ln 0.2), each beyond delta: delta x (size - delta / 2).
    sizes = (0.25, math.log(2), math.log(5), math.log(5))
    assert losses["box"].item() == pytest.approx(50 * sum(0.1 * (size - 0.05) for size in sizes) / (4 * 3), rel=1e-5)
    # Anchors that match nothing and lie in an ignored region say nothing.
    ignored = said.losses(images, [target([[0.0, 0, 20, 10], [48, 48, 52, 52]], [0, 1], [[90, 90, 130, 130]])])
    assert ignored["classification"].item() == pytest.approx((2 * half / 4 + 4 * half * 3 / 4) / 3, rel=1e-5)


def test_without_objects_all_is_background(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = says(model, monkeypatch, torch.zeros(1, 4, 2), torch.zeros(1, 4, 4))
    losses = said.losses(torch.zeros(1, 3, 64, 64), [target([], [])])
    assert losses["classification"].item() == pytest.approx(8 * 0.75 * 0.5**1.5 * math.log(2), rel=1e-5)
    assert losses["box"] == 0


def test_decoding_by_hand(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moved by a tenth of its side to the right and twice as high; the weaker of two boxes of a class is dropped."""
    logits = torch.full((1, 4, 2), -9.0)
    logits[0, 0, 0], logits[0, 1, 0], logits[0, 2, 1] = 2.0, 1.0, 0.0
    codes = torch.zeros(1, 4, 4)
    codes[0, 2] = torch.tensor([0.1, 0.0, 0.0, math.log(2)])
    codes[0, 1, 0] = -0.5
    (found,) = says(model, monkeypatch, logits, codes).detect(torch.zeros(1, 3, 64, 64))
    assert found["labels"].tolist() == [0, 1]
    torch.testing.assert_close(found["boxes"], torch.tensor([[0.0, 0, 20, 20], [42, 30, 62, 64]]))
    assert found["scores"].tolist() == pytest.approx([1 / (1 + math.exp(-2)), 0.5])


def test_levels_share_convolutions_but_not_norms() -> None:
    head = network("efficientdet_d0").box_head
    assert isinstance(head.convolutions, nn.ModuleList) and len(head.convolutions) == 3
    assert [len(one) for one in head.norms] == [5, 5, 5]
