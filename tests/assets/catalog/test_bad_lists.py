"""Lists of strangers: encodings, formulas, keys that name files, and lists made to be endless."""

from __future__ import annotations

import csv
import json
import os
import random
import tracemalloc
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.catalog.csv_rows import formula_safe
from assets.catalog.load import check_catalog, load_catalog
from assets.catalog.problems import MORE_PROBLEMS
from assets.limits import LIST_COLUMNS, LIST_PROBLEMS, LIST_ROWS
from support.errors import raises
from support.fuzzing.files import deadline, run_command

HEAD = "sku,name,package,width_m,height_m,depth_m"
ROW = ",Größe,can,0.07,0.1,0.07"


def of_text(folder: Path, text: str, encoding: str = "utf-8", name: str = "l.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lists_as_spreadsheets_save_them(tmp_path: Path, encoding: str, ends: str, delimiter: str) -> None:
    text = ends.join([HEAD, f"a{ROW}", "", f"b{ROW}", ""]).replace(",", delimiter)
    catalog = load_catalog(of_text(tmp_path, text, encoding))
    assert catalog.keys == ("a", "b") and catalog.rows == (2, 4) and catalog[0].name == "Größe"


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "zero bytes, as in UTF-16"),
        ("utf-16-be", "zero bytes, as in UTF-16"),
        ("utf-32", "UTF-16|zero bytes"),
        ("cp1252", "byte 0xf6 in line 2, near 'a,Größe"),
        ("latin-1", "byte 0xf6 in line 2"),
        ("mac-roman", "byte 0x9a in line 2"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_other_encodings_are_told_with_how_to_save_it_anew(
    tmp_path: Path, encoding: str, told: str, ending: str
) -> None:
    path = of_text(tmp_path, f"{HEAD}\na{ROW}\n", encoding, f"l.{ending}")
    with raises("list-not-utf8", found=told, hint="CSV UTF-8"):
        load_catalog(path)


def test_zero_bytes_in_the_middle_are_told_cell_by_cell(tmp_path: Path) -> None:
    found = check_catalog(of_text(tmp_path, f"{HEAD}\na\0b{ROW}\nc,d\0e,can,1,1,1\n"))
    assert [(problem.row, problem.column) for problem in found] == [(2, "sku"), (3, "name")]


def test_a_quote_that_never_ends_is_told_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    with path.open("w") as file:
        file.write(f'{HEAD}\n"a')
        file.writelines("x" * 1_000_000 for _ in range(100))
    tracemalloc.start()
    with raises("limit-exceeded", hint="quote that is opened and not closed"):
        load_catalog(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6  # of 100 MB
    tracemalloc.stop()


def test_a_line_of_json_that_never_ends_is_told(tmp_path: Path) -> None:
    path = of_text(tmp_path, json.dumps({"sku": "a" * 3_000_000}), name="l.jsonl")
    with raises("limit-exceeded", what="characters of a line of a SKU list"):
        load_catalog(path)


def test_a_million_bad_cells_give_a_bounded_report(tmp_path: Path) -> None:
    rows = "\n".join(f"{number}, ,nothing,-1,nan,1e308" for number in range(20_000))
    path = of_text(tmp_path, f"{HEAD}\n{rows}\n")
    problems = check_catalog(path)
    assert len(problems) == LIST_PROBLEMS.maximum + 1 and problems[0] is MORE_PROBLEMS
    with raises("list-invalid", problems="more than 10,000 problems") as caught:
        load_catalog(path)
    assert len(str(caught.value)) < 10_000


def test_missing_files_in_a_full_folder_take_no_search_each(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"M{number}.obj").touch()
    rows = "\n".join(f"{number},m{number}.OBJ" for number in range(3000))
    with deadline(30):
        found = check_catalog(of_text(tmp_path, f"sku,mesh\n{rows}"))
    assert len(found) == 3000 and found[7].expected == "'M7.obj', as the file is spelt"


def test_each_line_with_other_names_needs_no_table_of_all(tmp_path: Path) -> None:
    lines = [json.dumps({"sku": str(n), **{f"x{n}-{m}": 1 for m in range(40)}}) for n in range(10_000)]
    tracemalloc.start()
    with raises("limit-exceeded", what="columns of a SKU list"):
        load_catalog(of_text(tmp_path, "\n".join(lines), name="l.jsonl"))
    assert tracemalloc.get_traced_memory()[1] < 300e6  # a table of it would have 4 billion cells
    tracemalloc.stop()


def test_more_columns_than_any_list_has(tmp_path: Path) -> None:
    head = ",".join(f"c{number}" for number in range(LIST_COLUMNS.maximum))
    with deadline(20), raises("limit-exceeded", what="columns of a SKU list"):
        load_catalog(of_text(tmp_path, f"{HEAD},{head}\n"))


def test_parquet_that_unpacks_to_terabytes_is_told(tmp_path: Path) -> None:
    rows = LIST_ROWS.maximum + 1
    schema = pa.schema({"sku": pa.string()})
    with parquet.ParquetWriter(tmp_path / "many.parquet", schema) as writer:
        column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["a"]).cast(pa.string())
        writer.write_table(pa.table({"sku": column}))
    assert (tmp_path / "many.parquet").stat().st_size < 20_000
    with raises("limit-exceeded", what="rows of a SKU list"):
        load_catalog(tmp_path / "many.parquet")
    parquet.write_table(pa.table({"sku": ["a" * 200_000] * 1000}), tmp_path / "long.parquet")
    assert (tmp_path / "long.parquet").stat().st_size < 100_000
    with raises("limit-exceeded", what="characters of a cell"):
        load_catalog(tmp_path / "long.parquet")


def test_one_text_in_many_rows_of_parquet_is_kept_once(tmp_path: Path) -> None:
    table = {"sku": [str(number) for number in range(5000)], "name": ["n" * 900] * 5000, "package": ["can"] * 5000}
    parquet.write_table(
        pa.table({**table, **{f"{s}_m": [0.1] * 5000 for s in ("width", "height", "depth")}}), tmp_path / "l.parquet"
    )
    catalog = load_catalog(tmp_path / "l.parquet")
    assert catalog[0].name == "n" * 900 and catalog[0].name is catalog[1].name and catalog[0].width_m == 0.1


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "-0.1", "0", "1e308", "1e400", "-1e308", "1e-320", "7", "0.1 m"]
)
@pytest.mark.parametrize("column", ["width_m", "height_m", "depth_m"])
def test_numbers_that_are_no_size(tmp_path: Path, text: str, column: str) -> None:
    cells = {"sku": "a", "package": "can", "width_m": "0.1", "height_m": "0.1", "depth_m": "0.1", column: text}
    found = check_catalog(of_text(tmp_path, f"{','.join(cells)}\n{','.join(cells.values())}\n"))
    assert [(problem.row, problem.column) for problem in found][:1] == [(2, column)]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../m.obj",
            "x/../../m.obj",
            "/etc/passwd",
            "C:/m.obj",
            "C:m.obj",
            "\\\\server\\m.obj",
            "..\\m.obj",
            "x\\..\\..\\m",
        ),
        *("..", "/", "\\", "x/..", "m.obj\0.png"),
    ],
)
@pytest.mark.parametrize("column", ["mesh", "packshot"])
def test_paths_stay_in_the_folder_of_the_list(tmp_path: Path, path: str, column: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "m.obj").touch()
    line = json.dumps({"sku": "a", "package": "" if column == "mesh" else "can", "mesh": "", column: path})
    found = check_catalog(of_text(tmp_path / "in", line, name="l.jsonl"))
    assert column in [problem.column for problem in found]
    assert any("inside the list's folder" in problem.expected for problem in found)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_mesh(tmp_path: Path, make: object) -> None:
    make(tmp_path / "m.obj")  # type: ignore[operator]
    with deadline(20):
        found = check_catalog(of_text(tmp_path, "sku,mesh\na,m.obj"))
    assert [problem.column for problem in found] == ["mesh"] and "no file" in found[0].found


