"""Planogram files of each format: read as they are meant, round trips, and every bad row in one error."""

from __future__ import annotations

from contextlib import suppress
from math import radians
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.catalog.load import load_catalog
from assets.catalog.types import Catalog
from assets.demo import demo_list
from assets.errors import SynthError
from assets.planogram import FORMATS, load_planograms
from assets.planogram.orientation import ORIENTATIONS
from assets.planogram.psa_rows import split_cells
from assets.planogram.toml_layout import write_planograms
from assets.planogram.types import (
    MERCH_STYLES,
    SHELF_KINDS,
    MerchCap,
    MerchTray,
    PegHoles,
    Planogram,
    PlanogramBay,
    PlanogramPosition,
    PlanogramProduct,
    PlanogramSet,
    PlanogramShelf,
)
from support.errors import raises
from support.sets.planograms import CSV, TOML, escaped, psa_row, psa_text

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), min_size=1, max_size=8)
LENGTHS = st.floats(0.0001, 99.0)
PLACES = st.floats(-99.0, 99.0)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(demo_list())


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize(("scale", "measurement"), [(1.0, 1), (2.54, 0)])
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_psa_in_every_spelling(
    tmp_path: Path, delimiter: str, scale: float, measurement: int, absolute: bool, encoding: str
) -> None:
    text = psa_text(scale, measurement=measurement, delimiter=delimiter, absolute=absolute)
    (tmp_path / "a.PSA").write_bytes(text.encode(encoding))
    found = load_planograms(tmp_path / "a.PSA")
    assert found.unknown_rows == (("PositionCalc", 1), ("ProductCalc", 1), ("Project2", 1))
    soup, cream = found.products
    assert (soup.keys, soup.name, soup.brand) == (("0042", "7"), "Soup\\Tomato", "Halm")
    assert soup.size == pytest.approx((0.08, 0.11, 0.08)) and (cream.name, cream.size) == ("Crème", None)
    first, second = found.planograms
    assert [first.width, first.height, first.base_height, first.notch_spacing] == pytest.approx([1, 1.8, 0.1, 0.025])
    assert first.bays[0].door == "right"
    board = first.shelves[0]
    assert (board.kind, board.surface, board.z) == ("shelf", pytest.approx(0.52), pytest.approx(0.05))
    assert board.slope == pytest.approx(radians(5)) and (board.x, str(board.x)) == (0.0, "0.0")
    one, tray = board.positions
    assert (one.sku, one.wide, one.high, one.deep, one.orientation) == ("0042", 3, 2, 2, "side_90")
    assert (one.x, one.y, one.z) == (pytest.approx(0.1), 0.0, None) and one.y_cap == MerchCap(1, "top")
    assert one.size == pytest.approx((0.24, 0.22, 0.16))
    assert tray.tray is not None and (tray.tray.wide, tray.tray.high, tray.tray.deep) == (4, 1, 2)
    pegs = second.shelves[0]
    assert (pegs.kind, pegs.width, pegs.holes is not None) == ("pegboard", pytest.approx(1.0), True)
    assert pegs.positions[0].peg == "P1" and pegs.positions[0].deep == 4


@pytest.mark.parametrize(("page", "name"), [("1251", "Суп"), ("932", "スープ"), ("99", "Crème")])
def test_psa_in_the_code_page_that_it_names(tmp_path: Path, page: str, name: str) -> None:
    text = psa_text().replace("Codepage=1252", f"Codepage={page}").replace("Crème", name)
    (tmp_path / "a.psa").write_bytes(text.encode("cp1252" if page == "99" else f"cp{page}"))
    assert load_planograms(tmp_path / "a.psa").products[1].name == name


def test_what_psa_says_beyond_blocks_is_counted(tmp_path: Path) -> None:
    lines = psa_text().split("\r\n")
    lines.append(psa_row("Position", {0: "43", 3: "20", 20: 1, 21: 1, 22: 1, 16: 2, 17: 1, 24: 0, 25: 1}))
    (tmp_path / "a.psa").write_text("\n".join(lines))
    found = load_planograms(tmp_path / "a.psa")
    assert found.ignored == (("nested cap", 2), ("reversed cap", 1))
    assert found.left_out["'Project2' row"] == 1


def test_psa_says_how_far_nested_caps_reach(tmp_path: Path) -> None:
    lines = psa_text().split("\r\n")
    lines.insert(4, psa_row("Product", {0: "bowl", 4: 20, 5: 8, 6: 16, 15: 1, 16: 2, 17: 3}))
    caps = {16: 2, 17: 1, 19: 0, 20: 3, 21: 1, 23: ORIENTATIONS.index("top"), 24: 1, 27: 0}
    lines.append(psa_row("Position", {0: "bowl", **caps}))
    (tmp_path / "a.psa").write_text("\n".join(lines))
    found = load_planograms(tmp_path / "a.psa")
    bowl = found.planograms[-1].shelves[-1].positions[-1]
    assert not found.ignored and (bowl.sku, bowl.z_cap) == ("bowl", MerchCap(1, "front"))
    assert bowl.x_cap == MerchCap(2, "front", nesting=0.01)
    assert bowl.y_cap == MerchCap(3, "top", nesting=0.03)  # its depth is upright


