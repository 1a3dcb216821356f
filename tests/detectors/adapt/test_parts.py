"""Parts of adaptation methods against what can be worked out on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from detectors.adapt.coral import coral_loss
from detectors.adapt.dann import _Reverse, reversal
from detectors.adapt.distill import confidence, distill
from detectors.adapt.fda import swap_amplitudes
from detectors.adapt.features import pooled, pooled_boxes, pooled_cells
from detectors.adapt.norms import adaptable_norms, estimate_norms
from detectors.adapt.pseudo_labels import BOXES, COUNTS, NO_BOX, Trust, in_photo, label_photo
from detectors.adapt.views import mask_blocks, strong_settings, weak_settings
from detectors.augment import augment
from detectors.augment.view import ImageWindow
from detectors.data.sample import Sample
from detectors.models.detect import Detections
from detectors.models.interface import SoftHead, SoftOutputs
from support.errors import raises

RNG = np.random.default_rng(0)


def noise(height: int, width: int, low: int = 0, high: int = 256) -> np.ndarray:
    return RNG.integers(low, high, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(("height", "width", "beta"), [(40, 60, 0.1), (41, 33, 0.05), (20, 30, 0.01)])
def test_amplitudes_are_swapped_as_by_a_whole_transform(height: int, width: int, beta: float) -> None:
    """As in the paper: the middle of the shifted spectrum, floor(beta * shorter side) frequencies each way."""
    image, photo = noise(height, width), noise(height, width, 100, 180)
    spectra = [np.fft.fftshift(np.fft.fft2(one.astype(float), axes=(0, 1)), axes=(0, 1)) for one in (image, photo)]
    reach, y, x = int(beta * min(height, width)), height // 2, width // 2
    block = (slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1))
    size = np.abs(spectra[0])
    size[block] = np.abs(spectra[1])[block]
    slow = np.fft.ifft2(np.fft.ifftshift(size * np.exp(1j * np.angle(spectra[0])), axes=(0, 1)), axes=(0, 1)).real
    fast = swap_amplitudes(image, photo, beta).astype(float)
    assert np.abs(fast - np.clip(slow, 0, 255)).max() <= 0.5 + 1e-6


def test_a_plain_image_takes_the_mean_colour_of_the_photo() -> None:
    grey, photo = np.full((20, 20, 3), 90, np.uint8), np.full((20, 20, 3), (10, 120, 200), np.uint8)
    assert (swap_amplitudes(grey, photo, 0.01) == photo).all()
    black = np.zeros((20, 20, 3), np.uint8)
    assert (swap_amplitudes(black, photo, 0.01) == photo).all() and (swap_amplitudes(photo, photo, 0.2) == photo).all()


def test_coral_is_the_distance_of_covariances() -> None:
    first, second = torch.randn(50, 4), 2 * torch.randn(30, 4)
    expected = (torch.cov(first.T) - torch.cov(second.T)).square().sum() / (4 * 4 * 4)
    torch.testing.assert_close(coral_loss(first, second), expected)
    # Means may differ.
    assert coral_loss(first, first + 5) < 1e-9 and coral_loss(first[:1], second[:1]) == 0


def test_reversal_grows_and_turns_the_gradient() -> None:
    assert reversal(0, 100) == 0 and 0.9 < reversal(50, 100) < reversal(100, 100) < 1
    values = torch.ones(3, requires_grad=True)
    _Reverse.apply(values, 0.5).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [-0.5] * 3


def test_features_of_boxes_are_those_under_them() -> None:
    """Of a map that is 1 in its right half, at two resolutions."""
    maps = [torch.zeros(1, 1, side, 2 * side) for side in (8, 4)]
    for one in maps:
        one[..., one.shape[-1] // 2 :] = 1
    boxes = [torch.tensor([[2.0, 2, 12, 14], [20, 2, 30, 14], [0, 0, 32, 16]])]
    found = pooled_boxes(maps, boxes, 32)
    torch.testing.assert_close(found[:2], torch.tensor([[0.0, 0], [1, 1]]))
    torch.testing.assert_close(found[2], pooled(maps)[0])
    assert pooled_boxes(maps, [torch.zeros(0, 4)], 32).shape == (0, 2)
    assert pooled_cells(maps, 2).tolist() == [[0, 0], [1, 1], [0, 0], [1, 1]]


class Layers(nn.Module):
    """Two convolutions with batch norms; `detect` is a plain pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5)
        )

    def detect(self, images: Tensor) -> Tensor:
        return self.layers(images)


def estimated(batches: list[Tensor], share: float = 1.0) -> Layers:
    torch.manual_seed(0)
    model = Layers()
    assert list(estimate_norms(model, adaptable_norms(model, "layers"), batches, share))[-1] == sum(map(len, batches))
    return model


