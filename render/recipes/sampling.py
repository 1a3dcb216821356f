"""Sampling of the parts that recipes share: lights, finishes, backgrounds, props, sensor."""

from __future__ import annotations

import numpy as np

from assets.backdrops.collection import Backdrops
from assets.errors import SynthError
from assets.mesh.types import Mesh
from assets.props.decoys import decoy_shape
from assets.props.look import Color, Fixture, ProductChange, ProductMaterial, Shape, ShapeKind, Texture, TextureKind
from render.geometry import look_at
from render.layout import LightWish
from render.light_color import relative_rgb
from render.recipes.parts import Backgrounds, Distractors, Finishes, Lights, SensorRanges
from render.scene import AreaLight, Background, Environment, Finish, Placement, Sensor

# Blur and shake are stated for this image width, so that a recipe looks the same at every size.
REFERENCE_WIDTH = 640
# Focal length of a phone's main camera, with which photographs of shops are taken, 35 mm equivalent.
PHOTO_LENS_MM = 26.0
PATTERNS: tuple[TextureKind, ...] = ("solid", "checker", "stripes", "dots", "noise", "gradient", "wood", "fabric")
# Materials of tables, counters and shelves: a pattern and its base colour, sRGB.
TABLES: tuple[tuple[TextureKind, Color], ...] = (
    ("wood", (0.76, 0.58, 0.40)),  # beech
    ("wood", (0.55, 0.37, 0.23)),  # oak, oiled
    ("wood", (0.33, 0.21, 0.14)),  # walnut
    ("wood", (0.82, 0.74, 0.62)),  # birch
    ("solid", (0.90, 0.90, 0.88)),  # white laminate
    ("solid", (0.62, 0.63, 0.64)),  # grey steel shelf
    ("solid", (0.16, 0.16, 0.17)),  # black shelf
    ("noise", (0.60, 0.59, 0.57)),  # concrete
    ("noise", (0.80, 0.77, 0.72)),  # stone
    ("noise", (0.30, 0.31, 0.33)),  # slate
    ("fabric", (0.85, 0.82, 0.75)),  # linen
    ("fabric", (0.28, 0.35, 0.47)),  # blue cloth
    ("fabric", (0.55, 0.20, 0.20)),  # red cloth
    ("checker", (0.85, 0.85, 0.82)),  # tiles
    ("stripes", (0.80, 0.78, 0.72)),  # table cloth
    ("dots", (0.70, 0.76, 0.74)),  # oilcloth
)
# Materials that packs of unknown make may have, and how often: film is the rule.
MATERIALS: tuple[ProductMaterial, ...] = ("gloss", "wrap", "foil", "metal", "clear")
MATERIAL_SHARES = (0.4, 0.2, 0.2, 0.1, 0.1)
# Different stickers in all scenes: every one of them is another texture of each product that carries it.
STICKERS = 8
DISTRACTOR_SHAPES: tuple[ShapeKind, ...] = ("box", "cylinder", "sphere", "cone", "torus", "capsule")


def sample_environment(lights: Lights, backdrops: Backdrops, *, rng: np.random.Generator) -> Environment:
    """Sample an HDRI, its rotation, strength and tint."""
    return Environment(
        hdri=str(rng.choice(backdrops.hdris)),
        rotation=rng.uniform(-np.pi, np.pi),
        strength=rng.uniform(*lights.strength),
        tint=relative_rgb(rng.uniform(*lights.environment_kelvin)),
    )


def sample_area_lights(
    lights: Lights, strength: float, *, rng: np.random.Generator, wish: LightWish | None = None
) -> tuple[AreaLight, ...]:
    """Sample area lights where the layout wants them, by default all around and above the origin.

    Their radiance follows from the recipe's share of the environment's irradiance: an environment of mean radiance
    `strength` gives a surface pi * strength, a light of area A at distance d gives radiance * A / d^2.
    """
    wish = wish or LightWish(np.zeros(3))
    sampled = []
    for _ in range(rng.integers(lights.area_count[0], lights.area_count[1] + 1)):
        azimuth, elevation = rng.uniform(*wish.azimuth), np.arcsin(rng.uniform(*wish.rise))
        distance = rng.uniform(*lights.area_distance_m)
        width, height = rng.uniform(*lights.area_size_m), rng.uniform(*lights.area_size_m)
        towards = np.array([np.cos(azimuth), np.sin(azimuth), 0]) * np.cos(elevation) + [0, 0, np.sin(elevation)]
        radiance = rng.uniform(*lights.area_share) * np.pi * max(strength, 0.1) * distance**2 / (width * height)
        red, green, blue = (radiance * part for part in relative_rgb(rng.uniform(*lights.area_kelvin)))
        pose = look_at(wish.target + towards * distance, wish.target, roll=rng.uniform(-np.pi, np.pi))
        sampled.append(AreaLight(pose, width, height, (red, green, blue)))
    return tuple(sampled)


