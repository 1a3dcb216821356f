"""Losses against loops that read like the papers, their gradients, and what sampling of negatives may not change."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from detectors.recognition.embedder.losses import (
    ClassCenters,
    ProxyAnchor,
    SubcenterArcFace,
    make_loss,
    sample_classes,
    state_bytes,
)
from detectors.recognition.embedder.softmax import Softmax, classify
from support.errors import raises

CLASSES, DIM, BATCH = 7, 5, 9


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 + seed)
    points = torch.randn(BATCH, DIM, generator=generator, dtype=torch.float32)
    return points, torch.randint(CLASSES, (BATCH,), generator=generator)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def cosine(a: Tensor, b: Tensor) -> float:
    return (a @ b / a.norm() / b.norm()).item()


def slow_arcface(loss: SubcenterArcFace, points: Tensor, labels: Tensor, taken: list[int]) -> float:
    """Deng et al. 2020, one point and one class after another."""
    total = 0.0
    for point, label in zip(points, labels.tolist(), strict=True):
        logits = {}
        for number in taken:
            rows = loss.table[number * loss.per_class : (number + 1) * loss.per_class]
            nearest = max(cosine(point, row) for row in rows)
            angle = math.acos(nearest)
            if number != label:
                logits[number] = loss.scale * nearest
            elif angle + loss.margin < math.pi:
                logits[number] = loss.scale * math.cos(angle + loss.margin)
            else:
                logits[number] = loss.scale * (nearest - loss.margin * math.sin(loss.margin))
        highest = max(logits.values())
        whole = highest + math.log(sum(math.exp(value - highest) for value in logits.values()))
        total += whole - logits[label]
    return total / len(points)


def slow_proxy_anchor(loss: ProxyAnchor, points: Tensor, labels: Tensor, taken: list[int]) -> float:
    """Kim et al. 2020, equation 4."""
    near = {n: [cosine(point, loss.table[n]) for point in points] for n in taken}
    present = sorted(set(labels.tolist()))
    own = {n: [s for s, label in zip(near[n], labels.tolist(), strict=True) if label == n] for n in taken}
    other = {n: [s for s, label in zip(near[n], labels.tolist(), strict=True) if label != n] for n in taken}
    pull = [math.log1p(sum(math.exp(-loss.alpha * (s - loss.delta)) for s in own[n])) for n in present]
    push = [math.log1p(sum(math.exp(loss.alpha * (s + loss.delta)) for s in other[n])) for n in taken]
    return sum(pull) / len(present) + sum(push) / len(taken)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("per_class", [1, 3])
def test_arcface_is_what_the_paper_says(seed: int, share: float, per_class: int) -> None:
    torch.manual_seed(seed)
    loss = SubcenterArcFace(CLASSES, DIM, share=share, per_class=per_class, margin=0.5)
    points, labels = batch(seed)
    taken = sample_classes(labels.numpy(), CLASSES, share, rng=rng()).tolist()
    assert loss(points, labels, rng=rng()).item() == pytest.approx(slow_arcface(loss, points, labels, taken), rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_proxy_anchor_is_what_the_paper_says(seed: int, share: float) -> None:
    torch.manual_seed(seed)
    loss = ProxyAnchor(CLASSES, DIM, share=share)
    points, labels = batch(seed)
    taken = sample_classes(labels.numpy(), CLASSES, share, rng=rng()).tolist()
    slow = slow_proxy_anchor(loss, points, labels, taken)
    assert loss(points, labels, rng=rng()).item() == pytest.approx(slow, rel=1e-4)


def test_a_point_opposite_to_its_centre_is_pulled_back() -> None:
    """Past a half turn cos(angle + margin) would rise: the loss must not reward being as wrong as can be."""
    loss = SubcenterArcFace(2, 2, per_class=1, margin=0.5)
    with torch.no_grad():
        loss.table.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    angles = torch.linspace(2.5, math.pi, 20)
    values = [
        loss(torch.tensor([[math.cos(a), -math.sin(a)]]), torch.tensor([0]), rng=rng()).item() for a in angles.tolist()
    ]
    own = [float(loss._moved(torch.cos(angle))) for angle in angles]
    assert own == sorted(own, reverse=True) and all(np.isfinite(values))


@pytest.mark.parametrize("name", ["arcface", "proxy", "softmax"])
def test_gradients_agree_with_differences(name: str) -> None:
    torch.manual_seed(1)
    loss = make_loss(name, CLASSES, DIM, share=0.5)
    points, labels = batch(1)
    points.requires_grad_(True)
    value = loss(points, labels, rng=rng())
    value.backward()
    assert points.grad is not None
    for row, column in [(0, 0), (3, 2), (8, 4)]:
        ends = []
        for step in (1e-2, -1e-2):
            moved = points.detach().clone()
            moved[row, column] += step
            ends.append(loss(moved, labels, rng=rng()).item())
        slope = (ends[0] - ends[1]) / 2e-2
        assert float(points.grad[row, column]) == pytest.approx(slope, rel=0.02, abs=2e-3)


@pytest.mark.parametrize("kind", [SubcenterArcFace, ProxyAnchor])
def test_points_on_their_centre_have_a_finite_gradient(kind: type[ClassCenters]) -> None:
    loss = kind(3, DIM, share=1.0)
    points = loss.table.detach()[:: loss.per_class].clone().requires_grad_(True)
    loss(points, torch.arange(3), rng=rng()).backward()
    assert points.grad is not None and torch.isfinite(points.grad).all()


@pytest.mark.parametrize("kind", [SubcenterArcFace, ProxyAnchor])
def test_only_the_rows_of_sampled_classes_have_gradients(kind: type[ClassCenters]) -> None:
    loss = kind(1000, DIM, share=0.01)
    points, labels = batch()
    taken = sample_classes(labels.numpy(), 1000, 0.01, rng=rng())
    loss(points, labels, rng=rng()).backward()
    gradient = loss.table.grad
    assert gradient is not None and gradient.is_sparse
    rows = set((gradient.coalesce().indices()[0] // loss.per_class).tolist())
    assert rows <= set(taken.tolist()) and set(labels.tolist()) <= rows and len(taken) <= 10 + len(set(labels.tolist()))


def test_classes_of_the_batch_are_always_in_and_the_others_equally_often() -> None:
    labels = np.array([5, 5, 90])
    seen = np.zeros(100)
    for seed in range(400):
        taken = sample_classes(labels, 100, 0.2, rng=np.random.default_rng(seed))
        assert {5, 90} <= set(taken.tolist()) and (np.diff(taken) > 0).all() and 20 <= len(taken) <= 22
        seen[taken] += 1
    others = np.delete(seen, labels) / 400
    assert others.mean() == pytest.approx(0.2, abs=0.01) and others.std() < 0.03
    assert sample_classes(labels, 100, 1.0, rng=rng()).tolist() == list(range(100))


def test_centres_have_length_one_and_a_class_of_equal_rows_keeps_its_direction() -> None:
    loss = SubcenterArcFace(4, DIM, per_class=3)
    with torch.no_grad():
        loss.table[:3] = torch.arange(1.0, DIM + 1)
    centers = loss.centers()
    assert torch.allclose(centers.norm(dim=1), torch.ones(4), atol=1e-6)
    assert torch.allclose(centers[0], torch.arange(1.0, DIM + 1) / torch.arange(1.0, DIM + 1).norm(), atol=1e-6)


def test_memory_at_170000() -> None:
    assert state_bytes(170_000, 512, 1) == pytest.approx(1.04e9, rel=0.01)
    small = SubcenterArcFace(100, 32, per_class=3)
    optimizer = torch.optim.SparseAdam(small.parameters())
    small(torch.randn(4, 32), torch.arange(4), rng=rng()).backward()
    optimizer.step()
    (state,) = optimizer.state.values()
    held = [small.table, *(value for value in state.values() if isinstance(value, Tensor) and value.ndim)]
    assert sum(value.nbytes for value in held) == state_bytes(100, 32, 3)


def test_a_classifier_learns_and_names() -> None:
    torch.manual_seed(0)
    loss = Softmax(3, 4)
    points, labels = torch.eye(4)[:3], torch.arange(3)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        loss(points, labels, rng=rng()).backward()
        optimizer.step()
    named, logits = classify(points, loss.state_dict(), most=2)
    assert named[:, 0].tolist() == [0, 1, 2] and (logits[:, 0] > logits[:, 1]).all()


def test_unknown_names_and_shares_are_told() -> None:
    with raises("unknown-name", hint="did you mean 'arcface'"):
        make_loss("arcfase", 3, 4, share=1.0)
    with pytest.raises(ValueError, match="share"):
        ProxyAnchor(3, 4, share=0.0)
