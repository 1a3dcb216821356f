"""Detectors of given regions against numbers worked out on paper: coding, sampling, pooling, losses, linear fits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import ps_roi_pool, roi_pool

from detectors.checkpoints import weights
from detectors.data.image_set import Classes
from detectors.models import build_model, detector_module
from detectors.models.region_based import rcnn
from detectors.models.region_based.bodies import FullyConnected, truncate
from detectors.models.region_based.linear_fits import ImageNegatives, SvmSettings, fit_ridge, fit_svm, mine_svms
from detectors.models.region_based.rcnn import warp_windows
from detectors.models.region_based.rfcn import hardest
from detectors.models.region_based.sampling import (
    decode_boxes,
    encode_boxes,
    match_regions,
    sample_regions,
    select_detections,
)
from detectors.models.region_based.sliding_window import WindowStack
from detectors.models.region_based.sppnet import choose_scales, map_windows, pool_pyramid
from detectors.models.region_based.window_classifier import negatives_of
from detectors.models.spec import ModelSpec

NOTHING_IGNORED = torch.zeros(0, 4)


def detector(name: str, **options: Any) -> Any:
    """The smallest network of three classes on its own backbone."""
    module = detector_module(name)
    given = tuple(sorted({**module.SMALLEST, **options}.items()))
    torch.manual_seed(0)
    return build_model(ModelSpec(name, None, 3, 96, 64, module.MEAN, module.STD, given))


def target(
    boxes: list[list[float]], labels: list[int], proposals: list[list[float]] | None = None
) -> dict[str, Tensor]:
    made = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "ignored": NOTHING_IGNORED,
    }
    return made if proposals is None else {**made, "proposals": torch.tensor(proposals, dtype=torch.float32)}


@pytest.mark.parametrize("name", ["fast_rcnn", "rcnn", "rfcn", "sliding_window", "sppnet"])
def test_half_precision_is_enough(name: str) -> None:
    """Under autocast losses are finite and in float32, and what is detected lies in the image."""
    model = detector(name)
    image = torch.zeros(1, 3, 64, 96)
    image[:, 0, 10:40, 20:60] = 1
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.losses(image, [target([[20, 10, 60, 40]], [0])])
        sum(losses.values()).backward()
        assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in losses.values())
        if hasattr(model, "fitted"):
            model.fitted.fill_(True)
        with torch.no_grad():
            (found,) = model.eval().detect(image)
    assert found["boxes"].dtype == torch.float32 and (found["boxes"] >= 0).all()


def test_boxes_are_coded_as_published() -> None:
    """((Gx - Px) / Pw, (Gy - Py) / Ph, ln(Gw / Pw), ln(Gh / Ph)) of the centres and sides."""
    boxes = torch.tensor([[0.0, 0, 10, 20], [0, 0, 10, 20]])
    truth = torch.tensor([[5.0, 5, 15, 25], [0, 0, 20, 5]])
    codes = encode_boxes(boxes, truth)
    wanted = [[0.5, 0.25, 0, 0], [0.5, -0.375, math.log(2), math.log(0.25)]]
    assert codes.tolist() == [pytest.approx(row, abs=1e-6) for row in wanted]
    torch.testing.assert_close(decode_boxes(boxes, codes), truth)


def test_a_quarter_of_the_regions_has_products() -> None:
    """Of 64: 16 of IoU 0.5 and more, 48 of 0.1 to 0.5; of an image without products all are background."""
    product = [0.0, 0, 100, 100]
    # Boxes within the product have its share as IoU: 0.9 to 0.5, 0.48 to 0.1, and below.
    shares = [*np.linspace(0.9, 0.5, 40), *np.linspace(0.48, 0.1, 100), *np.linspace(0.08, 0.01, 50)]
    proposals = torch.tensor([[0, 0, 100, 100 * share] for share in shares], dtype=torch.float32)
    matched = match_regions(proposals, target([product], [2]))
    assert len(matched.boxes) == 191 and matched.overlap[-1] == 1  # the product itself is a region, too
    chosen, labels = sample_regions(matched, positives=16, total=64, positive=0.5, background=(0.1, 0.5))
    assert labels.tolist() == [3] * 16 + [0] * 48
    assert (chosen.overlap[:16] >= 0.5).all() and (chosen.overlap[16:] < 0.5).all()
    assert (chosen.overlap[16:] >= 0.1 - 1e-6).all() and len(chosen.boxes.unique(dim=0)) == 64
    _, labels = sample_regions(matched.take(torch.arange(3)), positives=16, total=64, positive=0.5, background=(0, 0.5))
    assert labels.tolist() == [3, 3, 3]
    nothing = match_regions(proposals, target([], []))
    chosen, labels = sample_regions(nothing, positives=16, total=64, positive=0.5, background=(0.1, 0.5))
    assert labels.tolist() == [0] * 64


def test_fast_rcnn_pools_as_caffe_does() -> None:
    """Inclusive ends and bins that overlap."""
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert roi_pool(image, [torch.tensor([[0.0, 0, 2, 2]])], 2, 1.0)[0, 0].tolist() == [[5, 6], [9, 10]]


def test_fast_rcnn_loss_by_hand() -> None:
    """A classifier that knows nothing pays ln 4 for three classes and background; smooth L1 of the normalised code.

    The proposal (10, 10, 50, 40) of the product (10, 10, 50, 50): (30 - 25) / 30 / 0.1 and ln(40 / 30) / 0.2 in y, 0 in
    x. The product itself is the second region; it is where it should be.
    """
    model = detector("fast_rcnn")
    for layer in (model.cls_logits, model.bbox_pred):
        torch.nn.init.zeros_(layer.weight)
    losses = model.losses(torch.rand(1, 3, 64, 96), [target([[10, 10, 50, 50]], [1], [[10, 10, 50, 40]])])
    assert losses["loss_classifier"].item() == pytest.approx(math.log(4), abs=1e-5)
    y, height = 5 / 30 / 0.1, math.log(4 / 3) / 0.2
    assert losses["loss_box_reg"].item() == pytest.approx(((y - 0.5) + (height - 0.5)) / 2, abs=1e-4)
    (one,) = model.regression_targets(torch.tensor([[10.0, 10, 50, 40]]), torch.tensor([[10.0, 10, 50, 50]]))
    assert one.tolist() == pytest.approx([0, y, 0, height], abs=1e-4)


def test_truncated_layers_detect_and_never_train() -> None:
    """All singular values give the layer itself; fewer give the nearest of that rank, and new weights another one."""
    torch.manual_seed(0)
    weight = torch.randn(6, 10)
    first, second = truncate(weight, 6)
    torch.testing.assert_close(second @ first, weight)
    first, second = truncate(weight, 2)
    values = torch.linalg.svdvals(weight)
    assert torch.linalg.norm(weight - second @ first) == pytest.approx(float(values[2:].norm()), rel=1e-4)
    whole, cut = FullyConnected(10, 6, 0.0), FullyConnected(10, 6, 0.0, (2, 1))
    cut.load_state_dict(whole.state_dict())
    inputs = torch.randn(3, 10)
    torch.testing.assert_close(cut.train()(inputs), whole(inputs))
    before = cut.eval()(inputs)
    assert not torch.allclose(before, whole.eval()(inputs))
    with torch.no_grad():
        cut.fc6.weight.mul_(2)
    assert not torch.allclose(cut(inputs), before)


def test_detections_are_suppressed_within_a_class() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 200, 60]])[:, None]
    scores = torch.tensor([[0.9, 0.2], [0.8, 0.1], [0.001, 0.3]])
    found = select_detections(scores, boxes, (100, 80), 0.3)
    assert found["labels"].tolist() == [0, 1, 1] and found["scores"].tolist() == pytest.approx([0.9, 0.3, 0.2])
    assert found["boxes"].tolist() == [[0, 0, 10, 10], [50, 50, 100, 60], [0, 0, 10, 10]]


# R-CNN


def test_windows_are_warped_with_16_pixels_of_context_and_the_mean_beyond_the_image() -> None:
    """A box of 195 pixels (227 less twice 16) is copied; one of twice the width is squeezed by means of two pixels."""
    torch.manual_seed(0)
    image = torch.rand(3, 300, 500)
    boxes = torch.tensor([[50.0, 60, 245, 255], [0, 0, 195, 195], [60, 60, 450, 255], [305, 105, 500, 300]])
    inside, corner, wide, far = warp_windows(image, boxes, 227)
    torch.testing.assert_close(inside, image[:, 44:271, 34:261], atol=1e-4, rtol=0)
    assert (corner[:, :16].abs() < 1e-4).all() and (corner[:, :, :16].abs() < 1e-4).all()
    torch.testing.assert_close(corner[:, 16:, 16:], image[:, :211, :211], atol=1e-4, rtol=0)
    # The context of a wide box is wide: 32 columns of the image on each side.
    pairs = image[:, 44:271, 28:482].reshape(3, 227, 227, 2).mean(3)
    torch.testing.assert_close(wide, pairs, atol=1e-4, rtol=0)
    assert (far[:, 211:].abs() < 1e-4).all() and (far[:, :, 211:].abs() < 1e-4).all()


def test_windows_are_classified_in_parts_while_detecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, with the same features."""
    model = detector("rcnn").eval()
    windows = [torch.tensor([[0.0, 0, 60, 60], [8, 8, 24, 24], [5, 0, 90, 60]]), torch.zeros(0, 4)]
    with torch.no_grad():
        whole = model.window_features(torch.rand(2, 3, 64, 96, generator=torch.manual_seed(1)), windows)
        monkeypatch.setattr(rcnn, "CHUNK", 2)
        parts = model.window_features(torch.rand(2, 3, 64, 96, generator=torch.manual_seed(1)), windows)
    assert whole.hidden.shape == (3, 64)
    torch.testing.assert_close(parts.pooled, whole.pooled)


