"""The 24 orientations: proper rotations, all different, with the named face to the shopper and steps clockwise."""

from __future__ import annotations

import numpy as np
import pytest

from assets.planogram.orientation import ORIENTATIONS, orientation_rotation, oriented_size
from support.errors import raises

# Outward directions of the faces of a product in its own frame.
FACES = {
    "front": (0, -1, 0),
    "back": (0, 1, 0),
    "left": (-1, 0, 0),
    "right": (1, 0, 0),
    "top": (0, 0, 1),
    "base": (0, 0, -1),
}
# Which face is turned down, by orientation; the order is that of the codes in PSA files.
DOWN = {
    **{"front": "base", "front_90": "right", "side": "base", "side_90": "front", "top": "front", "top_90": "right"},
    **{"back": "base", "back_90": "left", "right": "base", "right_90": "back", "base": "back", "base_90": "right"},
    **{"front_180": "top", "front_270": "left", "side_180": "top", "side_270": "back", "top_180": "back"},
    **{"top_270": "left", "back_180": "top", "back_270": "right", "right_180": "top", "right_270": "front"},
    **{"base_180": "front", "base_270": "left"},
}


def test_they_are_the_24_turns_of_a_box_in_the_order_of_psa() -> None:
    assert tuple(DOWN) == ORIENTATIONS
    rotations = [orientation_rotation(name) for name in ORIENTATIONS]
    assert len({rotation.tobytes() for rotation in rotations}) == 24
    for rotation in rotations:
        assert (rotation @ rotation.T == np.eye(3)).all() and np.linalg.det(rotation) == 1


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_named_face_looks_at_the_shopper_and_the_right_one_down(name: str) -> None:
    face = name.partition("_")[0].replace("side", "left")
    assert (orientation_rotation(name) @ FACES[face]).tolist() == [0, -1, 0]
    assert (orientation_rotation(name) @ FACES[DOWN[name]]).tolist() == [0, 0, -1]


@pytest.mark.parametrize("face", ["front", "back", "side", "right", "top", "base"])
def test_steps_turn_clockwise_as_the_shopper_sees_it(face: str) -> None:
    """What points up points right a step later: +Z becomes +X for a shopper at -Y."""
    names = [face, *(f"{face}_{degrees}" for degrees in (90, 180, 270))]
    for name, following in zip(names, [*names[1:], face], strict=True):
        up = orientation_rotation(name).T @ (0, 0, 1)
        assert (orientation_rotation(following) @ up).tolist() == [1, 0, 0]


def test_sizes_follow_the_turn() -> None:
    size = (0.2, 0.3, 0.05)
    assert oriented_size(size, "front") == size
    assert oriented_size(size, "front_90") == (0.3, 0.2, 0.05)
    assert oriented_size(size, "side") == (0.05, 0.3, 0.2)
    assert oriented_size(size, "top") == (0.2, 0.05, 0.3)


def test_an_unknown_one_names_the_closest() -> None:
    with raises("unknown-name", hint="front_90"):
        orientation_rotation("front90")
