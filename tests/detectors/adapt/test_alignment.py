"""Domain-adversarial adaptation aligns: after it a classifier trained on frozen features tells the domains worse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors.adapt import dann
from detectors.adapt.dann import DannTask, Options
from detectors.adapt.features import pooled
from detectors.adapt.task import Pair
from detectors.data.image_set import Classes
from detectors.data.prepare import TrainingData
from detectors.data.settings import DataSettings
from detectors.models.detect import network_input
from detectors.models.spec import ModelSpec
from detectors.training.detector_task import DetectorParts
from detectors.training.loader import Batch
from detectors.training.schedule import Phase, Schedule
from detectors.training.settings import TrainSettings

SIDE, STEPS, BATCH, RATE = 8, 200, 16, 0.002
# What photographs are brighter by, in red, green and blue.
SHIFT = (70, 40, 10)
# Of the spread of features: smaller differences between domains count as none.
FLOOR = 0.1
IMAGES_ALONE = Options(instances=False)


class Stripes(nn.Module):
    """Tells upright stripes from level ones."""

    def __init__(self) -> None:
        super().__init__()
        first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.backbone = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), second, nn.ReLU())
        self.head = nn.Linear(8, 2)

    def features(self, images: Tensor) -> list[Tensor]:
        return [self.backbone(images)]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        labels = torch.stack([target["labels"] for target in targets])
        return {"classification": functional.cross_entropy(self.head(pooled(self.features(images))), labels)}


def stripes(seed: int, photo: bool, count: int = BATCH) -> Batch:
    """Stripes of two pixels in noise; brighter in photographs, and more so in red."""
    rng = torch.Generator().manual_seed(2 * seed + photo)
    labels = torch.randint(0, 2, (count,), generator=rng)
    upright = (torch.arange(SIDE) // 2 % 2).expand(SIDE, SIDE)
    contrast = 40 + 80 * torch.rand(count, 1, 1, 1, generator=rng)
    images = 50 + torch.stack([upright.T, upright])[labels][..., None] * contrast
    images = images + 20 * torch.randn(count, SIDE, SIDE, 3, generator=rng) + torch.tensor(SHIFT) * photo
    return Batch(images.clamp(0, 255).to(torch.uint8), [{"labels": label} for label in labels], [])


def make_task(seed: int, options: Options = IMAGES_ALONE) -> DannTask:
    torch.manual_seed(seed)
    spec = ModelSpec("toy", None, 2, SIDE, SIDE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    data = TrainingData((), None, False, Classes(("level", "upright"), ("Level", "Upright")), {})
    schedule = Schedule((Phase("adapt", STEPS, (1.0,)),), (1,), BATCH, STEPS, 0)
    settings = TrainSettings(data=DataSettings(synthetic=(("synthetic", Path("toy")),)), out=Path("toy"))
    parts = DetectorParts(spec, settings, data, schedule, RATE)
    task = DannTask(Stripes(), parts, photos=None, options=options)  # type: ignore[arg-type]
    task.train_mode()
    return task


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0])
def test_the_backbone_gets_the_reversed_gradient(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Minus the factor times the plain gradient; the classifier itself gets the plain one."""
    monkeypatch.setattr(dann, "reversal", lambda step, steps: factor)
    task, batches = make_task(0), Pair(stripes(0, False), stripes(0, True))
    weights = [weight for weight in task.model.backbone.parameters() if weight.requires_grad]
    reversed_ = torch.autograd.grad(task.losses(batches, 1)["domain"], [*weights, *task.extra.parameters()])
    points = torch.cat([pooled(task.model.features(network_input(one.images))) for one in batches])
    domains = torch.tensor([0.0, 1.0]).repeat_interleave(BATCH)
    logits = task.extra["image"](points)[:, 0]
    plain_loss = task.weight * functional.binary_cross_entropy_with_logits(logits, domains)
    plain = torch.autograd.grad(plain_loss, [*weights, *task.extra.parameters()])
    for place, (one, other) in enumerate(zip(reversed_, plain, strict=True)):
        assert other.abs().max() > 0
        torch.testing.assert_close(one, other * (-factor if place < len(weights) else 1.0))


def test_instances_are_to_be_taken_for_the_domain_of_their_image() -> None:
    """Images of logits 0 and 2, with two instances of logits 1 and 0, and none: |s(0) - s(1)| and |s(0) - s(0)|."""
    task = make_task(0, Options(weight=0.5))
    task.extra = nn.ModuleDict({"image": nn.Linear(1, 1, bias=False), "instance": nn.Linear(1, 1, bias=False)})
    for one in task.extra.values():
        nn.init.ones_(one.weight)
    whole, points = torch.tensor([[0.0], [2.0]], requires_grad=True), torch.tensor([[1.0], [0.0]])
    loss = task._inconsistency(whole, points, torch.tensor([2, 0]))
    assert loss.item() == pytest.approx(0.5 * (0.731059 - 0.5) / 2, abs=1e-6)
    # Towards its instances, not away from them.
    (gradient,) = torch.autograd.grad(loss, whole)
    assert gradient[0, 0] < 0 and gradient[1, 0] == 0
    assert task._inconsistency(whole, points[:0], torch.tensor([0, 0])).item() == 0


def test_the_domains_come_closer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with the same training whose gradient of the domains never reaches the backbone."""
    adversarial = [accuracy_after_training(make_task(seed)) for seed in range(2)]
    monkeypatch.setattr(dann, "reversal", lambda step, steps: 0.0)
    plain = [accuracy_after_training(make_task(seed)) for seed in range(2)]
    assert min(plain) > 0.8 and max(adversarial) < min(plain) - 0.1


def accuracy_after_training(task: DannTask) -> float:
    """How well a new classifier tells the domains by the features of the trained network, which still does its task."""
    (optimizer,) = task.optimizers()
    for step in range(STEPS):
        losses = task.losses(Pair(stripes(step, False), stripes(step, True)), step)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    assert losses["classification"].item() < 0.2
    return domain_accuracy(task.model.eval())


def domain_accuracy(model: nn.Module) -> float:
    """Accuracy of a logistic regression on pooled features, on images that it was not fitted to."""
    (points, domains), (others, truth) = (domain_points(model, seed) for seed in (10_000, 20_000))
    spread = points.std(0).norm()
    rng = torch.Generator().manual_seed(0)
    points, others = (one / spread + FLOOR * torch.randn(one.shape, generator=rng) for one in (points, others))
    weight, bias = torch.zeros(points.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=50)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.binary_cross_entropy_with_logits(points @ weight + bias, domains)
        (value + 1e-4 * weight.square().sum()).backward()
        return value

    optimizer.step(loss)
    return float(((others @ weight.detach() + bias.detach() > 0) == (truth > 0)).float().mean())


@torch.no_grad()
def domain_points(model: nn.Module, seed: int) -> tuple[Tensor, Tensor]:
    """Pooled features of 200 images of each domain, and their domains."""
    both = [stripes(seed, photo, 200) for photo in (False, True)]
    points = torch.cat([pooled(model.features(network_input(one.images))) for one in both])
    return points, torch.tensor([0.0, 1.0]).repeat_interleave(200)
