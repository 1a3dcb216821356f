"""A folder of packshots becomes a list that loads; what it lacks and what was not taken is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from assets.catalog.load import check_catalog, load_catalog
from pipeline.cli.main import main

SOUP, TEA, CASE = "04006381333931", "00036000291452", "14006381333938"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["catalog", "from-packshots", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = (f"{SOUP}_C1N1.png", f"{SOUP}_A1N1.PNG", f"sub/{SOUP}_c7n1.png", f"sub/{SOUP}_C1L1.png", f"{TEA}_A1N1.png")
    for name in (*names, f"{CASE}_C2N1.png", f"{SOUP}_C1N0.png"):
        path = tmp_path / "shots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "red").save(path)
    (tmp_path / "shots" / "read me.txt").write_text("hello")
    return tmp_path / "shots"


def test_a_list_with_sizes_loads(folder: Path) -> None:
    out, sizes = folder.parent / "skus.csv", folder / "sizes.csv"
    sizes.write_text(
        "gtin,product name,width_mm,height_cm,depth_m,package\n"
        f"{SOUP},Soup,70,11,0.07,tin\n36000291452,Tea,100,15,0.05,\n{CASE},,300,20,0.2,box\n96385074,Gum,9,9,0.1,\n"
    )
    done = run(folder, "--out", out, "--sizes", sizes, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert check_catalog(out) == []
    case, tea, soup = (load_catalog(out).find(key) for key in (CASE, TEA[1:], SOUP[1:]))
    assert (soup.name, soup.package, soup.width_m, soup.height_m, soup.barcode) == ("Soup", "can", 0.07, 0.11, SOUP[1:])
    assert (soup.packshot, soup.packshot_back) == (f"shots/{SOUP}_C1N1.png", f"shots/sub/{SOUP}_c7n1.png")
    assert (tea.name, tea.package, tea.packshot_left) == ("Tea", "auto", "")
    assert (case.name, case.packshot, case.packshot_left) == (CASE, "", f"shots/{CASE}_C2N1.png")
    assert (found["files"], found["skus"], found["pictures"]) == (8, 3, 4)
    assert found["duplicates"] == {f"{SOUP}_A1N1.PNG": f"{SOUP}_C1N1.png"}
    assert set(found["refused"]) == {"read me.txt", f"sub/{SOUP}_C1L1.png", f"{SOUP}_C1N0.png"}
    assert (found["without_front"], found["without_sizes"]) == ([CASE], [])
    assert found["without_pictures"] == ["0000096385074"]


def test_a_list_without_sizes_says_what_is_missing(folder: Path) -> None:
    done = run(folder)
    assert done.exit_code == 0, done.output
    out = folder / "skus.csv"
    said = "".join(done.output.split())  # a terminal breaks lines of long paths anywhere
    assert "3SKUswithoutwidth,heightanddepth" in said and f"catalogcheck{out}" in said
    assert "refused: no GS1 name" in done.output and "  read me.txt" in done.output
    assert said.endswith(f"{out}:3SKUs,4images,1duplicate,3filesof8refused")
    assert {problem.column for problem in check_catalog(out)} == {"width_m", "height_m", "depth_m"}
    before = out.read_bytes()
    assert "exists already" in run(folder).output and out.read_bytes() == before
    out.unlink()
    assert run(folder).exit_code == 0 and out.read_bytes() == before


def test_nothing_is_written_if_the_list_could_not_be_used(folder: Path) -> None:
    elsewhere, empty = folder.parent / "lists", folder.parent / "empty"
    elsewhere.mkdir()
    empty.mkdir()
    (empty / "a.png").write_text("")
    twice = folder.parent / "sizes.csv"
    twice.write_text(f"gtin,width_mm\n{SOUP},70\n{SOUP[1:]},80\n")
    for words, code in (
        ((folder, "--out", elsewhere / "skus.csv"), "setting-invalid"),
        ((folder, "--out", folder / "skus.txt"), "output-name-invalid"),
        ((folder, "--sizes", twice), "list-invalid"),
        ((empty,), "folder-empty"),
    ):
        done = run(*words, "--json")
        assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, code), done.output
    assert not list(folder.parent.rglob("skus.*"))
