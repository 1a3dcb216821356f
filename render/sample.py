"""Sampling of scenes: catalogue + recipe + seed in, SceneSpec out."""

from __future__ import annotations

import sys

from assets.library import Library
from render.assemble import assemble_scene
from render.choice import SceneProducts, scene_products
from render.layout import SceneLayout, SceneRequest
from render.recipes.mix import Recipe, RecipeMix, products_at, recipe_at
from render.scene import SceneSpec
from render.streams import STREAMS, Streams, salt_of

# Increased when earlier scenes can no longer be sampled: older data sets can then be neither extended nor sampled
# again. Other changes get a new version of the streams and of the recipes (render/streams.py,
# render/recipes/versions.py).
DRAWING = 2


def sample_scene(
    library: Library,
    recipe: Recipe,
    *,
    seed: int,
    index: int,
    view: int,
    width: int,
    height: int,
    products: SceneProducts | None = None,
    streams: int = STREAMS,
) -> SceneSpec:
    """Sample scene `index` of `seed`, seen by camera `view`: a function of its arguments and the library's content.

    products: the products that it shows; None takes them evenly from the whole catalogue. streams: version of the
    streams. Raises SynthError if a mesh of the scene cannot be loaded, ValueError for a negative seed, index or view.
    """
    if min(seed, index, view) < 0:
        raise ValueError(f"seed, index and view must not be negative, found {seed}, {index}, {view}")
    keys = library.catalog.keys
    if isinstance(recipe, RecipeMix):
        products = products or products_at(recipe, keys, seed, index)
        recipe = recipe_at(recipe, seed, index)
    products = products or scene_products(keys, recipe.product_count(), seed=seed, index=index)
    salt = None if streams == 1 else salt_of(library.catalog.hash)
    request = SceneRequest(library, products, Streams(seed, index, view, salt), width, height)
    # The module that defines the settings also defines lay_out, whether it is built in, installed or a user's file.
    layout: SceneLayout = sys.modules[type(recipe).__module__].lay_out(recipe, request)
    return assemble_scene(recipe, request, layout)
