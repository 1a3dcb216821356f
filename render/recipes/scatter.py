"""Classical domain randomization: products and distractors floating in front of any background, under any light.

After Tobin et al., "Domain randomization" (2017) and Tremblay et al., "Training deep networks with synthetic data"
(2018): no context, every orientation equally often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial.transform import Rotation

from assets.mesh.rest import Rest, upright_rest
from render.choice import Orientation
from render.framing import direction_of, intrinsics_from_lens
from render.geometry import clip_convex, convex_outline, look_at, project, signed_area, transform, unproject
from render.layout import PlacedProduct, SceneLayout, SceneRequest
from render.placement.arrangement import GAP, Arrangement
from render.recipes.parts import (
    Backgrounds,
    Finishes,
    FlyingCamera,
    FlyingDistractors,
    FlyingProducts,
    Lights,
    SceneRecipe,
)
from render.recipes.sampling import prop_placement, sample_distractor
from render.scene import Camera, Placement
from render.streams import StreamPurpose, Streams

TRIES = 20
# In version 1 of the streams the centres of products may lie this far outside the image, as a share of its size. Since
# version 2 they lie inside, and a key of the recipe limits how much of a product may be cut off.
OUTSIDE = 0.08
# Positions that are tried for one size before another size is sampled.
POSITION_TRIES = 50


class ScatterRecipe(SceneRecipe):
    """Ranges of the scatter recipe."""

    products: FlyingProducts = Field(default_factory=FlyingProducts, description="floating products")
    distractors: FlyingDistractors = Field(
        default_factory=FlyingDistractors, description="distractors among the products"
    )
    camera: FlyingCamera = Field(default_factory=FlyingCamera, description="pose and lens of the camera")
    lights: Lights = Field(
        default_factory=lambda: Lights(
            strength=(0.2, 1.5), area_count=(0, 4), area_share=(0.2, 3.0), area_kelvin=(2000, 12000)
        ),
        description="environment and area lights",
    )
    finish: Finishes = Field(
        default_factory=lambda: Finishes(roughness=(0.15, 0.95), tint=(0.85, 1.15)),
        description="surface of the products",
    )
    background: Backgrounds = Field(
        default_factory=lambda: Backgrounds(environment=2.0, photo=4.0, texture=3.0),
        description="background of the scene",
    )

    def product_count(self) -> tuple[int, int]:
        return self.products.count


SETTINGS = ScatterRecipe


def lay_out(recipe: ScatterRecipe, request: SceneRequest) -> SceneLayout:
    """Lay out a scene. Further views see the same objects from cameras near the first one."""
    first = _first_camera(recipe, request)
    products, props = _fly(recipe, request, first)
    middle = np.median([placed.world_from_object[:3, 3] for placed in products], axis=0)
    camera = first if request.streams.view == 0 else _further_camera(first, middle, request.streams)
    return SceneLayout(tuple(products), camera, tuple(props))


def _first_camera(recipe: ScatterRecipe, request: SceneRequest) -> Camera:
    """Return a camera one metre from the origin that looks at it."""
    rng, width, height = request.streams.scene(StreamPurpose.CAMERA), request.width, request.height
    towards = direction_of(rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(*recipe.camera.height_deg)))
    pose = look_at(towards, np.zeros(3), roll=np.radians(rng.uniform(*recipe.camera.roll_deg)))
    return Camera(width, height, intrinsics_from_lens(rng.uniform(*recipe.camera.lens_mm), width, height), pose)


def _further_camera(first: Camera, middle: NDArray, streams: Streams) -> Camera:
    rng = streams.of_view(StreamPurpose.CAMERA)
    away = first.world_from_camera[:3, 3] - middle
    turn = Rotation.from_rotvec(_unit(rng) * rng.uniform(0.2, 0.9)).as_matrix()
    pose = look_at(middle + turn @ away, middle, roll=rng.uniform(-np.pi, np.pi))
    return Camera(first.width, first.height, first.K, pose)


def _unit(rng: np.random.Generator) -> NDArray[np.float64]:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _fly(recipe: ScatterRecipe, request: SceneRequest, camera: Camera) -> tuple[list[PlacedProduct], list[Placement]]:
    library, streams, orientations = request.library, request.streams, request.orientations
    rng, looks = streams.scene(StreamPurpose.LAYOUT), streams.scene(StreamPurpose.PROPS)
    air = Arrangement()
    window = _Window(camera, OUTSIDE if streams.version == 1 else 0.0, recipe.products.max_truncation)
    products = []
    for number, sku in enumerate(request.skus):
        turned = _rotation_at(orientations[number], camera) if orientations else None
        pose = _free_pose(library.rest(sku), air, recipe.products.size, window, rng, turned)
        products.append(PlacedProduct(sku, pose))
    props = []
    low, high = recipe.distractors.count
    for number in range(looks.integers(low, high + 1)):
        shape, texture, finish = sample_distractor(recipe.distractors, rng=looks)
        body = upright_rest(library.prop(shape, texture))
        pose = _free_pose(body, air, recipe.distractors.size, replace(window, cut=1.0), rng)
        props.append(prop_placement(shape, texture, finish, pose, f"distractor-{number + 1}"))
    return products, props


def _rotation_at(orientation: Orientation, camera: Camera) -> NDArray[np.float64]:
    """Return a rotation (3, 3), world_from_object, uniform over all rotations in the camera's frame (Shoemake 1992)."""
    first, second, third = orientation
    near, far = np.sqrt(1 - first), np.sqrt(first)
    a, b = 2 * np.pi * second, 2 * np.pi * third
    turned = Rotation.from_quat([near * np.sin(a), near * np.cos(a), far * np.sin(b), far * np.cos(b)])
    return camera.world_from_camera[:3, :3] @ turned.as_matrix()