def test_rcnn_samples_32_windows_with_products_and_96_without_of_all_images() -> None:
    model = detector("rcnn", positives=32, negatives=96)
    near = [[10, 10, 50, 50 + shift / 10] for shift in range(60)]
    away = [[60, 5, 90, 30 + shift / 10] for shift in range(70)]
    targets = [target([[10, 10, 50, 50]], [0], near + away), target([], [], away)]
    pairs = [match_regions(one["proposals"], one) for one in targets]
    chosen, labels = model.sample(pairs)
    assert [len(one.boxes) for one in chosen] == [len(one) for one in labels]
    every = torch.cat(labels)
    assert (every == 1).sum() == 32 and (every == 0).sum() == 96 and not (labels[1] > 0).any()


def test_negatives_overlap_no_product_of_a_class_by_0_3() -> None:
    """A window on a product of class 0 is a negative of class 1, and of no class where it is to be ignored."""
    one = target([[0, 0, 100, 100], [200, 0, 300, 100]], [0, 1])
    windows = torch.tensor([[0.0, 0, 100, 100], [0, 0, 100, 29], [0, 0, 100, 31], [500, 500, 600, 600]])
    assert negatives_of(windows, one, 3).tolist() == [
        [False, True, True],
        [True, True, True],
        [False, True, True],
        [True, True, True],
    ]
    ignoring = {**one, "ignored": torch.tensor([[490.0, 490, 610, 610]])}
    assert negatives_of(windows, ignoring, 3)[3].tolist() == [False] * 3


