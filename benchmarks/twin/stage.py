"""What photographed products stand on, and a SceneSpec of the arrangement under any light.

The world is the support's: its top is z = 0, Z up, the origin under the middle of the products.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from assets.props.look import Color, Shape, Texture
from benchmarks.twin.scenes import Arrangement, camera_from_object
from render.geometry import transform
from render.labels import trace_geometry
from render.recipes.sampling import prop_placement
from render.scene import AreaLight, Camera, Environment, Finish, Placement, SceneSpec

# A product whose lowest point is this near to a plane stands on it (metres): scans and poses are good to some
# millimetres. Those that sink in a little (a sofa gives way) lower the plane.
NEAR, SUNK = 0.008, 0.02
# One that lies deeper than this is on another, lower support.
DEEP = 0.03
# Up is against the camera's y by at least this cosine: nobody photographs groceries from below.
MIN_UP = 0.2
# Metres of support beyond what stands on it, widest first; on each side the first that hides no product is taken.
MARGINS = (0.35, 0.15, 0.05, 0.0)
MAX_HIDDEN, PROBE_WIDTH = 0.02, 240


@dataclass(frozen=True, eq=False)
class Ground:
    """A plane that things stand on. up: (3,) unit, camera frame; height: of the plane along up; supported: products."""

    up: NDArray[np.float64]
    height: float
    supported: tuple[int, ...]


def find_ground(library: Library, arrangement: Arrangement) -> Ground:
    """The plane of a stable pose of one product on which most others stand as well."""
    hulls, ups = [], []
    for product in arrangement.scanned:
        pose, rest = camera_from_object(product, library.catalog), library.rest(product.sku)
        hulls.append(transform(pose, rest.hull_vertices))
        ups += [up for up in rest.rotations[:, 2] @ pose[:3, :3].T if up[1] < -MIN_UP]
    ranked = [_stand(up, float((hull @ up).min()), hulls) for up in ups for hull in hulls]
    return max(ranked, key=lambda found: found[0])[1]


def _stand(up: NDArray, height: float, hulls: list[NDArray]) -> tuple[float, Ground]:
    """How well a plane holds the hulls, and the plane, lowered so that none of those on it is cut."""
    low = np.array([(hull @ up).min() for hull in hulls]) - height
    on = np.flatnonzero(np.abs(low) < SUNK)
    support = (np.abs(low) < NEAR).sum() - 0.25 * (low < -DEEP).sum()
    return float(support), Ground(up, height + float(min(low[on].min(), 0.0)), tuple(on.tolist()))


def build_scene(
    library: Library, arrangement: Arrangement, width: int, *, color: Color, environment: Environment
) -> SceneSpec:
    """The arrangement's scanned products on slabs of a colour (sRGB), `width` pixels wide; no area lights."""
    ground = find_ground(library, arrangement)
    camera = _camera(arrangement, ground, library, width)
    world_from_camera = camera.world_from_camera
    products = tuple(
        Placement("product", item.sku, world_from_camera @ camera_from_object(item, library.catalog))
        for item in arrangement.scanned
    )
    scene = SceneSpec("twin", 0, 0, 0, camera, products, (), environment)
    hulls = [transform(item.world_from_object, library.rest(item.key).hull_vertices) for item in products]
    texture = Texture("solid", colors=(color, color))
    low = [float(hull[:, 2].min()) for hull in hulls]
    lower = [number for number, height in enumerate(low) if height < -DEEP]
    for on in (list(ground.supported), lower):
        if on:
            scene = _add_slab(scene, library, [hulls[number] for number in on], texture)
    return scene


def _camera(arrangement: Arrangement, ground: Ground, library: Library, width: int) -> Camera:
    """The photograph's camera at `width` pixels, in the ground's frame, whose x is as level as the camera's."""
    side = np.array([1.0, 0.0, 0.0]) - ground.up[0] * ground.up
    side /= np.linalg.norm(side)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = np.stack([side, np.cross(ground.up, side), ground.up])
    places = [camera_from_object(item, library.catalog)[:3, 3] for item in arrangement.scanned]
    middle = world_from_camera[:3, :3] @ np.mean(places, axis=0)
    world_from_camera[:3, 3] = [-middle[0], -middle[1], -ground.height]
    scale = width / arrangement.width
    K = arrangement.K * np.array([[scale], [scale], [1.0]])
    return Camera(width, round(arrangement.height * scale), K, world_from_camera)


def _add_slab(scene: SceneSpec, library: Library, hulls: list[NDArray], texture: Texture) -> SceneSpec:
    """The scene with a slab under the hulls, on each side as wide as it can be without hiding a product."""
    points = np.concatenate(hulls)
    low, high = points.min(axis=0), points.max(axis=0)
    before = _areas(scene, library)
    best = scene
    for side in range(4):
        start = np.concatenate([low[:2], high[:2]])
        for margin in MARGINS:
            edges = start + margin * (np.arange(4) == side) * [-1, -1, 1, 1]
            wider = replace(scene, placements=(*scene.placements, _slab(edges, low[2], texture)))
            if (_areas(wider, library) >= (1 - MAX_HIDDEN) * before).all():
                best, low, high = wider, np.append(edges[:2], low[2]), np.append(edges[2:], high[2])
                break
    return best


def _slab(edges: NDArray, top: float, texture: Texture) -> Placement:
    """A slab between x0, y0, x1, y1 whose top is at z = `top`."""
    pose = np.eye(4)
    pose[:3, 3] = [*(edges[:2] + edges[2:]) / 2, top]
    shape = Shape("slab", float(edges[2] - edges[0]), float(edges[3] - edges[1]), 0.02)
    return prop_placement(shape, texture, Finish(roughness=0.9), pose, "ground")


def _areas(scene: SceneSpec, library: Library) -> NDArray[np.int64]:
    """Visible pixels of each product in a small image."""
    count = sum(placement.kind == "product" for placement in scene.placements)
    ids = trace_geometry(resized(scene, PROBE_WIDTH), library).ids
    return np.bincount(ids.ravel(), minlength=count + 1)[1 : count + 1]


def resized(scene: SceneSpec, width: int) -> SceneSpec:
    """The same view, `width` pixels wide."""
    scale = width / scene.camera.width
    K = scene.camera.K * np.array([[scale], [scale], [1.0]])
    height = round(scene.camera.height * scale)
    return replace(scene, camera=Camera(width, height, K, scene.camera.world_from_camera))


def area_light(direction: NDArray, distance: float, size: float, color: Color) -> AreaLight:
    """A square lamp in a direction (3,) from the origin that shines on it."""
    from render.geometry import look_at

    pose = look_at(direction / np.linalg.norm(direction) * distance, np.zeros(3))
    return AreaLight(pose, size, size, color)


def with_ground_color(scene: SceneSpec, color: Color) -> SceneSpec:
    """The same scene on slabs of another colour, sRGB."""
    texture = Texture("solid", colors=(color, color))
    placements = tuple(
        replace(placement, texture=texture) if placement.kind == "prop" else placement for placement in scene.placements
    )
    return replace(scene, placements=placements)
