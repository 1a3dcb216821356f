"""Reading of untrusted YAML: plain values only, unique keys, and a limited number of values."""

from __future__ import annotations

from typing import Any

import yaml

from assets.errors import SynthError
from assets.limits import RECIPE_BYTES, RECIPE_VALUES, Limit


def read_yaml(
    text: str,
    where: str,
    *,
    what: str = "the recipe",
    code: str = "recipe-unreadable",
    size: Limit = RECIPE_BYTES,
    values: Limit = RECIPE_VALUES,
) -> Any:
    """Parse a YAML text. Raises SynthError if it is invalid, has duplicate keys, or expands beyond the limit."""
    size.check(len(text), where)
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            values.check(_count_values(node, {}), where)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (SynthError, MemoryError):
        raise
    except Exception as error:  # besides its own errors PyYAML passes on those of int(), float() and dates
        found = " ".join(str(error).split())[:300] or type(error).__name__
        raise SynthError(f"{what} is not YAML", code=code, where=where, found=found) from error


def _count_values(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Count the values of a node with all aliases expanded: nine lines can expand to a billion.

    known: counts by node, None while it is being counted. Raises ValueError for recursive aliases and duplicate keys.
    """
    if id(node) in known:
        count = known[id(node)]
        if count is None:
            raise ValueError(f"an alias contains itself, line {node.start_mark.line + 1}")
        return count
    known[id(node)] = None
    count = 1
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                raise ValueError(f"the key {key.value[:40]!r} appears twice, line {key.start_mark.line + 1}")
            keys.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None)
            count += _count_values(key, known) + _count_values(value, known)
    elif isinstance(node, yaml.SequenceNode):
        count += sum(_count_values(item, known) for item in node.value)
    known[id(node)] = count
    return count


def brief(value: object) -> str:
    """Return the start of a value as text; Python does not convert numbers with thousands of digits."""
    try:
        return str(value)[:80]
    except ValueError:
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