def test_a_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.obj").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m.obj").symlink_to(tmp_path / "elsewhere.obj")
    assert not check_catalog(of_text(tmp_path / "in", "sku,mesh\na,m.obj"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_list_that_is_no_file_is_not_waited_for(tmp_path: Path, make: object, ending: str) -> None:
    make(tmp_path / f"l.{ending}")  # type: ignore[operator]
    with deadline(20), raises("not-a-file", what="the SKU list"):
        load_catalog(tmp_path / f"l.{ending}")


@pytest.mark.parametrize("key", ["a\nb", "a\tb", "\u202eabc", "a\u200bb", "\ud800", "k" * 201, "\x1b[31m", "", " "])
def test_keys_that_cannot_be_shown(tmp_path: Path, key: str) -> None:
    line = json.dumps({"sku": key, "package": "can", "width_m": 0.1, "height_m": 0.1, "depth_m": 0.1})
    assert [problem.column or "sku" for problem in check_catalog(of_text(tmp_path, line, name="l.jsonl"))][:1] == [
        "sku"
    ]


@pytest.mark.parametrize("keys", [("é", "e\u0301"), ("e\u0301", "é"), ("가", "\u1100\u1161"), ("\u212b", "\u00c5")])
def test_keys_that_look_the_same(tmp_path: Path, keys: tuple[str, str]) -> None:
    found = check_catalog(of_text(tmp_path, f"{HEAD}\n{keys[0]}{ROW}\n{keys[1]}{ROW}\n"))
    assert [(problem.row, problem.column) for problem in found] == [(3, "sku")]
    assert "looks the same as the key of row 2" in found[0].found


NASTY = [
    "..",
    ".",
    "../../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "CON",
    "nul.txt",
    "COM1",
    "A",
    "a",
    ".hidden",
    "%2e%2e",
    "k" * 200,
]
NASTY += [
    "=1+1",
    "+a",
    "-a",
    "@a",
    "'=a",
    "''=a",
    "ü" * 60,
    "ü" * 60 + "!",
    "a:b",
    "a?*",
    "é",
    "日本語",
    "'quoted'",
    "|",
]


def test_any_key_is_exported_into_the_folder_and_reads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No formula reaches a spreadsheet, no name leaves the folder, none equals another on systems without capitals."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [
        {"sku": key, "package": "carton", **dict.fromkeys(("width_m", "height_m", "depth_m"), 0.1)} for key in NASTY
    ]
    source = of_text(tmp_path, "\n".join(json.dumps({**row, "name": row["sku"]}) for row in rows), name="l.jsonl")
    assert run_command("catalog", "export", str(source), str(tmp_path / "out" / "x")) == 0
    listed = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert all(name.startswith(("out/x/", "cache/")) for name in listed - {"l.jsonl"})
    names = [file.name for file in (tmp_path / "out" / "x" / "meshes").iterdir()]
    assert len({name.casefold() for name in names}) == len(NASTY) == len(names)
    assert not any(name.startswith(".") or name.split(".")[0].upper() in ("CON", "NUL", "COM1") for name in names)
    with (tmp_path / "out" / "x" / "skus.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    catalog = load_catalog(tmp_path / "out" / "x" / "skus.csv")
    assert catalog.keys == tuple(sorted(NASTY)) and [sku.name for sku in catalog] == sorted(NASTY)


@given(st.text(st.sampled_from("'=+-@\t\ra1"), max_size=6))
def test_formulas(text: str) -> None:
    """What is written is no formula, and different texts stay different."""
    written = formula_safe(text)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert written == text or written == f"'{text}"
    from assets.catalog.csv_rows import _strip_apostrophes

    assert _strip_apostrophes((written,)) == (text,)


def test_random_bytes_of_every_ending_are_told(tmp_path: Path) -> None:
    draw = random.Random(0)
    for ending in ("csv", "tsv", "jsonl", "ndjson", "parquet"):
        for size in (0, 1, 3, 4, 5, 100, 5000):
            path = tmp_path / f"l.{ending}"
            for data in (draw.randbytes(size), zlib.compress(bytes(size)), b"PAR1" + bytes(size) + b"PAR1"):
                path.write_bytes(data)
                with raises("list-not-utf8", "list-unreadable", "list-invalid"):
                    load_catalog(path)
