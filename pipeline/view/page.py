"""The page and what it loads: our scripts and styles, and the library that draws it, copied beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assets.files.atomic import write_atomic
from assets.pages.templates import LOOK, open_templates
from pipeline.view.scripts import write_script

PAGE, FOLDER = "index.html", "pages"
WEB = Path(__file__).with_name("web")
# Published files of htm 3.1.1 with Preact in it, unmodified, with their licences.
LIBRARY = "htm-preact-3.1.1.js"
LICENCES = ("LICENSE-htm", "LICENSE-preact")
# In the order in which they need each other.
SCRIPTS = ("data", "filters", "state", "grid", "layers", "panel", "picture", "charts", "coverage")


def has_scripts(out: Path) -> bool:
    """Whether a folder is one of pages: they are written first."""
    return (out / FOLDER / LIBRARY).is_file()


def write_scripts(out: Path) -> None:
    """Write what the page loads, apart from data."""
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    for name in (*LICENCES, LIBRARY):
        write_atomic(folder / name, (WEB / "vendor" / name).read_bytes())
    for name in (*(f"{script}.js" for script in (*SCRIPTS, "app")), "view.css"):
        write_atomic(folder / name, (WEB / name).read_bytes())
    write_atomic(folder / LOOK.name, LOOK.read_bytes())


def write_page(out: Path, sets: Sequence[str], found: str) -> None:
    """Write the page. sets: their keys. found: name of the detections of the first, "" for none."""
    write_script(out / "data" / "sets.js", "sets", {"keys": list(sets), "found": found})
    page = open_templates(__package__).get_template("page.html.j2")
    content = page.render(folder=FOLDER, library=LIBRARY, scripts=SCRIPTS, sets=list(sets))
    write_atomic(out / PAGE, content.encode())
