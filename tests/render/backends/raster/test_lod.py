"""Closed surfaces are told from open ones: only of them may back faces be left out."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from render.backends.raster.lod import SHELL_FACES, level_for, open_area, shadow_shell

Surface = tuple[NDArray[np.float32], NDArray[np.int32]]


def surface(form: trimesh.Trimesh) -> Surface:
    return form.vertices.astype(np.float32), form.faces.astype(np.int32)


def cube(side: float = 1.0) -> trimesh.Trimesh:
    return trimesh.creation.box((side, side, side))


def without_sharing(form: trimesh.Trimesh) -> Surface:
    """Every face with corners of its own, as flat shading wants it."""
    return form.triangles.reshape(-1, 3).astype(np.float32), np.arange(3 * len(form.faces), dtype=np.int32).reshape(
        -1, 3
    )


def turned_inside_out(form: trimesh.Trimesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(form.vertices, form.faces[:, ::-1], process=False)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (surface(cube()), 0.0),
        (without_sharing(cube()), 0.0),
        (surface(trimesh.creation.cylinder(0.3, 1.0)), 0.0),
        # Half a side of a unit cube is missing; the squared diagonal is 3.
        ((surface(cube())[0], surface(cube())[1][1:]), 0.5 / 3),
        (surface(turned_inside_out(cube())), np.inf),
        # A second piece that looks inwards, beside the first.
        (
            surface(trimesh.util.concatenate([cube(), turned_inside_out(cube(0.5).apply_translation([2, 0, 0]))])),
            np.inf,
        ),
        # A single triangle has two sides to be seen.
        ((np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32)), np.inf),
        ((np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32)), np.inf),
    ],
    ids=[
        "cube",
        "corners apart",
        "cylinder",
        "half a side gone",
        "inside out",
        "one piece inside out",
        "flat",
        "point",
    ],
)
def test_holes_are_measured(shape: Surface, area: float) -> None:
    assert open_area(*shape) == pytest.approx(area, abs=1e-6)


def test_a_seam_that_rounding_opened_is_no_hole() -> None:
    vertices, faces = without_sharing(trimesh.creation.icosphere(2))
    noise = np.random.default_rng(0).uniform(-1e-8, 1e-8, vertices.shape)
    assert open_area((vertices + noise).astype(np.float32), faces) == 0


def test_a_shell_keeps_the_shape_in_fewer_faces() -> None:
    vertices, faces = surface(trimesh.creation.icosphere(5))
    shell = shadow_shell(vertices, faces)
    assert shell is not None and abs(len(shell[1]) - SHELL_FACES) < 20
    assert np.linalg.norm(shell[0], axis=1) == pytest.approx(1, abs=0.02)
    assert open_area(*shell) == pytest.approx(0, abs=1e-6)
    assert shadow_shell(*surface(cube())) is None


@pytest.mark.parametrize(
    ("diagonal", "level"),
    [(20, 2), (44, 2), (45, 1), (89, 1), (90, 0), (1000, 0), (np.inf, 0)],
)
def test_the_lightest_level_that_an_image_cannot_tell_is_drawn(diagonal: float, level: int) -> None:
    # Half a face for each square pixel of the diagonal's square: 1000 last for 44.7 pixels, 4000 for 89.4.
    assert level_for([18000, 4000, 1000], diagonal) == level
    assert level_for([18000], diagonal) == 0
