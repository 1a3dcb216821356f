"""Views of one product alone: where they are, what they show, what they depend on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.library import Library
from render.backends import open_backend
from render.backends.protocol import Backend, RenderSettings
from render.labels import annotate, trace_geometry
from render.views import DIRECTIONS, LIGHTINGS, MAX_VIEWS, ROW, SPARE, ProductView, view_scene, views_of
from support.errors import raises

SIDE = 48
LIST = """sku,name,package,width_m,height_m,depth_m,brand,colors
flat,Flat Oats,carton,0.19,0.28,0.06,Morgenrot,#e8a413 #7a1f10 #fff6df
tall,Tall Sauce,bottle,0.06,0.26,0.05,Halm,#aa2211 #f0e0d0 #ffffff
tin,Round Beans,can,0.08,0.11,0.08,Lindau,#117733 #f0e0d0 #ffffff
"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Library, Backend]]:
    folder = tmp_path_factory.mktemp("studio")
    (folder / "skus.csv").write_text(LIST)
    library = Library(load_catalog(folder / "skus.csv"), Backdrops.open(), cache_dir=folder / "cache")
    backend = open_backend(library, RenderSettings(backend="raster", samples=4, threads=1))
    yield library, backend
    backend.close()


@pytest.fixture(scope="module")
def views(studio: tuple[Library, Backend]) -> list[ProductView]:
    return views_of(*studio, "flat", 12, side=SIDE)


def same(first: ProductView, second: ProductView) -> bool:
    return np.array_equal(first.image, second.image) and np.array_equal(first.box, second.box)


def test_there_is_a_direction_for_each_view() -> None:
    assert len(DIRECTIONS) == len(set(DIRECTIONS)) == MAX_VIEWS and MAX_VIEWS % ROW == 0


def test_the_front_comes_first_and_the_first_four_are_the_sides() -> None:
    assert DIRECTIONS[0][0] == 0
    assert sorted(turn % 360 for turn, _ in DIRECTIONS[:4]) == [0, 90, 180, 270]


@pytest.mark.parametrize("sku", ["flat", "tall", "tin"])
@pytest.mark.parametrize("row", [0, 1])
def test_boxes_are_those_of_the_traced_geometry(studio: tuple[Library, Backend], sku: str, row: int) -> None:
    library, _ = studio
    numbers = range(row * ROW, (row + 1) * ROW)
    scene, tiles = view_scene(library.product(sku), sku, numbers, LIGHTINGS[row], SIDE)
    traced = annotate(scene, trace_geometry(scene, library))
    made = views_of(library, studio[1], sku, (row + 1) * ROW, side=SIDE)[row * ROW :]
    assert [annotation.instance for annotation in traced] == [1, 2, 3, 4]
    for annotation, tile, view in zip(traced, tiles, made, strict=True):
        top = scene.camera.height // 2 - tile.height // 2
        box = np.array(annotation.box) - [tile.x, top, tile.x, top]
        assert np.abs(view.box - box).max() <= 1
        assert annotation.visibility == 1 and annotation.truncation == 0
        height, width = view.coverage.shape
        assert (view.box[:2] > 0).all() and view.box[2] < width and view.box[3] < height


@pytest.mark.parametrize("sku", ["flat", "tall", "tin"])
def test_the_longest_side_is_as_long_as_wanted_in_every_view(studio: tuple[Library, Backend], sku: str) -> None:
    for view in views_of(*studio, sku, 8, side=SIDE):
        sides = view.box[2:] - view.box[:2]
        assert SIDE - 1 <= sides.max() <= SIDE * 1.05 + 1
        assert max(view.image.shape) <= SIDE * (1 + 2 * SPARE) + 4


def test_the_front_of_a_carton_has_the_carton_s_proportions(views: list[ProductView]) -> None:
    for view, ratio in ((views[0], 0.19 / 0.28), (views[2], 0.06 / 0.28)):
        width, height = view.box[2:] - view.box[:2]
        assert width / height == pytest.approx(ratio, abs=0.06)


def test_fewer_views_are_the_first_of_more(studio: tuple[Library, Backend], views: list[ProductView]) -> None:
    for count in (1, 2, 4, 5):
        made = views_of(*studio, "flat", count, side=SIDE)
        assert len(made) == count and all(same(a, b) for a, b in zip(made, views, strict=False))


def test_views_depend_on_no_other_sku(studio: tuple[Library, Backend], views: list[ProductView]) -> None:
    for other in ("tin", "tall"):
        views_of(*studio, other, 2, side=SIDE)
    again = views_of(*studio, "flat", 12, side=SIDE)
    assert all(same(a, b) for a, b in zip(again, views, strict=True))


def test_grounds_vary_and_the_product_lies_on_them(views: list[ProductView]) -> None:
    corners = np.array([view.image[0, 0] for view in views], float)
    assert corners.std(axis=0).min() > 5
    assert all((view.coverage[0] == 0).all() and view.coverage.max() == 255 for view in views)


def test_front_and_back_show_different_print(views: list[ProductView]) -> None:
    front, back = (view.image[8:-8, 8:28].astype(float) for view in views[:2])
    assert np.abs(front - back).mean() > 15


@pytest.mark.parametrize("count", [0, MAX_VIEWS + 1])
def test_other_numbers_of_views_cannot_be_made(studio: tuple[Library, Backend], count: int) -> None:
    with pytest.raises(ValueError, match="views"):
        views_of(*studio, "flat", count, side=SIDE)


def test_a_list_that_is_not_there_is_told(tmp_path: Path) -> None:
    from render.views import open_studio

    with raises("file-missing"):
        open_studio(tmp_path / "none.csv", tmp_path)
