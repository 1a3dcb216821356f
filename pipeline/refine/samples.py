"""Pictures of a data set before and after they were refined, side by side: some, evenly chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.json_input import read_json
from assets.limits import DATASET_JSON, IMAGE_BYTES, read_file
from dataset.images import decode_image
from dataset.records import ImageLabels, names_by_id
from dataset.store import CocoPart, StoredImage
from pipeline.refine.carry import RefinedLayout
from pipeline.refine.journal import OutcomeList
from pipeline.refine.picture import PictureOutcome

Pixels = NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SamplePair:
    """A picture (H, W, 3) uint8 sRGB before and after, with its labels. names: SKUs by category id."""

    outcome: PictureOutcome
    before: Pixels
    after: Pixels
    before_labels: ImageLabels
    after_labels: ImageLabels
    names: Mapping[int | None, str]


def sample_pairs(
    layout: RefinedLayout, journal: OutcomeList, total: int, most: int, *, before: int = 0
) -> Iterator[SamplePair]:
    """Iterate over about `most` pictures of the `total`, one by one, in order.

    before: of each picture chosen so many before it are taken as well, which its products may be from.
    """
    ends = np.linspace(0, total - 1, min(-(-most // (before + 1)), total)).round().astype(int).tolist()
    chosen = {place for end in ends for place in range(max(end - before, 0), end + 1)}
    wanted = {place: outcome for place, outcome in enumerate(journal.outcomes()) if place in chosen}
    start = 0
    for part in layout.store.parts:
        mine = [place - start for place in sorted(wanted) if start <= place < start + part.count]
        stored = part.stored_images(mine) if mine else iter(())
        for place, image in zip(mine, stored, strict=True):
            yield _pair(layout, part, image, wanted[start + place])
        start += part.count


def _pair(layout: RefinedLayout, part: CocoPart, image: StoredImage, outcome: PictureOutcome) -> SamplePair:
    size = image.labels.image.size
    if size is None or image.labels.image.file_name != outcome.file:
        raise SynthError("the data set has changed since it was refined", code="data-changed", where=image.where)
    after = layout.image(part, outcome.file)
    labels = image.labels
    if layout.new_labels:
        content = read_json(layout.labels(part, outcome.file), DATASET_JSON, "an image's labels")
        labels = ImageLabels.parse(content)
    return SamplePair(
        outcome,
        decode_image(image.read(), *size, image.where),
        decode_image(read_file(after, IMAGE_BYTES, "the image"), *size, str(after)),
        image.labels,
        labels,
        names_by_id(layout.store.head(part.split).categories),
    )


def in_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Iterate over items in lists of `size`, the last one shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
