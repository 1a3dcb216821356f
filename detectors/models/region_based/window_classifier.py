"""Detectors whose windows are classified by linear support vector machines on a network's features: R-CNN, SPP-net.

The network is fine-tuned in steps as a classifier of windows with a softmax. After the last step machines and box
regressors are fitted to its features (Girshick et al. 2014, arXiv 1311.2524). Before that, and when it is trained
further, the softmax scores the proposals, and these are the boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.interface import FittingImages, SoftHead, SoftOutputs
from detectors.models.region_based.bodies import initialise
from detectors.models.region_based.linear_fits import (
    Floats,
    ImageNegatives,
    SvmSettings,
    fit_ridge,
    mine_svms,
)
from detectors.models.region_based.sampling import (
    BACKGROUND,
    Matched,
    decode_boxes,
    encode_boxes,
    match_regions,
    select_detections,
)
from detectors.models.region_proposals import ProposalOptions, ProposalSearch
from detectors.models.soft import MAX_REGIONS
from detectors.models.spec import ModelSpec

# A proposal is a negative of a class if it overlaps none of its products by so much.
NEGATIVE = 0.3
# A proposal teaches the box regressor of the product that it overlaps by more than this.
PAIRED = 0.6
PENALTY = 1000.0
# Features are scaled to this mean length before anything is fitted to them, on which C and the penalty depend.
LENGTH = 20.0
# Scores are sigmoids of the margin times this: the borders of the margin, +1 and -1, score 0.98 and 0.02.
STEEPNESS = 4.0
# Pairs of proposals and boxes that a regressor is fitted to, for one class and for all.
MAX_PAIRS, MAX_ALL_PAIRS = 3000, 60_000


class WindowOptions(ProposalOptions):
    """Options that these detectors share."""

    width: int = Field(4096, ge=8, le=8192, description="Outputs of the two fully connected layers.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of these that is dropped while training.")
    nms: float = Field(0.3, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")
    fit_images: int = Field(5000, ge=1, description="Images that support vector machines are fitted to at most.")
    c: float = Field(1e-3, gt=0, le=100, description="Weight of margin violations of the support vector machines.")


class WindowFeatures(NamedTuple):
    """Features of R windows. pooled: (R, P) of the last pooling. hidden: (R, D) of the last fully connected layer."""

    pooled: Tensor
    hidden: Tensor


class WindowClassifier(nn.Module):
    """A FittedDetector; a subclass says what the features of windows are and which windows are trained on.

    cls_logits_svm, cls_logits_svm_bias, bbox_pred_ridge: the fitted machines (C, D), (C,) and regressors (C, 4, P + 1).
    fitted: whether they belong to the network as it is.
    """

    fit_passes = 2
    backbone: nn.Module
    cls_logits_svm: Tensor
    cls_logits_svm_bias: Tensor
    bbox_pred_ridge: Tensor
    fitted: Tensor

    def __init__(self, spec: ModelSpec, options: WindowOptions, pooled: int) -> None:
        super().__init__()
        self.spec, self.nms, self.fit_images = spec, options.nms, options.fit_images
        self.svm = SvmSettings(options.c)
        self.search = ProposalSearch(options.proposal_settings)
        self.cls_logits = nn.Linear(options.width, spec.classes + 1)
        initialise(self.cls_logits, 0.01)
        self.register_buffer("cls_logits_svm", torch.zeros(spec.classes, options.width))
        self.register_buffer("cls_logits_svm_bias", torch.zeros(spec.classes))
        self.register_buffer("bbox_pred_ridge", torch.zeros(spec.classes, 4, pooled + 1))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def window_features(self, images: Tensor, windows: list[Tensor]) -> WindowFeatures:
        """Return the features of windows of each image, one image after the other, in float32."""
        raise NotImplementedError

    def sample(self, matched: list[Matched]) -> tuple[list[Matched], list[Tensor]]:
        """Sample the windows of a batch to train on, and their labels, 0 for background."""
        raise NotImplementedError

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "loss_classifier", the cross-entropy of windows. What was fitted no longer belongs to the network."""
        self.fitted.fill_(False)
        proposals = self.search.of_targets(images, targets)
        matched = [match_regions(boxes, target) for boxes, target in zip(proposals, targets, strict=True)]
        chosen, labels = self.sample(matched)
        logits = self._logits(self.window_features(images, [one.boxes for one in chosen]))
        wanted = torch.cat(labels)
        return {"loss_classifier": functional.cross_entropy(logits, wanted, reduction="sum") / max(len(wanted), 1)}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Search for proposals, and return the boxes that remain after non-maximum suppression within each class."""
        windows = self.search(images)
        features = self.window_features(images, windows)
        counts = [len(one) for one in windows]
        boxes = self._boxes(torch.cat(windows), features.pooled).split(counts)
        scores = self._scores(features).split(counts)
        size = (self.spec.width, self.spec.height)
        return [select_detections(*pair, size, self.nms) for pair in zip(scores, boxes, strict=True)]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the softmax's logits at the first proposals, which are the boxes."""
        regions = tuple(one[:MAX_REGIONS] for one in self.search(images)) if like is None else like.regions
        logits = self._logits(self.window_features(images, list(regions)))
        classes = logits.detach()[:, BACKGROUND + 1 :].argmax(1) + 1 if like is None else like.classes
        return SoftOutputs({"regions": SoftHead(logits, torch.cat(regions), BACKGROUND)}, regions, classes)

    def fit(self, images: FittingImages) -> None:
        """Fit machines and regressors: positives are the products' own boxes, negatives overlap none of a class by 0.3.

        One pass over the images finds the positives and the pairs of regression, a second one hard negatives.
        """
        positives, regressors = self._collect(images)
        scale = unit_scale([row for rows in positives for row in rows])
        machines = mine_svms([rows * scale for rows in positives], self._candidates(images, scale), self.svm)
        self.cls_logits_svm.copy_(torch.from_numpy(machines.weights * scale))
        self.cls_logits_svm_bias.copy_(torch.from_numpy(machines.biases))
        self.bbox_pred_ridge.copy_(torch.from_numpy(regressors))
        self.fitted.fill_(True)

    def _logits(self, features: WindowFeatures) -> Tensor:
        return self.cls_logits(features.hidden).float()

    def _scores(self, features: WindowFeatures) -> Tensor:
        """Return the (R, C) scores: of the machines once they are fitted, of the softmax before."""
        if not self.fitted:
            return self._logits(features).softmax(1)[:, BACKGROUND + 1 :]
        # In full precision: a margin is a small difference of large sums.
        with torch.autocast(features.hidden.device.type, enabled=False):
            margins = functional.linear(features.hidden.float(), self.cls_logits_svm, self.cls_logits_svm_bias)
        return (STEEPNESS * margins).sigmoid()

    def _boxes(self, windows: Tensor, pooled: Tensor) -> Tensor:
        """Return the (R, C, 4) boxes of all classes, or (R, 1, 4) windows before regressors are fitted."""
        if not self.fitted:
            return windows[:, None]
        weights, biases = self.bbox_pred_ridge[..., :-1], self.bbox_pred_ridge[..., -1]
        with torch.autocast(pooled.device.type, enabled=False):
            codes = torch.einsum("rp,ctp->rct", pooled.float(), weights) + biases
        return decode_boxes(windows[:, None], codes)

    def _collect(self, images: FittingImages) -> tuple[list[Floats], Floats]:
        """Return the (N, D) features of each class's products, and the regressors (C, 4, P + 1)."""
        classes = self.spec.classes
        products: list[list[Floats]] = [[] for _ in range(classes)]
        pairs: list[list[tuple[Floats, Floats]]] = [[] for _ in range(classes)]
        most = max(1, min(MAX_PAIRS, MAX_ALL_PAIRS // classes))
        for image, (target,) in images:
            truth, labels = target["boxes"], target["labels"].tolist()
            found = match_regions(self.search.of_targets(image, [target])[0], target)
            near = torch.nonzero(found.overlap[: len(found.boxes) - len(truth)] > PAIRED)[:, 0]
            features = self.window_features(image, [torch.cat([truth, found.boxes[near]])])
            codes = _array(encode_boxes(found.boxes[near], found.truth[near]))
            hidden, pooled = _array(features.hidden), _array(features.pooled[len(truth) :])
            for row, label in enumerate(labels):
                products[label].append(hidden[row])
            for row, label in enumerate((found.labels[near] - 1).tolist()):
                if len(pairs[label]) < most:
                    pairs[label].append((pooled[row], codes[row]))
        size = self.cls_logits_svm.shape[1]
        regressors = np.zeros(tuple(self.bbox_pred_ridge.shape), np.float32)
        scale = unit_scale([row for some in pairs for row, _ in some])
        for label, some in enumerate(pairs):
            if some:
                rows, wanted = (np.stack(column) for column in zip(*some, strict=True))
                regressors[label] = fit_ridge(rows * scale, wanted, PENALTY)
        regressors[..., :-1] *= scale
        return [np.stack(rows) if rows else np.zeros((0, size), np.float32) for rows in products], regressors

    def _candidates(self, images: FittingImages, scale: np.float32) -> Iterator[ImageNegatives]:
        """Yield the windows of each image, and of which classes they are negatives; those to be ignored of none."""
        for image, (target,) in images:
            (windows,) = self.search.of_targets(image, [target])
            features = _array(self.window_features(image, [windows]).hidden) * scale
            yield ImageNegatives(features, negatives_of(windows, target, self.spec.classes))


def unit_scale(rows: Sequence[Floats]) -> np.float32:
    """Return the factor that brings features to a mean length of 20."""
    lengths = [float(np.linalg.norm(row)) for row in rows]
    return np.float32(LENGTH / max(float(np.mean(lengths)) if lengths else 1.0, 1e-6))


def negatives_of(windows: Tensor, target: dict[str, Tensor], classes: int) -> np.ndarray:
    """Return (R, C) whether windows overlap no product of a class by 0.3 and do not lie in ignored regions."""
    negative = np.zeros((len(windows), classes), bool)
    for label in range(classes):
        rows = target["labels"] == label
        one = {**target, "boxes": target["boxes"][rows], "labels": target["labels"][rows]}
        found = match_regions(windows, one)
        fits = (found.overlap < NEGATIVE) & ~found.ignored
        negative[:, label] = fits[: len(windows)].cpu().numpy()
    return negative


def _array(values: Tensor) -> Floats:
    return values.detach().float().cpu().numpy()
