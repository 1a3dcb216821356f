"""SKU lists as no program should write them."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress

from hypothesis import strategies as st

from assets.catalog.load import check_catalog, load_catalog
from assets.catalog.types import COLUMNS
from assets.errors import SynthError
from support.fuzzing.files import (
    WORDS,
    Files,
    Sandbox,
    broken,
    changed_json,
    changed_words,
    nothing_written,
    run_command,
)

GOOD = {
    "sku": "00123",
    "name": "Tomatensoße",
    "category": "food",
    "package": "can",
    "width_m": "0.07",
    "height_m": "0.1",
    "depth_m": "0.07",
    "colors": "#d81e2c #fff",
    "packshot": "",
}
CELLS = st.one_of(
    st.sampled_from(
        ["", "0.1", "-0.1", "nan", "inf", "1e308", "1_0", "0,1", "can", "carton", "bottle", "m.obj", "p.png"]
    ),
    st.sampled_from(WORDS),
    st.sampled_from(["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "'=1", "\t=1", "../m.obj", "C:\\m.obj", "./m.obj"]),
    st.sampled_from(["CON", "a/b", "..", ".", "a\nb", "k" * 300, "é", "é", "A", "a", "\u202eabc", "\ufeff", "a\0b"]),
    st.text(max_size=6),
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1")


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """A header and rows, mostly good."""
    header = draw(st.permutations(list(GOOD)).map(list))
    if draw(st.booleans()):
        header[draw(st.integers(0, len(header) - 1))] = draw(st.sampled_from([*COLUMNS, "", "skus", "Mesh", "x" * 500]))
    rows = []
    for number in range(draw(st.integers(0, 4))):
        row = [GOOD.get(name, "") if name != "sku" else f"{number:05d}" for name in header]
        for _ in range(draw(st.integers(0, 3))):
            row[draw(st.integers(0, len(row) - 1))] = draw(CELLS)
        rows.append(row[: draw(st.integers(0, 20))] if draw(st.integers(0, 9)) == 0 else row)
    return [header, *rows]


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A table as delimited text in some dialect and encoding."""
    text = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ends = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    writer = csv.writer(text, delimiter=draw(st.sampled_from(",;\t|")), quoting=quoting, lineterminator=ends)
    writer.writerows(draw(tables()))
    return text.getvalue().encode(draw(st.sampled_from(ENCODINGS)), errors="replace")


def parquet_of(rows: list[dict[str, str]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), buffer)
    return buffer.getvalue()


JSON_ROW = json.dumps({**GOOD, "width_m": 0.07}, ensure_ascii=False).encode()
PARQUET = parquet_of([GOOD, {**GOOD, "sku": "2"}])
CSV = "\n".join([",".join(GOOD), ",".join(GOOD.values())]).encode()


@st.composite
def lists(draw: st.DrawFn) -> Files:
    """A list with the files beside it."""
    data, ending = draw(
        st.one_of(
            st.tuples(written(), st.sampled_from(["csv", "tsv", "CSV", "jsonl"])),
            st.tuples(written().flatmap(broken), st.just("csv")),
            st.tuples(broken(CSV, changed_words), st.sampled_from(["csv", "tsv"])),
            st.tuples(st.lists(broken(JSON_ROW, changed_json), max_size=3).map(b"\n".join), st.just("jsonl")),
            st.tuples(broken(PARQUET), st.just("parquet")),
            st.tuples(st.binary(max_size=200), st.sampled_from(["csv", "tsv", "jsonl", "parquet", "xlsx"])),
        )
    )
    return {f"list.{ending}": data, "m.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "p.png": b"no image"}


def check_list_is_read_or_told(files: Files, box: Sandbox) -> None:
    """A good list has sound rows, and its products can be made or are told; a bad one tells a bounded report."""
    from assets.packages.build import make_package

    path = box.write(files)
    with nothing_written(box):
        told = ""
        try:
            catalog = load_catalog(path)
        except SynthError as error:
            told = str(error)
        if told:
            assert len(told) < 200_000
            with suppress(SynthError):
                assert check_catalog(path)
            return
        assert len(set(catalog.keys)) == len(catalog) > 0 and list(catalog.keys) == sorted(catalog.keys)
        for sku in catalog:
            assert sku.sku.isprintable() and ".." not in (sku.mesh.split("/"), sku.packshot.split("/"))
            assert all(size is None or 0 < size < 10 for size in (sku.width_m, sku.height_m, sku.depth_m))
            if not sku.mesh:
                with suppress(SynthError):
                    make_package(sku, catalog.root)


def check_list_by_command(files: Files, box: Sandbox) -> None:
    """`synth catalog check` and `export` end in order, and what is exported reads back."""
    path = box.write(files)
    with nothing_written(box):
        good = run_command("catalog", "check", "--no-meshes", str(path)) == 0
        if good and run_command("catalog", "export", str(path), str(box.out / "x")) == 0:
            assert load_catalog(box.out / "x" / "skus.csv").keys == load_catalog(path).keys
