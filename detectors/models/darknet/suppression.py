"""Non-maximum suppression by distance IoU (Zheng et al. 2020, arXiv 1911.08287)."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor

from detectors.models.parts import Suppress

# In a traced network rounds cannot end when nothing changes any more. A box that this many others in a row hang on,
# each dropped by the one before it, does not occur among the boxes of a detector.
TRACED_ROUNDS = 32


def suppress_by_distance(overlap: float) -> Suppress:
    """Return greedy suppression within each class: of boxes with a higher distance IoU the weaker one goes.

    Distance IoU is IoU - (d / c)^2, d the distance of the centres, c the diagonal of the smallest box around both: two
    products side by side may overlap, but their centres are apart.
    """

    def suppress(boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        near = distance_iou(boxes, boxes) > overlap
        better = torch.ones_like(near).triu(1)
        drops = near & better & (labels[:, None] == labels)
        return _survivors(drops.to(scores.dtype), torch.ones_like(scores)).nonzero()[:, 0]

    return suppress


def distance_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the (N, M) IoU of (N, 4) and (M, 4) xyxy boxes less the squared distance of their centres.

    The distance is relative to the diagonal of the smallest box around both.
    """
    low = torch.minimum(boxes[:, None, :2], others[None, :, :2])
    high = torch.maximum(boxes[:, None, 2:], others[None, :, 2:])
    diagonal = (high - low).square().sum(2)
    centres = ((one[:, :2] + one[:, 2:]) / 2 for one in (boxes, others))
    first, second = centres
    apart = (first[:, None] - second[None]).square().sum(2)
    return torchvision.ops.box_iou(boxes, others) - apart / diagonal.clamp(min=1e-9)


def _survivors(drops: Tensor, kept: Tensor) -> Tensor:
    """Return (N,) which boxes greedy suppression keeps. drops: (N, N), 1 where a kept box drops another, worse one.

    Whether a box is kept depends on better boxes alone. Starting from `kept`, ones, each round settles those whose
    better boxes are settled, until nothing changes.
    """
    for _ in range(TRACED_ROUNDS if torch.jit.is_tracing() else len(drops)):
        after = (kept @ drops == 0).to(kept.dtype)
        if not torch.jit.is_tracing() and torch.equal(after, kept):
            break
        kept = after
    return kept > 0
