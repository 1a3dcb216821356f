"""The templates of pages that need no server; all share one base and one look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BASE = "assets.pages"
# Included by the base template; pages of several files load it beside them.
LOOK = Path(__file__).with_name("look.css")


def open_templates(package: str) -> Any:
    """Return the jinja2 environment with the templates of a package and the base template; texts are escaped."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(name, ".") for name in dict.fromkeys((package, BASE))])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
