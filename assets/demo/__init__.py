"""Demo catalogue: sixteen fictitious products, some of them look-alikes, made from sizes and artwork only."""

from __future__ import annotations

from pathlib import Path


def demo_list() -> Path:
    """Return the path of the SKU list that ships with the project."""
    return Path(__file__).with_name("skus.csv")
