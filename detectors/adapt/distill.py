"""Losses by which one detector learns from what another one says of every place, without a threshold.

A place weighs as much as the teacher is sure that there is a product: the square of its confidence, as thousands of
background places of a hundredth each would outweigh a few products (Dense Teacher takes the best places instead: Zhou
et al. 2022, 2207.02541). Classes: the cross-entropy less the teacher's entropy, so that equal outputs cost nothing; for
sigmoids focused on what differs (quality focal loss, Li et al. 2020, 2006.04388). Boxes: 1 - generalized IoU.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss

from detectors.models.interface import SoftHead, SoftOutputs


def distill(student: SoftOutputs, teacher: SoftOutputs) -> dict[str, Tensor]:
    """Return losses by the names of heads. Gradients reach the student alone. Both have the same places."""
    losses = {}
    for name, head in student.heads.items():
        other = teacher.heads[name]
        weight = confidence(other).square().detach()
        total = weight.sum().clamp(min=1)
        losses[f"distilled {name}"] = _class_loss(head, other) / total
        apart = generalized_box_iou_loss(head.boxes, other.boxes.detach()) * weight
        losses[f"distilled {name} boxes"] = apart.sum() / total
        if head.quality is not None and other.quality is not None:
            losses[f"distilled {name} quality"] = (_sigmoid_gap(head.quality, other.quality) * weight).sum() / total
    return losses


def confidence(head: SoftHead) -> Tensor:
    """Return (N,) the probability that there is a product, of any class."""
    if head.background is not None:
        return 1 - head.logits.softmax(1)[:, head.background]
    best = head.logits.sigmoid().amax(1)
    return best if head.quality is None else (best * head.quality.sigmoid()).sqrt()


def _class_loss(head: SoftHead, teacher: SoftHead) -> Tensor:
    if head.background is not None:
        wanted = teacher.logits.detach().log_softmax(1)
        return functional.kl_div(head.logits.log_softmax(1), wanted, log_target=True, reduction="sum")
    focus = (teacher.logits.sigmoid() - head.logits.sigmoid()).detach().square()
    return (_sigmoid_gap(head.logits, teacher.logits) * focus).sum()


def _sigmoid_gap(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the cross-entropy of each sigmoid less the entropy of the teacher's: 0 where both are equal."""
    teacher = teacher.detach()
    wanted = teacher.sigmoid()
    cross = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return cross - functional.binary_cross_entropy_with_logits(teacher, wanted, reduction="none")
