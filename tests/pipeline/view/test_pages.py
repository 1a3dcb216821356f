"""The pages in a browser, opened from disk: filters, keys, layers, links, selections, narrow and dark screens."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as codec
from rich.console import Console

from pipeline.view.build import build_view
from pipeline.view.serve import open_server
from pipeline.view.settings import ViewSettings
from support.sets.coco_files import annotation, coco, write_json, write_set

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
COUNT = 120
# A mask with a hole, which polygons cannot hold.
MASK = np.zeros((30, 40), np.uint8)
MASK[5:15, 8:20] = 1
MASK[8:10, 10:14] = 0


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of 120 pictures in two splits: cola at the left of all, soup in every tenth, small and half hidden."""
    folder = tmp_path_factory.mktemp("view")
    for split, numbers in (("train", range(100)), ("val", range(100, COUNT))):
        content = coco(len(numbers), boxes=0, recipe=["shelf" if one % 2 else "tabletop" for one in numbers])
        for place, number in enumerate(numbers):
            content["images"][place] |= {"file_name": f"{number:06d}.png", "backend": "raster"}
            box = annotation(2 * number + 1, place + 1, 1, (8, 5, 12, 10), visibility=0.9, truncation=0.0)
            rle = codec.encode(np.asfortranarray(MASK))
            box["segmentation"] = box["amodal_segmentation"] = {"size": [30, 40], "counts": rle["counts"].decode()}
            content["annotations"].append(box)
            if number % 10 == 0:
                small = annotation(2 * number + 2, place + 1, 2, (30, 2, 4, 6), visibility=0.3)
                content["annotations"].append(small)
        write_set(folder / "set", content, split=split, first_seed=numbers[0])
    write_json(folder / "set/scenes/000000.json", {"recipe": "tabletop", "lens": "</pre><b>35"})
    (folder / "set/depth").mkdir()
    Image.fromarray(np.full((30, 40), 1500, np.uint16)).save(folder / "set/depth/000000.png")
    build_view(ViewSettings(folder / "set", out=folder / "out", workers=1), Console(quiet=True))
    return folder / "out/index.html"


def wait_shown(page: Page, count: int) -> None:
    page.locator("#count", has_text=re.compile(rf"^{count} of ")).wait_for()


