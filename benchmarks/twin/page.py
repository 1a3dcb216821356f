"""The page: photographs, twins and differences, with the tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.color import linear_from_srgb, srgb_from_linear
from assets.files.atomic import write_atomic
from benchmarks.twin.color import difference, lab_from_linear
from benchmarks.twin.geometry import MaskMatch
from benchmarks.twin.work import Work

# A difference (CIEDE2000) that is drawn as full red.
MAX_DIFFERENCE = 30.0
SHOWN_DRAWS = 5


def write_page(
    out: Path,
    works: list[Work],
    masks: Mapping[str, list[MaskMatch]],
    results: Mapping[str, Any],
    images: Mapping[str, Mapping[tuple[str, int], NDArray]],
    drawn: Mapping[str, list[NDArray[np.uint8]]],
) -> Path:
    """Writes OUT/index.html and its images, returns the page. images: linear, by backend, group, lighting."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    groups = []
    for work in works:
        group = work.arrangement.group
        rows = [_draw_row(out, work, lighting, images) for lighting in range(len(work.photos))]
        draws = [
            _save(out, f"{group}_draw{number}.jpg", image / 255)
            for number, image in enumerate(drawn.get(group, [])[:SHOWN_DRAWS])
        ]
        groups.append({"name": group, "split": work.split, "rows": rows, "masks": masks[group], "draws": draws})
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html.j2").render(groups=groups, **results)
    write_atomic(out / "index.html", page.encode())
    return out / "index.html"


def _draw_row(
    out: Path, work: Work, lighting: int, images: Mapping[str, Mapping[tuple[str, int], NDArray]]
) -> dict[str, Any]:
    group, photo = work.arrangement.group, work.photos[lighting].astype(np.float64)
    row: dict[str, Any] = {"lighting": lighting, "photo": _save(out, f"{group}_{lighting}_photo.jpg", photo)}
    row["twins"] = []
    for backend, found in images.items():
        twin = found[group, lighting]
        name = f"{group}_{lighting}_{backend}"
        pasted = np.where(work.shown[..., None] > 0, srgb_from_linear(twin), photo)
        errors = difference(lab_from_linear(twin), lab_from_linear(linear_from_srgb(photo)))
        row["twins"].append(
            {
                "backend": backend,
                "render": _save(out, f"{name}.jpg", srgb_from_linear(twin)),
                "pasted": _save(out, f"{name}_pasted.jpg", pasted),
                "difference": _save(out, f"{name}_difference.jpg", _heat(errors, work.shown > 0, photo)),
                "error": float(errors[work.shown > 0].mean()),
            }
        )
    return row


def _heat(errors: NDArray, inside: NDArray[np.bool_], photo: NDArray) -> NDArray[np.float64]:
    """Differences from white to red over a faded photograph."""
    share = np.clip(errors / MAX_DIFFERENCE, 0, 1)[..., None]
    color = np.array([1.0, 1.0, 1.0]) * (1 - share) + np.array([0.75, 0.0, 0.1]) * share
    faded = 0.25 * photo.mean(axis=-1, keepdims=True) + 0.1
    return np.where(inside[..., None], color, faded)


def _save(out: Path, name: str, image: NDArray) -> str:
    """Writes an image (H, W, 3), sRGB 0..1, under OUT/images; its address on the page."""
    import cv2

    pixels = (np.clip(image, 0, 1)[..., ::-1] * 255 + 0.5).astype(np.uint8)
    cv2.imwrite(str(out / "pictures" / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"images/{name}"
