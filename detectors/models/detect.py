"""Run a detector over many images and return its detections in pixels of the original images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from assets.errors import SynthError
from dataset.images import read_image
from detectors.augment import Letterbox, fit
from detectors.data.image_set import Classes, ImageSet, Packed, Predictions
from detectors.data.sample import Sample
from detectors.device import PREFETCH, ProcessLoader, limit_threads
from detectors.models.image_masks import encode_masks


@dataclass(frozen=True)
class Detections:
    """The detections of one image. boxes: (D, 4) float32 xyxy pixels of the original image. labels: (D,) from 0.

    masks: D compressed COCO RLEs of the original image; None if they were not asked for, or the detector finds none.
    keypoints: (D, 8, 3) float32, x, y in pixels of the original image and score of the corners of cuboids, or None.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    masks: tuple[bytes, ...] | None = None
    keypoints: NDArray[np.float32] | None = None


class FittedImages(Dataset[Any]):
    """Unlabelled images scaled to the network's input size. sizes: (N, 2) width and height in the data set's labels."""

    def __init__(self, paths: Sequence[Path], sizes: NDArray[np.int32], width: int, height: int) -> None:
        self.paths, self.sizes, self.width, self.height = paths, sizes, width, height

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], Letterbox, int] | SynthError:
        width, height = (int(side) for side in self.sizes[index])
        try:
            image, box = fit_image(read_image(self.paths[index], width, height), self.width, self.height)
        except SynthError as error:
            # Returned, not raised: torch would wrap its text in the traceback of the worker process.
            return error
        return image, box, index


def fit_image(image: NDArray[np.uint8], width: int, height: int) -> tuple[NDArray[np.uint8], Letterbox]:
    """Scale an (H, W, 3) image to fit into (height, width), and return how, to map boxes back."""
    empty = Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    fitted, letterbox = fit(empty, width, height)
    return fitted.image, letterbox


def find_in_set(
    model: nn.Module,
    images: ImageSet,
    classes: Classes,
    size: tuple[int, int],
    *,
    batch: int = 8,
    workers: int = 0,
    masks: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Predictions:
    """Run `model` on a data set; detections of an image are sorted by score.

    masks: whether to keep masks, where the detector finds any. advance: called with 1 per image.
    """
    rows: list[tuple[int, Detections]] = []
    fitted = fitted_images(images, size)
    for index, found in find_in_fitted(model, fitted, batch=batch, workers=workers, masks=masks):
        rows.append((index, found))
        advance(1)
    order = [np.argsort(-found.scores, kind="stable") for _, found in rows]
    outlines = [one.masks[place] for (_, one), places in zip(rows, order, strict=True) if one.masks for place in places]
    with_masks = any(found.masks is not None for _, found in rows)
    pairs = zip(rows, order, strict=True)
    corners = [one.keypoints[places] for (_, one), places in pairs if one.keypoints is not None]
    return Predictions(
        classes=classes,
        images=np.concatenate([np.full(len(found.scores), index) for index, found in rows]).astype(np.int64),
        boxes=np.concatenate([found.boxes[place] for (_, found), place in zip(rows, order, strict=True)]),
        labels=np.concatenate([found.labels[place] for (_, found), place in zip(rows, order, strict=True)]),
        scores=np.concatenate([found.scores[place] for (_, found), place in zip(rows, order, strict=True)]),
        masks=Packed.of(outlines) if with_masks else None,
        pixelwise=hasattr(model, "segment"),
        keypoints=np.concatenate(corners) if corners else None,
    )


class _Paths(Sequence[Path]):
    """The image paths of a data set, built on access: a million Path objects would be copied into every worker."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        return self.images.path(index)


def find_in_files(
    model: nn.Module,
    paths: Sequence[Path],
    sizes: NDArray[np.int32],
    size: tuple[int, int],
    *,
    batch: int = 8,
    workers: int = 0,
) -> Iterator[tuple[int, Detections]]:
    """Yield (index, Detections) of each image file, in order. size: width and height of the network's input."""
    return find_in_fitted(model, FittedImages(paths, sizes, *size), batch=batch, workers=workers)


def find_in_fitted(
    model: nn.Module, images: Dataset[Any], *, batch: int = 8, workers: int = 0, masks: bool = False
) -> Iterator[tuple[int, Detections]]:
    """Yield (index, Detections) of each image, in order. images: yields the same items as FittedImages."""
    device = next(model.parameters()).device
    for made in read_in_batches(images, batch=batch, workers=workers):
        stacked = torch.from_numpy(np.stack([image for image, _, _ in made])).to(device)
        for (_, letterbox, index), output in zip(made, forward(model, stacked), strict=True):
            yield index, detections_of(output, letterbox, masks=masks)


def read_in_batches(images: Dataset[Any], *, batch: int, workers: int) -> Iterator[list[Any]]:
    """Yield the items of a data set in order, in batches. Raises SynthError where an item is one."""
    loader = ProcessLoader(
        images,
        batch_size=batch,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=limit_threads,
        prefetch_factor=PREFETCH if workers else None,
    )
    for made in loader:
        for item in made:
            if isinstance(item, SynthError):
                raise item
        yield made


def fitted_images(images: ImageSet, size: tuple[int, int]) -> FittedImages:
    """Return the images of a set scaled to a network's input. size: its width and height."""
    return FittedImages(_Paths(images), images.sizes, *size)


@torch.inference_mode()
def forward(model: nn.Module, images: Tensor) -> list[dict[str, Tensor]]:
    """Run a detector on (B, H, W, 3) uint8 images that are on its device; returns the output of `Detector.detect`."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
        return model.detect(network_input(images))


def network_input(images: Tensor) -> Tensor:
    """Convert (B, H, W, 3) uint8 images to (B, 3, H, W) float32 in 0..1."""
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(255)


def detections_of(output: dict[str, Tensor], letterbox: Letterbox, *, masks: bool = False) -> Detections:
    """Convert the output of `Detector.detect` for one image to original pixels; boxes without area are dropped.

    masks: whether to convert masks, which takes longer than all the rest.
    """
    boxes = letterbox.to_original(output["boxes"].float().cpu().numpy())
    kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    labels = output["labels"].cpu().numpy().astype(np.int32)
    boxes = boxes[kept].astype(np.float32)
    outlines = corners = None
    if masks and "masks" in output:
        shares = output["masks"][torch.from_numpy(kept).to(output["masks"].device)][:, 0].float().cpu().numpy()
        outlines = encode_masks(shares, boxes, letterbox)
    if "keypoints" in output:
        corners = letterbox.points_to_original(output["keypoints"].float().cpu().numpy()[kept])
    scores = output["scores"].float().cpu().numpy()[kept].astype(np.float32)
    return Detections(boxes, labels[kept], scores, outlines, corners)
