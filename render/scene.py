"""SceneSpec, a scene as plain frozen data with a JSON round trip, and its parts.

It contains everything random about an image; rendering a SceneSpec is a pure function. Frames, units and axes are those
of docs/conventions.md.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError, unknown_name
from assets.files.json_input import parse_json
from assets.library import Library
from assets.mesh.types import Mesh, frozen_array
from assets.notebook import Dots, block, plan, table
from assets.props.look import UNCHANGED, Color, Fixture, ProductChange, Shape, Texture
from render.marks import GapMark, LineMark, ShopMarks, TagMark
from render.optics.distortion import Distortion
from render.optics.rays import check_view
from render.optics.rolling_shutter import Turn

# Version 2 has fixtures, version 3 marks, lens distortion, further steps of the camera and changed products. A scene is
# written as the lowest version that has what it needs, which older programs read.
SPEC_VERSIONS = (1, 2, 3)
# Tuple fields of the sensor, which JSON turns into lists; older specs have no crosstalk.
SENSOR_TUPLES = ("white_balance", "crosstalk")
# Fields of the sensor that version 3 added: left out where they are neutral.
OPTICAL = ("red_scale", "blue_scale", "aperture_mm", "focus_m", "mosaic")
# Longer side of the drawings of a scene.
PICTURE_PX = 260
LAMPS = ["light"]
PlacementKind = Literal["product", "prop"]
BackgroundKind = Literal["environment", "photo", "texture"]


def rigid_pose(value: object, name: str) -> NDArray[np.float64]:
    """Return `value` as a read-only (4, 4) float64 rigid transform. Raises ValueError if it is not rigid."""
    pose = frozen_array(value, np.float64, (4, 4), name)
    rotation = pose[:3, :3]
    rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0
    if not (rigid and np.allclose(pose[3], [0, 0, 0, 1]) and np.isfinite(pose).all()):
        raise ValueError(f"{name}: expected a rigid 4x4 pose (rotation and translation), found {pose.tolist()}")
    return pose


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera. K: (3, 3) float64, pixels, any principal point. world_from_camera: (4, 4), OpenCV axes.

    distortion: of the lens; None is a pinhole. rolling_shutter: how the camera turns while the image is read, from the
    first to the last row; world_from_camera is its pose halfway. Where they change nothing they become None.
    """

    width: int
    height: int
    K: NDArray[np.float64]
    world_from_camera: NDArray[np.float64]
    distortion: Distortion | None = None
    rolling_shutter: Turn | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"camera: size must be at least 1x1 px, found {self.width}x{self.height}")
        intrinsics = frozen_array(self.K, np.float64, (3, 3), "K")
        pinhole = np.diag([intrinsics[0, 0], intrinsics[1, 1], 1.0])
        pinhole[:2, 2] = intrinsics[:2, 2]
        if min(intrinsics[0, 0], intrinsics[1, 1]) <= 0 or not np.array_equal(intrinsics, pinhole):
            raise ValueError(f"K: expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], found {intrinsics.tolist()}")
        object.__setattr__(self, "K", intrinsics)
        object.__setattr__(self, "world_from_camera", rigid_pose(self.world_from_camera, "world_from_camera"))
        if self.distortion is not None and self.distortion.is_identity:
            object.__setattr__(self, "distortion", None)
        if self.rolling_shutter is not None and not any(self.rolling_shutter):
            object.__setattr__(self, "rolling_shutter", None)
        if not self.is_pinhole:
            check_view(self)

    @property
    def is_pinhole(self) -> bool:
        """Whether straight lines stay straight."""
        return self.distortion is None and self.rolling_shutter is None


@dataclass(frozen=True)
class Finish:
    """Difference of one placement from its mesh's own appearance.

    roughness: 0..1, replaces the material's; None keeps it. tint: linear RGB factor on the base colour. wear: 0..1,
    scuffs and dust, in steps of 0.25 (worn textures are cached per step). change: material, dents and sticker, if any.
    """

    roughness: float | None = None
    tint: Color = (1.0, 1.0, 1.0)
    wear: float = 0.0
    change: ProductChange = UNCHANGED