def test_statistics_of_norms_are_those_of_all_photos() -> None:
    """Exactly for the first norm, however the photos are batched, and for all norms if they are one batch."""
    photos = torch.rand(6, 3, 9, 9) * torch.arange(1, 7)[:, None, None, None]
    one, parts = estimated([photos]), estimated([photos[:2], photos[2:5], photos[5:]])
    inputs = one.layers[0](photos)
    for model in (one, parts):
        torch.testing.assert_close(model.layers[1].running_mean, inputs.mean((0, 2, 3)))
        torch.testing.assert_close(model.layers[1].running_var, inputs.var((0, 2, 3), correction=0))
    out = one.detect(photos)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 2, 3), correction=0), torch.ones(5), atol=1e-3, rtol=0)


def test_statistics_can_be_blended_with_those_of_the_run() -> None:
    photos = torch.rand(4, 3, 9, 9)
    new, half = estimated([photos]), estimated([photos], 0.25)
    torch.testing.assert_close(half.layers[1].running_mean, 0.25 * new.layers[1].running_mean)
    torch.testing.assert_close(half.layers[1].running_var, 0.75 + 0.25 * new.layers[1].running_var)


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), FrozenBatchNorm2d(4), nn.Identity()])
def test_networks_without_batch_norms_are_refused(norm: nn.Module) -> None:
    with raises("method-unsupported", found=type(norm).__name__ if not isinstance(norm, nn.Identity) else "no norms"):
        adaptable_norms(nn.Sequential(nn.Conv2d(3, 4, 1), norm), "toy")


def test_half_of_the_blocks_are_hidden() -> None:
    torch.manual_seed(0)
    images = torch.rand(8, 3, 70, 100) + 1
    hidden = mask_blocks(images, 0.5, 32, (0.1, 0.2, 0.3))
    gone = (hidden != images).all(1)
    assert (hidden.permute(0, 2, 3, 1)[gone] == torch.tensor([0.1, 0.2, 0.3])).all()
    assert 0.3 < gone.float().mean() < 0.7
    # Whole blocks, also those that the border cuts.
    for y in range(0, 70, 32):
        for x in range(0, 100, 32):
            block = gone[:, y : y + 32, x : x + 32].flatten(1)
            assert (block.all(1) | ~block.any(1)).all()
    assert (mask_blocks(images, 0.0, 32, (0.0, 0.0, 0.0)) == images).all()


def test_views_share_their_geometry() -> None:
    """A pattern of blocks stands at the same place in the weak and in the strong view."""
    image = np.kron(noise(8, 12, 60, 200), np.ones((8, 8, 1), np.uint8))
    sample = Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    for seed in range(8):
        views = [
            augment(sample, [], settings=one, width=96, height=64, rng=np.random.default_rng(seed)).image.mean(2)
            for one in (weak_settings(), strong_settings())
        ]
        same, moved = (
            np.corrcoef(views[0].ravel(), np.roll(views[1], shift, axis=1).ravel())[0, 1] for shift in (0, 6)
        )
        assert same > 0.8 and same > moved + 0.2


def head(logits: Any, boxes: Any, **more: Any) -> SoftOutputs:
    return SoftOutputs({"head": SoftHead(torch.tensor(logits), torch.tensor(boxes), **more)})


CASES = (
    {},
    {"background": 0},
    {"quality": torch.tensor([1.0, -2.0])},
)


@pytest.mark.parametrize("more", CASES, ids=["sigmoid", "softmax", "quality"])
def test_equal_outputs_cost_nothing_and_the_student_alone_learns(more: dict[str, Any]) -> None:
    outputs = head([[2.0, -1.0, 0.5], [-4.0, 3.0, 1.0]], [[0.0, 0, 10, 10], [5, 5, 25, 30]], **more)
    assert all(abs(float(loss)) < 1e-6 for loss in distill(outputs, outputs).values())
    other = head([[-2.0, 1.0, 0.5], [-4.0, 3.0, 1.0]], [[1.0, 0, 10, 10], [5, 5, 25, 20]], **more)
    for one in (outputs.heads["head"], other.heads["head"]):
        one.logits.requires_grad_()
        one.boxes.requires_grad_()
    total = torch.stack(list(distill(outputs, other).values())).sum()
    total.backward()
    assert total > 0.01
    assert outputs.heads["head"].logits.grad is not None and outputs.heads["head"].boxes.grad is not None
    assert other.heads["head"].logits.grad is None and other.heads["head"].boxes.grad is None