@dataclass(frozen=True, eq=False)
class _Window:
    """Limits of positions: centres in the image, widened by `outside` of its size; a share `cut` may be cut off."""

    camera: Camera
    outside: float
    cut: float


def _free_pose(
    shape: Rest,
    air: Arrangement,
    size: tuple[float, float],
    window: _Window,
    rng: np.random.Generator,
    turned: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return a collision-free pose, uniform in the window, at the depth that gives the sampled size in the image.

    The depth grows after every TRIES failures. turned: world_from_object (3, 3); None samples any orientation.
    """
    low, high = shape.hull_vertices.min(axis=0), shape.hull_vertices.max(axis=0)
    middle, longest = (low + high) / 2, float((high - low).max())
    camera = window.camera
    deeper = 1.0
    while True:
        for _ in range(TRIES):
            pose = np.eye(4)
            pose[:3, :3] = Rotation.random(random_state=rng).as_matrix() if turned is None else turned
            pixels = rng.uniform(*size) * min(camera.width, camera.height)
            depth = camera.K[0, 0] * longest / pixels * deeper
            fits = False
            for _ in range(POSITION_TRIES):  # all for this size; else large products would be rarer than small ones
                spot = rng.uniform(-window.outside, 1 + window.outside, size=2) * [camera.width, camera.height]
                pose[:3, 3] = unproject(camera, spot[None], np.array([depth]))[0] - pose[:3, :3] @ middle
                fits = window.cut >= 1 or cut_off(shape, pose, camera) <= window.cut
                if fits:
                    break
            if fits and air.distance(shape, pose) > GAP:
                air.add(shape, pose)
                return pose
        deeper *= 1.3


def cut_off(shape: Rest, pose: NDArray[np.float64], camera: Camera) -> float:
    """Return the share of the hull's outline outside the image; 1 where the hull reaches behind the camera."""
    pixels, depth = project(camera, transform(pose, shape.hull_vertices))
    if depth.min() <= 0:
        return 1.0
    if pixels.min() >= 0 and (pixels.max(axis=0) <= [camera.width, camera.height]).all():
        return 0.0
    outline = convex_outline(pixels)
    frame = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [float(camera.width), float(camera.height)]
    inside, whole = clip_convex(outline, frame), signed_area(outline)
    return 1 - min(signed_area(inside) / whole, 1.0) if whole > 0 and len(inside) > 2 else 1.0
