"""Thumbnails in sprites: sixteen to a JPEG, since a file for each of 50,000 is slow to make, copy and publish."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.errors import SynthError
from assets.files.image_input import open_image, reason_of
from dataset.images import ORIENTATION, QUARTER_TURNS, TURNED
from pipeline.target.measure import BRIGHTNESS, MEASURED, SHARPNESS, measure_picture
from pipeline.target.photos import USUAL_AREA, shrink

if TYPE_CHECKING:
    from PIL.Image import Image

# Multiples of the 16 pixels that a JPEG codes colour in: neighbours do not bleed into each other.
CELL_WIDTH, CELL_HEIGHT = 192, 144
COLUMNS = 4
CELLS = COLUMNS * COLUMNS
QUALITY, COPY_QUALITY = 80, 95
# What browsers show.
SHOWN = ("JPEG", "MPO", "PNG", "WEBP", "BMP")


@dataclass(frozen=True)
class Thumb:
    """A picture in small. width, height: of the picture as its labels count. image: None where it cannot be read.

    suffix: of a file that browsers show as the labels count it; "" where they would turn it, or not show it at all.
    """

    width: int
    height: int
    image: Image | None
    suffix: str = ""
    problem: str = ""


def make_thumb(data: bytes, stated: tuple[int, int] | None, where: str) -> Thumb:
    """Decode a picture small, upright as its labels count it. stated: width and height by its record."""
    from PIL.Image import Resampling

    try:
        with open_image(data, where, "the picture") as image:
            turn = _turn_of(image)
            quarter = turn in QUARTER_TURNS and stated != image.size
            width, height = image.size[::-1] if quarter else image.size
            shown = image.format in SHOWN and (quarter or turn not in TURNED)
            suffix = "jpg" if image.format == "MPO" else (image.format or "").lower()
            # A JPEG decoded at an eighth takes a tenth of the time.
            image.draft("RGB", (CELL_WIDTH, CELL_HEIGHT))
            small = _upright(image, quarter)
            size = fit(width, height)
            return Thumb(
                *(stated or (width, height)),
                small.resize(size, Resampling.BILINEAR, reducing_gap=2.0),
                suffix if shown else "",
            )
    except SynthError as error:
        return Thumb(*(stated or (0, 0)), None, problem=f"{where}: {reason_of(error)}")
    except Exception as error:
        # Decoders answer to broken files with whatever they stumble over.
        return Thumb(*(stated or (0, 0)), None, problem=f"{where}: {type(error).__name__}: {error}")


def _turn_of(image: Image) -> int:
    return int(image.getexif().get(ORIENTATION) or 1)


def _upright(image: Image, quarter: bool) -> Image:
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image) if quarter else image
    return turned.convert("RGB")


def fit(width: int, height: int) -> tuple[int, int]:
    """Return width and height of a thumbnail; the pages compute the same."""
    scale = min(CELL_WIDTH / width, CELL_HEIGHT / height, 1.0)
    return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))


def sprite_of(thumbs: Sequence[Thumb]) -> bytes:
    """Return a JPEG of up to CELLS thumbnails, each in the upper left corner of its cell."""
    from PIL import Image

    rows = -(-len(thumbs) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL_WIDTH, rows * CELL_HEIGHT), (127, 127, 127))
    for place, thumb in enumerate(thumbs):
        if thumb.image is not None:
            sheet.paste(thumb.image, (place % COLUMNS * CELL_WIDTH, place // COLUMNS * CELL_HEIGHT))
    return _jpeg(sheet, QUALITY)


def shown_copy(data: bytes, stated: tuple[int, int] | None, where: str) -> bytes:
    """Return a picture as a JPEG that browsers show as its labels count it. Raises SynthError if it cannot be read."""
    with open_image(data, where, "the picture") as image:
        return _jpeg(_upright(image, _turn_of(image) in QUARTER_TURNS and stated != image.size), COPY_QUALITY)


def measure_light(data: bytes, where: str) -> tuple[float, float] | None:
    """Return brightness and sharpness of a picture, as the gap to photographs has them; None where there is none.

    Pictures are compared at one size at most, since sharpness is that of pixels.
    """
    import numpy as np

    with open_image(data, where, "the picture") as image:
        pixels = shrink(np.array(image.convert("RGB")), USUAL_AREA)
    values = measure_picture(pixels, detail=False)
    brightness, sharpness = (float(values[MEASURED.index(one)]) for one in (BRIGHTNESS, SHARPNESS))
    return (round(brightness, 4), round(sharpness, 4)) if np.isfinite([brightness, sharpness]).all() else None


def _jpeg(image: Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
