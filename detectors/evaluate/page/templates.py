"""The templates of pages that need no server; all share the base of evaluation reports."""

from __future__ import annotations

from typing import Any

BASE = "detectors.evaluate.page"


def open_templates(package: str = BASE) -> Any:
    """Return the jinja2 environment with the templates of a package and the base template; texts are escaped."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(name, ".") for name in dict.fromkeys((package, BASE))])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
