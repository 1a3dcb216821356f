"""Fewer triangles where nobody can see the difference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A shadow map shows a product on 100 to 400 texels: more triangles than this cannot be told apart in it.
SHELL_FACES = 1200


def shadow_shell(
    vertices: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]] | None:
    """The shape alone in about SHELL_FACES triangles: (V, 3) float32 metres, (F, 3) int32; None where it has fewer."""
    if len(faces) <= 2 * SHELL_FACES:
        return None
    import fast_simplification

    points, index = np.unique(vertices, axis=0, return_inverse=True)
    merged = index.reshape(-1)[faces]
    solid = (merged != np.roll(merged, 1, axis=1)).all(axis=1)
    points, found = fast_simplification.simplify(points, merged[solid], target_count=SHELL_FACES)
    return points.astype(np.float32), found.astype(np.int32)
