"""Lights of one scene as shader inputs: suns and area lights in world axes, with a shadow map each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE
from render.backends.raster.environment import EnvironmentLight, sh_basis
from render.geometry import rotation_about_z
from render.scene import AreaLight, SceneSpec

# Compared with path tracing, 7 suns are no better than 5 (error 4.16 and 4.10 of 255), 3 are worse on products (6.96,
# 5 suns 6.67).
MAX_SUNS = 5
# Number of area lights with shadows, and of all area lights.
MAX_AREA_SHADOWS = 3
MAX_AREAS = 8
# Each light has a mask; four more make twelve: two for light on the ground, ambient occlusion, one unused.
MAX_LIGHTS = MAX_SUNS + MAX_AREA_SHADOWS
MAX_GROUNDS = 8
# Shadows of blockers further away than this are fully blurred, so the search ignores them (metres).
SHADOW_REACH = 0.30
WIDEST_SUN = np.radians(35.0)


@dataclass(frozen=True, eq=False)
class ShadowView:
    """Shadow map view of a light. lens: uv per metre (distant) or per tangent (near), near plane, far plane, 1 = near.

    size: tangent of the light's angular radius (distant) or its radius in metres (near), and the reach of its blur.
    """

    light_from_world: NDArray[np.float64]
    clip_from_world: NDArray[np.float64]
    lens: tuple[float, float, float, float]
    size: tuple[float, float]


@dataclass(frozen=True, eq=False)
class LightRig:
    """All lights of a scene.

    harmonics: (9, 3); ground, ground_sunlit: (3,) radiance; all include the gain. suns: rows of direction, irradiance,
    and sine and 1 - cosine of the radius. areas: poses (n, 4, 4), radiance and shadow slot (n, 4), half sizes (n, 2).
    """

    hdri_from_world: NDArray[np.float64]
    gain: NDArray[np.float64]
    harmonics: NDArray[np.float64]
    rest_weight: float
    ground: NDArray[np.float64]
    ground_sunlit: NDArray[np.float64]
    ground_share: float
    ground_heights: tuple[float, ...]
    ground_weight: NDArray[np.float64]
    sun_direction: NDArray[np.float64]
    sun_irradiance: NDArray[np.float64]
    sun_radius: NDArray[np.float64]
    area_pose: NDArray[np.float64]
    area_light: NDArray[np.float64]
    area_size: NDArray[np.float64]
    shadows: tuple[ShadowView, ...]


@dataclass(frozen=True, eq=False)
class Ball:
    """A sphere around the shadow casters, world frame, metres."""

    centre: NDArray[np.float64]
    radius: float


@dataclass(frozen=True, eq=False)
class Ground:
    """The level slabs that carry products. color: (3,) linear albedo. heights: of their tops, world Z, metres."""

    color: NDArray[np.float64]
    heights: tuple[float, ...]


def rig_lights(scene: SceneSpec, environment: EnvironmentLight, ball: Ball, ground: Ground | None) -> LightRig:
    """Prepare the scene's lights around `ball`. ground: the tables or floors under it, None if there are none."""
    gain = scene.environment.strength * np.asarray(scene.environment.tint, dtype=np.float64)
    world_from_hdri = rotation_about_z(scene.environment.rotation)
    suns = [sun for sun in environment.suns if ground is None or sun.direction[2] > -0.05]
    direction = np.array([world_from_hdri @ sun.direction for sun in suns]).reshape(-1, 3)
    irradiance = np.array([sun.irradiance * gain for sun in suns]).reshape(-1, 3)
    radius = np.array([min(sun.radius, WIDEST_SUN) for sun in suns])
    lights = sorted(scene.lights, key=lambda light: -_strength(light, ball))[:MAX_AREAS]
    shadows = [_sun_view(axis, wide, ball) for axis, wide in zip(direction, radius, strict=True)]
    shadows += [_area_view(light, ball) for light in lights[:MAX_AREA_SHADOWS]]
    harmonics = (environment.diffuse if ground is None else environment.diffuse_upper) * gain
    color = np.zeros(3) if ground is None else ground.color
    on_ground = np.maximum(direction[:, 2:], 0) * irradiance / np.pi
    weight = on_ground @ LUMINANCE
    slots = [len(suns) + k if k < MAX_AREA_SHADOWS else -1 for k in range(len(lights))]
    return LightRig(
        hdri_from_world=world_from_hdri.T,
        gain=gain,
        harmonics=harmonics,
        rest_weight=max(float(harmonics[0] @ LUMINANCE) * 0.2821, 1e-4),
        ground=color * _shade_on_ground(harmonics, lights, ball),
        ground_sunlit=color * on_ground.sum(axis=0),
        ground_share=0.0 if ground is None else 1.0,
        ground_heights=() if ground is None else ground.heights[:MAX_GROUNDS],
        ground_weight=np.concatenate([weight / max(weight.sum(), 1e-12), np.zeros(len(shadows) - len(suns))]),
        sun_direction=direction,
        sun_irradiance=irradiance,
        sun_radius=np.column_stack([np.sin(radius), 1 - np.cos(radius)]),
        area_pose=np.array([light.world_from_light for light in lights]).reshape(-1, 4, 4),
        area_light=np.array([[*light.radiance, slot] for light, slot in zip(lights, slots, strict=True)]).reshape(
            -1, 4
        ),
        area_size=np.array([[light.width / 2, light.height / 2] for light in lights]).reshape(-1, 2),
        shadows=tuple(shadows),
    )