@dataclass(frozen=True, eq=False)
class Placement:
    """One object of the scene: a product (key = SKU) or a prop, which occludes and is never annotated.

    A prop is either a simple body (shape and texture) or a fixture.
    """

    kind: PlacementKind
    key: str
    world_from_object: NDArray[np.float64]
    finish: Finish = Finish()
    shape: Shape | None = None
    texture: Texture | None = None
    fixture: Fixture | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(PlacementKind):
            raise unknown_name("placement kind", self.kind, get_args(PlacementKind))
        given = (self.shape is not None, self.texture is not None, self.fixture is not None)
        wanted = {"product": [(False, False, False)], "prop": [(True, True, False), (False, False, True)]}
        if given not in wanted[self.kind]:
            raise ValueError(f"placement {self.key!r}: a prop has shape and texture, or a fixture; a product has none")
        object.__setattr__(self, "world_from_object", rigid_pose(self.world_from_object, "world_from_object"))


@dataclass(frozen=True, eq=False)
class AreaLight:
    """A rectangle that shines one-sidedly along its +Z axis and is invisible to the camera.

    width, height: metres, along its X and Y. radiance: linear RGB, in the unit of the environment (whose mean is 1).
    """

    world_from_light: NDArray[np.float64]
    width: float
    height: float
    radiance: Color

    def __post_init__(self) -> None:
        object.__setattr__(self, "world_from_light", rigid_pose(self.world_from_light, "world_from_light"))


@dataclass(frozen=True)
class Environment:
    """Light from all around: an HDRI of the backdrops by its key (mean luminance 1), rotated and scaled.

    rotation: radians, counter-clockwise about world Z. tint: linear RGB factor (colour temperature).
    """

    hdri: str
    rotation: float = 0.0
    strength: float = 1.0
    tint: Color = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Background:
    """Image seen where no ray hits: the environment, a photograph (by key, fills the image) or a texture.

    zoom: at least 1. offset_u, offset_v: 0..1, which part of a photograph that is wider or higher than the image is
    shown. blur_px: Gaussian sigma of the defocus. gain: linear factor (exposure of the photograph).
    """

    kind: BackgroundKind = "environment"
    texture: Texture | None = None
    zoom: float = 1.0
    offset_u: float = 0.5
    offset_v: float = 0.5
    blur_px: float = 0.0
    gain: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(BackgroundKind):
            raise unknown_name("background kind", self.kind, get_args(BackgroundKind))
        if (self.kind == "environment") != (self.texture is None):
            raise ValueError("background: 'photo' and 'texture' need a texture, 'environment' has none")


