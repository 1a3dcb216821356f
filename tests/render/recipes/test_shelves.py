"""Shelves, fridges and end caps: marks agree with what stands there, sold-out products keep their tags."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import trimesh

from render.choice import SceneProducts
from render.geometry import camera_from_world, project, transform
from render.labels import trace_geometry
from render.recipes import recipe_from_yaml
from render.recipes.shop import BOX_SHARES
from render.sample import sample_scene
from render.scene import Placement, SceneSpec, mesh_of
from support.scenes import THREE_PRODUCTS as LIBRARY
from support.scenes import StubLibrary, cube, draw, mesh_from

PALLETS = "recipe: endcap\nbase: pallet"
CHESTS = "recipe: fridge\nkind: chest"
SHOPS = ("shelf", "recipe: fridge\nkind: upright", "endcap", PALLETS)


@lru_cache
def scenes(recipe: str) -> tuple[SceneSpec, ...]:
    return tuple(draw(recipe, index) for index in range(4))


def text_of(recipe: str) -> str:
    return recipe if ":" in recipe else f"recipe: {recipe}"


@pytest.mark.parametrize("recipe", [*SHOPS, CHESTS])
def test_marks_name_placements_and_places(recipe: str) -> None:
    for scene in scenes(recipe):
        assert scene.marks is not None
        products = [placement for placement in scene.placements if placement.kind == "product"]
        assert len(scene.marks.positions) == len(products)
        for tag in scene.marks.tags:
            placement = scene.placements[tag.instance - 1]
            assert placement.fixture is not None and placement.fixture.kind == "tag"
            settings = dict(placement.fixture.settings)
            assert tag.text == f"{settings['name']} {settings['price']}"
            assert placement.key == f"tag {settings['name']}"
        shown = {position: product.key for position, product in zip(scene.marks.positions, products, strict=True)}
        tagged = {tag.position: scene.placements[tag.instance - 1].key for tag in scene.marks.tags}
        for position, key in shown.items():
            assert not position or tagged.get(position, f"tag {key}") == f"tag {key}"  # the right tag, or none
        lines = {line.name for line in scene.marks.lines}
        assert {position.rpartition("/")[0] for position in shown if position} <= lines


@pytest.mark.parametrize("recipe", SHOPS)
def test_products_stand_behind_the_front_of_their_board_and_above_it(recipe: str) -> None:
    for scene in scenes(recipe):
        assert scene.marks is not None
        fronts = {line.name: line.corners for line in scene.marks.lines}
        for position, placement in zip(scene.marks.positions, scene.placements, strict=False):
            if not position:
                continue
            left, right, upper = fronts[position.rpartition("/")[0]][[0, 1, 2]]
            corners = transform(placement.world_from_object, mesh_of(LIBRARY, placement).vertices.astype(float))
            foot = placement.world_from_object[:3, 3]  # on a sloped board the top leans towards the front
            assert foot[1] > upper[1]
            assert foot[2] > upper[2] - 1e-6
            assert left[0] - 1e-6 < corners[:, 0].min() < corners[:, 0].max() < right[0] + 1e-6


def test_gaps_are_free_and_face_the_aisle() -> None:
    found = 0
    for index in range(12):
        scene = draw("shelf", index)
        assert scene.marks is not None
        for gap in scene.marks.gaps:
            found += 1
            right, up = gap.corners[1] - gap.corners[0], gap.corners[3] - gap.corners[0]
            assert np.cross(right, up)[1] < 0
            middle = gap.corners.mean(axis=0)
            for placement in scene.placements:
                if placement.kind == "product":
                    corners = transform(placement.world_from_object, mesh_of(LIBRARY, placement).vertices.astype(float))
                    inside = (corners.min(axis=0)[[0, 2]] < middle[[0, 2]]) & (
                        middle[[0, 2]] < corners.max(axis=0)[[0, 2]]
                    )
                    assert not inside.all()
    assert found


@pytest.mark.parametrize("recipe", ["shelf", "fridge"])
def test_talkers_are_clear_of_tags_products_and_doors_and_are_no_tags(recipe: str) -> None:
    flat = "\ncoolers: {slope_deg: 0}" if recipe == "fridge" else ""
    few = "products: {count: 4, facings: [1, 3], rows: 1}"
    settings = recipe_from_yaml(f"recipe: {recipe}\n{few}\ntags: {{tagged: 1, talkers: 1}}{flat}", where="test")
    found = 0
    for index in range(3):
        scene = sample_scene(LIBRARY, settings, seed=1, index=index, view=0, width=160, height=120)
        assert scene.marks is not None
        boxes = []
        for placement in scene.placements:
            corners = transform(placement.world_from_object, mesh_of(LIBRARY, placement).vertices.astype(float))
            boxes.append((corners.min(axis=0), corners.max(axis=0)))
        for number, placement in enumerate(scene.placements):
            if placement.key != "shelf talker":
                continue
            found += 1
            assert number + 1 not in {tag.instance for tag in scene.marks.tags}
            for other, (low, high) in zip(scene.placements, boxes, strict=True):
                if other is not placement and (other.kind == "product" or other.fixture.kind in ("tag", "door")):
                    apart = (low >= boxes[number][1]) | (high <= boxes[number][0])
                    assert apart.any() or (other.key.startswith("door") and low[1] < -0.8)  # an open one
    assert found


def test_hung_products_are_tagged_at_their_hooks_and_touch_nothing() -> None:
    card = trimesh.creation.box((0.07, 0.02, 0.11))
    card.apply_translation([0, 0, 0.055])
    library = StubLibrary({"box": cube(0.12, "box"), "card": mesh_from(card, "card")})
    text = "recipe: shelf\nproducts: {count: 2, sold_out: [0.3, 0.4]}\ntags: {tagged: 1}\nbays: {pegboard: 1, hooks: 1}"
    settings = recipe_from_yaml(text, where="test")
    scene = sample_scene(library, settings, seed=0, index=0, view=0, width=16, height=12)  # type: ignore[arg-type]
    assert scene.marks is not None
    boards = {line.name for line in scene.marks.lines}
    tags = {tag.position: scene.placements[tag.instance - 1] for tag in scene.marks.tags}
    boxes, hung = [], []
    for position, placement in zip(scene.marks.positions, scene.placements, strict=False):
        corners = transform(placement.world_from_object, library.product(placement.key).vertices.astype(float))
        boxes.append((corners.min(axis=0), corners.max(axis=0)))
        if position and position.rpartition("/")[0] not in boards:
            assert placement.key == "card"
            hung.append(len(boxes) - 1)
            tag = tags[position].world_from_object[:3, 3]
            assert tags[position].key == "tag card" and tag[2] > boxes[-1][1][2] and tag[1] < boxes[-1][0][1]
    assert len(hung) > 3
    assert any(gap.position.rpartition("/")[0] not in boards for gap in scene.marks.gaps)
    lows, highs = (np.array(corners) for corners in zip(*boxes, strict=True))
    meet = ((lows[:, None] < highs) & (lows < highs[:, None])).all(axis=2)
    assert meet[hung].sum() == len(hung)  # each with itself


def test_baskets_and_talkers_leave_the_rest_of_a_scene_as_it_is() -> None:
    def placed(chance: int) -> list[Placement]:
        text = f"recipe: shelf\ntags: {{talkers: {chance}}}\noccluders: {{basket: {chance}}}"
        settings = recipe_from_yaml(text, where="test")
        scene = sample_scene(LIBRARY, settings, seed=1, index=0, view=0, width=16, height=12)  # type: ignore[arg-type]
        return list(scene.placements)

    without, more = placed(0), placed(1)
    further = [one for one in more if one.key in ("basket", "shelf talker")]
    (basket,) = (one for one in further if one.key == "basket")
    assert len(further) > 1 and basket.kind == "prop"
    assert [(one.key, one.world_from_object.tobytes()) for one in more if one not in further] == [
        (one.key, one.world_from_object.tobytes()) for one in without
    ]
    front = min(one.world_from_object[1, 3] for one in without if one.kind == "product")
    assert basket.world_from_object[1, 3] < front - 0.3


@pytest.mark.parametrize("recipe", SHOPS)
def test_the_camera_stands_in_the_aisle_and_sees_products(recipe: str) -> None:
    for scene in scenes(recipe)[:2]:
        assert scene.marks is not None
        front = min(line.corners[0, 1] for line in scene.marks.lines)
        assert scene.camera.world_from_camera[1, 3] < front
        assert (trace_geometry(scene, LIBRARY).ids > 0).mean() > 0.3
        middle = np.mean([line.corners.mean(axis=0) for line in scene.marks.lines], axis=0)
        assert transform(camera_from_world(scene.camera), middle[None])[0, 2] > 0


@pytest.mark.parametrize("recipe", ["shelf", "fridge", "endcap"])
@pytest.mark.parametrize(
    "camera", ["lens_mm: [24, 85], side_deg: [-60, 60]", "height_deg: [60, 80], like: [0.02, 0.03]"]
)
def test_no_row_and_no_lamp_of_the_shop_is_before_the_camera(recipe: str, camera: str) -> None:
    for index in range(6):
        scene = draw(f"recipe: {recipe}\ncamera: {{{camera}}}\n", index)
        room = next(
            dict(one.fixture.settings) for one in scene.placements if one.fixture and one.fixture.kind == "room"
        )
        x, y, z = scene.camera.world_from_camera[:3, 3]
        assert abs(x) < room["width"] / 2
        assert not room["opposite"] or y > -room["depth"] / 2 - room["opposite"]
        assert not room["lamp_rows"] or z < room["lamp_height"]


def test_products_are_as_large_as_in_the_public_set() -> None:
    shares = []
    for index in range(6):
        scene = draw("recipe: endcap\nbase: bay", index)
        sides = []
        for placement in scene.placements:
            if placement.kind == "product":
                corners = transform(placement.world_from_object, mesh_of(LIBRARY, placement).vertices.astype(float))
                pixels, depth = project(scene.camera, corners)
                if (depth > 0).all():
                    sides.append(float(np.sqrt(np.prod(np.ptp(pixels, axis=0)))))
        shares.append(np.median(sides) / np.sqrt(scene.camera.width * scene.camera.height))
    low, high = BOX_SHARES["any"]
    assert low < np.median(shares) < high * 2  # small shelves fill the image: then products are larger


def test_close_views_have_a_product_in_the_middle() -> None:
    text = "recipe: endcap\nproducts: {count: 2}\ncamera: {like: [0.5, 0.6], side_deg: 0, height_deg: 0}\noptics: {}"
    close = recipe_from_yaml(text, where="test")
    seen = []
    for index in range(3):
        scene = sample_scene(LIBRARY, close, seed=0, index=index, view=0, width=16, height=16)  # type: ignore[arg-type]
        products = sum(placement.kind == "product" for placement in scene.placements)
        ids = trace_geometry(scene, LIBRARY).ids[6:10, 6:10]  # type: ignore[arg-type]
        seen.append(float(((ids > 0) & (ids <= products)).mean()))
    assert np.median(seen) > 0.5


@pytest.mark.parametrize("slope", ["recipe: shelf\nbays: {slope: 1}", "recipe: fridge\ncoolers: {slope_deg: 12}"])
def test_every_product_has_room_on_sloping_boards(slope: str) -> None:
    meshes = {f"{side}": cube(side / 100, f"{side}") for side in range(6, 30)}
    library = StubLibrary(meshes)
    text = f"{slope}\nproducts: {{facings: 1, rows: 1, misplaced: 0}}\ntags: {{tagged: 0}}"
    scene = sample_scene(
        library,  # type: ignore[arg-type]
        recipe_from_yaml(text, where="test"),
        seed=0,
        index=0,
        view=0,
        width=16,
        height=12,
        products=SceneProducts(library.catalog.keys),
    )
    assert {one.key for one in scene.placements if one.kind == "product"} == set(meshes)


@pytest.mark.parametrize("recipe", SHOPS)
@pytest.mark.parametrize("count", [1, 60])
def test_any_number_of_products_has_room(recipe: str, count: int) -> None:
    settings = recipe_from_yaml(
        f"{text_of(recipe)}\nproducts: {{count: {count}, facings: [1, 2], rows: 1}}", where="test"
    )
    products = SceneProducts(tuple(LIBRARY.catalog.keys[i % 3] for i in range(count)))
    scene = sample_scene(LIBRARY, settings, seed=1, index=0, view=0, width=160, height=120, products=products)
    shown = [placement for placement in scene.placements if placement.kind == "product"]
    assert len(shown) >= count
    for placement in scene.placements:
        mesh_of(LIBRARY, placement)  # every fixture can be built


def test_a_sign_on_a_stand_is_the_tag_of_a_block_on_a_pallet() -> None:
    """Three in ten end caps are pallets, unless the recipe says which."""
    kinds = [{placement.key for placement in scene.placements} for scene in scenes("endcap")]
    assert 0 < sum("pallet 1" in keys for keys in kinds) < 4
    for scene in scenes(PALLETS):
        assert scene.marks is not None
        stands = [placement for placement in scene.placements if placement.key == "stand"]
        for tag, stand in zip(scene.marks.tags, stands, strict=True):
            sign = scene.placements[tag.instance - 1]
            assert np.allclose((sign.world_from_object - stand.world_from_object)[:2, 3], [0, -0.001])
            assert sign.fixture is not None and dict(sign.fixture.settings)["height"] in (0.148, 0.21)


def test_misplaced_products_leave_one_of_each_in_its_place() -> None:
    settings = recipe_from_yaml(
        "recipe: shelf\nproducts: {facings: [1, 1], rows: 1, misplaced: 1, missing: 0, stack: 0, capped: 0}\n",
        where="test",
    )
    products = SceneProducts(LIBRARY.catalog.keys[:3])
    for index in range(6):
        scene = sample_scene(LIBRARY, settings, seed=0, index=index, view=0, width=160, height=120, products=products)
        shown = [placement.key for placement in scene.placements if placement.kind == "product"]
        assert sorted(shown) == sorted(products.skus)


def test_a_chest_freezer_is_looked_into_through_its_lids() -> None:
    """One in five fridges is one, unless the recipe says which."""
    few = "\nproducts: {count: 3, facings: [1, 2], sold_out: 0.4}"
    kinds = [{placement.key for placement in draw(f"recipe: fridge{few}", index).placements} for index in range(4)]
    assert 0 < sum("chest 1" in keys for keys in kinds) < 4
    sparse, gaps, lids = CHESTS + few, 0, 0
    for scene in scenes(sparse):
        assert scene.marks is not None
        chest = next(placement for placement in scene.placements if placement.key == "chest 1")
        assert chest.fixture is not None
        rim = float(dict(chest.fixture.settings)["height"])  # type: ignore[arg-type]
        assert scene.camera.world_from_camera[2, 3] > rim  # stands before it and looks down
        assert scene.camera.world_from_camera[2, 2] < -0.4
        lids += sum(placement.key.startswith("lid") for placement in scene.placements)
        for placement in scene.placements:
            if placement.kind == "product":
                corners = transform(placement.world_from_object, mesh_of(LIBRARY, placement).vertices.astype(float))
                assert corners[:, 2].max() < rim
        for gap in scene.marks.gaps:
            gaps += 1
            assert np.cross(gap.corners[1] - gap.corners[0], gap.corners[3] - gap.corners[0])[2] > 0  # seen from above
            assert np.ptp(gap.corners[:, 2]) < 1e-9 and gap.corners[0, 2] < rim
    assert gaps and lids
    scene = scenes(sparse)[0]
    assert ((ids := trace_geometry(scene, LIBRARY).ids) > 0).any()  # type: ignore[arg-type]
    panes = {number for number, placement in enumerate(scene.placements, 1) if placement.key.startswith("lid")}
    products = sum(placement.kind == "product" for placement in scene.placements)
    assert ((ids > 0) & (ids <= products)).mean() > 0.05 and (not panes or np.isin(ids, list(panes)).mean() < 0.5)
