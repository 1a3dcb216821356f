"""Against real photographs: arrangements rebuilt from measured poses give the masks that others gave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.library import Library
from benchmarks.twin.measure import overlap
from benchmarks.twin.scenes import Arrangement, camera_from_object, read_arrangements
from benchmarks.twin.stage import build_scene, find_ground
from render.labels import annotate, trace_geometry
from render.scene import Camera, Environment, Placement, SceneSpec


@pytest.fixture(scope="module")
def library(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    cache = tmp_path_factory.mktemp("cache")
    return Library(load_catalog(shared_data / "hope/skus.csv"), Backdrops.open(), cache_dir=cache)


@pytest.fixture(scope="module")
def arrangements(shared_data: Path) -> list[Arrangement]:
    return read_arrangements(shared_data / "hope_real", "train")


def test_traced_masks_agree_with_those_of_the_photographs(library: Library, arrangements: list[Arrangement]) -> None:
    """In all four arrangements: mean overlap over 0.95 where nothing hides the product, boxes within 1 px (median)."""
    overlaps, offsets = [], []
    for arrangement in arrangements:
        scene = scene_seen_by_camera(library, arrangement)
        geometry = trace_geometry(scene, library)
        found = {annotation.instance: annotation for annotation in annotate(scene, geometry)}
        for instance, known in enumerate(arrangement.scanned, start=1):
            # The photograph also shows products without a scan, which hide others: what stands free is compared.
            if min(known.visibility, found[instance].visibility) > 0.9:
                overlaps.append(overlap(known.mask, found[instance].mask))
            offsets.append(np.abs(np.subtract(found[instance].amodal_box, known.amodal_box)).max())
    assert len(overlaps) >= 12
    assert np.mean(overlaps) > 0.95
    assert np.median(offsets) < 1


def scene_seen_by_camera(library: Library, arrangement: Arrangement) -> SceneSpec:
    """The arrangement with its camera as the world, nothing under it."""
    camera = Camera(arrangement.width, arrangement.height, arrangement.K, np.eye(4))
    placements = tuple(
        Placement("product", known.sku, camera_from_object(known, library.catalog)) for known in arrangement.scanned
    )
    return SceneSpec("test", 0, 0, 0, camera, placements, (), Environment("builtin/office"))


def test_the_ground_is_level_under_most_products_and_hides_none(
    library: Library, arrangements: list[Arrangement]
) -> None:
    for arrangement in arrangements[1:2]:
        ground = find_ground(library, arrangement)
        assert len(ground.supported) >= 0.6 * len(arrangement.scanned)
        environment = Environment("builtin/office")
        with_ground = build_scene(library, arrangement, 320, color=(0.5, 0.5, 0.5), environment=environment)
        products = len(arrangement.scanned)
        bare = SceneSpec("test", 0, 0, 0, with_ground.camera, with_ground.placements[:products], (), environment)
        areas = [
            np.bincount(trace_geometry(scene, library).ids.ravel(), minlength=products + 1)[1 : products + 1]
            for scene in (with_ground, bare)
        ]
        assert (areas[0] >= 0.98 * areas[1]).all()
        assert with_ground.camera.world_from_camera[2, 3] > 0.3
