"""SceneSpec: its checks and its round trip through JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.props.look import Fixture, Shape, Texture
from render.geometry import look_at
from render.marks import GapMark, LineMark, ShopMarks, TagMark
from render.optics.distortion import Distortion
from render.scene import AreaLight, Background, Camera, Environment, Finish, Placement, SceneSpec, Sensor
from support.errors import raises
from support.scenes import camera_at, pose_at, product, scene_of

numbers = st.floats(-1e6, 1e6)
colors = st.tuples(st.floats(0, 50), st.floats(0, 50), st.floats(0, 50))
poses = st.builds(
    lambda eye, roll: look_at(np.array(eye), np.array([9.0, 9, 9]), roll=roll),
    st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-5, 5)),
    st.floats(-4, 4),
)
textures = st.one_of(
    st.builds(
        Texture, kind=st.sampled_from(["checker", "wood"]), size_m=st.floats(0.01, 9), seed=st.integers(0, 2**31)
    ),
    st.builds(Texture, kind=st.just("image"), key=st.text(min_size=1)),
)
finishes = st.builds(Finish, roughness=st.none() | st.floats(0, 1), tint=colors, wear=st.sampled_from([0.0, 0.25, 1.0]))
placements = st.one_of(
    st.builds(Placement, st.just("product"), st.text(), poses, finishes),
    st.builds(Placement, st.just("prop"), st.text(), poses, finishes, st.just(Shape("box", 1, 2, 3)), textures),
    st.builds(
        Placement,
        st.just("prop"),
        st.text(),
        poses,
        finishes,
        fixture=st.builds(
            Fixture, st.text(), st.dictionaries(st.text(), st.text() | numbers).map(lambda d: tuple(d.items()))
        ),
    ),
)
corners = st.just(np.arange(12.0).reshape(4, 3))
marks = st.builds(
    ShopMarks,
    st.lists(st.builds(TagMark, st.integers(1, 9), st.text(), st.text()), max_size=2).map(tuple),
    st.lists(st.builds(GapMark, st.text(), st.text(), corners), max_size=2).map(tuple),
    st.lists(st.builds(LineMark, st.text(), corners), max_size=2).map(tuple),
    st.lists(st.text(), max_size=2).map(tuple),
)
scenes = st.builds(
    SceneSpec,
    recipe=st.text(),
    seed=st.integers(0, 2**63),
    index=st.integers(0, 2**31),
    view=st.integers(0, 9),
    camera=st.builds(
        lambda *fields: Camera(64, 48, camera_at((0, -1, 0)).K, *fields),
        poses,
        st.none() | st.builds(Distortion, k1=st.floats(-0.1, 0.1), p1=st.floats(-0.01, 0.01)),
        st.none() | st.tuples(*[st.floats(-0.05, 0.05)] * 3),
    ),
    placements=st.lists(placements, max_size=3).map(tuple),
    lights=st.lists(st.builds(AreaLight, poses, st.floats(0.1, 2), st.floats(0.1, 2), colors), max_size=2).map(tuple),
    environment=st.builds(Environment, st.text(), numbers, numbers, colors),
    background=st.builds(Background, kind=st.just("photo"), texture=textures, gain=numbers) | st.just(Background()),
    sensor=st.builds(
        Sensor,
        exposure_ev=numbers,
        white_balance=colors,
        seed=st.integers(0, 2**31),
        crosstalk=st.tuples(*[numbers] * 6),
    ),
    marks=st.none() | marks,
)


@given(scenes)
def test_a_scene_survives_json_to_the_bit(scene: SceneSpec) -> None:
    text = scene.to_json()
    again = SceneSpec.from_json(text)
    assert again.to_json() == text
    assert [p.fixture for p in again.placements] == [p.fixture for p in scene.placements]
    assert np.array_equal(again.camera.world_from_camera, scene.camera.world_from_camera)
    assert again.camera.distortion == scene.camera.distortion
    assert again.camera.rolling_shutter == scene.camera.rolling_shutter
    assert [type(p.finish) for p in again.placements] == [Finish] * len(scene.placements)


def damaged(**changes: object) -> str:
    data = json.loads(scene_of(camera_at((0, -1, 0)), product("a")).to_json())
    return json.dumps({**data, **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",  # nothing
        "[]",  # not an object
        damaged()[:-40],  # cut off
        damaged(version=99),  # from the future
        damaged(camera={"width": 3}),  # a part is missing
        damaged(sensor={**json.loads(damaged())["sensor"], "iso": 100}),  # an unknown field
        damaged(placements=[{"kind": "product"}]),  # a placement without a pose
        damaged(lights=3),  # wrong type
        damaged().replace("[1.0, 0.0, 0.0, 0.0]", "[2.0, 0.0, 0.0, 0.0]"),  # a pose that scales
    ],
)
def test_damaged_scenes_are_told_with_their_file(text: str) -> None:
    with raises("scene-invalid", "json-invalid", where=r"scenes/000001_0\.json"):
        SceneSpec.from_json(text, where="scenes/000001_0.json")


def test_arrays_are_read_only() -> None:
    placement = product("a", pose_at(1, 2, 3))
    with pytest.raises(ValueError, match="read-only"):
        placement.world_from_object[0, 3] = 9


def test_the_callers_array_stays_writable_and_apart() -> None:
    pose = pose_at()
    placement = product("a", pose)
    pose[0, 3] = 7
    assert placement.world_from_object[0, 3] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Camera(0, 5, np.eye(3), np.eye(4)), "at least 1x1"),
        (lambda: Camera(5, 5, np.diag([5.0, -5, 1]), np.eye(4)), "expected"),
        (lambda: Camera(5, 5, np.eye(3), np.diag([1.0, 1, -1, 1])), "rigid"),  # a mirror
        (lambda: product("a", np.full((4, 4), np.nan)), "rigid"),
        (lambda: Placement("prop", "a", np.eye(4)), "shape and texture, or a fixture"),
        (lambda: Placement("product", "a", np.eye(4), fixture=Fixture("file")), "a product has none"),
        (lambda: Background("photo"), "need a texture"),
        (lambda: Shape("box", 1, 0, 1), "over 0 m"),
    ],
)
def test_values_check_themselves(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_unknown_kinds_name_the_closest() -> None:
    with raises("unknown-name", hint="did you mean 'cylinder'"):
        Shape("cylindr", 1, 1, 1)  # type: ignore[arg-type]


def test_only_scenes_with_fixtures_are_of_version_2() -> None:
    """Scenes without any are the bytes that programs before fixtures wrote, and read."""
    plain = json.loads(scene_of(camera_at((0, -1, 0)), product("a")).to_json())
    assert plain["version"] == 1 and "fixture" not in plain["placements"][0]
    shelf = Placement("prop", "shelf", pose_at(), fixture=Fixture("file", (("key", "fixtures/bay.glb"), ("up", "z"))))
    scene = scene_of(camera_at((0, -1, 0)), product("a"), shelf)
    written = json.loads(scene.to_json())
    assert written["version"] == 2 and "fixture" not in written["placements"][0]
    assert written["placements"][1]["fixture"] == {"kind": "file", "settings": {"key": "fixtures/bay.glb", "up": "z"}}
    assert SceneSpec.from_json(scene.to_json()).placements[1].fixture == shelf.fixture


def test_a_spec_from_before_tone_and_crosstalk_reads_as_without_them() -> None:
    data = json.loads(scene_of(camera_at((0, -1, 0)), product("a"), sensor=Sensor(exposure_ev=0.5)).to_json())
    for name in ("crosstalk", "tone", "sharpen"):
        del data["sensor"][name]
    assert SceneSpec.from_json(json.dumps(data)).sensor == Sensor(exposure_ev=0.5)


def test_only_scenes_with_a_lens_or_a_raw_sensor_are_of_version_3() -> None:
    pinhole = camera_at((0, -1, 0))
    plain = json.loads(scene_of(pinhole).to_json())
    assert plain["version"] == 1 and set(plain["camera"]) == {"width", "height", "K", "world_from_camera"}
    for change in ({"distortion": Distortion(k1=-0.1)}, {"rolling_shutter": (0.01, 0.0, 0.0)}):
        written = json.loads(scene_of(replace(pinhole, **change)).to_json())  # type: ignore[arg-type]
        assert written["version"] == 3 and set(written["camera"]) == {*plain["camera"], *change}
    for fields in ({"red_scale": 0.001}, {"aperture_mm": 2.0, "focus_m": 0.7}, {"mosaic": True}):
        scene = scene_of(pinhole, sensor=Sensor(**fields))  # type: ignore[arg-type]
        written = json.loads(scene.to_json())
        assert written["version"] == 3 and set(written["sensor"]) == {*plain["sensor"], *fields}
        assert SceneSpec.from_json(scene.to_json()).sensor == scene.sensor
    for distortion in ({"model": "fish"}, {"k9": 1.0}, {"k1": "a"}, {"k1": -0.9}, [1]):
        with raises("scene-invalid", "camera-invalid", "unknown-name"):
            SceneSpec.from_json(json.dumps({**plain, "camera": {**plain["camera"], "distortion": distortion}}))
