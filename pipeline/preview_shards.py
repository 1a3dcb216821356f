"""`synth preview` of a sharded data set: some pictures, evenly spread, with their boxes and masks drawn in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assets.errors import SynthError
from assets.limits import open_picture
from assets.places import Place
from assets.shards import Record, Sample, ShardIndex, coco_name, read_index
from detectors.coco_masks import compressed_mask
from detectors.coco_values import is_set, sku_text
from detectors.shard_tar import picture_suffix, read_samples, read_whole
from pipeline.contact_sheet import save_sheet, sheet_of
from pipeline.data_parts import parse_part
from pipeline.preview import COLUMNS, draw_labels

VERIFY = "'synth verify' tells everything that is wrong with the data set"


def preview_shards(place: Place, out: Path, *, count: int = 12) -> Path:
    """Draws `count` pictures onto one PNG at `out`; returns `out`. Few shards are read, whatever the set's size.

    Solid boxes are labels, dashed ones are marked `ignore`. Raises SynthError where there is nothing to draw.
    """
    index = read_index(place)
    total = sum(entry.images for entry in index.shards)
    if not total:
        raise SynthError("there are no labelled pictures", where=str(place))
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))
    tiles = [tile for shard, places in _by_shard(index, chosen) for tile in _tiles(place, index, shard, places)]
    tallest = max(tile.height for tile in tiles)
    tiles = [tile if tile.height == tallest else _padded(tile, tallest) for tile in tiles]
    name = str(place).rstrip("/").rsplit("/", 1)[-1]
    title = f"{name}: {len(chosen)} of {total:,} pictures; solid: labelled, dashed: marked ignore"
    return save_sheet(sheet_of(tiles, COLUMNS, title), out)


def _by_shard(index: ShardIndex, chosen: np.ndarray) -> list[tuple[int, list[int]]]:
    """Shards with the places of the chosen images in them."""
    first = np.cumsum([0, *(entry.images for entry in index.shards)])
    shards = np.searchsorted(first, chosen, "right") - 1
    return [(int(s), (chosen[shards == s] - first[s]).tolist()) for s in np.unique(shards)]


def _tiles(place: Place, index: ShardIndex, shard: int, places: list[int]) -> list[Image.Image]:
    entry = index.shards[shard]
    names = _names(place, entry.name)
    samples = list(read_samples(place, entry.name))
    if len(samples) <= max(places):
        raise SynthError("a shard is damaged", where=place.locate(entry.name), hint=VERIFY)
    return [_tile(samples[at], names, f"{entry.name}: {samples[at].stem}") for at in places]


def _names(place: Place, name: str) -> dict[Any, str]:
    """What the categories of a shard are called."""
    try:
        part = parse_part(read_whole(place, coco_name(name)), place.locate(coco_name(name)))
    except FileNotFoundError:
        return {}
    return {record.get("id"): sku_text(record.get("sku")) or str(record.get("name")) for record in part.categories}


def _tile(sample: Sample, names: dict[Any, str], where: str) -> Image.Image:
    try:
        data = sample.files[picture_suffix(sample.files, sample.image, where)]
        with open_picture(data, where, "the picture") as image:
            picture = np.array(image.convert("RGB"))
        records = [_drawable(record, number, names, picture) for number, record in enumerate(sample.annotations, 1)]
        return draw_labels(picture, records)
    except (SynthError, MemoryError):
        raise
    except Exception as error:  # a stranger's labels may hold anything
        raise SynthError("a picture cannot be drawn", where=where, found=str(error), hint=VERIFY) from error


def _drawable(record: Record, number: int, names: dict[Any, str], picture: np.ndarray) -> Record:
    """A record of anybody's as those of our own: a mask in run lengths or none, a number, a name."""
    height, width = picture.shape[:2]
    mask = compressed_mask(record.get("segmentation"), height, width)
    if isinstance(mask, str):
        raise ValueError(f"segmentation: {mask}")
    outline = {"size": [height, width], "counts": mask.decode()} if mask else None
    sku = sku_text(record.get("sku")) or names.get(record.get("category_id"), "?")
    instance = record.get("instance")
    ignored = is_set(record.get("ignore")) or is_set(record.get("iscrowd"))
    return {
        "bbox": record["bbox"],
        "segmentation": outline,
        "sku": sku,
        "instance": instance if type(instance) is int else number,
        "ignore": int(ignored),
    }


def _padded(tile: Image.Image, height: int) -> Image.Image:
    whole = Image.new("RGB", (tile.width, height), (246, 246, 244))
    whole.paste(tile)
    return whole
