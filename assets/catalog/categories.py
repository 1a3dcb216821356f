"""COCO category records of a catalogue, with unique names and separate display names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Names = dict[str, str]


def unique_names(products: Iterable[tuple[str, str]], before: Mapping[str, tuple[str, str]] | None = None) -> Names:
    """Return a unique category name per SKU key; readers such as supervision and Datumaro reject duplicates.

    products: (key, display name) in ascending category id. The first SKU with a display name keeps it, later ones get
    their key appended, so names do not change when SKUs with higher ids are added. before: key -> (name, display name)
    of an earlier version of the set, whose names are kept if the display name is unchanged.
    """
    products = list(products)
    names: Names = {}
    taken: set[str] = set()
    for key, shown in products:
        name, before_shown = (before or {}).get(key, ("", ""))
        if name and before_shown == shown and name not in taken:
            names[key] = name
            taken.add(name)
    for key, shown in products:
        if key in names:
            continue
        name = shown
        while name in taken:
            name = f"{name} ({key})"
        names[key] = name
        taken.add(name)
    return {key: names[key] for key, _ in products}


def bare_name(name: str, key: str) -> str:
    """Return a name without the key that `unique_names` appended."""
    return name.removesuffix(f" ({key})")
