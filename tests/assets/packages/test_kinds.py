"""The contract of every kind of package: closed, exact in size, printed without stretching, its front in front."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.catalog import package_kinds as package_types
from assets.catalog.types import Sku
from assets.mesh.types import Mesh
from assets.packages.build import build_package, make_package
from assets.packages.kinds import KINDS, builder_of
from assets.packages.kinds.multipack import grid_of
from assets.packages.packshots.art import PackageArt
from assets.packages.packshots.silhouette import profile_of
from support.errors import raises
from support.front_view import ABOVE, view

NOTHING = PackageArt()
# Usual width, depth and height of each kind; lying ones beside standing ones.
USUAL = {
    "carton": (0.19, 0.062, 0.28),
    "gable_top": (0.07, 0.07, 0.235),
    "can": (0.074, 0.074, 0.11),
    "bottle": (0.082, 0.082, 0.25),
    "jar": (0.075, 0.075, 0.1),
    "pouch": (0.16, 0.07, 0.24),
    "bag": (0.19, 0.06, 0.28),
    "tube": (0.055, 0.036, 0.17),
    "tray": (0.14, 0.04, 0.19),
    "blister": (0.09, 0.02, 0.14),
    "multipack": (0.2, 0.133, 0.12),
}
MORE = {
    "tub": ("jar", (0.095, 0.095, 0.08)),
    "flat bottle": ("bottle", (0.085, 0.05, 0.2)),
    "lying tray": ("tray", (0.2, 0.15, 0.055)),
    "lying bag": ("bag", (0.17, 0.07, 0.022)),
    "bar": ("bag", (0.15, 0.02, 0.05)),
}
CASES = {**{kind: (kind, size) for kind, size in USUAL.items()}, **MORE}


def sku_of(kind: str, size: tuple[float, float, float], **more: object) -> Sku:
    width, depth, height = size
    row = Sku("k-1", "Acme Tomato Soup", package=kind, width_m=width, depth_m=depth, height_m=height, brand="Acme")
    return replace(row, **{"unit_package": "can", "pack_count": 6.0, **more} if kind == "multipack" else more)  # type: ignore[arg-type]


def art_of(front: np.ndarray, **more: np.ndarray) -> PackageArt:
    return PackageArt({"front": front, **more}, None, profile_of(front[..., 3] >= 128), None)


def quarters(width: int = 60, height: int = 90) -> np.ndarray:
    """A front of four colours: red and green above, blue and yellow below."""
    shot = np.full((height, width, 4), 255, np.uint8)
    shot[: height // 2, : width // 2, :3] = (200, 0, 0)
    shot[: height // 2, width // 2 :, :3] = (0, 160, 0)
    shot[height // 2 :, : width // 2, :3] = (0, 0, 200)
    shot[height // 2 :, width // 2 :, :3] = (220, 200, 0)
    return shot


def pieces_of(mesh: Mesh) -> list[trimesh.Trimesh]:
    """The bodies of a package, welded by position."""
    places, corners = np.unique(mesh.vertices + np.float32(0), axis=0, return_inverse=True)
    whole = trimesh.Trimesh(places.astype(float), corners.reshape(-1)[mesh.faces], process=False)
    labels = trimesh.graph.connected_component_labels(whole.face_adjacency, node_count=len(whole.faces))
    return [whole.submesh([np.flatnonzero(labels == one)], append=True) for one in range(labels.max() + 1)]


def assert_closed(mesh: Mesh) -> None:
    """Every edge of every body has two faces, run through both ways; every body encloses something."""
    _, corners = np.unique(mesh.vertices + np.float32(0), axis=0, return_inverse=True)
    faces = corners.reshape(-1)[mesh.faces]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there, counts = np.unique(edges, axis=0, return_counts=True)
    assert counts.max() == 1
    assert (there == np.unique(edges[:, ::-1], axis=0)).all()


def test_the_kinds_are_those_that_lists_may_name() -> None:
    assert tuple(KINDS) == package_types.KINDS == tuple(USUAL)


def test_an_unknown_kind_is_told_with_the_closest() -> None:
    with raises("unknown-name", what="'bottel'") as caught:
        builder_of("bottel")
    assert caught.value.hint == "did you mean 'bottle'?"


@pytest.mark.parametrize("pictured", [False, True], ids=["drawn", "packshot"])
@pytest.mark.parametrize("name", CASES)
def test_a_package_is_closed_and_of_its_size(name: str, pictured: bool) -> None:
    kind, size = CASES[name]
    mesh = build_package(sku_of(kind, size), art_of(quarters()) if pictured else NOTHING, texture_px=128)
    assert mesh.size == pytest.approx(size, abs=1e-6)
    assert mesh.bounds[0] == pytest.approx([-size[0] / 2, -size[1] / 2, 0], abs=1e-6)
    assert mesh.uv is not None
    assert 0 <= mesh.uv.min() <= mesh.uv.max() <= 1
    assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1, abs=1e-4)
    assert len(mesh.faces) <= (6000 if kind != "multipack" else 40_000)
    assert len(mesh.parts) <= 5
    for piece in pieces_of(mesh):
        assert piece.is_watertight
        assert piece.is_winding_consistent
        assert piece.volume > 0


@pytest.mark.parametrize("pictured", [False, True], ids=["drawn", "packshot"])
@pytest.mark.parametrize("name", CASES)
def test_light_falls_on_the_outside(name: str, pictured: bool) -> None:
    """Shading normals are on the side of their faces' own: smooth where round, hard at edges."""
    kind, size = CASES[name]
    mesh = build_package(sku_of(kind, size), art_of(quarters()) if pictured else NOTHING, texture_px=64)
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    crosses = np.cross(b - a, c - a)
    area = np.linalg.norm(crosses, axis=1)
    facing = np.einsum("ij,ij->i", crosses / area[:, None], mesh.normals[mesh.faces].mean(axis=1))
    assert np.average(facing > 0.5, weights=area) > 0.99
    assert facing.min() > -0.5


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.tuples(*[st.floats(np.log(0.0005), np.log(5)).map(np.exp).map(float)] * 3),
    st.sampled_from([kind for kind in KINDS if kind != "multipack"]),
    st.integers(1, 30),
    st.booleans(),
)
def test_any_size_gives_a_closed_package(
    kind: str, size: tuple[float, float, float], unit: str, count: int, pictured: bool
) -> None:
    sku = replace(sku_of(kind, size), unit_package=unit, pack_count=float(count))
    shot = quarters(30, 40)
    shot[:15, :8, 3] = 0
    mesh = build_package(sku, art_of(shot) if pictured else NOTHING, texture_px=24)
    assert mesh.size == pytest.approx(size, abs=1e-6)
    assert_closed(mesh)
    assert np.isfinite(mesh.normals).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "multipack"])
