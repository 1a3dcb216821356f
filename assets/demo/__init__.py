"""The demo catalogue: sixteen invented products, look-alikes among them, made from sizes and artwork alone."""

from __future__ import annotations

from pathlib import Path


def demo_list() -> Path:
    """The SKU list that ships with the project."""
    return Path(__file__).with_name("skus.csv")
