"""Reading of untrusted images: format and pixel count are checked before decoding.

Pillow and OpenCV open many more formats than wanted, some with external programs (EPS starts Ghostscript), and allocate
whatever a header claims. Every image that a command reads passes through here, as tests/test_gates.py checks. HDRIs
have their own check (assets/backdrops/hdri_header.py).
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.errors import SynthError
from assets.limits import IMAGE_BYTES, IMAGE_PIXELS, read_file

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

# Pillow's names. A JPEG with further images after the first (MPO, as phones write it) is a JPEG here.
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
# TGA has no signature to check; it is only allowed for textures, where it is common beside OBJ and COLLADA.
TEXTURE_FORMATS = (*IMAGE_FORMATS, "TGA")
EXPECTED = "a JPEG, PNG, WebP, TIFF or BMP by its content, whatever its name"
RESAVE = "save it again as PNG or JPEG"
# Signature, offset and name of other kinds of files, for messages.
OTHER_KINDS = (
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


def open_image(source: Path | bytes, where: str, what: str, formats: tuple[str, ...] = IMAGE_FORMATS) -> Image.Image:
    """Open an image without decoding it, after checking that its pixel count is within PICTURE_PIXELS.

    what: a name for messages, such as "a texture". Raises SynthError if it is too large, not a regular file or not in
    one of the formats.
    """
    from PIL import Image

    data = read_file(source, IMAGE_BYTES, what, where) if isinstance(source, Path) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about Pillow's own, lower limit and EXIF data
            image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:  # more than twice Pillow's own limit of 89 million pixels
        found, expected = str(error).split(" exceeds", maxsplit=1)[0], f"at most {IMAGE_PIXELS.maximum:,} pixels"
        raise SynthError(
            f"too large: {IMAGE_PIXELS.name}",
            code="limit-exceeded",
            where=where,
            found=found,
            expected=expected,
            hint=IMAGE_PIXELS.hint or None,
        ) from error
    except Image.UnidentifiedImageError as error:
        found = _detect_kind(data)
        raise SynthError(
            f"{what} cannot be read", code="image-unreadable", where=where, found=found, expected=EXPECTED, hint=RESAVE
        ) from error
    except Exception as error:  # decoders raise many types
        raise broken_image(what, where, error) from error
    IMAGE_PIXELS.check(image.width * image.height, where)
    return image


def decode_pixels(data: bytes, flags: int, where: str, what: str) -> NDArray[Any]:
    """Decode (H, W) or (H, W, C) BGR pixels with OpenCV. flags: of cv2.imdecode. Raises as `open_image`."""
    import cv2
    import numpy as np

    open_image(data, where, what).close()  # OpenCV allocates whatever a header claims
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise broken_image(what, where, error) from error
    if pixels is None:
        raise SynthError(
            f"{what} cannot be read", code="image-unreadable", where=where, found="damaged data", hint=RESAVE
        )
    return pixels


def check_format(image: Image.Image, where: str, what: str) -> None:
    """Raise SynthError if an image that a library opened is not in one of TEXTURE_FORMATS."""
    if image.format not in (*TEXTURE_FORMATS, "MPO", None):  # None: made in memory
        raise SynthError(
            f"{what} cannot be read",
            code="image-unreadable",
            where=where,
            found=str(image.format),
            expected=EXPECTED,
            hint=RESAVE,
        )


def broken_image(what: str, where: str, error: Any) -> SynthError:
    """Return the error for an image that cannot be decoded."""
    found = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return SynthError(f"{what} cannot be read", code="image-unreadable", where=where, found=found, hint=RESAVE)


def reason_of(error: SynthError) -> str:
    """Return why an image cannot be read, as one line for a list under a heading that says so."""
    parts = [error.found] if error.found and error.what.endswith("cannot be read") else [error.what, error.found]
    return "; ".join([": ".join(filter(None, parts)), *([f"expected {error.expected}"] if error.expected else [])])


def _detect_kind(data: bytes) -> str:
    if not data:
        return "an empty file"
    return next(name for mark, at, name in OTHER_KINDS if data[at:].startswith(mark))
