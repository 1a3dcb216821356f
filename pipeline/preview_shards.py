"""`synth preview` of a sharded set: pictures out of some shards, those of anybody's COCO file as well as ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from assets.errors import SynthError
from assets.image_input import open_picture
from assets.places import Place
from assets.shards import Record, Sample, read_categories, read_index, tar_name
from detectors.shard_tar import picture_suffix, read_samples
from pipeline.contact_sheet import save_sheet, sheet_of
from pipeline.preview import COLUMNS, draw_labels

# So many shards are opened at most: each is fetched whole where it lies elsewhere.
MOST_SHARDS = 4


def preview_shards(place: Place, out: Path, *, count: int = 12) -> Path:
    """Draws `count` pictures of at most MOST_SHARDS shards, evenly spread, onto one PNG at `out`; returns `out`.

    Raises SynthError where there is nothing to draw, or a shard cannot be read.
    """
    index = read_index(place)
    full = [shard.name for shard in index.shards if shard.images]
    if not full:
        raise SynthError("there are no pictures in the shards", where=str(place))
    names = {record.get("id"): str(record.get("sku") or record.get("name")) for record in read_categories(place)}
    chosen = [full[int(number)] for number in np.linspace(0, len(full) - 1, min(MOST_SHARDS, len(full), count))]
    samples = [
        sample for number, name in enumerate(chosen) for sample in _some(place, name, number, count, len(chosen))
    ]
    tiles = [_tile(sample, names, place.locate(name)) for name, sample in samples]
    pictures = sum(shard.images for shard in index.shards)
    title = f"{place.url}: {len(tiles)} of {pictures} pictures; solid: labelled, dashed: marked ignore"
    return save_sheet(sheet_of(_alike(tiles), COLUMNS, title), out)


def _some(place: Place, name: str, number: int, count: int, shards: int) -> Iterator[tuple[str, Sample]]:
    """The share of the `number`-th of so many shards, evenly spread over it, each with the name of its tar."""
    samples = list(read_samples(place, name))
    share = count * (number + 1) // shards - count * number // shards
    for at in sorted({int(at) for at in np.linspace(0, len(samples) - 1, min(share, len(samples)))}):
        yield tar_name(name), samples[at]


def _tile(sample: Sample, names: dict[object, str], where: str) -> Image.Image:
    where = f"{where}, {sample.stem}"
    data = sample.files[picture_suffix(sample.files, sample.image, where)]
    with open_picture(data, where, "the picture") as image:
        picture = np.array(image.convert("RGB"))
    try:
        records = [_complete(record, number, names) for number, record in enumerate(sample.annotations, start=1)]
        return draw_labels(picture, records)
    except MemoryError:
        raise
    except Exception as error:  # a stranger's labels may hold anything
        hint = "'synth verify' tells everything that is wrong with the data set"
        raise SynthError("a picture cannot be drawn", where=where, found=str(error), hint=hint) from error


def _complete(record: Record, number: int, names: dict[object, str]) -> Record:
    """A record with all that is drawn of ours; outlines as polygons are left out, boxes say enough."""
    outline = record.get("segmentation")
    return {
        "bbox": record["bbox"],
        "segmentation": outline if isinstance(outline, dict) and isinstance(outline.get("counts"), str) else None,
        "ignore": record.get("ignore") or record.get("iscrowd") or 0,
        "instance": number,
        "sku": names.get(record.get("category_id"), "?"),
    }


def _alike(tiles: list[Image.Image]) -> list[Image.Image]:
    """Tiles of one height, the most frequent one: higher ones shrunk onto it, lower ones set on grey."""
    heights = [tile.height for tile in tiles]
    size = (tiles[0].width, max(set(heights), key=heights.count))
    made = []
    for tile in tiles:
        ground = Image.new("RGB", size, (128, 128, 128))
        tile.thumbnail(size, Image.Resampling.LANCZOS)
        ground.paste(tile, ((size[0] - tile.width) // 2, (size[1] - tile.height) // 2))
        made.append(ground)
    return made
