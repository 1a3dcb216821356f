"""Folders of HDRIs and photographs, and packshots, with broken images in them."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import cache

import numpy as np
from hypothesis import strategies as st

from assets.backdrops.collection import Backdrops
from assets.catalog.types import Sku
from assets.errors import SynthError
from assets.packages.build import make_package
from support.fuzzing.files import Files, Sandbox, broken, changed_words, nothing_written


@cache
def good_images() -> Files:
    """One small image of each kind that is read."""
    import cv2
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (8, 16, 3)).astype(np.uint8)
    files: Files = {}
    for ending in ("png", "jpg", "webp"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, {"jpg": "JPEG"}.get(ending, ending))
        files[f"a.{ending}"] = buffer.getvalue()
    for ending in ("hdr", "exr"):
        files[f"a.{ending}"] = cv2.imencode(f".{ending}", pixels.astype(np.float32) / 255)[1].tobytes()
    return files


@st.composite
def images(draw: st.DrawFn) -> Files:
    """One broken image."""
    name = draw(st.sampled_from(sorted(good_images())))
    data = draw(st.one_of(broken(good_images()[name], changed_words), st.binary(max_size=60)))
    return {f"x/{name}": data}


def check_image_is_shown_or_told(files: Files, box: Sandbox) -> None:
    """HDRIs are finite light, photographs pixels, packshots on their package; anything else is told."""
    path = box.write(files)
    with nothing_written(box), suppress(SynthError):
        if path.suffix in (".hdr", ".exr"):
            backdrops = Backdrops.open(hdri_dir=path.parent)
            light = backdrops.hdri(path.name)
            assert np.isfinite(light).all() and (light >= 0).all() and light.shape[1] <= 1024
        else:
            backdrops = Backdrops.open(photo_dir=path.parent)
            assert backdrops.photo(path.name).shape[2] == 3
            size = {"width_m": 0.1, "height_m": 0.1, "depth_m": 0.1}
            make_package(Sku("a", "a", package="carton", packshot=path.name, **size), path.parent)