def sample_finish(finishes: Finishes, mesh: Mesh, *, rng: np.random.Generator) -> Finish:
    """Sample roughness, print tint and wear of one product.

    Models of several materials (label on metal) keep their roughness.
    """
    roughness = rng.uniform(*finishes.roughness)
    red, green, blue = (float(part) for part in rng.uniform(*finishes.tint, size=3))
    worn, wear = rng.random() < finishes.worn, round(rng.uniform(*finishes.wear) * 4) / 4
    return Finish(
        roughness=float(roughness) if len(mesh.parts) == 1 else None,
        tint=(red, green, blue),
        wear=wear if worn else 0.0,
    )


def sample_change(
    finishes: Finishes, materials: dict[str, ProductMaterial], sku: str, *, rng: np.random.Generator
) -> ProductChange:
    """Sample how a copy differs from its mesh. materials: material of each SKU of the scene so far, which is extended.

    All copies of a product have one material, dents and stickers are each copy's own.
    """
    if sku not in materials:
        changed = rng.random() < finishes.material
        materials[sku] = MATERIALS[rng.choice(len(MATERIALS), p=MATERIAL_SHARES)] if changed else "own"
    dented, dents = rng.random() < finishes.dented, round(rng.uniform(*finishes.dents) * 4) / 4
    stuck, sticker = rng.random() < finishes.sticker, int(rng.integers(STICKERS))
    return ProductChange(materials[sku], dents if dented else 0.0, sticker if stuck else None)


def sample_pattern(*, rng: np.random.Generator, size_m: tuple[float, float]) -> Texture:
    """Sample a procedural texture in two colours that differ enough to be seen."""
    first = rng.uniform(0.03, 0.97, size=3)
    second = np.clip(first + rng.choice([-1, 1], size=3) * rng.uniform(0.08, 0.6, size=3), 0.02, 0.98)
    return Texture(
        kind=PATTERNS[rng.integers(len(PATTERNS))],
        colors=(_color(first), _color(second)),
        size_m=float(rng.uniform(*size_m)),
        seed=int(rng.integers(1 << 31)),
    )


def _color(values: np.ndarray) -> Color:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def sample_surface(
    backdrops: Backdrops, image_share: float, repeat_m: tuple[float, float], *, rng: np.random.Generator
) -> Texture:
    """Sample a table surface: a photograph with probability `image_share` if there are any, else a procedural one."""
    photographed = bool(rng.random() < image_share) and bool(backdrops.surfaces)
    size = float(rng.uniform(*repeat_m))
    kind, base = TABLES[rng.integers(len(TABLES))]
    first = np.clip(np.array(base) * rng.uniform(0.75, 1.2) * rng.uniform(0.93, 1.07, size=3), 0.02, 0.98)
    second = np.clip(first * rng.uniform(0.55, 0.9), 0.02, 0.98)
    seed = int(rng.integers(1 << 31))
    if photographed:
        return Texture("image", key=str(rng.choice(backdrops.surfaces)), size_m=size)
    return Texture(kind, colors=(_color(first), _color(second)), size_m=size, seed=seed)


def sample_distractor(distractors: Distractors, *, rng: np.random.Generator) -> tuple[Shape, Texture, Finish]:
    """Sample shape, texture and finish of one distractor. Round shapes have equal width and depth."""
    if distractors.printed and rng.random() < distractors.printed:
        return _sample_pack(rng)
    kind = DISTRACTOR_SHAPES[rng.integers(len(DISTRACTOR_SHAPES))]
    # Rounded to millimetres, so that equal props share one cache entry.
    width, depth, height = np.round(rng.uniform(*distractors.size_m, size=3), 3)
    if kind != "box":
        depth = width
    if kind == "sphere":
        height = width
    if kind == "torus":
        height = round(float(width) * 0.3, 3)
    if kind == "capsule":
        height = max(height, width)
    texture = sample_pattern(rng=rng, size_m=(0.02, 0.12))
    return (
        Shape(kind, float(width), float(depth), float(height)),
        texture,
        Finish(roughness=float(rng.uniform(0.1, 0.9))),
    )


def _sample_pack(rng: np.random.Generator) -> tuple[Shape, Texture, Finish]:
    """Sample a pack of an invented brand."""
    seed = int(rng.integers(1 << 31))
    return decoy_shape(seed), Texture("print", seed=seed), Finish(roughness=float(rng.uniform(0.3, 0.8)))


