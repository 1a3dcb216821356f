"""Materials and textures of mesh files in our terms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.color import linear_from_srgb
from assets.files.image_input import broken_picture, check_format
from assets.limits import PICTURE_PIXELS, Budget
from assets.mesh.types import Material

# A texture with longer sides than this is shrunk: no camera of ours sees more.
MAX_TEXELS = 4096
SHRUNK_TEXELS = 2048
# Where a file says nothing of gloss: matt board and film, between the two.
USUAL_ROUGHNESS = 0.6
# The colour of what has none.
GREY = np.array([0.5, 0.5, 0.5, 1.0])


def material_of(material: Any, notes: list[str], where: str, pixels: Budget) -> Material:
    """A trimesh material: PBR as it is; the older kind without its shininess, which means nothing."""
    if type(material).__name__ == "MultiMaterial":
        notes.append(f"a part of {len(material.materials)} materials: drawn with the first")
        material = material.materials[0]
    if _is_stand_in(material):
        return Material(GREY)
    physical = type(material).__name__ == "PBRMaterial"
    image = material.baseColorTexture if physical else getattr(material, "image", None)
    # Exporters write any diffuse colour, black as well, beside a texture that is meant as it is.
    color = material.baseColorFactor if physical else (None if image is not None else material.diffuse)
    texture = None if image is None else texture_of(image, notes, where, pixels)
    return Material(
        base_color=_linear_color(color, physical),
        texture=texture,
        roughness=unit_number(getattr(material, "roughnessFactor", None), USUAL_ROUGHNESS),
        metallic=unit_number(getattr(material, "metallicFactor", None), 0.0),
        alpha_cutoff=cutoff_of(texture, notes),
    )


def _is_stand_in(material: Any) -> bool:
    """Whether trimesh made it up, as a picture of 2 x 2 grey pixels, for texture coordinates without a material."""
    image = getattr(material, "image", None)
    if image is None or image.size != (2, 2) or image.mode != "RGBA" or image.format is not None:
        return False
    return bool((np.asarray(image) == [100, 100, 100, 255]).all())


def _linear_color(color: Any, physical: bool) -> NDArray[np.float64]:
    """RGBA as linear floats: a PBR factor is linear, an OBJ's diffuse colour sRGB."""
    if color is None:
        return np.ones(4)
    values = np.asarray(color)
    values = values / 255.0 if values.dtype.kind in "ui" else values.astype(np.float64)
    values = np.concatenate([values, np.ones(4)])[:4] if len(values) == 3 else values[:4]
    values = unit_color(values)
    return values if physical else np.append(linear_from_srgb(values[:3]), values[3])


def unit_color(values: Any) -> NDArray[np.float64]:
    """Numbers of a file held between 0 and 1; 1 where they are none."""
    return np.clip(np.nan_to_num(np.asarray(values, np.float64), nan=1.0), 0, 1)


def unit_number(value: Any, default: float) -> float:
    """A number of a file held between 0 and 1; `default` where there is none."""
    number = default if value is None else float(value)
    return float(np.clip(number, 0, 1)) if np.isfinite(number) else default


def texture_of(image: Any, notes: list[str], where: str, pixels: Budget) -> NDArray[np.uint8]:
    """A Pillow image as (H, W, 4) uint8 sRGB + alpha, shrunk if it is huge. pixels: what may still be unpacked.

    Raises SynthError where it is damaged or beyond what is unpacked at most.
    """
    from PIL import Image

    check_format(image, where, "a texture")  # trimesh opens those of ZAE archives and odd names by itself
    width, height = image.size
    PICTURE_PIXELS.check(width * height, where)
    pixels.take(width * height)
    try:
        if image.mode.startswith(("I", "F")):  # 16 or 32 bits of grey, which Pillow would clip
            grey: NDArray = np.asarray(image, dtype=np.float64)
            image = Image.fromarray(np.clip(grey / (257 if grey.max() > 255 else 1), 0, 255).astype(np.uint8))
        if image.mode not in ("L", "RGB", "RGBA"):
            image = image.convert("RGBA")
        if max(width, height) > MAX_TEXELS:
            scale = SHRUNK_TEXELS / max(width, height)
            size = (max(round(width * scale), 1), max(round(height * scale), 1))
            image = image.resize(size, Image.Resampling.BOX)
            notes.append(f"texture of {width} x {height} px shrunk to {size[0]} x {size[1]}")
        return np.asarray(image.convert("RGBA"), dtype=np.uint8)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many kinds
        raise broken_picture("a texture", where, error) from error


def cutoff_of(texture: NDArray[np.uint8] | None, notes: list[str]) -> float | None:
    """Where holes begin in a texture that may be blended: at one half, if any texel is more than half see-through."""
    if texture is None or (texture[..., 3] >= 128).all():
        return None
    notes.append("see-through texture drawn as cut-out: holes where alpha is under one half")
    return 0.5