def test_confidence_is_the_chance_of_a_product() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0]])
    assert confidence(SoftHead(logits, torch.zeros(1, 4))).item() == pytest.approx(0.5)
    assert confidence(SoftHead(logits, torch.zeros(1, 4), 0)).item() == pytest.approx(2 / 3)
    with_quality = SoftHead(logits, torch.zeros(1, 4), quality=torch.zeros(1))
    assert confidence(with_quality).item() == pytest.approx(0.5)


WINDOWS = (
    ImageWindow((0, 0, 100, 100), (0, 0, 100, 100)),
    ImageWindow((0, 0, 100, 100), (20, 20, 100, 100)),
    ImageWindow((10, 10, 90, 90), (0, 0, 100, 100)),
)
TRUST = Trust(confidence=0.5, doubt=0.4, agreement=0.7, counts=0.25)
INNER, OUTER, THIRD = [20.0, 20, 40, 40], [50.0, 50, 80, 80], [0.0, 60, 15, 80]


def view(*rows: tuple[list[float], int, float]) -> Detections:
    boxes, labels, scores = ([row[place] for row in rows] for place in range(3))
    shaped = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(shaped, np.array(labels, np.int32), np.array(scores, np.float32))


def test_detections_are_placed_in_the_photo() -> None:
    """From each view the same box; what lies in the padding or is a sliver is dropped."""
    wanted = torch.tensor([[20.0, 30, 60, 70]])
    for window in WINDOWS:
        scale, (left, top, *_), (x, y, *_) = window.scale, window.target, window.source
        moved = (wanted - torch.tensor([x, y] * 2)) * torch.tensor([*scale, *scale]) + torch.tensor([left, top] * 2)
        boxes = torch.cat([moved, torch.tensor([[-9.0, -9, left + 0.4, 50], [-30.0, -30, -9, -9]])])
        output = {"boxes": boxes, "labels": torch.tensor([2, 0, 1]), "scores": torch.tensor([0.9, 0.8, 0.7])}
        found = in_photo(output, window)
        np.testing.assert_allclose(found.boxes, wanted.numpy(), atol=1e-4)
        assert found.labels.tolist() == [2]


def test_a_consistent_photo_is_taken() -> None:
    """A product at the edge is not in the enlarged middle, which is no contradiction; what is doubtful is ignored."""
    whole = view((INNER, 0, 0.9), (OUTER, 1, 0.8), (THIRD, 2, 0.7), ([60.0, 5, 70, 15], 1, 0.3))
    middle = view((INNER, 0, 0.9), (OUTER, 1, 0.8))
    made = label_photo([whole, whole, middle], WINDOWS, TRUST)
    assert made.refused == "" and sorted(made.labels.tolist()) == [0, 1, 2]
    assert made.ignored.tolist() == [[60.0, 5, 70, 15]]


def test_a_product_that_a_view_cuts_off_is_not_doubtful() -> None:
    """Its part lies in the label; a box that reaches well beyond it is another region."""
    whole = view((INNER, 0, 0.9), (THIRD, 2, 0.7))
    middle = view((INNER, 0, 0.9), ([10.0, 62, 14, 78], 2, 0.7), ([30.0, 20, 70, 40], 1, 0.3))
    made = label_photo([whole, whole, middle], WINDOWS, TRUST)
    assert made.refused == "" and len(made.boxes) == 2 and made.ignored.tolist() == [[30.0, 20, 70, 40]]


def test_what_one_view_alone_is_sure_of_is_ignored() -> None:
    many = [(INNER, 0, 0.9), (OUTER, 1, 0.8), ([50.0, 12, 70, 30], 2, 0.9), ([12.0, 50, 30, 70], 0, 0.9)]
    other = [*many[:3], ([12.0, 50, 30, 70], 1, 0.9)]
    made = label_photo([view(*many), view(*other), view(*other)], WINDOWS, TRUST)
    assert made.refused == "" and len(made.boxes) == 3 and made.ignored.tolist() == [[12.0, 50, 30, 70]]


@pytest.mark.parametrize(
    ("whole", "other", "reason"),
    [
        ([(INNER, 0, 0.3)], [], NO_BOX),
        ([(INNER, 0, 0.9), (OUTER, 1, 0.9)], [(INNER, 0, 0.9)], COUNTS),
        ([(INNER, 0, 0.9), (OUTER, 1, 0.9)], [(INNER, 1, 0.9), (OUTER, 0, 0.9)], BOXES),
    ],
)
def test_other_photos_are_left_out_for_a_reason(whole: list[Any], other: list[Any], reason: str) -> None:
    assert label_photo([view(*whole), view(*other), view(*other)], WINDOWS, TRUST).refused == reason