def _strength(light: AreaLight, ball: Ball) -> float:
    """Return the luminance that the light adds to a surface at the ball's centre that faces it."""
    offset = ball.centre - light.world_from_light[:3, 3]
    distance = max(float(np.linalg.norm(offset)), 0.05)
    emission = max(float(offset @ light.world_from_light[:3, 2]) / distance, 0.0)
    return float(np.dot(light.radiance, LUMINANCE)) * light.width * light.height * emission / distance**2


def _shade_on_ground(upper: NDArray, lights: list[AreaLight], ball: Ball) -> NDArray[np.float64]:
    """Return the radiance (3,) of an empty white table under the ball's centre, without sunlight."""
    radiance = sh_basis(np.array([0.0, 0.0, 1.0])) @ upper
    for light in lights:
        offset = light.world_from_light[:3, 3] - ball.centre
        cosine = max(float(offset[2]) / max(float(np.linalg.norm(offset)), 0.05), 0.0)
        color = np.asarray(light.radiance) / max(float(np.dot(light.radiance, LUMINANCE)), 1e-12)
        radiance = radiance + color * (_strength(light, ball) * cosine / np.pi)
    return np.maximum(radiance, 0)


def _view_along(axis: NDArray, origin: NDArray) -> NDArray[np.float64]:
    """Return light_from_world (4, 4) of a light at `origin` that shines along its +Z = axis."""
    side = np.array([1.0, 0.0, 0.0]) if abs(axis[0]) < 0.8 else np.array([0.0, 1.0, 0.0])
    x = np.cross(side, axis)
    x /= np.linalg.norm(x)
    view = np.eye(4)
    view[:3, :3] = np.stack([x, np.cross(axis, x), axis])
    view[:3, 3] = -view[:3, :3] @ origin
    return view


def _sun_view(direction: NDArray, radius: float, ball: Ball) -> ShadowView:
    # Leave room for the blur around the map.
    half = ball.radius * 1.02 + 0.01
    view = _view_along(-direction, ball.centre + direction * half)
    clip = np.diag([1 / half, 1 / half, 1 / half, 1.0])
    clip[2, 3] = -1.0
    return ShadowView(view, clip @ view, (0.5 / half, 0.0, 2 * half, 0.0), (np.tan(radius), SHADOW_REACH))


def _area_view(light: AreaLight, ball: Ball) -> ShadowView:
    origin = light.world_from_light[:3, 3]
    offset = ball.centre - origin
    distance = float(np.linalg.norm(offset))
    inside = distance < ball.radius * 1.2
    axis = light.world_from_light[:3, 2] if inside else offset / distance
    tangent = 2.0 if inside else 1.02 * np.tan(np.arcsin(ball.radius / distance))
    near = 0.02 if inside else max(0.5 * (distance - ball.radius), 0.02)
    far = distance + ball.radius * 1.1 + 0.02
    view = _view_along(axis, origin)
    clip = np.zeros((4, 4))
    clip[0, 0] = clip[1, 1] = 1 / tangent
    clip[2, 2], clip[2, 3], clip[3, 2] = (far + near) / (far - near), -2 * far * near / (far - near), 1.0
    size = np.sqrt(light.width * light.height / np.pi)
    return ShadowView(view, clip @ view, (0.5 / tangent, near, far, 1.0), (size, SHADOW_REACH))
