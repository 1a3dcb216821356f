"""What is stored of each image beside image, labels and scene, where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from assets.errors import SynthError
from dataset.layout import SHOP

if TYPE_CHECKING:
    import numpy as np

    from assets.library import Library
    from render.frame import Annotation, Geometry
    from render.recipes.mix import Recipe
    from render.scene import SceneSpec


def check_extras(extras: Sequence[str], recipe: Recipe) -> None:
    """Raise SynthError for labels of shops where no scene of the recipe can have any."""
    from render.recipes import RECIPES, recipe_module
    from render.recipes.mix import RecipeMix

    parts = [part.of for part in recipe.parts] if isinstance(recipe, RecipeMix) else [recipe]
    if SHOP not in extras or any(part.has_marks for part in parts):
        return
    known = [name for name in RECIPES if recipe_module(name).SETTINGS.has_marks]
    raise SynthError(
        "the recipe has no price tags, gaps or shelf lines to label",
        code="shop-labels-missing",
        found=", ".join(part.recipe for part in parts),
        expected=f"one of the recipes {', '.join(known)}",
        hint="give another --recipe, or leave out --shop",
    )


def depth_png(_scene: SceneSpec, _library: Library, geometry: Geometry, *_: object) -> bytes:
    """Return a 16-bit PNG: depth along the optical axis in millimetres, 0 = nothing, 65535 = that or farther."""
    import numpy as np

    millimetres = np.where(np.isfinite(geometry.depth), geometry.depth * 1000.0, 0.0)
    return _encode_png((np.clip(millimetres, 0, 65535) + 0.5).astype(np.uint16))


def normals_png(scene: SceneSpec, library: Library, geometry: Geometry, *_: object) -> bytes:
    """Return a 16-bit RGB PNG: (n + 1) / 2 * 65535 per axis of the camera frame, 0 0 0 = nothing."""
    import numpy as np

    from render.labels import trace_normals

    coded = ((trace_normals(scene, library, geometry) + 1) / 2 * 65535 + 0.5).astype(np.uint16)
    coded[geometry.ids == 0] = 0
    return _encode_png(coded[..., ::-1])


def ids_png(_scene: SceneSpec, _library: Library, geometry: Geometry, *_: object) -> bytes:
    """Return a 16-bit PNG: 0 = background, k = the scene's placement k - 1."""
    import numpy as np

    return _encode_png(geometry.ids.astype(np.uint16))


def shop_json(scene: SceneSpec, library: Library, geometry: Geometry, annotations: Sequence[Annotation]) -> bytes:
    """Return the labels beyond products: price tags, gaps, shelf lines and where each annotated product belongs."""
    from render.coco import shop_records
    from render.shop.labels import label_shop

    records = shop_records(label_shop(scene, geometry, annotations, library), scene.camera)
    return json.dumps(records.content(), allow_nan=False, separators=(",", ":")).encode()


# By the name of their folder: a function of a scene, its library, traced geometry and annotations.
EXTRAS: dict[str, Callable[[SceneSpec, Library, Geometry, Sequence[Annotation]], bytes]] = {
    "depth": depth_png,
    "normals": normals_png,
    "ids": ids_png,
    SHOP: shop_json,
}


def _encode_png(pixels: np.ndarray) -> bytes:
    import cv2

    encoded, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not encoded:
        raise SynthError(
            "a PNG could not be encoded", code="image-encoding-failed", found=f"{pixels.shape} {pixels.dtype}"
        )
    return data.tobytes()
