"""The table of a comparison: which rows there are, their order, the Pareto front, the files, whatever names say."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from detectors.bench.describe import DetectorFacts, describe
from detectors.bench.name_places import free_area, place_names
from detectors.bench.report import PAGE, summarize_bench, write_bench
from detectors.bench.rows import RowRecord, plan_rows, read_row, write_row
from detectors.bench.run import BenchResult
from detectors.bench.settings import BenchSettings
from detectors.bench.table import columns_of, pareto_front, short_names, sort_rows, table_csv
from support.errors import raises
from support.evaluate_cases import bench_row

HOSTILE = "<script>alert(1)</script>$x^$&\"'"


def test_short_names_say_what_differs_in_rows_of_one_detector() -> None:
    rows = [
        bench_row("yolo-a-320", 0.1, 5, asked="yolo", backbone="a"),
        bench_row("yolo-b-320", 0.1, 5, asked="yolo", backbone="b"),
        bench_row("yolo-b-640", 0.1, 5, asked="yolo", backbone="b", width=640),
        bench_row("fcos-a-320", 0.1, 5, asked="fcos", backbone="a"),
        bench_row("mine", None, 5, asked="folder/mine.py", status="failed"),
    ]
    expected = ["yolo, a, 320x192", "yolo, b, 320x192", "yolo, b, 640x192", "fcos", "mine"]
    assert list(short_names(rows).values()) == expected
    # Two rows that nothing tells apart but their names have their names.
    assert (
        short_names([*rows, bench_row("fcos-again", 0.1, 5, asked="fcos", backbone="a")])["fcos-a-320"] == "fcos-a-320"
    )


def test_names_take_the_nearest_free_place() -> None:
    """A name of 20 x 10 pixels: right of its dot, else left of it, else above, else further out."""
    room, dot = (0.0, 0.0, 200.0, 100.0), (100.0, 50.0)
    right, left, above = (105, 45, 125, 55), (75, 45, 95, 55), (90, 55, 110, 65)
    assert free_area(dot, 20, 10, [], room, 1.0) == right
    wall = (105.0, 0.0, 106.0, 100.0)
    assert free_area(dot, 20, 10, [wall], room, 1.0) == left
    assert free_area(dot, 20, 10, [wall, (94.0, 0.0, 95.0, 100.0)], room, 1.0) == (110, 45, 130, 55)
    assert free_area(dot, 20, 10, [room], room, 1.0) is None
    assert free_area(dot, 20, 10, [(111.0, 0.0, 200.0, 100.0), (0.0, 0.0, 89.0, 100.0)], room, 1.0) == above
    assert free_area((195.0, 50.0), 20, 10, [], room, 1.0) == (170, 45, 190, 55)


def test_no_name_covers_another_or_a_dot() -> None:
    from matplotlib.figure import Figure

    axes = Figure(figsize=(4, 3)).subplots()
    points = [(1.0, place / 30) for place in range(30)]
    axes.plot(*zip(*points, strict=True), "o")
    areas = [one for one in place_names(axes, points, ["detector"] * 30, [False] * 30) if one is not None]
    assert len(areas) > 15
    for place, (x0, y0, x1, y1) in enumerate(areas):
        for a0, b0, a1, b1 in areas[:place]:
            assert x1 <= a0 or a1 <= x0 or y1 <= b0 or b1 <= y0
        for point in points:
            x, y = axes.transData.transform(point)
            assert not (x0 < x < x1 and y0 < y < y1)


def test_each_combination_is_a_row_and_what_does_not_fit_says_why() -> None:
    facts = [
        DetectorFacts("free", has_proposals=True),
        DetectorFacts("fixed", (300, 300), takes_backbone=False),
        DetectorFacts("absent", problem="it needs the package of_others", code="dependency-missing"),
    ]
    rows = {one.name: one for one in plan_rows(facts, ("a", "b/c"), ((64, 48), (96, 64)), (50, 100))}
    assert len(rows) == 3 * 2 * 2 * 2
    made = {name for name, one in rows.items() if not one.skipped}
    free = {f"free-{a}-{b}-{c}-proposals" for a in ("a", "b_c") for b in ("64x48", "96x64") for c in (50, 100)}
    assert made == free | {"fixed-300x300"}
    assert (rows["fixed-300x300"].backbone, rows["fixed-300x300"].size) == (None, (300, 300))
    assert rows["free-b_c-64x48-50-proposals"].backbone == "b/c"
    assert "images of 300x300 alone" in rows["fixed-a-96x64-50-proposals"].skipped
    assert "a network of its own" in rows["fixed-b_c-64x48-50-proposals"].skipped
    assert "number of proposals" in rows["fixed-a-64x48-100-proposals"].skipped
    assert all(one.skipped == "it needs the package of_others" for name, one in rows.items() if "absent" in name)


def test_names_without_variations_are_those_of_the_detectors() -> None:
    facts = [DetectorFacts("free"), DetectorFacts("../x/own.py"), DetectorFacts("fixed", (300, 300))]
    rows = plan_rows(facts, (), ((64, 48),), (), named_sizes=False)
    assert [(one.name, one.size) for one in rows] == [
        ("free", (64, 48)),
        ("own", (64, 48)),
        ("fixed", (300, 300)),
    ]
    with raises("input-duplicate"):
        plan_rows([DetectorFacts("a/own.py"), DetectorFacts("b/own.py")], (), ((64, 48),), ())


def test_facts_of_the_table() -> None:
    assert describe("ssd300").fixed_size == (300, 300)
    assert describe("yolo") == DetectorFacts("yolo")


def test_the_pareto_front_by_hand() -> None:
    """As fast but worse, and as good but slower, are beaten; equal ones are not; nothing found does not count."""
    rows = [
        bench_row("slow", 0.5, 90),
        bench_row("beaten", 0.4, 95),
        bench_row("fast", 0.1, 5),
        bench_row("same time", 0.05, 5),
        bench_row("middle", 0.3, 20),
        bench_row("equal", 0.3, 20),
        bench_row("same ap", 0.3, 30),
        bench_row("undefined", None, 1),
        bench_row("finds nothing", 0.0, 1),
        bench_row("broken", None, 1, status="failed"),
    ]
    assert [one.name for one in pareto_front(rows)] == ["fast", "middle", "equal", "slow"]
    assert pareto_front([]) == []


def test_the_order_of_the_table() -> None:
    rows = [
        bench_row("skipped", None, 1, status="skipped"),
        bench_row("low", 0.1, 1),
        bench_row("failed", None, 1, status="failed"),
        bench_row("slower", 0.3, 9),
        bench_row("faster", 0.3, 8),
    ]
    assert [one.name for one in sort_rows(rows)] == ["faster", "slower", "low", "failed", "skipped"]


def test_numbers_as_text_and_metrics_that_only_some_have() -> None:
    one = bench_row("a", 0.1234, 1234.5)
    shown = {column.name: column.shown(one) for column in columns_of([one])}
    assert shown["AP"] == "0.123" and shown["AP middle"] == "–" and shown["operations"] == "–"
    assert (shown["latency"], shown["weights"], shown["memory"]) == ("1234", "4.2", "12.5")
    assert shown["training"] == "60 s" and "mIoU" not in shown
    masks = bench_row("b", 0.1, 1).model_copy(update={"metrics": {"AP": 0.1, "mIoU": 0.5}})
    assert {column.name: column.shown(masks) for column in columns_of([one, masks])}["mIoU"] == "0.500"


def test_records_come_back_and_damage_is_found(tmp_path: Path) -> None:
    one = bench_row("row", 0.25, 4.0, low=0.1, high=0.3, reason=HOSTILE)
    assert read_row(tmp_path / "none") is None
    write_row(tmp_path / "row", one)
    assert read_row(tmp_path / "row") == one
    for changed in ({"name": 3}, one.model_dump() | {"times": None}):
        (tmp_path / "row" / "row.json").write_text(json.dumps(changed))
        with raises("content-invalid"):
            read_row(tmp_path / "row")


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc/passwd", "other", HOSTILE])
def test_a_row_is_that_of_its_folder(name: str, tmp_path: Path) -> None:
    """Links of the page are made from its name."""
    write_row(tmp_path / "row", bench_row(name, 0.25, 4.0))
    with raises("content-invalid", expected="row", found=re.escape(name)):
        read_row(tmp_path / "row")


def written(tmp_path: Path, rows: list[RowRecord], **fields: Any) -> BenchResult:
    result = BenchResult(BenchSettings(data=Path("shapes<b>"), out=tmp_path, **fields), tuple(rows), len(rows) + 1)
    write_bench(result)
    return result


def test_files_of_a_comparison(tmp_path: Path) -> None:
    rows = [
        bench_row("a", 0.25, 3.0, low=0.1, high=0.3),
        bench_row(HOSTILE, 0.5, 9.0, asked=HOSTILE, backbone=HOSTILE),
        bench_row("=1+1", None, 1, status="failed", reason=HOSTILE, code="row-crashed"),
    ]
    result = written(tmp_path, rows, backbones=("x", "y"), sizes=((64, 64), (96, 96)), proposals=(1, 2))
    page = (tmp_path / PAGE).read_text()
    assert "<script>alert" not in page and "shapes<b>" not in page and "&lt;script&gt;alert" in page
    assert page.count('class="front"') == 2 and "47.0" in page and "not measured here" in page
    assert page.index("0.500") < page.index("0.250") and "http" not in page.partition("<body>")[2]
    for file in ("speed.png", "sizes.png", "backbones.png", "input_sizes.png", "proposals.png"):
        assert (tmp_path / file).read_bytes().startswith(b"\x89PNG") and file in page
    table = list(csv.DictReader(io.StringIO((tmp_path / "bench.csv").read_text())))
    assert [one["name"] for one in table] == [HOSTILE, "a", "'=1+1"] and table[1]["AP"] == "0.25"
    assert [one["pareto"] for one in table] == ["yes", "yes", ""] and table[2]["reason"] == HOSTILE
    summary = summarize_bench(result)
    assert (summary.done, summary.failed, summary.skipped, summary.planned) == (2, 1, 0, 4)
    assert not summary.finished and summary.best == ("a", HOSTILE)


def test_a_comparison_without_numbers_has_a_page(tmp_path: Path) -> None:
    written(tmp_path, [bench_row("x", None, 1, status="skipped", reason="it lacks masks")])
    assert "it lacks masks" in (tmp_path / PAGE).read_text()
    assert table_csv([]).startswith(b"name,")


# Clicks on heads, and leaves the order of rows after each as the page's title.
CLICKS = """<script>
const heads = document.querySelectorAll("table.sortable th"), orders = [];
for (const place of [6, 6, 8, 0]) {
  heads[place].click();
  orders.push([...document.querySelectorAll("table.sortable tbody tr")].map(row => row.cells[0].dataset.value));
}
document.title = orders.join(" ");
</script></body>"""


def test_a_click_on_a_head_sorts(tmp_path: Path) -> None:
    """By latency, the slowest first, then the fastest; by throughput, the highest first; by name."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium here: 'apt install chromium' to try the page's own script")
    written(tmp_path, [bench_row("b", 0.5, 100), bench_row("a", 0.4, 20), bench_row("c", 0.3, 3)])
    page = tmp_path / PAGE
    page.write_text(page.read_text().replace("</body>", CLICKS))
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    shown = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120).stdout
    assert re.search(r"<title>(.*)</title>", shown)[1].split() == ["b,a,c", "c,a,b", "c,a,b", "a,b,c"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"steps": 10, "minutes": 1.0}, "options-conflict"),
        ({"detectors": ("yolo", "yolo")}, "setting-invalid"),
        ({"detectors": ()}, "setting-invalid"),
        ({"augment": "lite"}, "unknown-name"),
    ],
)
def test_settings_that_make_no_sense(fields: dict[str, Any], code: str) -> None:
    with raises(code):
        BenchSettings(data=Path("x"), **fields)