@dataclass(frozen=True)
class Sensor:
    """Camera sensor and image processing, applied to linear light in this order; see render/sensor.py.

    exposure_ev: stops from the metered exposure. white_balance: RGB gains. blur_px: Gaussian sigma (focus). motion_px,
    motion_angle: length and direction (radians, from +x towards +y) of camera shake. vignette: 0..1 darkening of the
    corners. shot_noise, read_noise: standard deviation at full scale of the photon noise (grows with the root of the
    signal) and of the electronics. contrast, saturation: 1 = neutral. jpeg_quality: 1..100. seed: of the noise.
    crosstalk: leak of green and blue into red, of red and blue into green, of red and green into blue, relative to sRGB
    (colour filters vary; may be negative; white stays white). tone: mid slope of the S-shaped tone curve, 1 = linear.
    sharpen: share of fine detail that is added. red_scale, blue_scale: lateral chromatic aberration, by how much the
    red and the blue image are larger than the green one, about the middle. aperture_mm: diameter of the entrance pupil;
    0 is sharp at any depth. focus_m: distance in focus along the optical axis. mosaic: whether each pixel measures one
    colour (R G / G B) and the others are interpolated.
    """

    exposure_ev: float = 0.0
    white_balance: Color = (1.0, 1.0, 1.0)
    blur_px: float = 0.0
    motion_px: float = 0.0
    motion_angle: float = 0.0
    vignette: float = 0.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    jpeg_quality: int = 95
    seed: int = 0
    crosstalk: tuple[float, float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    tone: float = 1.0
    sharpen: float = 0.0
    red_scale: float = 0.0
    blue_scale: float = 0.0
    aperture_mm: float = 0.0
    focus_m: float = 1.0
    mosaic: bool = False


@dataclass(frozen=True, eq=False)
class SceneSpec:
    """A complete scene to render; instance id k of its labels is placements[k - 1].

    streams: version of the random streams it was sampled from (render/streams.py); JSON of version 1 omits it.
    marks: what else can be labelled, of scenes of shops.
    """

    recipe: str
    seed: int
    index: int
    view: int
    camera: Camera
    placements: tuple[Placement, ...]
    lights: tuple[AreaLight, ...]
    environment: Environment
    background: Background = Background()
    sensor: Sensor = Sensor()
    streams: int = 1
    marks: ShopMarks | None = None

    def to_json(self) -> str:
        """Return one line of JSON with exact floats and keys in field order: equal specs give equal bytes."""
        fields = dataclasses.asdict(self)
        streams = fields.pop("streams")
        fields["version"] = self._version()
        for name in ("distortion", "rolling_shutter"):
            if fields["camera"][name] is None:
                del fields["camera"][name]
        for name in OPTICAL:
            if fields["sensor"][name] == getattr(Sensor, name):
                del fields["sensor"][name]
        if self.marks is None:
            del fields["marks"]
        for placement in fields["placements"]:
            fixture = placement.pop("fixture")
            if fixture is not None:
                placement["fixture"] = {**fixture, "settings": dict(fixture["settings"])}
            if ProductChange(**placement["finish"]["change"]) == UNCHANGED:
                del placement["finish"]["change"]
        if streams != 1:  # scenes of version 1 were written before there was another one
            fields["streams"] = streams
        return json.dumps(fields, default=_json_value, separators=(",", ":"), allow_nan=False)

    def _repr_html_(self) -> str:
        """Return what Jupyter shows: where the middles of products are in the image (as a pinhole's) and from above."""
        camera, products = self.camera, [one for one in self.placements if one.kind == "product"]
        names, places = [one.key for one in products], [one.world_from_object[:3, 3] for one in products]
        turn, eye = camera.world_from_camera[:3, :3], camera.world_from_camera[:3, 3]
        seen = [camera.K @ (turn.T @ (place - eye)) for place in places]
        in_image = [(x / z, y / z) if z > 0 else (math.inf, math.inf) for x, y, z in seen]
        above = [
            Dots("#47a", [(x, -y) for x, y, _ in places], names),
            Dots(
                "#fb3",
                [(x, -y) for x, y, _ in (one.world_from_light[:3, 3] for one in self.lights)],
                LAMPS * len(self.lights),
            ),
            Dots("#c33", [(eye[0], -eye[1])], ["camera"]),
        ]
        points = np.array([point for group in above for point in group.points])
        return block(
            f"{self.recipe}, seed {self.seed}, scene {self.index}, view {self.view}: {len(products)} products, "
            f"{len(self.placements) - len(products)} props, {camera.width} x {camera.height} px",
            plan((0.0, 0.0), (camera.width, camera.height), [Dots("#47a", in_image, names)], PICTURE_PX),
            " ",
            plan(tuple(points.min(0) - 0.1), tuple(points.max(0) + 0.1), above, PICTURE_PX),
            "<div>in the image, and from above: products blue, lights yellow, the camera red</div>",
            table(("product", "times"), sorted(Counter(names).items())),
        )

    def _version(self) -> int:
        later = any(getattr(self.sensor, name) != getattr(Sensor, name) for name in OPTICAL)
        changed = any(placement.finish.change != UNCHANGED for placement in self.placements)
        if not self.camera.is_pinhole or self.marks is not None or later or changed:
            return 3
        return 2 if any(placement.fixture for placement in self.placements) else 1

    @staticmethod
    def from_json(text: str, *, where: str = "scene") -> SceneSpec:
        """Parse a spec that `to_json` wrote. Raises SynthError for anything else, naming `where`."""
        hint = "the file is damaged or of another version: render the scene again"
        try:
            return _scene(parse_json(text.encode(), "the scene file", where, hint=hint))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            found = f"{type(error).__name__}: {error}"
            raise SynthError("not a scene file", code="scene-invalid", where=where, found=found, hint=hint) from error


def _json_value(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a scene")


def _scene(data: dict[str, Any]) -> SceneSpec:
    if data["version"] not in SPEC_VERSIONS:
        raise ValueError(f"version {data['version']}, this program reads {SPEC_VERSIONS}")
    read: dict[str, Any] = {
        "camera": _camera(data["camera"]),
        "placements": tuple(_placement(item) for item in data["placements"]),
        "lights": tuple(AreaLight(**_tuples(item, "radiance")) for item in data["lights"]),
        "environment": Environment(**_tuples(data["environment"], "tint")),
        "background": Background(**{**data["background"], "texture": _texture(data["background"]["texture"])}),
        "sensor": Sensor(**_tuples(data["sensor"], *(name for name in SENSOR_TUPLES if name in data["sensor"]))),
    }
    if "marks" in data:
        read["marks"] = _marks(data["marks"])
    return SceneSpec(**{name: value for name, value in data.items() if name != "version"} | read)


def _camera(data: dict[str, Any]) -> Camera:
    distortion, turn = data.get("distortion"), data.get("rolling_shutter")
    read: dict[str, Any] = {
        "distortion": distortion and Distortion(**distortion),
        "rolling_shutter": turn and tuple(turn),
    }
    return Camera(**{**data, **read})


def _marks(data: dict[str, Any]) -> ShopMarks:
    return ShopMarks(
        tuple(TagMark(**item) for item in data["tags"]),
        tuple(GapMark(**item) for item in data["gaps"]),
        tuple(LineMark(**item) for item in data["lines"]),
        tuple(data["positions"]),
    )


def _placement(data: dict[str, Any]) -> Placement:
    shape = None if data["shape"] is None else Shape(**data["shape"])
    finish = Finish(**{**_tuples(data["finish"], "tint"), "change": ProductChange(**data["finish"].get("change", {}))})
    fixture = (
        None
        if data.get("fixture") is None
        else Fixture(data["fixture"]["kind"], tuple(data["fixture"]["settings"].items()))
    )
    read = {"finish": finish, "shape": shape, "texture": _texture(data["texture"]), "fixture": fixture}
    return Placement(**{**data, **read})


def _texture(data: dict[str, Any] | None) -> Texture | None:
    if data is None:
        return None
    first, second = data["colors"]
    return Texture(**{**data, "colors": (tuple(first), tuple(second))})


def _tuples(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**data, **{name: tuple(data[name]) for name in names}}


def mesh_of(library: Library, placement: Placement) -> Mesh:
    """Return the placement's mesh, with wear and change of its finish. Raises SynthError if it cannot be loaded."""
    mesh, change = _worn_mesh(library, placement), placement.finish.change
    return mesh if change == UNCHANGED else library.changed(mesh, change)


def _worn_mesh(library: Library, placement: Placement) -> Mesh:
    if placement.shape is not None and placement.texture is not None:
        return library.prop(placement.shape, placement.texture, wear=placement.finish.wear)
    if placement.fixture is not None:
        return library.fixture(placement.fixture, wear=placement.finish.wear)
    return library.product(placement.key, wear=placement.finish.wear)