def test_the_front_is_seen_upright_and_not_mirrored(kind: str) -> None:
    mesh = build_package(sku_of(kind, USUAL[kind]), art_of(quarters()), texture_px=128)
    seen, colors = view(mesh, 8, 12)
    assert seen[3:9, 2:6].all()
    if kind != "blister":  # the dome is drawn with its own gloss, before the lower half
        assert colors[8, 2] == pytest.approx((0, 0, 200), abs=12)
        assert colors[8, 5] == pytest.approx((220, 200, 0), abs=12)
    assert colors[3, 2] == pytest.approx((200, 0, 0), abs=12)
    assert colors[3, 5] == pytest.approx((0, 160, 0), abs=12)


@pytest.mark.parametrize("name", ["lying tray", "lying bag"])
def test_what_lies_on_its_back_shows_its_front_above(name: str) -> None:
    kind, size = CASES[name]
    mesh = build_package(sku_of(kind, size), art_of(quarters(90, 60)), texture_px=128)
    _, colors = view(mesh, 12, 8, ABOVE)
    assert colors[2, 3] == pytest.approx((200, 0, 0), abs=12)
    assert colors[2, 8] == pytest.approx((0, 160, 0), abs=12)
    assert colors[5, 3] == pytest.approx((0, 0, 200), abs=12)