def sample_fixture_key(backdrops: Backdrops, *, rng: np.random.Generator) -> str:
    """Choose one of the meshes in the folders of fixtures. Raises SynthError if there is none."""
    if not backdrops.fixtures:
        hint = "give --fixtures FOLDER with its mesh"
        raise SynthError("this recipe needs a fixture, such as a shelf", code="fixture-missing", hint=hint)
    return str(rng.choice(backdrops.fixtures))


def fixture_placement(key: str, pose: np.ndarray, finish: Finish | None = None, **settings: str) -> Placement:
    """Return a fixture at world_from_object `pose`. key: one of Backdrops.fixtures. settings: units, up, front."""
    fixture = Fixture("file", (("key", key), *settings.items()))
    return Placement("prop", key, pose, finish or Finish(), fixture=fixture)


def prop_placement(shape: Shape, texture: Texture, finish: Finish, pose: np.ndarray, key: str) -> Placement:
    """Return the placement of a prop at world_from_object `pose`."""
    return Placement("prop", key, pose, finish, shape, texture)


def sample_background(
    backgrounds: Backgrounds,
    backdrops: Backdrops,
    width: int,
    *,
    rng: np.random.Generator,
    lens_mm: float | None = None,
) -> Background:
    """Sample one of the kinds of background for which there is material.

    lens_mm: the scene camera's focal length, 35 mm equivalent. A longer lens shows a smaller part of a photograph, so
    that objects in it keep their real size. None samples any zoom up to 1.6, as version 1 of the streams did.
    """
    kinds = {"environment": backgrounds.environment, "texture": backgrounds.texture}
    if backdrops.photos:
        kinds["photo"] = backgrounds.photo
    weights = np.array(list(kinds.values()))
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(kinds), 1 / len(kinds))
    kind = str(rng.choice(list(kinds), p=weights))
    blur = float(rng.uniform(*backgrounds.blur_px)) * width / REFERENCE_WIDTH
    gain = float(rng.uniform(*backgrounds.gain))
    zoom, offset_u, offset_v = float(rng.uniform(1, 1.6)), float(rng.random()), float(rng.random())
    if lens_mm is not None:
        zoom = max(lens_mm / PHOTO_LENS_MM, 1.0)
    pattern = sample_pattern(rng=rng, size_m=(0.5, 0.5))
    if kind == "environment":
        return Background(blur_px=blur)
    if kind == "photo":
        photo = Texture("image", key=str(rng.choice(backdrops.photos)))
        return Background("photo", photo, zoom, offset_u, offset_v, blur, gain)
    return Background("texture", pattern, zoom, offset_u, offset_v, blur, gain)


def sample_sensor(ranges: SensorRanges, width: int, *, rng: np.random.Generator) -> Sensor:
    """Sample the camera sensor of one image; blur and shake scale with the image's width."""
    scale = width / REFERENCE_WIDTH
    # A camera that takes warm light for white makes the image cold: gains are the inverse of the light's colour.
    red, green, blue = (1 / part for part in relative_rgb(rng.uniform(*ranges.white_balance_kelvin)))
    exposure, blur = rng.uniform(*ranges.exposure_ev), rng.uniform(*ranges.blur_px) * scale
    shaken, motion = rng.random() < ranges.shaken, rng.uniform(*ranges.motion_px) * scale
    return Sensor(
        exposure_ev=float(exposure),
        white_balance=(red, green, blue),
        blur_px=float(blur),
        motion_px=float(motion) if shaken else 0.0,
        motion_angle=float(rng.uniform(0, np.pi)),
        vignette=float(rng.uniform(*ranges.vignette)),
        shot_noise=float(rng.uniform(*ranges.shot_noise)),
        read_noise=float(rng.uniform(*ranges.read_noise)),
        contrast=float(rng.uniform(*ranges.contrast)),
        saturation=float(rng.uniform(*ranges.saturation)),
        jpeg_quality=int(rng.integers(ranges.jpeg_quality[0], ranges.jpeg_quality[1] + 1)),
        seed=int(rng.integers(1 << 31)),
        crosstalk=_sample_crosstalk(ranges.crosstalk, rng),
        tone=float(rng.uniform(*ranges.tone)),
        sharpen=float(rng.uniform(*ranges.sharpen)),
    )


def _sample_crosstalk(most: float, rng: np.random.Generator) -> tuple[float, float, float, float, float, float]:
    a, b, c, d, e, f = (float(value) for value in rng.uniform(-most, most, size=6))
    return a, b, c, d, e, f
