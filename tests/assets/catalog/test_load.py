"""SKU lists: four formats agree, and every mistake is told with row, column, found and expected."""

from __future__ import annotations

import csv
import io
import json
import pickle
import resource
import time
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.catalog.load import check_catalog, load_catalog
from assets.catalog.types import COLUMNS, LATER, NUMBERS, Catalog, Sku
from assets.errors import UNPRINTABLE
from support.errors import raises

ROWS: list[dict] = [
    {"sku": "00123", "name": "Tomatensoße", "mesh": "meshes/b.glb", "width_m": 0.07, "mass_kg": 0.4},
    {"sku": "A 1/2", "package": "can", "width_m": 0.07, "height_m": 0.1, "depth_m": 0.07, "colors": "#d81e2c #fff"},
    {"sku": "ä", "name": "two\nlines", "mesh": "meshes/a.obj", "brand": "Größe, Co", "units": "mm", "up": "y"},
]
ALL_MESHES = ("meshes/a.obj", "meshes/b.glb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "meshes").mkdir()
    for name in ALL_MESHES:
        (tmp_path / name).touch()
    return tmp_path


def write(path: Path, rows: list[dict]) -> Path:
    """The same rows in the format that the ending names."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    else:
        text = io.StringIO()
        writer = csv.DictWriter(text, names, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


def of_text(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("ending", [".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_formats_agree(folder: Path, ending: str) -> None:
    rows = [*ROWS, {"sku": "ö", "mesh": "meshes/a.obj", "front": "+x", "rests": "stand:0.7 lie:0.3"}]
    plain = load_catalog(write(folder / "list.csv", rows))
    other = load_catalog(write(folder / f"other{ending}", rows))
    assert list(other) == list(plain)
    assert (plain[3].front, plain[3].rests) == ("+x", "stand:0.7 lie:0.3")
    assert other.hash == plain.hash


def test_rows_become_skus_sorted_by_key(folder: Path) -> None:
    catalog = load_catalog(write(folder / "list.csv", ROWS[::-1]))
    assert catalog.keys == ("00123", "A 1/2", "ä")
    assert catalog[0] == Sku("00123", "Tomatensoße", mesh="meshes/b.glb", width_m=0.07, mass_kg=0.4)
    assert catalog[1].name == "A 1/2"  # a product without a name is called by its key
    assert [catalog.position(key) for key in catalog.keys] == [0, 1, 2]
    assert catalog.rows == (4, 3, 2)
    assert catalog.root == folder and len(catalog) == 3
    assert catalog.find("ä").name == "two\nlines"


def test_hash_knows_content_not_order(folder: Path) -> None:
    forward, backward = (load_catalog(write(folder / "list.csv", rows)).hash for rows in (ROWS, ROWS[::-1]))
    changed = load_catalog(write(folder / "list.csv", [{**ROWS[0], "mass_kg": 0.5}, *ROWS[1:]])).hash
    assert forward == backward != changed


def test_unknown_key_names_the_closest(folder: Path) -> None:
    catalog = load_catalog(write(folder / "list.csv", ROWS))
    with raises("unknown-sku", hint="did you mean '00123'"):
        catalog.find("0123")


def test_catalog_crosses_processes(folder: Path) -> None:
    catalog = load_catalog(write(folder / "list.csv", ROWS))
    assert list(pickle.loads(pickle.dumps(catalog))) == list(catalog)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffsku,mesh\nx,meshes/a.obj\n",  # a byte order mark, as spreadsheets write
        "sku;mesh;width_m\nx;meshes/a.obj;0.1\n",  # separated by ';', as in countries with a decimal comma
        "sku\tmesh\nx\tmeshes/a.obj\n",  # tabs in a .csv
        '"sku","mesh"\r\n"x","meshes/a.obj"\r\n\r\n',  # quoted header, Windows line ends, an empty line
        "sku,mesh\n\nx,meshes/a.obj\n,\n , \n",  # rows that a spreadsheet left empty
        " sku , mesh \n x , ./meshes/a.obj \n",  # blanks around cells
        "mesh,sku,ean\nmeshes/a.obj,x,4006381333931\n",  # another order, a column of the user's own
    ],
)
def test_lists_as_people_write_them(folder: Path, text: str) -> None:
    catalog = load_catalog(of_text(folder, text))
    assert catalog.keys == ("x",)
    assert catalog[0].mesh.endswith("meshes/a.obj")


def test_columns_of_the_users_own_are_noted(folder: Path) -> None:
    catalog = load_catalog(of_text(folder, "sku,mesh,ean,shelf\nx,meshes/a.obj,1,2\n"))
    assert catalog.notes == ("columns not used: ean, shelf",)


HEADER = "sku,name,mesh,package,width_m,height_m,depth_m,mass_kg,packshot,colors,up,units\n"
GOOD = "good,,meshes/a.obj,,,,,,,,,\n"


@pytest.mark.parametrize(
    ("row", "column", "found", "expected"),
    [
        (",n,meshes/a.obj,,,,,,,,,", "sku", "nothing", "unique"),
        ("good,n,meshes/a.obj,,,,,,,,,", "sku", "as in row 2", "unique"),  # both rows are named
        ("a\x07b,n,meshes/a.obj,,,,,,,,,", "sku", "x07", "printable"),  # a control character
        ("a\0b,n,meshes/a.obj,,,,,,,,,", "sku", "x00", "printable"),
        ("x" * 201 + ",n,meshes/a.obj,,,,,,,,,", "sku", "xxx", "at most 200"),
        ("x,n,,,,,,,,,,", "mesh", "neither", "mesh file"),
        ("x,n,meshes/a.obj,can,.1,.1,.1,,,,,", "package", "beside a mesh", "not both"),
        ("x,n,,can,.1,,.1,,,,,", "height_m", "nothing", "made from its sizes"),
        ("x,n,,botle,.1,.1,.1,,,,,", "package", "'botle'", "did you mean 'bottle'?"),
        ("x,n,,QQ,.1,.1,.1,,,,,", "package", "'QQ'", "carton, gable_top, can, bottle"),
        ("x,n,meshes/a.obj,,70,,,,,,,", "width_m", "70", "millimetres"),
        ("x,n,meshes/a.obj,,7,,,,,,,", "width_m", "7", "centimetres"),
        ("x,n,meshes/a.obj,,0.0001,,,,,,,", "width_m", "0.0001", "at least"),
        ("x,n,meshes/a.obj,,0,,,,,,,", "width_m", "0", "over 0"),
        ("x,n,meshes/a.obj,,,-1,,,,,,", "height_m", "-1", "over 0"),
        ("x,n,meshes/a.obj,,,,nan,,,,,", "depth_m", "nan", "over 0"),
        ("x,n,meshes/a.obj,,,,,inf,,,,", "mass_kg", "inf", "over 0"),
        ("x,n,meshes/a.obj,,,,,500,,,,", "mass_kg", "500", "grams"),
        ('x,n,meshes/a.obj,,"0,07",,,,,,,', "width_m", "'0,07'", "decimal point"),
        ("x,n,meshes/a.obj,,7 cm,,,,,,,", "width_m", "'7 cm'", "no unit"),
        ("x,n,meshes/a.obj,,wide,,,,,,,", "width_m", "'wide'", "a number or nothing"),
        ("x,n,meshes/none.obj,,,,,,,,,", "mesh", "no file", "a file under"),
        ("x,n,meshes/A.obj,,,,,,,,,", "mesh", "no file", "'a.obj', as the file is spelt"),
        ("x,n,meshes\\a.obj,,,,,,,,,", "mesh", "no file", "with / between"),
        ("x,n,meshes,,,,,,,,,", "mesh", "no file", "a file under"),  # a folder
        ("x,n,/etc/passwd,,,,,,,,,", "mesh", "/etc/passwd", "inside the list's folder"),
        ("x,n,meshes/../../up.obj,,,,,,,,,", "mesh", "..", "inside the list's folder"),
        ("x,n,..\\up.obj,,,,,,,,,", "mesh", "..", "inside the list's folder"),
        ("x,n,C:\\a.obj,,,,,,,,,", "mesh", "C:", "inside the list's folder"),
        ("x,n,meshes/a.obj,,,,,,/p.png,,,", "packshot", "/p.png", "inside the list's folder"),
        ("x,n,meshes/a.obj,,,,,,,reddish,,", "colors", "reddish", "hex"),
        ("x,n,meshes/a.obj,,,,,,,,x,", "up", "'x'", "one of y, z"),
        ("x,n,meshes/a.obj,,,,,,,,,feet", "units", "'feet'", "m, cm, mm, in"),
        ("x,n,meshes/a.obj,,,,,,,,", "", "11 cells", "12"),  # a cell too few
        ("x,n,meshes/a.obj,,,,,,,,,,", "", "13 cells", "12"),  # a cell too many
    ],
)
def test_bad_cell_is_told(folder: Path, row: str, column: str, found: str, expected: str) -> None:
    (problem,) = check_catalog(of_text(folder, HEADER + GOOD + row + "\n"))
    assert (problem.row, problem.column) == (3, column)
    assert found in problem.found
    assert expected in problem.expected


def test_all_bad_rows_at_once_and_counted_as_a_spreadsheet_does(folder: Path) -> None:
    text = 'sku,name,mesh,mass_kg\n,a,meshes/a.obj,1\n\nx,"two\nlines",meshes/a.obj,heavy\ny,b,meshes/none.obj,-1\n'
    path = of_text(folder, text)
    rows = [(problem.row, problem.column) for problem in check_catalog(path)]
    assert rows == [(2, "sku"), (4, "mass_kg"), (5, "mass_kg"), (5, "mesh")]
    with raises("list-invalid", what="4 problems") as error:
        load_catalog(path)
    assert len(error.value.problems) == 4
    assert "row 5, column mass_kg: found -1, expected a number over 0" in str(error.value)


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("name,mesh\nx,meshes/a.obj\n", "sku", "a column named sku"),
        ("sku,mesh,mesh\nx,meshes/a.obj,meshes/b.glb\n", "mesh", "each column once"),
        ("sku,mesh,hieght_m\nx,meshes/a.obj,1\n", "hieght_m", "did you mean 'height_m'?"),
        ("SKU,mesh\nx,meshes/a.obj\n", "SKU", "did you mean 'sku'?"),
    ],
)
def test_bad_header_is_told(folder: Path, text: str, column: str, expected: str) -> None:
    problems = check_catalog(of_text(folder, text))
    assert {problem.row for problem in problems} == {1}
    assert (column, expected) in {(problem.column, problem.expected) for problem in problems}


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("list.csv", "sku,mesh\nx,ä.obj\n".encode("utf-16"), "list-not-utf8", "UTF-16"),
        (
            "list.csv",
            "sku,mesh\ny,a.obj\nKäse,a.obj\n".encode("latin-1"),
            "list-not-utf8",
            "byte 0xe4 in line 3, near 'Käse",
        ),
        ("list.csv", b'sku,mesh\n"x,meshes/a.obj\n', "list-unreadable", "a quote that is opened and not closed"),
        ("list.csv", "sku,mesh\nx,ä.obj\n".encode("utf-16-le"), "list-not-utf8", "as in UTF-16"),  # without a mark
        ("list.parquet", b"sku,mesh\n", "list-unreadable", ""),
        ("list.xlsx", b"PK", "list-format-unknown", "CSV UTF-8"),
        ("list", b"", "list-format-unknown", "no ending"),
        ("list.jsonl", "{}".encode("utf-16"), "list-not-utf8", "UTF-16"),
    ],
)
def test_unreadable_list_is_told(folder: Path, name: str, content: bytes, code: str, message: str) -> None:
    (folder / name).write_bytes(content)
    with raises(code, text=message):
        check_catalog(folder / name)


@pytest.mark.parametrize("name", ["none.csv", "meshes", "meshes.csv/"])
def test_list_that_is_not_there(folder: Path, name: str) -> None:
    with raises("file-missing", "list-format-unknown"):
        load_catalog(folder / name)


@pytest.mark.parametrize("content", ["", "sku,mesh\n", "\ufeff", "sku,mesh\n\n,\n"])
def test_empty_list_is_a_problem(folder: Path, content: str) -> None:
    assert check_catalog(of_text(folder, content))


@pytest.mark.parametrize(
    ("line", "column", "found"),
    [
        ('{"sku": "x", "mesh": "meshes/a.obj"', "", "delimiter"),  # cut off
        ('["x"]', "", "no object"),
        ('{"sku": "x", "sku": "y", "mesh": "meshes/a.obj"}', "", "a name twice"),
        ('{"sku": "x", "name": "\\ud800", "mesh": "meshes/a.obj"}', "", "surrogates"),
        ('{"sku": 1.5, "mesh": "meshes/a.obj"}', "sku", "1.5 (float)"),  # a code that lost its form
        ('{"sku": "x", "name": {"de": "y"}, "mesh": "meshes/a.obj"}', "name", "dict"),
        ('{"sku": "x", "mass_kg": true, "mesh": "meshes/a.obj"}', "mass_kg", "True"),
        ('{"sku": "x", "mass_kg": [1], "mesh": "meshes/a.obj"}', "mass_kg", "[1]"),
    ],
)
def test_bad_line_of_json_is_told(folder: Path, line: str, column: str, found: str) -> None:
    good = '{"sku": "good", "mesh": "meshes/a.obj"}'
    (problem,) = check_catalog(of_text(folder, f"{good}\n\n{line}\n", "list.jsonl"))
    assert (problem.row, problem.column) == (3, column)
    assert found in problem.found


def test_numbers_as_keys_keep_all_digits(folder: Path) -> None:
    catalog = load_catalog(of_text(folder, '{"sku": 4006381333931, "mesh": "meshes/a.obj"}', "list.jsonl"))
    assert catalog.keys == ("4006381333931",)


def test_parquet_of_pandas_with_gaps(folder: Path) -> None:
    columns = {"sku": ["a", "b"], "mesh": ["meshes/a.obj"] * 2, "width_m": [float("nan"), 0.1], "brand": [None, "B"]}
    table = pa.table(columns).append_column("category", pa.array(["x", "x"]).dictionary_encode())
    parquet.write_table(table, folder / "list.parquet")
    catalog = load_catalog(folder / "list.parquet")
    assert [sku.width_m for sku in catalog] == [None, 0.1]
    assert [(sku.brand, sku.category) for sku in catalog] == [("", "x"), ("B", "x")]


def test_parquet_with_a_column_twice(folder: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["x"]), pa.array(["y"])], names=["sku", "mesh", "mesh"])
    parquet.write_table(table, folder / "list.parquet")
    assert ("mesh", "the column twice") in {(p.column, p.found) for p in check_catalog(folder / "list.parquet")}


# "'=x" is what a spreadsheet program shows as the text "=x": read so from CSV, see test_formulas.
texts = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
    .map(str.strip)
    .filter(lambda text: not UNPRINTABLE.search(text) and not text.startswith("'"))
)


@given(
    st.lists(
        st.tuples(texts.filter(lambda key: key.isprintable() and key), texts),
        unique_by=lambda row: unicodedata.normalize("NFC", row[0]),
    )
)
def test_any_key_and_name_survive_every_format(rows: list[tuple[str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "m").touch()
        listed = [{"sku": key, "name": name, "mesh": "m"} for key, name in rows]
        for name in ("l.csv", "l.tsv", "l.jsonl", "l.parquet"):
            path = write(Path(folder) / name, [*listed, {"sku": "last of all", "name": "", "mesh": "m"}])
            read = {sku.sku: sku.name for sku in load_catalog(path)}
            assert read == {**{key: value or key for key, value in rows}, "last of all": "last of all"}


def test_many_rows_take_flat_seconds_and_memory(folder: Path) -> None:
    count = 30_000
    lines = (f"{4_000_000_000_000 + i},Product {i},cat {i % 99},meshes/a.obj,0.{i % 9 + 1}" for i in range(count))
    path = of_text(folder, "sku,name,category,mesh,width_m\n" + "\n".join(lines))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    catalog = load_catalog(path)
    taken, grown = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(catalog) == count
    assert taken < 5  # 0.3 s on two free cores
    assert grown * 1024 / count < 2500  # bytes a row; 900 measured


def test_columns_are_those_of_sku() -> None:
    columns = {name: [None if name in NUMBERS else ""] for name in COLUMNS}
    assert Catalog(columns, Path("x.csv"))[0] == Sku("", "")


def test_the_hash_of_a_list_without_later_columns_is_what_it_always_was(folder: Path) -> None:
    # As the version before packshots of all sides had it.
    plain = load_catalog(
        of_text(folder, "sku,mesh,package,width_m,height_m,depth_m\na,meshes/a.obj,,.1,,\nb,,can,.1,.2,.1\n")
    )
    assert plain.hash == "f97484fd7662a373808f6c909fc9944ba987e723be0c09aea6513e8d0169e25a"
    empty = load_catalog(write(folder / "empty.csv", [{**dict.fromkeys(LATER, ""), **row} for row in ROWS]))
    assert empty.hash == load_catalog(write(folder / "list.csv", ROWS)).hash
    (folder / "back.png").touch()
    pictured = [{**ROWS[1], "packshot_back": "back.png"}, ROWS[0], ROWS[2]]
    assert load_catalog(write(folder / "pictured.csv", pictured)).hash != empty.hash


def test_kinds_go_by_many_names(folder: Path) -> None:
    names = (
        "BO",
        "bottle",
        "Bottles",
        "CNG",
        "tin",
        "Stand-up pouch",
        "flow pack",
        "GTG",
        "gable top",
        "auto",
        "Boxes",
    )
    rows = "".join(f"{number:02},{name},.1,.1,.1\n" for number, name in enumerate(names))
    catalog = load_catalog(of_text(folder, "sku,package,width_m,height_m,depth_m\n" + rows))
    kinds = "bottle bottle bottle can can pouch bag gable_top gable_top auto carton"
    assert " ".join(sku.package for sku in catalog) == kinds
    (note,) = catalog.notes
    assert "'BO' as bottle" in note and "'auto'" not in note


def test_columns_as_retailers_export_them(folder: Path) -> None:
    text = "GTIN,brandName,packagingTypeCode,width,widthUOM,height_mm,depth_cm,Gross Weight,grossWeightUOM,shelf\n"
    path = of_text(folder, text + "4006381333931,Acme,CNG,70,MMT,110,7,1,LBR,red\n")
    catalog = load_catalog(path)
    size = {"width_m": 0.07, "height_m": 0.11, "depth_m": 0.07, "mass_kg": 0.45359237}
    key = "4006381333931"
    assert catalog[0] == Sku(key, key, package="can", brand="Acme", **size)
    assert any("GTIN as sku" in note and "depth_cm as depth_m" in note for note in catalog.notes)
    assert "columns not used: shelf" in catalog.notes
    same = load_catalog(
        write(folder / "same.jsonl", [dict(zip(*csv.reader(path.read_text().splitlines()), strict=True))])
    )
    assert list(same) == list(catalog)
    table = pa.table({"gtin": [key], "package": ["CNG"], "brand": ["Acme"], **{k: [v] for k, v in size.items()}})
    parquet.write_table(table, folder / "same.parquet")
    assert list(load_catalog(folder / "same.parquet")) == list(catalog)


def test_a_columns_own_name_comes_first(folder: Path) -> None:
    catalog = load_catalog(of_text(folder, "sku,gtin,mesh,width_m,width_mm\nx,123,meshes/a.obj,0.1,90\n"))
    assert (catalog[0].sku, catalog[0].width_m) == ("x", 0.1)
    assert catalog.notes == ("columns not used: gtin, width_mm",)


@pytest.mark.parametrize(
    ("header", "cells", "column", "expected"),
    [
        ("width,width_unit", "70,parsec", "width_unit", "one of m, mtr, cm"),
        ("width", "70", "width", "did you mean 'width_m'?"),  # of which unit?
        ("width_mm", "70 mm", "width_mm", "no unit"),
        ("width_mm", "70000", "width_m", "are these millimetres"),  # told in metres, as it would be used
        ("pack_count", "2.5", "pack_count", "a whole number"),
        ("pack_count", "1000", "pack_count", "at most 144"),
        ("unit_package", "multipack", "unit_package", "one of auto, carton"),
        ("label_strip", "gone.png", "label_strip", "a file under"),
    ],
)
def test_bad_cells_of_later_columns_are_told(folder: Path, header: str, cells: str, column: str, expected: str) -> None:
    (problem,) = check_catalog(of_text(folder, f"sku,mesh,{header}\nx,meshes/a.obj,{cells}\n"))
    assert problem.column == column
    assert expected in problem.expected
