"""Packages that lie on their backs, with their front facing up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assets.packages.packshots.art import PackageArt
from assets.packages.packshots.silhouette import profile_of
from assets.packages.shapes.plan import PackagePlan

# From the frame of a standing package (front to -Y, up +Z) to that of the same one lying: front up, its up to +Y.
FACE_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
# The inverse: what faces up turns to -Y.
FACE_FRONT = FACE_UP.T


def lying_plan(plan: PackagePlan) -> PackagePlan:
    """Return the plan of the same package standing, before it is laid down with FACE_UP.

    Its front is the image from above, or else the front's, since lists often use it that way.
    """
    width, depth, height = plan.size
    sides = plan.art.sides
    named = {"front": "top" if "top" in sides else "front", "back": "bottom" if "bottom" in sides else "back"}
    shown = {side: sides[name] for side, name in named.items() if name in sides}
    face = shown.get("front")
    profile = None if face is None else profile_of(face[..., 3] >= 128)
    return replace(plan, size=np.array([width, height, depth]), art=PackageArt(shown, plan.art.strip, profile, None))
