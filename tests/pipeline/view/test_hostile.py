"""Texts of strangers stay texts, in every page that is written: nothing in a name becomes markup or a script."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from assets.pages.templates import open_templates
from pipeline.view.build import build_view
from pipeline.view.settings import ViewSettings
from support.paths import ROOT
from support.sets.coco_files import coco, write_json, write_set

if TYPE_CHECKING:
    from playwright.sync_api import Page

MARKUP = "</script></style></title>'\"><img src=x onerror=alert(1)><script>alert(2)</script>" + "long" * 30
CONTROLS = "\x1b[31m\u202egnp.exe\u2066\x00\u2028"
FOLDERS = ("assets", "dataset", "render", "detectors", "pipeline")
# The base of all, and the page of `synth view`, which shows nothing by its template: its own tests are below.
OTHERS = ("assets/pages/base.html.j2", "pipeline/view/page.html.j2")
TEMPLATES = sorted(
    path
    for folder in FOLDERS
    for file in (ROOT / folder).rglob("*.html.j2")
    if (path := file.relative_to(ROOT).as_posix()) not in OTHERS and "{% extends" in file.read_text()
)


class Anything(str):
    """A value that is hostile as a text and passes for anything else: number, list, mapping, function, record.

    With it a template is rendered with the worst in every place, whatever it asks of its values.
    """

    def __new__(cls) -> Anything:
        return super().__new__(cls, MARKUP)

    def __getattribute__(self, name: str) -> Any:
        # Fields are named like methods of texts: title, format, index.
        return super().__getattribute__(name) if name.startswith("__") else Anything()

    def __getitem__(self, key: object) -> Anything:
        return Anything()

    def __iter__(self) -> Iterator[Any]:
        # As many as the caller takes apart: (name, count) in a loop, or the arguments of a format.
        frame = sys._getframe(1)
        code = frame.f_code.co_code[frame.f_lasti : frame.f_lasti + 2]
        count = code[1] if dis.opname[code[0]] == "UNPACK_SEQUENCE" else 2
        return iter([Anything() for _ in range(count)])

    def __len__(self) -> int:
        return 2

    def __float__(self) -> float:
        return 0.5

    def __call__(self, *_: object, **__: object) -> Anything:
        return Anything()

    def _number(self, *_: object) -> float:
        return 0.5

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _number  # type: ignore[assignment]
    __rmod__ = __neg__ = _number  # type: ignore[assignment]

    def _holds(self, *_: object) -> bool:
        return True

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = _holds  # type: ignore[assignment]

    def __hash__(self) -> int:
        return 0


def rendered(template: str) -> str:
    from jinja2.runtime import Undefined

    package, _, name = template.replace("/", ".").rpartition(".html.j2")[0].rpartition(".")
    environment = open_templates(package)
    environment.filters |= dict.fromkeys(("grade", "share", "signed", "width"), lambda value: f"{float(value):.2f}")

    class AnyName(Undefined):
        """Names that nobody gives are hostile as well."""

        def __new__(cls, *_: Any, **__: Any) -> Any:
            return Anything()

    environment.undefined = AnyName
    given = {"range": lambda *_: Anything(), "loop": None}
    if template.endswith("review.html.j2"):
        given["data"] = {"columns": [MARKUP], "rows": [[MARKUP]], "id": MARKUP}
    text: str = environment.get_template(f"{name}.html.j2").render(**given)
    return text


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_text_becomes_markup_in_any_page(template: str, browser: Any, tmp_path: Path) -> None:
    text = rendered(template)
    assert text.count("&lt;img src=x onerror") >= 3 and "<img src=x onerror" not in text
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    said: list[str] = []
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    page.goto((tmp_path / "page.html").as_uri())
    assert said == []
    assert page.evaluate("document.querySelectorAll('[onerror], [src=x]').length") == 0
    # However long a name is, a phone shows the page without scrolling sideways.
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert MARKUP.split("'")[0] in page.evaluate("document.title + document.body.innerText")
    page.close()


def test_the_templates_are_found() -> None:
    assert len(TEMPLATES) >= 12


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    files = [
        "<img src=x onerror=alert(1)>.png",
        "__proto__",
        "a\x1b[31m\u202egnp.png",
        "%2e%2e%2f#?&'\".png",
        "very-" + "long" * 55 + ".png",
    ]
    files = [name if name.endswith(".png") else f"{name}.png" for name in files]
    skus = (MARKUP, "__proto__", "constructor", CONTROLS.replace("\x00", ""), "x" * 180)
    content = coco(len(files), boxes=5, skus=skus, recipe=[MARKUP] * 5, group=["__proto__"] * 5, backend=["<b>x"] * 5)
    for image, name in zip(content["images"], files, strict=True):
        image["file_name"] = name
    for category in content["categories"]:
        category["name"] = category["sku"] + " "
        category["supercategory"] = MARKUP
    write_set(folder / "set <b>", content)
    (folder / "set <b>/images/__proto__.png").rename(folder / "set <b>/images/keep.png")
    (folder / "set <b>/images/keep.png").rename(folder / "set <b>/images/__proto__.png")
    stem = files[0].removesuffix(".png")
    write_json(folder / "set <b>/scenes" / f"{stem}.json", {"__proto__": {"polluted": 1}, "text": MARKUP})
    rows = [{"image_id": 1, "category_id": c + 1, "bbox": [3, 3, 10, 8], "score": 0.9} for c in range(5)]
    results = write_json(folder / "<i>found.json", rows)
    settings = ViewSettings(
        folder / "set <b>", other=folder / "set <b>", predictions=results, out=folder / "out", workers=1
    )
    build_view(settings, Console(quiet=True))
    return folder / "out/index.html"


def test_hostile_names_stay_texts_in_the_pages_of_a_set(hostile: Path, open_page: Callable[..., Page]) -> None:
    """No script fails, no dialog opens, nothing is asked for: `open_page` looks."""
    page = open_page(hostile, "#layers=boxes,detections", width=390, height=844)
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("SKU", exact=True).fill("o")
    texts = page.locator(".offered button").all_inner_texts()
    assert any(text.startswith("__proto__") for text in texts) and any("constructor" in text for text in texts)
    page.get_by_label("SKU", exact=True).fill("__proto__")
    page.locator(".offered button").first.click()
    page.get_by_text("Filters", exact=True).click()
    captions = page.locator(".caption").all_inner_texts()
    assert "<img src=x onerror=alert(1)>.png" in captions and "__proto__.png" in captions
    for number in range(5):
        page.locator(".cell a").nth(number).click()
        page.locator("figure.picture table.products").first.wait_for()
        # The picture is there, whatever its name.
        image = page.locator(".stack-of-layers img").first
        image.evaluate("image => image.decode()")
        assert MARKUP in page.locator(".facts").first.inner_text()
        assert page.evaluate("document.querySelector('.viewer').scrollWidth <= innerWidth")
        if number == 0:
            page.get_by_text("SceneSpec").first.click()
            page.locator(".scene pre", has_text="polluted").first.wait_for()
        page.keyboard.press("Escape")
    assert page.evaluate("({}).polluted") is None
    assert page.evaluate("document.querySelectorAll('[onerror], [src=x]').length") == 0
    for tab in ("Distributions", "Coverage"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(50)
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), tab


def test_links_cannot_leave_the_page(hostile: Path, open_page: Callable[..., Page]) -> None:
    """What stands behind # is text as well."""
    page = open_page(
        hostile, "#pic=javascript:alert(1)&tab=__proto__&set=constructor&layers=__proto__&order=toString&q=%3Cimg%3E"
    )
    assert "There is no picture javascript:alert(1)" in page.get_by_role("alert").inner_text()
    page = open_page(hostile, "#__proto__=1&tab=constructor&sku=%3Cb%3E&visible=a-b&side=--&pick=zz-..-&score=x")
    page.locator("#count", has_text="of 5 pictures").wait_for()