def test_ridge_regression_of_two_points() -> None:
    """Features (1, 0) and (0, 2), targets 1 and 3, penalty 1: bias 2, weights -1 / (1 + 1) and 2 / (4 + 1)."""
    features, targets = np.array([[1, 0], [0, 2]], np.float32), np.array([[1], [3]], np.float32)
    assert fit_ridge(features, targets, 1.0)[0].tolist() == pytest.approx([-0.5, 0.4, 2])
    # With more features than points it is solved among the points, with the same result.
    wide = np.concatenate([features, np.zeros((2, 3), np.float32)], axis=1)
    assert fit_ridge(wide, targets, 1.0)[0].tolist() == pytest.approx([-0.5, 0.4, 0, 0, 0, 2])


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_the_machine_of_two_points(weight: float) -> None:
    """Points 1 and -1: w^2 / 2 + C (s (1 - w - b)^2 + (1 - w + b)^2) is least where both derivatives are 0.

    With s = 1, w = 4 C / (1 + 4 C) and b = 0; with s they solve a linear system of two equations.
    """
    c = 1.0
    found = fit_svm(np.ones((1, 1), np.float32), -np.ones((1, 1), np.float32), SvmSettings(c, weight))
    system = np.array([[1 + 2 * c * (weight + 1), 2 * c * (weight - 1)], [2 * c * (weight - 1), 2 * c * (weight + 1)]])
    wanted = np.linalg.solve(system, [2 * c * (weight + 1), 2 * c * (weight - 1)])
    assert found.tolist() == pytest.approx(wanted.tolist(), abs=1e-4)
    if weight == 1:
        assert found.tolist() == pytest.approx([0.8, 0], abs=1e-4)


