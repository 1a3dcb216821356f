"""Depth, normals and ids as small pictures: browsers show the high byte of 16 bits, which is black for most scenes."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import decode_pixels
from assets.files.json_input import parse_json
from dataset.store import StoredImage

LAYERS = ("depth", "normals", "ids")
# Depth and normals are shown at this side at most, pixels.
MAX_SIDE = 1024
QUALITY = 85
# Digits of numbers of a scene: a tenth of a millimetre in metres.
DIGITS = 5


def layer_rows(stored: StoredImage) -> list[Any]:
    """Return a data URL for each of LAYERS, 0 for what is not there or cannot be read; of depth its range in metres."""
    row: list[Any] = []
    for name in LAYERS:
        try:
            data = stored.read_beside(name)
            row.append(0 if data is None else _drawn(name, data, stored.where))
        except SynthError:
            # 'synth verify' reports files that are damaged.
            row.append(0)
    return row


def _drawn(name: str, data: bytes, where: str) -> list[Any] | int:
    import cv2

    values = decode_pixels(data, cv2.IMREAD_UNCHANGED, where, f"the {name}")
    if name == "normals":
        return [_url(_shrunk((values >> 8).astype(np.uint8)), ".jpg")] if values.ndim == 3 else 0
    if values.ndim != 2:
        return 0
    if name == "ids":
        return [_url(id_colors(values), ".png")]
    colors, near, far = depth_colors(values)
    return [_url(_shrunk(colors), ".jpg"), near, far]


def depth_colors(millimetres: NDArray[Any]) -> tuple[NDArray[np.uint8], float, float]:
    """Return (H, W, 3) BGR of depth (H, W), and the metres of both ends: near is red, far is blue, nothing is black."""
    import cv2

    there = millimetres > 0
    near, far = (float(np.percentile(millimetres[there], share)) if there.any() else 0.0 for share in (1, 99))
    nearness = 1 - np.clip((millimetres - near) / max(far - near, 1.0), 0, 1)
    colors = cv2.applyColorMap((nearness * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    colors[~there] = 0
    return colors, round(near / 1000, 3), round(far / 1000, 3)


def id_colors(ids: NDArray[Any]) -> NDArray[np.uint8]:
    """Return (H, W, 3) BGR of ids (H, W): a colour for each, black for none."""
    import cv2

    found, places = np.unique(ids, return_inverse=True)
    # Multiples of the golden ratio: neighbours are far apart on the circle of hues.
    hues = (found * 0.618034 % 1 * 180).astype(np.uint8)
    hsv = np.stack([hues, np.full_like(hues, 170), np.where(found > 0, 230, 0).astype(np.uint8)], axis=1)
    palette = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2BGR)[0]
    return np.asarray(palette[places.reshape(ids.shape)])


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    scale = MAX_SIDE / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _url(pixels: NDArray[np.uint8], suffix: str) -> str:
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == ".jpg" else []
    data = cv2.imencode(suffix, pixels, options)[1].tobytes()
    return f"data:image/{'jpeg' if suffix == '.jpg' else 'png'};base64,{base64.b64encode(data).decode()}"


def scene_text(stored: StoredImage) -> str | int:
    """Return the SceneSpec of a picture, numbers to DIGITS, deflated in base64; 0 where there is none to read."""
    import json

    try:
        data = stored.read_beside("scenes")
        if data is None:
            return 0
        scene = _rounded(parse_json(data, "the scene", stored.where))
    except SynthError:
        return 0
    text = json.dumps(scene, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(errors="replace"), 6)).decode()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return value
