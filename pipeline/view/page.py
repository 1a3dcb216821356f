"""The page and what it loads: our scripts and styles, and the library that draws it, copied beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assets.files.atomic import write_atomic
from assets.pages.templates import LOOK, open_templates
from pipeline.view.scripts import write_script

PAGE = "index.html"
WEB = Path(__file__).with_name("web")
# Published files of htm 3.1.1 with Preact in it, unmodified, with their licences.
LIBRARY = "htm-preact-3.1.1.js"
LICENCES = ("LICENSE-htm", "LICENSE-preact")
# In the order in which they need each other.
SCRIPTS = ("data", "filters", "state", "grid", "layers", "panel", "picture", "charts", "coverage")


def write_pages(out: Path, sets: Sequence[str], found: str) -> None:
    """Write the page and what it loads. sets: their keys. found: name of the detections of the first, "" for none."""
    folder = out / "pages"
    folder.mkdir(exist_ok=True)
    for name in (LIBRARY, *LICENCES):
        write_atomic(folder / name, (WEB / "vendor" / name).read_bytes())
    for name in (*(f"{script}.js" for script in (*SCRIPTS, "app")), "view.css"):
        write_atomic(folder / name, (WEB / name).read_bytes())
    write_atomic(folder / LOOK.name, LOOK.read_bytes())
    write_script(out / "data" / "sets.js", "sets", {"keys": list(sets), "found": found})
    page = open_templates(__package__).get_template("page.html.j2")
    write_atomic(out / PAGE, page.render(library=LIBRARY, scripts=SCRIPTS, sets=list(sets)).encode())
