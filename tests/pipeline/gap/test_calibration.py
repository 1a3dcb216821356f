"""What gaps are worth: correlations over recipes, and the table that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.gap.calibration import COMBINED, GapRow, add_row, calibrate, left_out_scores, read_rows, spearman
from support.errors import raises


def rows_of(aps: list[float], **measures: list[float]) -> list[GapRow]:
    return [
        GapRow(name=f"r{i}", real="photos", measures={name: values[i] for name, values in measures.items()}, ap=ap)
        for i, ap in enumerate(aps)
    ]


def test_ranks_by_hand() -> None:
    assert spearman(np.array([1.0, 2.0, 30.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    # Ranks 1.5 1.5 3 and 1 2 3: covariance 1.5 over the root of 1.5 times 2.
    assert spearman(np.array([5.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(1.5 / np.sqrt(3))
    assert np.isnan(spearman(np.ones(4), np.arange(4.0)))


def test_a_measure_that_orders_recipes_foretells_them() -> None:
    aps = [0.1, 0.2, 0.25, 0.3, 0.42, 0.5, 0.55]
    found = calibrate(rows_of(aps, good=[9, 8, 7, 5, 4, 2, 1], noise=[3, 1, 4, 1, 5, 9, 2], constant=[1.0] * 7))
    each = {one.measure: one for one in found.correlations}
    assert each["good"].rho == pytest.approx(-1) and each["good"].high == pytest.approx(-1)
    assert found.correlations[0].measure == "good" and found.correlations[-1].measure == COMBINED
    assert np.isnan(each["constant"].rho)
    assert each[COMBINED].rho < -0.7
    assert "7 recipes" in found.claim and "No claim" not in found.claim


def test_a_left_out_recipe_has_no_say_in_its_own_score() -> None:
    rng = np.random.default_rng(0)
    table, aps = rng.normal(size=(8, 5)), rng.random(8)
    changed = aps.copy()
    changed[2] = 0.99 if aps[2] < 0.5 else 0.0
    assert left_out_scores(table, aps)[2] == left_out_scores(table, changed)[2]
    assert not np.allclose(left_out_scores(table, aps), left_out_scores(table, changed))


def test_noise_foretells_nothing_when_recipes_are_left_out() -> None:
    rng = np.random.default_rng(2)
    rhos = [spearman(left_out_scores(rng.normal(size=(8, 10)), aps := rng.random(8)), aps) for _ in range(25)]
    assert np.mean(rhos) > -0.15


@pytest.mark.parametrize("count", [0, 3, 5])
def test_few_recipes_make_no_claim(count: int) -> None:
    found = calibrate(rows_of([0.1, 0.2, 0.3, 0.4, 0.5][:count], gap=[5.0, 4.0, 3.0, 2.0, 1.0][:count]))
    assert found.claim.startswith(f"No claim about AP: {count} recipes")
    assert bool(found.correlations) == (count > 3)


def test_only_measures_that_all_recipes_have_are_compared() -> None:
    rows = rows_of([0.1, 0.2, 0.3, 0.4], gap=[4, 3, 2, 1])
    rows[1] = rows[1].model_copy(update={"measures": {"gap": 3.0, "more": 1.0}})
    assert [one.measure for one in calibrate(rows).correlations] == ["gap", COMBINED]


def test_aps_on_different_photographs_are_not_ranked_together() -> None:
    rows = rows_of([0.1, 0.2], gap=[2, 1])
    with raises("setting-invalid", found="other, photos"):
        calibrate([rows[0], rows[1].model_copy(update={"real": "other"})])


def test_rows_are_added_and_replaced(tmp_path: Path) -> None:
    table = tmp_path / "gaps.jsonl"
    for row in rows_of([0.1, 0.2], gap=[2.0, 1.0]):
        add_row(table, row)
    again = rows_of([0.5], gap=[0.123456789012345])[0]
    assert [row.name for row in add_row(table, again)] == ["r1", "r0"]
    assert read_rows([table])[1] == again


@pytest.mark.parametrize("line", ["{}", "[1]", '{"name": "a", "real": "b", "measures": {"x": "y"}, "ap": 0.5}', "nope"])
def test_the_line_that_is_no_row_is_named(line: str, tmp_path: Path) -> None:
    table = tmp_path / "gaps.jsonl"
    add_row(table, rows_of([0.1], gap=[2.0])[0])
    table.write_text(table.read_text() + line + "\n")
    with raises("content-invalid", "json-invalid", where="line 2"):
        read_rows([table])