def test_psa_lists_every_bad_cell_and_place(tmp_path: Path) -> None:
    lines = psa_text().split("\r\n")
    lines.insert(4, psa_row("Position", {0: "1"}))
    lines.append(psa_row("Position", {0: "43", 3: "wide", 13: "2.5", 28: 24}))
    lines.append(psa_row("Position", {13: 0}))
    (tmp_path / "a.psa").write_text("\n".join(lines))
    with raises("planogram-invalid", problems="before any Fixture") as caught:
        load_planograms(tmp_path / "a.psa")
    told = "\n".join(caught.value.problems)
    for text in (
        "column x: found 'wide'",
        "h_facings: found 2.5",
        "orientation: found 24",
        "column sku: found nothing",
    ):
        assert text in told
    assert "row 5:" in told


@pytest.mark.parametrize("text", ["", "SYNTH", "PROSPACE SCHEMATIC FILE", "PROSPACE SCHEMATIC FILE\nPosition,1"])
def test_what_is_no_psa_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.psa").write_text(text)
    with raises("planogram-unreadable"):
        load_planograms(tmp_path / "a.psa")


@QUICK
@given(cells=st.lists(st.text(), min_size=1, max_size=5), delimiter=st.sampled_from(",\t"))
def test_escapes_give_the_cells_back(cells: list[str], delimiter: str) -> None:
    assert split_cells(delimiter.join(map(escaped, cells)), delimiter) == cells


def test_an_unknown_escape_keeps_its_backslash() -> None:
    assert split_cells(r"a\qb,c\,d,e\\,f" + "\\") == [r"a\qb", "c,d", "e\\", "f\\"]


CAPS = st.none() | st.builds(MerchCap, st.integers(1, 20), st.sampled_from(ORIENTATIONS), st.just(0.0) | LENGTHS)
TRAYS = st.builds(MerchTray, LENGTHS, LENGTHS, LENGTHS, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
POSITIONS = st.builds(
    PlanogramPosition,
    id=TEXTS,
    sku=TEXTS,
    wide=st.integers(1, 9),
    high=st.integers(1, 9),
    deep=st.integers(1, 1),
    orientation=st.sampled_from(ORIENTATIONS),
    x=st.none() | PLACES,
    y=PLACES,
    z=st.none() | PLACES,
    merch_style=st.sampled_from(MERCH_STYLES),
    tray=st.none() | TRAYS,
    x_cap=CAPS,
    y_cap=CAPS,
    size=st.none() | st.tuples(LENGTHS, LENGTHS, LENGTHS),
    peg=st.just("") | TEXTS,
)
SHELVES = st.builds(
    PlanogramShelf,
    id=TEXTS,
    kind=st.sampled_from(SHELF_KINDS),
    **dict.fromkeys(("x", "y", "z"), PLACES),
    **dict.fromkeys(("width", "thickness", "depth"), LENGTHS),
    slope=st.floats(-1.5, 1.5),
    overhang=st.tuples(PLACES, PLACES, PLACES),
    holes=st.none() | st.builds(PegHoles, PLACES, PLACES, LENGTHS, LENGTHS),
    positions=st.lists(POSITIONS, max_size=2).map(tuple),
)
PLANS = st.builds(
    Planogram,
    name=TEXTS,
    **dict.fromkeys(("width", "height", "depth", "back_depth"), LENGTHS),
    shelves=st.lists(SHELVES, max_size=2, unique_by=lambda shelf: shelf.id).map(tuple),
    bays=st.lists(st.builds(PlanogramBay, TEXTS, PLACES, LENGTHS, LENGTHS, LENGTHS, st.just("left")), max_size=2).map(
        tuple
    ),
)
PRODUCTS = st.builds(PlanogramProduct, st.lists(TEXTS, min_size=1, max_size=2).map(tuple), TEXTS, TEXTS)


@QUICK
@given(plans=st.lists(PLANS, max_size=2), products=st.lists(PRODUCTS, max_size=2))
def test_toml_reads_as_what_was_written(tmp_path: Path, plans: list[Planogram], products: list) -> None:
    whole = PlanogramSet(tuple(plans), tuple(products))
    (tmp_path / "a.toml").write_bytes(b"".join(write_planograms(whole.planograms, whole.products)))
    assert load_planograms(tmp_path / "a.toml") == whole


def test_toml_fills_in_what_follows_from_the_planogram(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TOML)
    shelf = load_planograms(tmp_path / "a.toml").planograms[0].shelves[0]
    assert (shelf.id, shelf.width, shelf.depth, shelf.z, shelf.thickness) == ("1", 1.0, 0.37, 0.1, 0.03)
    assert shelf.positions == (PlanogramPosition("1", "0042", wide=3),)


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (("wide = 3", "wide = 0"), "planogram-invalid", "wide: found 0"),
        (("wide = 3", "wide = 3.0"), "planogram-invalid", "position.0.wide"),
        (("wide = 3", "colour = 3"), "planogram-invalid", "colour"),
        (("y = 160", "y = 160\nslope = 3"), "planogram-invalid", "slope_deg"),
        (("y = 160", "y = 160\nrow = 3"), "planogram-invalid", "reserved"),
        (("y = 160", "y = nan"), "planogram-unreadable", "y = NaN"),
        (("y = 160", "y = 1e999999999"), "planogram-unreadable", "at most 1e9"),
        (("y = 160", f"{'a.' * 100_000}b = 1"), "planogram-unreadable", "dots"),
        (("y = 160", f"y = {'[' * 100_000}"), "planogram-unreadable", ""),
        (("y = 160", f"y = {'9' * 5000}"), "planogram-unreadable", ""),
        (("synth-planogram-1", "synth-planogram-2"), "planogram-invalid", "format"),
        ((TOML, "planogram = 3"), "planogram-unreadable", "planogram"),
    ],
)
def test_toml_mistakes_are_named(tmp_path: Path, change: tuple[str, str], code: str, told: str) -> None:
    (tmp_path / "a.toml").write_text(TOML.replace(*change))
    with raises(code, text=told):
        load_planograms(tmp_path / "a.toml")


