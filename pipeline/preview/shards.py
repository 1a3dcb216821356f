"""Pictures of a sharded set, those of anybody's COCO file as well as ours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assets.errors import SynthError
from dataset.shards.index import Record, ShardEntry, ShardSample, read_categories, read_index, tar_name
from dataset.shards.parts import read_part
from dataset.shards.tar import picture_suffix, read_samples
from dataset.storage.path import StoragePath
from dataset.values import whole_number
from pipeline.preview.types import (
    PreviewPicture,
    PreviewSettings,
    PreviewSource,
    check_skus,
    choose,
    kept_records,
    nothing_wanted,
    says_visibility,
    sku_names,
)

# So many shards are opened at most: each is fetched whole where it lies elsewhere.
MAX_SHARDS = 4


def shard_pictures(place: StoragePath, settings: PreviewSettings) -> PreviewSource:
    """The pictures to draw, of at most MAX_SHARDS shards, evenly spread.

    With filters the labels of shards are read until that many have something to show. Raises SynthError where there is
    nothing to draw, or a shard cannot be read.
    """
    index = read_index(place)
    full = [shard for shard in index.shards if shard.images]
    if not full:
        raise SynthError("there are no pictures in the shards", code="dataset-empty", where=str(place))
    names = sku_names(read_categories(place))
    check_skus(settings, names.values() if settings.skus else (), str(place))
    most = min(MAX_SHARDS, settings.count)
    shards = _with_wanted(place, full, names, settings, most) if settings.filters else _spread(full, most)
    pictures: list[PreviewPicture] = []
    for number, shard in enumerate(shards):
        share = settings.count * (number + 1) // len(shards) - settings.count * number // len(shards)
        pictures += _some(place, shard.name, names, settings, share)
    return PreviewSource(place.url, pictures, sum(shard.images for shard in index.shards))


def _spread(shards: list[ShardEntry], most: int) -> list[ShardEntry]:
    return [shards[int(number)] for number in np.linspace(0, len(shards) - 1, min(most, len(shards)))]


def _with_wanted(
    place: StoragePath, shards: list[ShardEntry], names: dict[object, str], settings: PreviewSettings, most: int
) -> list[ShardEntry]:
    """Shards with something to show. Raises SynthError where there are none."""
    found: list[ShardEntry] = []
    told = False
    for shard in shards:
        records = read_part(place, shard).annotations
        told = told or says_visibility(records)
        if kept_records(records, names, settings):
            found.append(shard)
        if len(found) == most:
            break
    if not found:
        raise nothing_wanted(settings, str(place), told)
    return found


def _some(
    place: StoragePath, name: str, names: dict[object, str], settings: PreviewSettings, share: int
) -> Iterator[PreviewPicture]:
    """Some pictures of a shard, evenly spread over those with something to show."""
    samples = [(sample, kept_records(sample.annotations, names, settings)) for sample in read_samples(place, name)]
    wanted = [pair for pair in samples if pair[1] or not settings.filters]
    for sample, records in choose(wanted, share):
        yield _picture(sample, records, names, f"{place.locate(tar_name(name))}, {sample.stem}")


def _picture(sample: ShardSample, records: list[Record], names: dict[object, str], where: str) -> PreviewPicture:
    data = sample.files[picture_suffix(sample.files, sample.image, where)]
    sides = [whole_number(sample.image.get(side)) for side in ("width", "height")]
    size = None if None in sides else (sides[0] or 0, sides[1] or 0)
    return PreviewPicture(where, data, size, records, names)
