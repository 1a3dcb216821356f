"""Descriptions of textures, prop shapes, fixtures and changes of products as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from assets.errors import unknown_name

TextureKind = Literal["image", "solid", "checker", "stripes", "dots", "noise", "gradient", "wood", "fabric", "print"]
ShapeKind = Literal["slab", "box", "cylinder", "sphere", "cone", "torus", "capsule", "pack"]
# What a product is made of, in place of its own materials; see assets/props/materials.py.
ProductMaterial = Literal["own", "gloss", "metal", "foil", "clear", "wrap"]
Color = tuple[float, float, float]
FixtureValue = str | float | bool | tuple[float, ...]


@dataclass(frozen=True)
class Texture:
    """Texture of a surface: an image of the backdrops by key, a procedural one, or the print of a pack.

    colors: sRGB 0..1. size_m: metres of surface that one repeat covers. seed: of the procedural pattern.
    """

    kind: TextureKind
    key: str = ""
    colors: tuple[Color, Color] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    size_m: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(TextureKind):
            raise unknown_name("texture kind", self.kind, get_args(TextureKind))
        if (self.kind == "image") != bool(self.key):
            raise ValueError(f"texture: only kind 'image' has a key, and needs one; found {self.kind!r} {self.key!r}")


@dataclass(frozen=True)
class ProductChange:
    """How one copy of a product differs from its mesh, besides wear; by default not at all.

    material: "own", or "gloss" (glossy film or varnish), "metal" (print on sheet metal), "foil" (creased metal film),
    "clear" (clear plastic or coloured glass around the contents), "wrap" (shrink wrap). dents: 0..1, in steps of 0.25.
    sticker: seed of a discount sticker on the front, or None.
    """

    material: ProductMaterial = "own"
    dents: float = 0.0
    sticker: int | None = None

    def __post_init__(self) -> None:
        if self.material not in get_args(ProductMaterial):
            raise unknown_name("material", self.material, get_args(ProductMaterial))
        if not 0 <= self.dents <= 1:
            raise ValueError(f"dents: expected 0 to 1, found {self.dents}")


UNCHANGED = ProductChange()


@dataclass(frozen=True)
class Fixture:
    """A mesh around the products, such as a shelf: a kind of assets/fixtures and the values of its settings, sorted."""

    kind: str
    settings: tuple[tuple[str, FixtureValue], ...] = ()

    def __post_init__(self) -> None:
        # Lists, as read from JSON, would not be hashable, and fixtures are keys of caches.
        given = ((name, tuple(value) if isinstance(value, list) else value) for name, value in self.settings)
        object.__setattr__(self, "settings", tuple(sorted(given)))


@dataclass(frozen=True)
class Shape:
    """Shape of a prop: it stands on z = 0, centred on x = y = 0, within width x depth x height metres.

    A pack has a fictitious brand, chosen by the seed of its texture of kind "print" (assets/props/decoys.py).
    A slab is a box with its top at z = 0 (a table top, a floor) on which products stand.
    """

    kind: ShapeKind
    width: float
    depth: float
    height: float

    def __post_init__(self) -> None:
        if self.kind not in get_args(ShapeKind):
            raise unknown_name("shape", self.kind, get_args(ShapeKind))
        if min(self.width, self.depth, self.height) <= 0:
            raise ValueError(f"shape: sizes must be over 0 m, found {self.width} x {self.depth} x {self.height}")
