"""`synth preview`: pictures of a data set with their boxes and masks drawn in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from assets.errors import SynthError
from assets.image_input import open_picture
from assets.limits import DATASET_JSON, read_file
from pipeline.contact_sheet import color_of, draw_dashed, draw_label, save_sheet, sheet_of, shorten, tint_mask
from pipeline.layout import Layout
from pipeline.verify_masks import decode_mask

TILE_WIDTH = 640
COLUMNS = 3


def preview_dataset(folder: Path, out: Path, *, count: int = 12) -> Path:
    """Draws `count` pictures, evenly spread over the set, onto one PNG at `out`; returns `out`.

    Solid boxes are labels, dashed ones are marked `ignore`. Raises SynthError where there is nothing to draw.
    """
    layout = Layout(folder)
    files = sorted((folder / "labels").glob("*.json"))
    if not files:
        hint = "give the folder of a data set that 'synth render' has written pictures into"
        raise SynthError("there are no labelled pictures", where=str(folder / "labels"), hint=hint)
    chosen = [files[int(place)] for place in np.linspace(0, len(files) - 1, min(count, len(files)))]
    tiles = [_tile(layout, file) for file in chosen]
    title = f"{folder.resolve().name}: {len(chosen)} of {len(files)} pictures; solid: labelled, dashed: marked ignore"
    return save_sheet(sheet_of(tiles, COLUMNS, title), out)


def _tile(layout: Layout, file: Path) -> Image.Image:
    try:
        fragment: dict[str, Any] = json.loads(read_file(file, DATASET_JSON, "the labels"))
        with open_picture(layout.image(file.stem), str(layout.image(file.stem)), "the picture") as image:
            picture = np.array(image.convert("RGB"))
        return draw_labels(picture, fragment["annotations"])
    except (SynthError, MemoryError):
        raise
    except Exception as error:  # a stranger's labels may hold anything
        hint = "'synth verify' tells everything that is wrong with the data set"
        raise SynthError("a picture cannot be drawn", where=str(file), found=str(error), hint=hint) from error


def draw_labels(picture: np.ndarray, annotations: list[dict[str, Any]]) -> Image.Image:
    """A tile of an (H, W, 3) picture, tinted in place, with the boxes, masks and SKUs of its annotations."""
    for record in annotations:
        if not record["ignore"] and record["segmentation"] is not None:
            mask = decode_mask(record["segmentation"], *picture.shape[:2])
            if isinstance(mask, str):
                raise ValueError(f"segmentation: {mask}")
            tint_mask(picture, mask, color_of(record["instance"]))
    scale = TILE_WIDTH / picture.shape[1]
    tile = Image.fromarray(picture).resize((TILE_WIDTH, round(picture.shape[0] * scale)), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(tile)
    for record in annotations:
        x, y, width, height = (edge * scale for edge in record["bbox"])
        box, color = (x, y, x + width - 1, y + height - 1), color_of(record["instance"])
        if record["ignore"]:
            draw_dashed(draw, box, color)
        else:
            draw.rectangle(box, outline=color)
            draw_label(draw, (x, y), shorten(record["sku"], 18), color, 11)
    return tile
