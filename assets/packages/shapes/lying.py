"""Packages that lie on their backs: what is seen as their front looks up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assets.packages.packshots.art import PackageArt
from assets.packages.packshots.silhouette import profile_of
from assets.packages.shapes.plan import PackagePlan

# From the frame of a standing package (front to -Y, its up +Z) to that of the same one lying: front up, its up to +Y.
FACE_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
# The way back: what looks up looks to -Y.
FACE_FRONT = FACE_UP.T


def lying_plan(plan: PackagePlan) -> PackagePlan:
    """The plan of the same package as it stands before it is laid down with FACE_UP.

    Its front is the picture from above; where there is none, the front's, which lists often mean by it.
    """
    width, depth, height = plan.size
    sides = plan.art.sides
    named = {"front": "top" if "top" in sides else "front", "back": "bottom" if "bottom" in sides else "back"}
    shown = {side: sides[name] for side, name in named.items() if name in sides}
    face = shown.get("front")
    profile = None if face is None else profile_of(face[..., 3] >= 128)
    return replace(plan, size=np.array([width, height, depth]), art=PackageArt(shown, plan.art.strip, profile, None))