@pytest.mark.parametrize(("unit", "upper", "lower"), [("carton", 5, 26), ("bottle", 15, 17)])
def test_a_multipack_shows_its_front(unit: str, upper: int, lower: int) -> None:
    """A sleeve all of it; film as high as its printed band."""
    sku = sku_of("multipack", (0.25, 0.166, 0.32), unit_package=unit)
    _, colors = view(build_package(sku, art_of(quarters(90, 60)), texture_px=256), 24, 32)
    assert colors[upper, 5] == pytest.approx((200, 0, 0), abs=12)
    assert colors[upper, 18] == pytest.approx((0, 160, 0), abs=12)
    assert colors[lower, 5] == pytest.approx((0, 0, 200), abs=12)


def stretching(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each face with a texture: metres per pixel along one direction by those along the other; area; normal."""
    ratios, areas, normals = [], [], []
    for part in mesh.parts:
        if part.material.texture is None:
            continue
        faces = mesh.faces[part.face_start : part.face_stop]
        assert mesh.uv is not None
        height, width = part.material.texture.shape[:2]
        pixels = mesh.uv[faces].astype(float) * [width, height]
        a, b, c = np.moveaxis(mesh.vertices[faces].astype(float), 1, 0)
        metres = np.stack([b - a, c - a], axis=2)
        texels = np.stack([pixels[:, 1] - pixels[:, 0], pixels[:, 2] - pixels[:, 0]], axis=2)
        # Swatches of one colour hold no print; a wall without an image has no place on the texture.
        plain = (np.abs(np.linalg.det(texels)) > 1e-9) & (np.ptp(pixels, axis=1) > 8).any(axis=1)
        jacobian = metres[plain] @ np.linalg.inv(texels[plain])
        sizes = np.linalg.svd(jacobian, compute_uv=False)
        crosses = np.cross(b - a, c - a)[plain]
        area = np.linalg.norm(crosses, axis=1)
        ratios.append(sizes[:, 0] / sizes[:, 1])
        areas.append(area)
        normals.append(crosses / area[:, None])
    return np.concatenate(ratios), np.concatenate(areas), np.concatenate(normals)


@pytest.mark.parametrize(
    ("name", "normal", "share"),
    [
        ("carton", None, 0.99),
        ("gable_top", "upright", 0.99),  # the roof leans back under its print
        ("can", None, 1.0),
        ("bottle", None, 1.0),
        ("flat bottle", None, 1.0),
        ("jar", None, 1.0),
        ("tub", None, 1.0),
        ("tube", None, 0.95),
        ("pouch", "front", 0.98),  # film shrinks where it bends over to the sides and the gusset
        ("bag", "front", 0.95),
        ("tray", "front", 1.0),
        ("lying tray", "above", 1.0),
        ("blister", "front", 0.98),
    ],
)
def test_print_is_not_stretched(name: str, normal: str | None, share: float) -> None:
    kind, size = CASES[name]
    mesh = build_package(sku_of(kind, size), NOTHING)
    ratios, areas, normals = stretching(mesh)
    lean = np.cos(np.radians(24))  # a sheet that leans by more is seen foreshortened by a tenth
    counted = {
        None: np.ones(len(ratios), bool),
        "upright": np.abs(normals[:, 2]) < 0.1,
        "front": np.abs(normals[:, 1]) > lean,
        "above": normals[:, 2] > lean,
    }[normal]
    assert areas[counted].sum() > 0.3 * areas.sum()
    assert areas[counted][ratios[counted] < 1.1].sum() >= share * areas[counted].sum() * (1 - 1e-9)


@pytest.mark.parametrize("name", ["can", "bottle", "flat bottle", "jar", "tub"])
def test_a_packshot_on_a_wall_is_not_stretched(name: str) -> None:
    mesh = build_package(sku_of(*CASES[name]), art_of(quarters()))
    ratios, areas, normals = stretching(mesh)
    wall = np.abs(normals[:, 2]) < 0.1
    assert areas[wall].sum() > 0.5 * areas.sum()
    assert ratios[wall].max() < 1.1


def test_the_same_row_gives_the_same_package_in_any_order() -> None:
    first = [build_package(sku_of(*CASES[name]), NOTHING, texture_px=64).key for name in CASES]
    again = [build_package(sku_of(*CASES[name]), NOTHING, texture_px=64).key for name in reversed(CASES)]
    assert first == again[::-1]
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("change", [{"name": "Acme Tomato Chili Soup"}, {"brand": "Akme"}, {"colors": "#c81010 #fff"}])
@pytest.mark.parametrize("kind", KINDS)
def test_look_alikes_differ_where_one_looks(kind: str, change: dict) -> None:
    one = sku_of(kind, USUAL[kind], colors="#10c810 #fff")
    other = replace(one, **change)
    size = (40, 60)
    before, after = (view(build_package(sku, NOTHING, texture_px=128), *size)[1].astype(int) for sku in (one, other))
    assert (np.abs(before - after).max(axis=2) > 40).mean() > 0.01


def test_fewer_pixels_take_fewer_bytes() -> None:
    for name in CASES:
        sku = sku_of(*CASES[name])
        large, small = (build_package(sku, NOTHING, texture_px=px) for px in (512, 128))
        texels = [
            sum(part.material.texture.size for part in mesh.parts if part.material.texture is not None)
            for mesh in (large, small)
        ]
        assert texels[0] > 9 * texels[1]
        assert large.vertices == pytest.approx(small.vertices, abs=1e-7)


def test_a_multipack_holds_its_units() -> None:
    sku = sku_of("multipack", (0.25, 0.166, 0.32), unit_package="bottle", pack_count=6.0)
    mesh = build_package(sku, NOTHING, texture_px=64)
    pieces = pieces_of(mesh)
    assert len(pieces) == 7  # and the film
    heights = sorted(float(np.ptp(piece.vertices[:, 2])) for piece in pieces)
    assert heights[1:] == pytest.approx([0.32] * 6, abs=1e-5)
    middles = sorted(
        (round(float(piece.bounds.mean(axis=0)[0]), 2), round(float(piece.bounds.mean(axis=0)[1]), 2))
        for piece in pieces
    )
    assert len(set(middles)) == 7


@pytest.mark.parametrize(
    ("count", "size", "unit", "grid"),
    [
        (6, (0.2, 0.133, 0.12), "can", (3, 2, 1)),
        (24, (0.4, 0.27, 0.12), "can", (6, 4, 1)),
        (6, (0.25, 0.166, 0.32), "bottle", (3, 2, 1)),
        (4, (0.19, 0.19, 0.07), "jar", (2, 2, 1)),
        (3, (0.2, 0.05, 0.125), "carton", (3, 1, 1)),
        (12, (0.2, 0.133, 0.24), "can", (3, 2, 2)),
        (1, (0.1, 0.1, 0.1), "bag", (1, 1, 1)),
        (7, (0.7, 0.1, 0.3), "bottle", (7, 1, 1)),
    ],
)
def test_units_are_arranged_as_their_proportions_ask(
    count: int, size: tuple[float, float, float], unit: str, grid: tuple[int, int, int]
) -> None:
    assert grid_of(count, np.array(size), unit) == grid


def test_a_multipack_of_multipacks_or_of_an_unknown_kind_is_told() -> None:
    with raises("multipack-nested"):
        build_package(sku_of("multipack", USUAL["multipack"], unit_package="multipack"), NOTHING)
    with raises("unknown-name", what="'cann'"):
        build_package(sku_of("multipack", USUAL["multipack"], unit_package="cann"), NOTHING)


def test_a_row_of_a_list_becomes_a_package() -> None:
    assert make_package(sku_of("jar", USUAL["jar"]), Path()).size == pytest.approx(USUAL["jar"], abs=1e-6)