def test_filters_and_search(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    wait_shown(page, COUNT)
    # Only what is in sight is in the document.
    assert 0 < page.locator(".cell").count() < COUNT
    page.get_by_label("Split").select_option("val")
    wait_shown(page, 20)
    page.get_by_label("Recipe").select_option("shelf")
    wait_shown(page, 10)
    page.get_by_role("button", name="Reset filters").click()
    page.get_by_label("SKU").fill("sou")
    page.locator(".offered button").first.click()
    wait_shown(page, 12)
    page.get_by_role("button", name="Reset filters").click()
    page.get_by_label("Visible to, %").fill("50")
    wait_shown(page, 12)
    page.get_by_label("Shorter side from, px").fill("5")
    wait_shown(page, 0)
    page.get_by_role("button", name="Reset filters").click()
    page.get_by_label("Search").fill("00001")
    wait_shown(page, 11)
    page.get_by_label("Search").fill("soup 00001")
    wait_shown(page, 1)
    page.get_by_label("Order").select_option("most")
    page.get_by_label("Search").fill("")
    assert page.locator(".caption").first.inner_text() == "000000.png"


def test_links_keep_the_state(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    page.get_by_label("Split").select_option("val")
    page.locator(".cell a").nth(2).click()
    page.get_by_role("dialog", name="000102.png").wait_for()
    page.get_by_role("button", name="masks").click()
    page.wait_for_timeout(500)  # an address is changed twice in a second at most
    address = "#" + page.url.partition("#")[2]
    again = open_page(page_file, address)
    again.get_by_role("dialog", name="000102.png").wait_for()
    assert again.locator("canvas.masks").count() == 1
    assert "3 of 20" in again.locator(".tools").inner_text()
    again.keyboard.press("Escape")
    wait_shown(again, 20)
    gone = open_page(page_file, "#pic=train%2Fgone.png")
    assert "There is no picture train/gone.png" in gone.get_by_role("alert").inner_text()


def test_keys(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    wait_shown(page, COUNT)
    for key in ("ArrowRight", "ArrowRight", " ", "ArrowRight", " ", "Enter"):
        page.keyboard.press(key)
    page.get_by_role("dialog", name="000002.png").wait_for()
    assert page.locator("#selected").inner_text() == "2 selected"
    page.keyboard.press("ArrowRight")
    page.get_by_role("dialog", name="000003.png").wait_for()
    page.keyboard.press("m")
    page.locator("canvas.masks").wait_for()
    page.keyboard.press("m")
    page.locator("canvas.masks").wait_for(state="detached")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("0002")
    wait_shown(page, 11)
    page.keyboard.press("Escape")
    wait_shown(page, COUNT)
    page.keyboard.press("?")
    assert "move between pictures" in page.get_by_role("dialog", name="keys").inner_text()


def test_selection_is_exported_as_a_list(page_file: Path, open_page: Open, tmp_path: Path) -> None:
    page = open_page(page_file)
    wait_shown(page, COUNT)
    page.get_by_label("select 000001.png", exact=True).click()
    page.get_by_label("select 000004.png", exact=True).click(modifiers=["Shift"])
    page.get_by_label("Split").select_option("val")
    page.get_by_role("button", name="Select all shown").click()
    assert page.locator("#selected").inner_text() == "24 selected"
    page.get_by_label("select 000100.png", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export list").click()
    download.value.save_as(tmp_path / "list.txt")
    lines = (tmp_path / "list.txt").read_text().splitlines()
    assert lines == [f"train/{n:06d}.png" for n in range(1, 5)] + [f"val/{n:06d}.png" for n in range(101, COUNT)]
    page.wait_for_timeout(500)
    again = open_page(page_file, "#" + page.url.partition("#")[2])
    assert again.locator("#selected").inner_text() == "23 selected"


def alpha_of(page: Page, kind: str) -> Any:
    """(30, 40) of a canvas: whether each pixel is painted."""
    script = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 40, 30).data].filter((v, i) => i % 4 === 3)"
    page.wait_for_timeout(100)
    return np.array(page.locator(f"canvas.{kind}").evaluate(script)).reshape(30, 40) > 0


def test_layers_are_exact(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file, "#pic=train%2F000000.png&layers=boxes,masks,amodal,depth")
    page.locator("canvas.masks").wait_for()
    assert (alpha_of(page, "masks") == MASK).all()
    padded = np.pad(MASK, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    assert (alpha_of(page, "amodal") == (MASK & ~inside & 1)).all()
    boxes = page.locator("svg.boxes rect")
    assert [boxes.first.get_attribute(name) for name in ("x", "y", "width", "height")] == ["8", "5", "12", "10"]
    page.get_by_alt_text("depth").wait_for()
    assert "depth 1.5 m" in page.locator("figcaption").inner_text()
    page.get_by_text("SceneSpec").click()
    page.locator(".scene pre", has_text="</pre><b>35").wait_for()
    # A click on a product shows it alone.
    page.get_by_role("button", name="soup").click()
    page.locator("svg.boxes rect").nth(1).wait_for(state="detached")


def test_distributions_follow_the_filters(page_file: Path, open_page: Open) -> None:
    """Cola is 12 x 10 pixels and 90 % visible in all 120 pictures, soup 4 x 6 and 30 % in twelve."""
    page = open_page(page_file, "#tab=charts")
    page.get_by_label("products; set: median 1 per picture").wait_for()
    page.get_by_label("visible; set: median 90 %").wait_for()
    page.get_by_label("Visible to, %").fill("50")
    page.get_by_label("visible; set: median 30 %").wait_for()
    page.get_by_label("box side; set: median 4.9 px").wait_for()
    page.get_by_label("brightness; set: median").wait_for()


def test_coverage_leads_to_its_pictures(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file, "#tab=coverage")
    page.get_by_text("1 of 3 SKUs are in none of these pictures.").wait_for()
    rows = [row.split() for row in page.locator(".coverage tbody tr").all_inner_texts()]
    # SKU, its name, all; small, medium, large.
    assert rows == [
        ["tea", "Tea", "0", *"000"],
        ["soup", "Soup", "12", "12", *"00"],
        ["cola", "Cola", "120", "120", *"00"],
    ]
    page.get_by_label("soup, any, small: 12").click()
    wait_shown(page, 12)
    assert page.get_by_label("Shorter side to, px").input_value() == "31.75"


def test_phones_and_dark_mode(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file, width=390, height=844, dark=True)
    wait_shown(page, COUNT)
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(wide)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 25, 29)"
    page.locator(".cell a").first.click()
    page.get_by_role("dialog", name="000000.png").wait_for()
    assert not page.evaluate(wide)
    assert page.evaluate("document.querySelector('.viewer').scrollWidth <= innerWidth")


def test_everything_has_a_label(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file, "#pic=train%2F000000.png")
    page.get_by_role("dialog", name="000000.png").wait_for()
    script = """() => [...document.querySelectorAll('button, input, select, img, [role=img]')].filter(one =>
      ![one.getAttribute('aria-label'), one.getAttribute('alt'), one.labels?.[0]?.textContent.trim(),
        one.textContent.trim()].some(Boolean)
    ).map(one => one.outerHTML)"""
    assert page.evaluate(script) == []


def test_served_to_this_machine_alone(page_file: Path) -> None:
    folder = page_file.parents[1] / "set" / "images"
    server, url = open_server(page_file, [folder], 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def status(path: str, host: str = "") -> int:
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request("GET", path, headers={"Host": host} if host else {})
        return connection.getresponse().status

    try:
        assert url == f"http://127.0.0.1:{server.server_port}/out/index.html"
        assert status("/out/index.html") == status("/out/data/a/index.js") == status("/set/images/000000.png") == 200
        assert status("/set/annotations/instances_train.json") == status("/out/") == status("/out/../../x") == 404
        assert status("/out/index.html", "example.com:80") == 403
    finally:
        server.shutdown()
        server.server_close()
