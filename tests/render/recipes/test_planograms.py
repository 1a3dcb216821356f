"""Scenes of planograms: every unit stands within a millimetre of where the file says; marks name its positions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import trimesh

from assets.planogram.stocked import StockedPlanogram
from assets.planogram.types import MerchCap, Planogram, PlanogramBay, PlanogramPosition, PlanogramShelf
from assets.planogram.units import bay_from_shelf, placed_blocks
from render.choice import SceneProducts
from render.geometry import transform
from render.recipes import load_recipe, recipe_from_yaml, recipe_hash
from render.recipes.planograms import bay_spans
from render.sample import sample_scene
from render.scene import SceneSpec, mesh_of
from support.errors import raises
from support.scenes import StubLibrary, can, cube, mesh_from

SIZES = {"cube": (0.12, 0.12, 0.12), "can": (0.06, 0.11, 0.06), "box": (0.1, 0.2, 0.04)}


def carton() -> trimesh.Trimesh:
    box = trimesh.creation.box((0.1, 0.04, 0.2))
    box.apply_translation([0, 0, 0.1])
    return box


def at(sku: str, number: int, **changes: object) -> PlanogramPosition:
    return PlanogramPosition(**{"id": str(number), "sku": sku, **changes})  # type: ignore[arg-type]


PLAN = Planogram(
    "Soups",
    width=2.0,
    height=1.8,
    depth=0.5,
    shelves=(
        PlanogramShelf(
            "low",
            "shelf",
            *(0.0, 0.1, 0.0, 2.0, 0.03, 0.5),
            positions=(at("cube", 1, wide=3, deep=2), at("box", 2, wide=4, orientation="side_90", x=0.9)),
        ),
        PlanogramShelf(
            "left",
            "shelf",
            *(0.0, 0.6, 0.1, 1.0, 0.02, 0.4),
            slope=0.1,
            positions=(
                at("can", 1, wide=5, high=2, deep=3),
                at("unknown", 2, wide=3),
                at("box", 3, deep=5, y_cap=MerchCap(1, "top")),
            ),
        ),
        PlanogramShelf(
            "right",
            "shelf",
            *(1.0, 0.7, 0.1, 1.0, 0.02, 0.4),
            positions=(at("can", 2, x=0.5), at("cube", 1, x=0.1, z=0.2)),
        ),
        PlanogramShelf(
            "pegs",
            "pegboard",
            *(0.0, 1.1, 0.48, 2.0, 0.6, 0.02),
            positions=(at("box", 1, wide=2, deep=2, y=0.2, x=0.3),),
        ),
        PlanogramShelf("sign", "sign", *(0.0, 1.75, 0.2, 1.0, 0.05, 0.02)),
    ),
    bays=(PlanogramBay("a", 0.0, 1.0, 1.8, 0.5), PlanogramBay("b", 1.0, 1.0, 1.8, 0.5, door="left")),
)
SKUS = ("cube", "box", "can")
LIBRARY = StubLibrary({"cube": cube(0.12, "cube"), "can": can(0.03, 0.11, "can"), "box": mesh_from(carton(), "box")})
LIBRARY.planograms = (StockedPlanogram(PLAN, SKUS, {**SIZES, "unknown": (0.05, 0.1, 0.1)}),)


def draw(recipe: str, index: int = 0, products: SceneProducts | None = None) -> SceneSpec:
    settings = recipe_from_yaml(recipe, where="test") if ":" in recipe else load_recipe(recipe)
    return sample_scene(LIBRARY, settings, seed=1, index=index, view=0, width=160, height=120, products=products)  # type: ignore[arg-type]


def boxes(scene: SceneSpec, position: str) -> np.ndarray:
    """Lowest and highest corner (N, 2, 3) of the products of a position, metres, world."""
    assert scene.marks is not None
    found = []
    for name, placement in zip(scene.marks.positions, scene.placements, strict=False):
        if name == position:
            corners = transform(placement.world_from_object, mesh_of(LIBRARY, placement).vertices.astype(float))  # type: ignore[arg-type]
            found.append([corners.min(axis=0), corners.max(axis=0)])
    return np.array(found)


@pytest.mark.parametrize("recipe", ["shelf", "fridge"])
def test_blocks_are_where_the_planogram_says_to_a_millimetre(recipe: str) -> None:
    scene = draw(recipe)
    assert scene.marks is not None
    boards = {
        placement.key: placement
        for placement in scene.placements
        if placement.fixture and placement.fixture.kind == "board"
    }
    front = boards["Soups/low"].world_from_object[1, 3] - 0.25  # of the planogram
    checked = 0
    for shelf in PLAN.shelves:
        world_from_shelf = bay_from_shelf(PLAN, shelf)
        world_from_shelf[1, 3] += front
        for block in placed_blocks(shelf, {**SIZES, "unknown": (0.05, 0.1, 0.1)}.get):
            found = boxes(scene, f"Soups/{shelf.id}/{block.position.id}")
            if block.position.sku == "unknown":
                assert not len(found)
                continue
            low = np.array([block.x - shelf.width / 2, block.z - shelf.depth / 2, block.y])
            size = np.array(block.size)[[0, 2, 1]]
            corners = transform(world_from_shelf, low + size * np.indices((2, 2, 2)).reshape(3, -1).T)
            if not shelf.slope and not block.position.y_cap:
                assert found[:, 0].min(axis=0) == pytest.approx(corners.min(axis=0), abs=1e-3)
                assert found[:, 1].max(axis=0) == pytest.approx(corners.max(axis=0), abs=1e-3)
            else:
                assert (found[:, 0].min(axis=0) >= corners.min(axis=0) - 1e-3).all()
                assert (found[:, 1].max(axis=0) <= corners.max(axis=0) + 1e-3).all()
            checked += 1
    assert checked == 7
    products = Counter(placement.key for placement in scene.placements if placement.kind == "product")
    assert products == {"cube": 6 + 1, "box": 4 + 5 + 1 + 4, "can": 30 + 1}
    assert len(scene.marks.positions) == products.total() and all(scene.marks.positions)


def test_marks_name_shelves_and_positions_and_every_fixture_can_be_built() -> None:
    scene = draw("recipe: shelf\ntags: {tagged: 1}")
    assert scene.marks is not None
    assert {line.name for line in scene.marks.lines} == {"Soups/low", "Soups/left", "Soups/right"}
    tags = {tag.position for tag in scene.marks.tags}
    assert tags == {f"Soups/{name}" for name in ("low/1", "low/2", "left/1", "left/3", "right/1", "right/2")}
    assert not scene.marks.gaps
    for placement in scene.placements:
        mesh_of(LIBRARY, placement)  # type: ignore[arg-type]
    low = next(line.corners for line in scene.marks.lines if line.name == "Soups/low")
    assert np.ptp(low[:, 0]) == pytest.approx(2.0) and low[2, 2] == pytest.approx(0.13)
    assert SceneSpec.from_json(scene.to_json()).to_json() == scene.to_json()


def test_what_is_sold_out_leaves_gaps_and_the_rest_stays_in_place() -> None:
    exact = draw("shelf")
    changed = draw("recipe: shelf\ndisturbance: {sold_out: 0.4, missing: 0.4}")
    assert exact.marks is not None and changed.marks is not None
    poses = {placement.world_from_object.tobytes() for placement in exact.placements}
    products = [placement for placement in changed.placements if placement.kind == "product"]
    assert 0 < len(products) < len(exact.marks.positions)
    assert all(placement.world_from_object.tobytes() in poses for placement in products)
    assert changed.marks.gaps
    for gap in changed.marks.gaps:
        assert gap.sku in SKUS
        middle = gap.corners.mean(axis=0)
        found = boxes(changed, gap.position)
        inside = (
            (found[:, 0, [0, 2]] < middle[[0, 2]]) & (middle[[0, 2]] < found[:, 1, [0, 2]])
            if len(found)
            else np.zeros((0, 2))
        )
        assert not inside.all(axis=1).any()


def test_other_products_may_stand_there_and_only_few_rows() -> None:
    scene = draw("recipe: shelf\ndisturbance: {misplaced: 1, turned: 1, setback_m: 0.02, rows: 1}")
    assert scene.marks is not None
    positions = scene.marks.positions
    assert "" in positions and any(positions)
    assert len(boxes(scene, "Soups/left/1")) == 10  # of three rows
    assert boxes(draw("recipe: shelf\ndisturbance: {setback_m: 0.02}"), "Soups/low/1")[:, 0, 1].min() == pytest.approx(
        boxes(draw("shelf"), "Soups/low/1")[:, 0, 1].min() + 0.02
    )


def test_products_that_are_not_to_be_shown_leave_their_place_free() -> None:
    scene = draw("shelf", products=SceneProducts(("can", "cube"), planogram=0))
    assert {placement.key for placement in scene.placements if placement.kind == "product"} == {"can", "cube"}
    assert boxes(scene, "Soups/low/1") == pytest.approx(boxes(draw("shelf"), "Soups/low/1"))


def test_scenes_take_planograms_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    other = StockedPlanogram(Planogram("Tea", 1.0, 1.5, 0.4, PLAN.shelves[:1]), SKUS[:2], SIZES)
    monkeypatch.setattr(LIBRARY, "planograms", (*LIBRARY.planograms, other))
    names = [next(line.name for line in draw("shelf", index).marks.lines) for index in range(4)]  # type: ignore[union-attr]
    assert [name.partition("/")[0] for name in names] == ["Soups", "Tea", "Soups", "Tea"]


@pytest.mark.parametrize(
    "name",
    ["tabletop", "recipe: fridge\nkind: chest", "recipe: mix\nparts: [{share: 1, of: shelf}, {share: 1, of: endcap}]"],
)
def test_recipes_without_shelves_of_their_own_refuse(name: str) -> None:
    with raises("planogram-recipe"):
        draw(name)


def test_a_disturbance_counts_for_the_hash_of_a_recipe() -> None:
    same = recipe_from_yaml("recipe: shelf\ndisturbance: {}", where="test")
    changed = recipe_from_yaml("recipe: shelf\ndisturbance: {rows: 2}", where="test")
    assert recipe_hash(same) == recipe_hash(load_recipe("shelf")) != recipe_hash(changed)


def test_bays_are_those_of_the_planogram_or_of_usual_width() -> None:
    assert bay_spans(PLAN) == [(-0.5, 1.0), (0.5, 1.0)]
    assert bay_spans(Planogram("a", 4.0, 2.0, 0.5)) == [
        (x, pytest.approx(4 / 3)) for x in (pytest.approx(-4 / 3), pytest.approx(0), pytest.approx(4 / 3))
    ]
    assert bay_spans(Planogram("a", 0.1, 2.0, 0.5)) == [(0.0, pytest.approx(0.1))]


def test_blocks_are_set_back_but_what_hangs_stays_in_front_of_its_panel() -> None:
    plain, back = draw("recipe: shelf\n"), draw("recipe: shelf\ndisturbance: {setback_m: [0.03, 0.03]}\n")
    assert boxes(back, "Soups/pegs/1") == pytest.approx(boxes(plain, "Soups/pegs/1"))
    moved = boxes(back, "Soups/low/1") - boxes(plain, "Soups/low/1")
    assert np.linalg.norm(moved, axis=2) == pytest.approx(np.full(moved.shape[:2], 0.03))
