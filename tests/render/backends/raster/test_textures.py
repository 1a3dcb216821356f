"""Images made ready for minification: colours spread into what no triangle shows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from render.backends.raster.textures import spread_colors

masks = st.tuples(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 1000))


@settings(deadline=None)
@given(masks)
def test_what_is_not_used_takes_the_colour_of_a_used_texel_that_is_nearest(mask: tuple[int, int, float, int]) -> None:
    height, width, share, seed = mask
    rng = np.random.default_rng(seed)
    used = rng.random((height, width)) < share
    rows, columns = np.mgrid[:height, :width]
    # Red and green say where a colour comes from.
    image = np.stack([rows, columns, 0 * rows, rng.integers(0, 256, used.shape)], axis=-1).astype(np.uint8)
    spread = spread_colors(image, used)
    np.testing.assert_array_equal(spread[..., 3], image[..., 3])
    np.testing.assert_array_equal(spread[used], image[used])
    if not used.any():
        np.testing.assert_array_equal(spread, image)
        return
    source = spread[..., :2].astype(int)
    assert used[source[..., 0], source[..., 1]].all()
    far = np.hypot(source[..., 0] - rows, source[..., 1] - columns)
    nearest = np.hypot(rows[..., None] - np.nonzero(used)[0], columns[..., None] - np.nonzero(used)[1]).min(axis=-1)
    # Distances are summed in steps to neighbours: up to a tenth off.
    assert (far <= 1.15 * nearest + 1e-9).all()