def test_hard_negatives_make_the_machine_that_all_negatives_make() -> None:
    """Points in the plane: most negatives are far away, those near the positives come late. Both fits separate them."""
    rng = np.random.default_rng(0)
    positives = (rng.normal(0, 0.3, (40, 2)) + [3, 3]).astype(np.float32)
    images = [(rng.normal(0, 1.0, (50, 2)) - [6, 6]).astype(np.float32) for _ in range(8)]
    images[5] = (rng.normal(0, 0.2, (50, 2)) + [1.5, 1.5]).astype(np.float32)
    settings = SvmSettings(c=1.0, refit=100)
    no_products = np.zeros((0, 2), np.float32)
    shown = [ImageNegatives(rows, np.ones((50, 2), bool)) for rows in images]
    machines = mine_svms([positives, no_products], shown, settings)
    weights, bias = machines.weights[0], machines.biases[0]
    assert (positives @ weights + bias > 0).all() and (np.concatenate(images) @ weights + bias < 0).all()
    every = fit_svm(positives, np.concatenate(images), settings)
    margin = np.concatenate([positives, *images]) @ every[:-1] + every[-1]
    found = np.concatenate([positives, *images]) @ weights + bias
    assert np.abs(found - margin)[np.abs(margin) < 2].max() < 0.1
    # Class 1 has no product: nothing is ever one.
    assert machines.biases[1] == -10 and not machines.weights[1].any()
    again = mine_svms([positives, no_products], shown, settings)
    assert np.array_equal(again.weights, machines.weights)


def test_until_machines_are_fitted_the_softmax_scores_the_proposals() -> None:
    """Trained further, the network forgets that it was fitted."""
    model = detector("rcnn").eval()
    image = torch.zeros(1, 3, 64, 96)
    image[:, 0, 10:40, 20:60] = 1
    with torch.no_grad():
        model.cls_logits.bias.copy_(torch.tensor([0.0, 5, 0, 0]))
        (proposals,) = model.search(image)
        (before,) = model.detect(image)
        assert (torch.cdist(before["boxes"], proposals).amin(1) < 1e-3).all() and (before["labels"][0] == 0)
        model.cls_logits_svm_bias.copy_(torch.tensor([-10.0, 0.25, -10]))
        model.bbox_pred_ridge[1, 0, -1] = 0.1  # a tenth of the width to the right
        model.fitted.fill_(True)
        (after,) = model.detect(image)
    assert after["labels"].tolist() == [1] * len(after["labels"]) and len(after["labels"])
    assert after["scores"][0].item() == pytest.approx(1 / (1 + math.exp(-4 * 0.25)), abs=1e-5)
    moved = proposals + 0.1 * (proposals[:, 2:3] - proposals[:, :1]) * torch.tensor([1.0, 0, 1, 0])
    moved = torch.minimum(moved, torch.tensor([96.0, 64, 96, 64]))
    assert (torch.cdist(after["boxes"], moved).amin(1) < 1e-3).all()
    model.train().losses(image, [target([[20, 10, 60, 40]], [0])])
    assert not model.fitted


