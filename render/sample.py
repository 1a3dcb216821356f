"""Catalogue + recipe + seed in, SceneSpec out: where all chance happens."""

from __future__ import annotations

from assets.library import Library
from render.choice import SceneProducts
from render.recipes import recipe_module
from render.recipes.mix import RecipeMix, products_at, recipe_at
from render.recipes.parts import Section
from render.scene import SceneSpec
from render.streams import STREAMS, Streams, salt_of

# Raised where scenes of before can no longer be drawn: older sets are then neither extended nor drawn again. What
# changes otherwise gets a new version of the streams and of recipes (render/streams.py, render/recipes/versions.py).
DRAWING = 2


def sample_scene(
    library: Library,
    recipe: Section,
    *,
    seed: int,
    index: int,
    view: int,
    width: int,
    height: int,
    hand: SceneProducts | None = None,
    streams: int = STREAMS,
) -> SceneSpec:
    """Scene `index` of `seed`, seen by camera `view`: a pure function of its arguments and the library's content.

    hand: the products it shows; None deals them from the whole catalogue. streams: version of the streams.
    Raises SynthError where a mesh of the scene cannot be loaded, ValueError for a negative seed, index or view.
    """
    if min(seed, index, view) < 0:
        raise ValueError(f"seed, index and view must not be negative, found {seed}, {index}, {view}")
    if isinstance(recipe, RecipeMix):
        hand = hand or products_at(recipe, library.catalog.keys, seed, index)
        recipe = recipe_at(recipe, seed, index)
    name = recipe.model_dump(include={"recipe"})["recipe"]
    salt = None if streams == 1 else salt_of(library.catalog.hash)
    spec: SceneSpec = recipe_module(name).lay_out(
        library, recipe, Streams(seed, index, view, salt), width, height, hand
    )
    return spec
