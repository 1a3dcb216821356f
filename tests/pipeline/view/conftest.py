"""A browser, and a small set with everything that pages show."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system: a browser of Playwright's own would have to be fetched.

    Of one module, since tests of others cannot run event loops while Playwright has one.
    """
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install 'synth[dev]'")
    with api.sync_playwright() as playwright:
        # Without a sandbox of its own: it cannot make one as root, and opens nothing but files of the tests.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a file as a page; at the end nothing has been asked of any host, and no script has failed."""
    pages: list[Page] = []
    problems: list[str] = []

    def opened(file: Path, address: str = "", *, width: int = 1100, height: int = 700, dark: bool = False) -> Page:
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", accept_downloads=True
        )
        page.set_default_timeout(5000)
        page.on("request", lambda request: _note_foreign(request.url, problems))
        page.on("pageerror", lambda error: problems.append(f"a script failed: {error}"))
        page.on("dialog", lambda dialog: problems.append(f"a dialog: {dialog.message}"))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        page.goto(file.as_uri() + address)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert problems == []


def _note_foreign(url: str, problems: list[str]) -> None:
    if not url.startswith(("file:", "data:", "blob:")):
        problems.append(f"asked {url}")
