"""A few small goldens: numbers that must never change in silence, since data sets are known by them.

Where one of these fails, old data sets can no longer be drawn again: make a new version of the streams
(render/streams.py), or raise DRAWING, and say so in the changelog.
"""

from __future__ import annotations

import pytest

from dataset.layout import split_of
from render.choice import choose_products
from render.labels import annotate, trace_geometry
from render.recipes import load_recipe
from render.sample import sample_scene
from render.streams import StreamPurpose, Streams, salt_of
from support.scenes import StubLibrary, camera_at, cube, pose_at, product, rle_of_mask, scene_of


def test_the_choice_of_products() -> None:
    chosen = [choose_products(10, (2, 4), seed=7, index=index) for index in range(3)]
    assert chosen == [(9, 0, 8, 6), (7, 1, 3), (4, 2, 5, 7)]


def test_the_streams() -> None:
    streams = Streams(7, 3, 1)
    assert streams.scene(StreamPurpose.LAYOUT).random() == pytest.approx(0.811659099, abs=1e-9)
    assert streams.scene(StreamPurpose.LIGHTS).random() == pytest.approx(0.131771659, abs=1e-9)
    assert streams.of_view(StreamPurpose.CAMERA).random() == pytest.approx(0.769468971, abs=1e-9)
    salted = Streams(7, 3, 1, salt_of("a list"))
    assert salted.scene(StreamPurpose.LAYOUT).random() == pytest.approx(0.166308232, abs=1e-9)
    assert salted.of_view(StreamPurpose.CAMERA).random() == pytest.approx(0.482585253, abs=1e-9)


def test_the_splits() -> None:
    names = [split_of(index, (("train", 0.8), ("val", 0.2))) for index in range(10)]
    assert [index for index, name in enumerate(names) if name == "val"] == [1, 9]


@pytest.mark.parametrize(
    ("recipe", "count", "camera", "first"),
    [
        ("tabletop", 16, (0.222467, 1.033185, 0.764508), (-0.180202, 0.102745, 0.06)),
        ("scatter", 20, (0.341751, 0.88951, 0.303279), (-0.099468, 0.4929, 0.340307)),
        ("checkout", 21, (0.000383, 0.003617, 1.20888), (0.0, 0.0, 0.0)),
        # Where physics lays its products differs between kinds of processors.
        ("bin", 25, (-0.030001, -0.313013, 1.300016), None),
    ],
)
def test_the_recipes(recipe: str, count: int, camera: tuple, first: tuple | None) -> None:
    library = StubLibrary({"box": cube(0.12, "box")})
    chosen = load_recipe(recipe, streams=1)
    scene = sample_scene(library, chosen, seed=7, index=3, view=0, width=64, height=48, streams=1)
    assert len(scene.placements) == count
    assert scene.camera.world_from_camera[:3, 3] == pytest.approx(camera, abs=1e-5)
    assert first is None or scene.placements[0].world_from_object[:3, 3] == pytest.approx(first, abs=1e-5)
    assert scene.sensor.seed == 634872769


def test_the_labels() -> None:
    camera = camera_at((0.6, -1.4, 0.9), (0, 0, 0.4), width=24, height=18, focal=16)
    scene = scene_of(camera, product("c"), product("c", pose_at(0.9, 0.8)))
    first, second = annotate(scene, trace_geometry(scene, StubLibrary({"c": cube(0.6, "c")})))
    assert rle_of_mask(first.mask)["counts"] == "U41a05K1N10010O00O1L]4"
    assert rle_of_mask(second.mask)["counts"] == "]:3<300000000J"
    assert (second.area, second.visibility, second.truncation) == (33, 1.0, 0.131579)
    assert second.amodal_box == (18, 6, 25, 12)
