"""Photographs to fit a recipe to: pixels without borders at one size, and what their files say of the camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import broken_image, open_image, reason_of
from assets.limits import DATASET_IMAGES
from dataset.images import IMAGES
from dataset.problems import Problems
from dataset.values import short
from detectors.data.photos import image_files

if TYPE_CHECKING:
    from PIL.Image import Image

    from assets.progress import StepProgress

# Area of the pictures compared where no size is given, pixels.
USUAL_AREA = 640 * 480
# Borders that differ by no more than this, of 255, are padding.
PADDING = 12
SMALLEST_SIDE = 16
# EXIF: the directory of the camera, and its fields.
EXIF, FILM_MM, FOCAL_MM, PLANE_RESOLUTION, PLANE_UNIT, PLANE_WIDTH = 0x8769, 0xA405, 0x920A, 0xA20E, 0xA210, 0xA002
UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0}
FULL_FRAME_MM = 36.0
# Mean of the luminance table of the JPEG standard (ITU-T T.81, table K.1), and the lenses that recipes allow.
TABLE_MEAN, LENSES = 57.625, (8.0, 400.0)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph. pixels: (H, W, 3) uint8 sRGB, upright, without padding. None where the file does not say.

    whole: whether its pixels are those of the file, not shrunk.
    """

    name: str
    pixels: NDArray[np.uint8]
    lens_mm: float | None
    jpeg_quality: int | None
    whole: bool

    def shrunk(self, area: float) -> Photo:
        """Return the photograph with at most that many pixels."""
        pixels = shrink(self.pixels, area)
        return self if pixels is self.pixels else replace(self, pixels=pixels, whole=False)


def choose_photos(path: Path, most: int, seed: int) -> tuple[Path, list[str]]:
    """Return a folder and at most `most` of its images, chosen by the seed, in order.

    path: a folder, searched with its sub-folders, or a COCO file. Raises SynthError where there are none.
    """
    folder, files = image_files(path, "target")
    DATASET_IMAGES.check(len(files), str(path))
    if not files:
        hint = f"give a folder with images ({', '.join(IMAGES)})"
        raise SynthError("no photographs", code="images-missing", where=str(path), hint=hint)
    chosen = np.random.default_rng(seed).permutation(len(files))[:most]
    return folder, [files[i] for i in sorted(chosen)]


def read_photos(
    folder: Path, files: Sequence[str], area: float, problems: Problems, progress: StepProgress
) -> list[Photo]:
    """Read photographs, shrunk to at most `area` pixels; those that cannot be used are added to `problems`.

    Raises SynthError if none can be used.
    """
    found = []
    for file in files:
        try:
            found.append(read_photo(folder / file, file, area))
        except SynthError as error:
            problems.spoil("photographs that cannot be read", f"{short(file)}: {reason_of(error)}")
        progress.advance()
    if not found:
        what = "no photograph can be used"
        raise SynthError(what, code="images-unusable", where=str(folder), problems=problems.lines())
    return found


def read_photo(file: Path, name: str, area: float) -> Photo:
    """Read one photograph. Raises SynthError if it cannot be read, or is smaller than 16 pixels a side."""
    from PIL import ImageOps

    where = str(file)
    with open_image(file, where, "the photograph") as image:
        try:
            lens, quality = lens_of_exif(image), jpeg_quality(image)
            size, side = image.size, int(2 * np.sqrt(area))
            image.draft("RGB", (side, side))  # a JPEG of twice that size or more is decoded at a fraction of it
            drafted = image.size != size
            pixels = without_padding(np.array(ImageOps.exif_transpose(image).convert("RGB")))
        except Exception as error:  # decoders raise many types
            raise broken_image("the photograph", where, error) from error
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        height, width = pixels.shape[:2]
        raise SynthError(
            "the photograph is too small",
            code="image-unreadable",
            where=where,
            found=f"{width} x {height}",
            expected=f"at least {SMALLEST_SIDE} pixels a side without padding",
        )
    small = shrink(pixels, area)
    return Photo(name, small, lens, quality, whole=small is pixels and not drafted)


def read_header(file: Path) -> tuple[float | None, int | None]:
    """Return the focal length and the JPEG quality that an image file says. Raises SynthError if it cannot be read."""
    where = str(file)
    with open_image(file, where, "the image") as image:
        try:
            return lens_of_exif(image), jpeg_quality(image)
        except Exception as error:  # decoders raise many types
            raise broken_image("the image", where, error) from error


def lens_of_exif(image: Image) -> float | None:
    """Return the 35 mm equivalent focal length, mm; None if the EXIF data do not say or say something impossible.

    Without the equivalent it follows from the focal length and the sensor's width, which is that of the image over the
    stated pixels per unit.
    """
    data = image.getexif().get_ifd(EXIF)
    film = _number(data.get(FILM_MM))
    if film is None:
        focal, resolution, width = (_number(data.get(tag)) for tag in (FOCAL_MM, PLANE_RESOLUTION, PLANE_WIDTH))
        unit = UNIT_MM.get(data.get(PLANE_UNIT, 2))
        if focal is None or resolution is None or width is None or unit is None:
            return None
        film = focal * FULL_FRAME_MM / (width / resolution * unit)
    return film if LENSES[0] <= film <= LENSES[1] else None


def _number(value: object) -> float | None:
    """Return an EXIF number, None if it is not a positive one; a rational may have a denominator of 0."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) and number > 0 else None


def jpeg_quality(image: Image) -> int | None:
    """Return the quality of a JPEG on the scale of libjpeg, from the mean of its luminance table; None for others.

    Rounding and clipping aside, libjpeg multiplies the table of the standard by 50 / quality up to 50, and by
    2 - quality / 50 above.
    """
    table = getattr(image, "quantization", {}).get(0)
    if not table:
        return None
    scale = float(np.mean(table)) / TABLE_MEAN
    quality = 50 / scale if scale > 1 else 100 - 50 * scale
    return int(np.clip(round(quality), 1, 100))


def without_padding(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the part of an image (H, W, 3) inside of borders of one plain colour."""
    for axis in (0, 1):
        spread = (pixels.max(axis=1 - axis).astype(int) - pixels.min(axis=1 - axis)).max(axis=1)
        varied = np.flatnonzero(spread > PADDING)
        if not len(varied):
            return pixels[:0]
        first, last = int(varied[0]), int(varied[-1]) + 1
        pixels = pixels[first:last] if axis == 0 else pixels[:, first:last]
    return pixels


def shrink(pixels: NDArray[np.uint8], area: float) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) with at most `area` pixels; itself if it has about so many or fewer."""
    import cv2

    height, width = pixels.shape[:2]
    scale = np.sqrt(area / (height * width))
    if scale > 0.98:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def common_size(photos: Sequence[Photo]) -> tuple[int, int]:
    """Return the width and height of the pictures to render: the photographs' median shape and area, multiples of 8."""
    return common_size_of([photo.pixels for photo in photos])


def common_size_of(images: Sequence[NDArray[np.uint8]]) -> tuple[int, int]:
    """Return the median shape and area of images (H, W, 3) as width and height, multiples of 8."""
    sizes = np.array([image.shape[1::-1] for image in images], dtype=float)
    area, shape = np.exp(np.median(np.log(sizes.prod(axis=1)))), np.exp(np.median(np.log(sizes[:, 0] / sizes[:, 1])))
    width, height = (max(round(float(side) / 8) * 8, SMALLEST_SIDE) for side in np.sqrt([area * shape, area / shape]))
    return width, height