def test_published_weights_of_alexnet_go_into_fc6_and_fc7_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but the last layer."""
    from torchvision.models import alexnet

    published = alexnet(weights=None).state_dict()
    monkeypatch.setattr(weights, "torchvision_weights", lambda name, detector: published)
    model = detector("rcnn", width=4096)
    loaded = weights.load_weights(model, model.spec, Classes(("a", "b", "c"), ("A", "B", "C")), "imagenet")
    assert loaded is not None and len(loaded.fitted) == 14
    assert torch.equal(model.backbone[0].weight, published["features.0.weight"])
    assert torch.equal(model.head.fc6.weight, published["classifier.1.weight"])
    assert torch.equal(model.head.fc7.weight, published["classifier.4.weight"])
    assert all(part.startswith("classifier.6") for part in loaded.unused)


# SPP-net


def test_a_pyramid_has_fifty_bins() -> None:
    """Of 256 channels 12,800 values, of 512 25,600; a bin of the grids of 1 and 2 is the maximum of its cells."""
    whole = [torch.tensor([[0.0, 0, 12, 12]])]
    assert pool_pyramid(torch.zeros(1, 256, 13, 13), whole).shape == (1, 12_800)
    assert pool_pyramid(torch.zeros(1, 512, 13, 13), whole).shape == (1, 25_600)
    pooled = pool_pyramid(torch.arange(36.0).view(1, 1, 6, 6), [torch.tensor([[0.0, 0, 5, 5]])])[0]
    assert pooled[:36].tolist() == list(range(36))
    assert pooled[36:45].tolist() == [7, 9, 11, 19, 21, 23, 31, 33, 35]
    assert pooled[45:].tolist() == [14, 17, 32, 35, 35]
    # The second window begins at column 2 and row 3.
    part = pool_pyramid(torch.arange(36.0).view(1, 1, 6, 6), [torch.tensor([[2.0, 3, 3, 4]])])[0]
    assert part[-5:].tolist() == [20, 21, 26, 27, 27]


def test_windows_are_mapped_to_the_cells_within() -> None:
    """floor(x / 16) + 1 on the left and at the top, ceil(x / 16) - 1 on the right and at the bottom, inside the map."""
    boxes = torch.tensor([[0.0, 33, 100, 160], [16, 16, 48, 48], [20, 20, 22, 22], [0, 0, 640, 480]])
    cells = map_windows(boxes, 16, (30, 40)).tolist()
    assert cells[0] == [1, 3, 6, 9] and cells[1] == [2, 2, 2, 2]
    assert cells[2] == [2, 2, 2, 2]  # smaller than a cell: the cell after its corner
    assert cells[3] == [1, 1, 39, 29]
    assert map_windows(torch.tensor([[630.0, 470, 640, 480]]), 16, (30, 40)).tolist() == [[39, 29, 39, 29]]


def test_each_window_gets_the_scale_at_which_it_is_nearest_to_224_pixels() -> None:
    """An image of 480 pixels: a window of 224 stays, one of 89.6 needs 2.5 (1200), one of 124.4 needs 1.8 (864)."""
    sides = torch.tensor([224.0, 89.6, 124.44, 400])
    boxes = torch.stack([torch.zeros(4), torch.zeros(4), sides, sides], 1)
    assert choose_scales(boxes, [1.0, 1.2, 688 / 480, 1.8, 2.5]).tolist() == [0, 4, 3, 0]


def test_at_several_scales_windows_are_pooled_from_their_own() -> None:
    model = detector("sppnet", multi_scale=True).eval()
    windows = [torch.tensor([[0.0, 0, 60, 60], [8, 8, 24, 24]])]
    with torch.no_grad():
        image = torch.rand(1, 3, 64, 96)
        both = model.window_features(image, windows).pooled
        larger = torch.nn.functional.interpolate(image, [864, 1296], mode="bilinear", antialias=True)
        alone = model._pool(larger, [windows[0][1:]], 864 / 64)
    torch.testing.assert_close(both[1:], alone)


def test_only_fully_connected_layers_are_trained_as_published() -> None:
    model = detector("sppnet", train="fc")
    assert not any(weight.requires_grad for weight in model.backbone.parameters())
    assert not model.train().backbone.training and model.head.training


# R-FCN


def test_each_part_reads_its_own_map() -> None:
    """Map (c k + row) k + column is for the part (row, column) of class c."""
    maps = torch.arange(8.0).view(1, 8, 1, 1).expand(1, 8, 6, 6)
    pooled = ps_roi_pool(maps, [torch.tensor([[0.0, 0, 6, 6]])], 2, 1.0)[0]
    assert pooled.tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_the_parts_vote_by_their_mean() -> None:
    """Maps that are their own number: class c has the mean of 49 c to 49 c + 48, which is 49 c + 24."""
    model = detector("rfcn").eval()
    with torch.no_grad():
        for layer in (model.cls_logits, model.box_votes):
            layer.weight.zero_()
            layer.bias.copy_(torch.arange(float(len(layer.bias))))
        regions = [torch.tensor([[0.0, 0, 90, 60], [10, 10, 60, 50]])]
        logits, codes = model._vote(model.features(torch.rand(1, 3, 64, 96))[1], regions)
    assert logits.tolist() == [[24, 73, 122, 171]] * 2 and codes.shape == (2, 4)
    assert model.features(torch.rand(1, 3, 64, 96))[1].shape == (1, 2048, 4, 6)  # conv5 stays at stride 16


def test_the_hardest_regions_are_learned_from() -> None:
    losses = torch.tensor([0.1, 5.0, 0.2, 3.0, 4.0])
    usable = torch.tensor([True, False, True, True, True])
    assert hardest(losses, usable, 2).tolist() == [4, 3]
    assert hardest(losses, usable, 128).tolist() == [4, 3, 2, 0]
    assert hardest(losses, torch.zeros(5, dtype=torch.bool), 2).tolist() == []


# Sliding window


@pytest.mark.parametrize(("window", "stride", "channels"), [(63, 8, 16), (231, 16, 16)])
def test_windows_alone_are_what_they_are_within_the_image(window: int, stride: int, channels: int) -> None:
    """The dense evaluation of an image at (row, column) is that of the crop at (column, row) times the stride."""
    model = detector("sliding_window", window=window, channels=channels, width=8).eval()
    assert (model.window, model.stride) == (window, stride)
    image = torch.rand(1, 3, window + 2 * stride, window + 3 * stride)
    with torch.no_grad():
        logits, codes = model.evaluate(image)
        assert logits.shape == (1, 4, 3, 4)
        for row, column in ((0, 0), (1, 2), (2, 3)):
            top, left = row * stride, column * stride
            alone = model.evaluate(image[:, :, top : top + window, left : left + window])
            torch.testing.assert_close(alone[0][0, :, 0, 0], logits[0, :, row, column], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(alone[1][0, :, 0, 0], codes[0, :, row, column], atol=1e-5, rtol=1e-4)


def test_layers_after_overfeat_have_six_cells_of_sixteen_pixels() -> None:
    stack = WindowStack(231, 32)
    assert stack(torch.zeros(1, 3, 231, 231)).shape[-2:] == (6, 6)
    assert stack(torch.zeros(1, 3, 247, 231)).shape[-2:] == (7, 6)
    assert WindowStack(63, 32)(torch.zeros(1, 3, 63, 71)).shape[-2:] == (4, 5)


def test_windows_of_all_scales_cover_the_image() -> None:
    """Twice the side after two levels; the first window of a level begins and the last one ends at the border."""
    model = detector("sliding_window", width=8, smallest=20)
    levels = model.levels(torch.device("cpu"))
    sides = [float(level.boxes[0, 3]) for level in levels]
    assert sides[0] == pytest.approx(20, rel=0.1) and sides[2] / sides[0] == pytest.approx(2, rel=0.1)
    for level in levels:
        assert level.boxes.amin(0)[:2].tolist() == [0, 0]
        assert level.boxes.amax(0)[2:].tolist() == pytest.approx([96, 64], abs=0.01)


def test_long_products_have_windows_too() -> None:
    """A product of 80 x 16 overlaps no square by half: its best windows are positives all the same."""
    model = detector("sliding_window", smallest=16)
    windows = torch.cat([level.boxes for level in model.levels(torch.device("cpu"))])
    matched, labels = model.sample(windows, target([[8, 20, 88, 36]], [2]))
    positive = matched.boxes[labels == 3]
    assert len(positive) and (labels == 0).sum() >= 3 * len(positive)
    middle = (positive[:, :2] + positive[:, 2:]) / 2
    assert ((middle - torch.tensor([48.0, 28])).abs() <= torch.tensor([30.0, 10])).all()
