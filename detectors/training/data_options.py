"""Options of a detector that follow from the training data, such as anchors: `options_from_data` of its module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.data.image_set import ImageSet
from detectors.data.source import ImageSource
from detectors.models.interface import check_options
from detectors.models.spec import ModelSpec, OptionValue

# Images of a source in shards whose boxes are looked at; its labels are beside the images, which take time to read.
SHARD_IMAGES = 200


def complete_options(
    module: Any,
    given: Mapping[str, OptionValue],
    owner: str,
    sources: Sequence[ImageSource],
    size: tuple[int, int],
    earlier: ModelSpec | None,
) -> tuple[tuple[str, OptionValue], ...]:
    """Return all options of a detector, sorted by name: given ones, those that its module takes from data, defaults.

    owner: the detector's name. size: width and height of the network's input. earlier: the network of a run that is
    resumed, whose options are not computed again. Raises SynthError for invalid ones, and for unreadable images.
    """
    options = check_options(module, given, owner)
    found = options.model_dump()
    if hasattr(module, "options_from_data"):
        if earlier is not None:
            known = dict(earlier.options)
            return tuple(sorted((name, known.get(name, value)) for name, value in found.items()))
        boxes, labels = input_boxes(sources, size)
        computed = module.options_from_data(boxes, labels, options)
        found = check_options(module, {**found, **computed}, owner).model_dump()
    return tuple(sorted(found.items()))


def input_boxes(sources: Sequence[ImageSource], size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return (N, 4) xyxy boxes of images fitted into the network's input, in its pixels, and (N,) labels from 0.

    Ignored regions are left out. Of sources in shards the first SHARD_IMAGES images count, of those that make their
    images while training none. size: width and height of the input.
    """
    found = [_boxes_of(source, size) for source in sources]
    boxes, labels = (np.concatenate(column) for column in zip(*found, strict=True))
    return boxes[labels >= 0].astype(np.float32), labels[labels >= 0].astype(np.int64)


def _boxes_of(source: ImageSource, size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    columns: ImageSet | None = source.columns
    if columns is not None:
        scale = np.min(np.array(size) / columns.sizes, axis=1)[columns.image_of_box()]
        return columns.boxes * scale[:, None], columns.labels.astype(np.int64)
    boxes, labels = [np.zeros((0, 4))], [np.zeros(0, np.int64)]
    for index in range(min(len(source), SHARD_IMAGES) if source.live is None else 0):
        sample = source.read_sample(index, masks=False)
        boxes.append(sample.boxes * min(size[0] / sample.width, size[1] / sample.height))
        labels.append(sample.labels)
    return np.concatenate(boxes), np.concatenate(labels)
