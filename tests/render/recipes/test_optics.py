"""Optics of recipes: off by default down to the hash, within their ranges when on, one draw never moving another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from render.geometry import image_rays, project, unproject
from render.optics.distortion import Distortion
from render.recipes import load_recipe, recipe_from_yaml, recipe_hash, recipe_yaml
from render.recipes.cameras import CAMERAS
from render.recipes.optics import k1_of_shift, sample_optics
from render.recipes.parts import Optics, SceneRecipe
from render.scene import Sensor
from support.errors import raises
from support.scenes import camera_at, draw, pose_at, product

CAMERA = camera_at((0, -2, 0.5), (0, 0, 0.5), width=160, height=120, focal=110, offset=(3, 0))
PRODUCTS = (product("a"), product("b", pose_at(y=1)), product("c", pose_at(y=4)))


def optics_of(text: str) -> Optics:
    recipe = recipe_from_yaml(f"recipe: tabletop\noptics: {text}", where="here")
    assert isinstance(recipe, SceneRecipe)
    return recipe.optics


def test_recipes_keep_the_hashes_from_before_there_were_optics() -> None:
    assert recipe_hash(load_recipe("tabletop"))[:12] == "3787ca6140a9"
    assert recipe_hash(load_recipe((("tabletop", 1.0), ("scatter", 2.0))))[:12] == "e22778e99328"
    changed = recipe_from_yaml("recipe: tabletop\noptics: {chromatic: 0.001}", where="here")
    assert recipe_hash(changed) != recipe_hash(load_recipe("tabletop"))
    assert recipe_from_yaml(recipe_yaml(changed), where="shown") == changed


def test_optics_that_are_off_change_no_camera_and_no_sensor() -> None:
    sensor = Sensor(tone=1.2)
    for camera in (CAMERA, replace(CAMERA, distortion=Distortion(k1=-0.1))):  # a recipe's own lens stays
        found = sample_optics(Optics(), camera, sensor, PRODUCTS, rng=np.random.default_rng(0))
        assert found == (camera, sensor)


@pytest.mark.parametrize("name", CAMERAS)
def test_a_preset_gives_working_cameras_at_all_its_focal_lengths(name: str) -> None:
    optics = optics_of(name)
    assert optics == Optics(**CAMERAS[name].optics)  # type: ignore[arg-type]
    for index, lens_mm in enumerate((*CAMERAS[name].lens_mm,) * 4):
        width, height = ((160, 120), (160, 90), (120, 160), (160, 160))[index % 4]
        K = np.array([[lens_mm / 36 * 160, 0, width / 2], [0, lens_mm / 36 * 160, height / 2], [0, 0, 1]])
        camera = replace(CAMERA, width=width, height=height, K=K)
        camera, sensor = sample_optics(optics, camera, Sensor(), PRODUCTS, rng=np.random.default_rng(index))
        assert np.isfinite(image_rays(camera)).all()
        assert not camera.is_pinhole and sensor.mosaic == (name != "phone")
        assert optics.aperture_mm[0] <= sensor.aperture_mm <= optics.aperture_mm[1]
        assert 0.9 * 3 <= sensor.focus_m <= 1.1 * 3  # of the three products, 2, 3 and 6 m away


def test_turning_one_on_moves_no_other() -> None:
    def sampled(**fields: object) -> tuple:
        optics = Optics(chromatic=0.001, rolling_deg=(0.5, 1.0), **fields)  # type: ignore[arg-type]
        camera, sensor = sample_optics(optics, CAMERA, Sensor(), PRODUCTS, rng=np.random.default_rng(3))
        return camera.rolling_shutter, sensor.red_scale, sensor.blue_scale

    assert len({sampled(), sampled(distortion=(-0.2, 0.1)), sampled(fisheye=1.0, mosaic=1.0, aperture_mm=3.0)}) == 1


@pytest.mark.parametrize("shift", [-0.2, -0.02, 0.1])
def test_the_corner_moves_by_the_stated_share(shift: float) -> None:
    camera = replace(CAMERA, distortion=Distortion(k1=k1_of_shift(shift, CAMERA)))
    corner = np.zeros((1, 2))  # the farthest from the principal point, which lies right of the middle
    pinhole, _ = project(CAMERA, unproject(camera, corner, np.ones(1)))
    distances = [np.linalg.norm(pixel - CAMERA.K[:2, 2]) for pixel in (corner, pinhole)]
    assert distances[0] / distances[1] - 1 == pytest.approx(shift)


def test_scenes_with_and_without_optics_are_the_same_but_for_them(tmp_path: Path) -> None:
    path = tmp_path / "phone.yaml"
    path.write_text("recipe: tabletop\noptics: phone\n")
    with_optics, without = draw(str(path), 3), draw("tabletop", 3)
    assert with_optics.camera.distortion is not None and with_optics.sensor.aperture_mm > 0
    assert with_optics.to_json() != without.to_json()
    neutral = replace(with_optics.sensor, red_scale=0.0, blue_scale=0.0, aperture_mm=0.0, focus_m=1.0, mosaic=False)
    camera = replace(with_optics.camera, distortion=None, rolling_shutter=None)
    assert replace(with_optics, camera=camera, sensor=neutral).to_json() == without.to_json()
    assert draw(str(path), 3).to_json() == with_optics.to_json()


def test_unknown_presets_and_too_wide_fisheyes_are_refused(tmp_path: Path) -> None:
    with raises("recipe-invalid", problems="optics: .*ceiling, phone"):
        optics_of("phon")
    path = tmp_path / "wide.yaml"
    path.write_text("recipe: tabletop\noptics: {fisheye: 1}\ncamera: {lens_mm: 12}\n")
    with raises("camera-invalid", found="75 degrees"):
        draw(str(path), 0)