def test_csv_builds_a_bay_around_its_products(tmp_path: Path, catalog: Catalog) -> None:
    """Oats are 0.19 x 0.28 x 0.062, rice 0.11 x 0.18 x 0.055."""
    rows = ["Shelf;SKU;position;facings;stack;rows_deep;orientation", "1;demo-0001;2;3;1;5;", "1;demo-0002;1;1;;;side"]
    (tmp_path / "a.csv").write_text("\n".join([*rows, "", "2;demo-0004;1;2;2;3;"]), encoding="utf-8-sig")
    (plan,) = load_planograms(tmp_path / "a.csv", catalog).planograms
    quoted = "\n".join('"' + line.replace(";", '";"') + '"' for line in [*rows, ";;;;;;", "2;demo-0004;1;2;2;3;"])
    (tmp_path / "b.csv").write_text(quoted)
    assert load_planograms(tmp_path / "b.csv", catalog).planograms[0].shelves == plan.shelves
    low, high = plan.shelves
    assert [one.sku for one in low.positions] == ["demo-0002", "demo-0001"]
    assert low.positions[0].orientation == "side" and low.positions[1].row == 2
    assert (plan.name, plan.width, plan.depth) == ("a", 0.665, 0.37)
    assert low.surface == pytest.approx(0.16) and plan.free_height(low) >= 0.28 + 0.03
    assert (high.surface - 0.16) / 0.05 == pytest.approx(round((high.surface - 0.16) / 0.05))


def test_csv_lists_every_bad_row_and_needs_a_catalogue(tmp_path: Path, catalog: Catalog) -> None:
    file = tmp_path / "a.csv"
    file.write_text("shelf,sku,facings,orientation\n0,a,1,\n1,,1,\n1,b,x,\n1,c,1,up\n1,d\n999,e,1,\n")
    with raises("planogram-invalid") as caught:
        load_planograms(file, catalog)
    told = "\n".join(caught.value.problems)
    for text in ("row 2, column shelf", "row 3, column sku", "row 4, column facings", "row 5, column orientation"):
        assert text in told
    assert "row 6: found 2 cells" in told and "row 7, column shelf" in told
    with raises("planogram-sizes-missing"):
        load_planograms(file)
    file.write_text("shelf,product\n1,a\n")
    with raises("planogram-invalid", problems="column sku"):
        load_planograms(file, catalog)


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with raises("planogram-format-unknown", expected=r"\.psa"):
        load_planograms(tmp_path / "a.xlsx")


@pytest.mark.parametrize("name", FORMATS.names())
@QUICK
@given(data=st.data())
def test_hostile_bytes_are_read_or_told(name: str, data: st.DataObject, tmp_path: Path, catalog: Catalog) -> None:
    good = {"psa": psa_text(), "toml": TOML, "csv": CSV}[name].encode()
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(good))] * 2)))
    junk = data.draw(st.binary(max_size=12) | st.sampled_from([b"\\", b",,", b"nan", b"1e308", b"\x00", b'"', b"-0"]))
    (tmp_path / f"a.{name}").write_bytes(data.draw(st.sampled_from([junk, good[:start] + junk + good[stop:]])))
    with suppress(SynthError):
        load_planograms(tmp_path / f"a.{name}", catalog)
