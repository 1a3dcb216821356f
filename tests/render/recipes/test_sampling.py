"""What recipes share when they sample: fixtures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from assets.backdrops.collection import Backdrops
from render.recipes.sampling import fixture_placement, sample_fixture_key
from support.errors import raises
from support.scenes import pose_at


def test_fixtures_come_from_the_given_folders_and_are_missed_without_any(tmp_path: Path) -> None:
    with raises("fixture-missing", hint="--fixtures"):
        sample_fixture_key(Backdrops.open(), rng=np.random.default_rng(0))
    for name in ("bay.ply", "fridge.stl"):
        trimesh.creation.box((1, 1, 1)).export(tmp_path / name)
    backdrops = Backdrops.open(fixture_dir=tmp_path)
    keys = {sample_fixture_key(backdrops, rng=np.random.default_rng(seed)) for seed in range(20)}
    assert keys == {"fixtures/bay.ply", "fixtures/fridge.stl"}
    placement = fixture_placement("fixtures/bay.ply", pose_at(), up="y")
    assert placement.kind == "prop" and placement.fixture is not None
    assert dict(placement.fixture.settings) == {"key": "fixtures/bay.ply", "up": "y"}
