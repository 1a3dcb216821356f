"""A catalogue of a box, a can and a tube, and scenes that recipes make of them."""

from __future__ import annotations

from render.recipes import load_recipe
from render.sample import sample_scene
from render.scene import SceneSpec
from support.scenes import StubLibrary, can, cube

LIBRARY = StubLibrary({"box": cube(0.12, "box"), "can": can(0.03, 0.11, "can"), "tube": can(0.02, 0.2, "tube")})


def draw(recipe: str, index: int, *, seed: int = 0, view: int = 0, width: int = 160, height: int = 120) -> SceneSpec:
    """A scene of the three products. recipe: a name, or the path of a file."""
    return sample_scene(LIBRARY, load_recipe(recipe), seed=seed, index=index, view=view, width=width, height=height)
