"""How products rest: what the list says, what their kind does, and what a scene makes of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assets.catalog.load import check_catalog, load_catalog
from assets.catalog.resting import RestWeights, parse_rests, rests_of
from assets.catalog.types import Sku

BAG = Sku("1", "Crisps", package="bag", width_m=0.2, height_m=0.3, depth_m=0.06)
HEADER = "sku,package,width_m,height_m,depth_m,rests,front\n"


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("stand:0.7 lie:0.3", (0.7, 0.3, 0.0)),
        ("lean", (0.0, 0.0, 1.0)),
        ("lie, lean", (0.0, 1.0, 1.0)),
        ("Standing=2; lying:1", (2.0, 1.0, 0.0)),
    ],
)
def test_weights_are_read(text: str, weights: tuple[float, ...]) -> None:
    assert parse_rests(text).values == weights
    assert parse_rests(str(parse_rests(text))) == parse_rests(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hang:1", "not one of stand, lie, lean"),
        ("stand:much", "not a number"),
        ("stand:1 upright:1", "twice"),
        ("stand:0", "over 0"),
        ("stand:-1 lie:2", "at least 0"),
        ("lie:inf", "at least 0"),
        (", ;", "over 0"),
    ],
)
def test_other_cells_are_problems_of_the_list(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f'{HEADER}a,can,0.06,0.1,0.06,"{text}",\nb,can,0.06,0.1,0.06,,sideways\n')
    (problem, front) = check_catalog(path)
    assert (problem.row, problem.column) == (2, "rests") and told in problem.found
    assert (front.row, front.column) == (3, "front") and "+x" in front.expected


def test_fronts_have_other_names_and_packages_have_none(tmp_path: Path) -> None:
    (tmp_path / "a.obj").touch()
    path = tmp_path / "list.csv"
    path.write_text(
        "sku,mesh,facing\n" + "".join(f"{i},a.obj,{text}\n" for i, text in enumerate(["X", "left", " - y"]))
    )
    assert [sku.front for sku in load_catalog(path)] == ["+x", "-x", "-y"]
    path.write_text(f"{HEADER}a,can,0.06,0.1,0.06,,+x\nb,can,0.06,0.1,0.06,,front\n")
    (problem,) = check_catalog(path)
    assert (problem.row, problem.column) == (2, "front") and "beside a package" in problem.found


def test_film_without_a_foot_does_not_stand_on_its_seam() -> None:
    for sku in (BAG, replace(BAG, package="pouch", depth_m=0.02), replace(BAG, package="blister")):
        weights = rests_of(sku, defaults=True)
        assert weights is not None and weights.stand == 0 and weights.lie > weights.lean > 0
    assert rests_of(replace(BAG, package="pouch"), defaults=True) is None  # a gusset stands
    assert rests_of(replace(BAG, height_m=0.05, depth_m=0.2), defaults=True) is None  # made lying
    assert rests_of(replace(BAG, rests="stand"), defaults=True) == RestWeights(1, 0, 0)
    assert rests_of(BAG, defaults=False) is None


def test_bottles_mostly_stand() -> None:
    weights = rests_of(replace(BAG, package="bottle"), defaults=True)
    assert weights is not None
    assert np.argmax(weights.values) == 0 and min(weights.values) > 0
