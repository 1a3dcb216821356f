"""Conversion of materials and textures of mesh files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.color import linear_from_srgb
from assets.files.image_input import broken_image, check_format
from assets.limits import IMAGE_PIXELS, Budget
from assets.mesh.types import Material

# A texture with a longer side than this is shrunk to SHRUNK_TEXELS: no camera of ours resolves more.
MAX_TEXELS = 4096
SHRUNK_TEXELS = 2048
# Without a roughness in the file: between matt board and film.
DEFAULT_ROUGHNESS = 0.6
# Default colour.
GREY = np.array([0.5, 0.5, 0.5, 1.0])


def material_of(material: Any, notes: list[str], where: str, pixels: Budget) -> Material:
    """Convert a trimesh material: PBR as it is; the older kind without its shininess, which is meaningless."""
    if type(material).__name__ == "MultiMaterial":
        notes.append(f"a part with {len(material.materials)} materials: rendered with the first")
        material = material.materials[0]
    if _is_placeholder(material):
        return Material(GREY)
    physical = type(material).__name__ == "PBRMaterial"
    image = material.baseColorTexture if physical else getattr(material, "image", None)
    # Exporters write arbitrary diffuse colours, even black, beside a texture that should not be tinted.
    color = material.baseColorFactor if physical else (None if image is not None else material.diffuse)
    texture = None if image is None else texture_of(image, notes, where, pixels)
    return Material(
        base_color=_linear_color(color, physical),
        texture=texture,
        roughness=unit_number(getattr(material, "roughnessFactor", None), DEFAULT_ROUGHNESS),
        metallic=unit_number(getattr(material, "metallicFactor", None), 0.0),
        alpha_cutoff=cutoff_of(texture, notes),
    )


def _is_placeholder(material: Any) -> bool:
    """Return whether it is trimesh's placeholder of 2 x 2 grey pixels for texture coordinates without a material."""
    image = getattr(material, "image", None)
    if image is None or image.size != (2, 2) or image.mode != "RGBA" or image.format is not None:
        return False
    return bool((np.asarray(image) == [100, 100, 100, 255]).all())


def _linear_color(color: Any, physical: bool) -> NDArray[np.float64]:
    """Return RGBA as linear floats: a PBR factor is linear, an OBJ's diffuse colour is sRGB."""
    if color is None:
        return np.ones(4)
    values = np.asarray(color)
    values = values / 255.0 if values.dtype.kind in "ui" else values.astype(np.float64)
    values = np.concatenate([values, np.ones(4)])[:4] if len(values) == 3 else values[:4]
    values = unit_color(values)
    return values if physical else np.append(linear_from_srgb(values[:3]), values[3])


def unit_color(values: Any) -> NDArray[np.float64]:
    """Clip numbers of a file to 0..1; NaN becomes 1."""
    return np.clip(np.nan_to_num(np.asarray(values, np.float64), nan=1.0), 0, 1)


def unit_number(value: Any, default: float) -> float:
    """Clip a number of a file to 0..1; `default` if it is missing or not finite."""
    number = default if value is None else float(value)
    return float(np.clip(number, 0, 1)) if np.isfinite(number) else default


def texture_of(image: Any, notes: list[str], where: str, pixels: Budget) -> NDArray[np.uint8]:
    """Decode a Pillow image as (H, W, 4) uint8 sRGB + alpha, shrunk if it is huge. pixels: remaining budget.

    Raises SynthError if it is damaged or exceeds the budget.
    """
    from PIL import Image

    check_format(image, where, "a texture")  # trimesh opens textures with unusual names itself
    width, height = image.size
    IMAGE_PIXELS.check(width * height, where)
    pixels.take(width * height)
    try:
        if image.mode.startswith(("I", "F")):  # 16 or 32-bit grey, which Pillow would clip
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
    except Exception as error:  # decoders raise many types
        raise broken_image("a texture", where, error) from error


def cutoff_of(texture: NDArray[np.uint8] | None, notes: list[str]) -> float | None:
    """Return the alpha cutoff of a blended texture: 0.5 if any texel is more than half transparent, else None."""
    if texture is None or (texture[..., 3] >= 128).all():
        return None
    notes.append("transparent texture rendered as cut-out: holes where alpha is below 0.5")
    return 0.5
