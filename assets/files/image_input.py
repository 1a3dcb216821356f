"""Images from elsewhere: their kind is known by content and their pixels are within the limit before decoding.

Pillow and OpenCV open many more kinds than are wanted, some with the help of other programs (EPS starts Ghostscript),
and unpack whatever a header claims. Every image that a command reads passes through here; tests/test_gates.py holds
that. HDRIs have their own check (assets/backdrops/hdri_header.py).
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.errors import SynthError
from assets.limits import PICTURE_BYTES, PICTURE_PIXELS, Limit, read_file

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

# Pillow's names. A JPEG with further pictures behind the first (MPO, as phones write it) is a JPEG here.
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
# TGA has no mark of its own that could be looked for; it is common beside OBJ and COLLADA, and for textures alone.
TEXTURE_FORMATS = (*IMAGE_FORMATS, "TGA")
EXPECTED = "a JPEG, PNG, WebP, TIFF or BMP by its content, whatever its name"
AGAIN = "save it again as PNG or JPEG"
# What is met instead, told by name.
OTHERS = (
    (b"GIF8", 0, "a GIF"),
    (b"%!PS", 0, "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", 0, "an EPS file"),
    (b"%PDF", 0, "a PDF"),
    (b"8BPS", 0, "a Photoshop file"),
    (b"ftyphei", 4, "a HEIC, as iPhones write it"),
    (b"ftypmif1", 4, "a HEIC, as iPhones write it"),
    (b"ftypavif", 4, "an AVIF"),
    (b"\0\0\0\x0cjP", 0, "a JPEG 2000"),
    (b"<svg", 0, "an SVG"),
    (b"<", 0, "a text such as HTML or XML"),
    (b"", 0, "another kind of file, or a damaged header"),
)


def open_picture(
    source: Path | bytes,
    where: str,
    what: str,
    limit: Limit = PICTURE_PIXELS,
    formats: tuple[str, ...] = IMAGE_FORMATS,
) -> Image.Image:
    """A picture of which only the header was read: what it would unpack to is known and within the limit.

    what: "a texture" or alike. Raises SynthError for what is too large, no plain file or of no such format.
    """
    from PIL import Image

    data = read_file(source, PICTURE_BYTES, what, where) if isinstance(source, Path) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, lower limit; and what it thinks of EXIF data
            image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:  # twice as large as Pillow's own limit, 89 million pixels
        found, expected = str(error).split(" exceeds", maxsplit=1)[0], f"at most {limit.most:,} pixels"
        raise SynthError(
            f"too large: {limit.name}",
            code="limit-exceeded",
            where=where,
            found=found,
            expected=expected,
            hint=limit.hint or None,
        ) from error
    except Image.UnidentifiedImageError as error:
        found = _kind_of(data)
        raise SynthError(
            f"{what} cannot be read", code="image-unreadable", where=where, found=found, expected=EXPECTED, hint=AGAIN
        ) from error
    except Exception as error:  # decoders raise many kinds
        raise broken_picture(what, where, error) from error
    limit.check(image.width * image.height, where)
    return image


def decode_pixels(data: bytes, flags: int, where: str, what: str) -> NDArray[Any]:
    """(H, W) or (H, W, C) pixels as OpenCV decodes them, BGR. flags: of cv2.imdecode. Errors as `open_picture`."""
    import cv2
    import numpy as np

    open_picture(data, where, what).close()  # OpenCV reserves memory for whatever a header claims
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise broken_picture(what, where, error) from error
    if pixels is None:
        raise SynthError(
            f"{what} cannot be read", code="image-unreadable", where=where, found="damaged data", hint=AGAIN
        )
    return pixels


def check_format(image: Image.Image, where: str, what: str) -> None:
    """Raises SynthError for a picture that a library opened by itself and that has none of the formats of textures."""
    if image.format not in (*TEXTURE_FORMATS, "MPO", None):  # None: made in memory
        raise SynthError(
            f"{what} cannot be read",
            code="image-unreadable",
            where=where,
            found=str(image.format),
            expected=EXPECTED,
            hint=AGAIN,
        )


def broken_picture(what: str, where: str, error: Any) -> SynthError:
    """The error for a picture that its decoder gives up on."""
    found = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return SynthError(f"{what} cannot be read", code="image-unreadable", where=where, found=found, hint=AGAIN)


def reason_of(error: SynthError) -> str:
    """Why a picture cannot be read, in a line for lists whose headings say that it cannot."""
    parts = [error.found] if error.found and error.what.endswith("cannot be read") else [error.what, error.found]
    return "; ".join([": ".join(filter(None, parts)), *([f"expected {error.expected}"] if error.expected else [])])


def _kind_of(data: bytes) -> str:
    if not data:
        return "an empty file"
    return next(name for mark, at, name in OTHERS if data[at:].startswith(mark))
