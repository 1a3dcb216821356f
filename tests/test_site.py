"""The documentation site builds without warnings, needs no network, and lists the whole public API."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import synth
from pipeline.cli.main import main
from support.paths import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; links, anchors and the navigation are checked while it is built."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")}
    assert pages <= {page.relative_to(site) for page in site.rglob("*.html")}


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="([^"]+)"', text)
        loaded += re.findall(r'<link(?=[^>]*rel="(?:stylesheet|preload|preconnect|icon)")[^>]*href="([^"]+)"', text)
        assert loaded
        assert [url for url in loaded if re.match(r"(https?:)?//", url)] == [], page


def test_the_api_page_lists_every_public_name(site: Path) -> None:
    listed = re.findall(r"^::: synth\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == synth.__all__
    text = (site / "api.html").read_text()
    for module, names in synth.PUBLIC.items():
        for name in names:
            assert f'id="{module}.{name}"' in text or f'id="synth.{name}"' in text, name


def test_the_options_page_has_every_command(site: Path) -> None:
    text = (site / "options.html").read_text()
    for command in _commands(main, "synth"):
        assert f'id="{command.replace(" ", "-")}"' in text, command
    assert "--sku-list" in text
    assert "--detector" in text


def _commands(command: click.Command, path: str) -> list[str]:
    inner = command.commands if isinstance(command, click.Group) else {}
    return [path, *(found for name, child in inner.items() for found in _commands(child, f"{path} {name}"))]


def test_docs_extra_names_what_the_configuration_uses() -> None:
    extras = (ROOT / "pyproject.toml").read_text().partition("\ndocs = [")[2].partition("]\n")[0]
    assert all(
        package in extras for package in ("mkdocs>=", "mkdocs-click>=", "mkdocs-material>=", "mkdocstrings[python")
    )
