"""YAML from elsewhere: plain values only, each key once, and no more of them than the file can need."""

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
    """The value that a YAML text stands for. Raises SynthError where it is none, ambiguous, or unfolds endlessly."""
    size.check(len(text), where)
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            values.check(_unfolded(node, {}), where)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (SynthError, MemoryError):
        raise
    except Exception as error:  # beside its own errors PyYAML lets through what int(), float() and dates raise
        found = " ".join(str(error).split())[:300] or type(error).__name__
        raise SynthError(f"{what} is not YAML", code=code, where=where, found=found) from error


def _unfolded(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a node stands for once each alias is written out: nine lines can stand for a billion.

    known: by node, None while it is being counted. Raises ValueError for one that holds itself, or a key twice.
    """
    if id(node) in known:
        count = known[id(node)]
        if count is None:
            raise ValueError(f"an alias holds itself, line {node.start_mark.line + 1}")
        return count
    known[id(node)] = None
    count = 1
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                raise ValueError(f"the key {key.value[:40]!r} stands there twice, line {key.start_mark.line + 1}")
            keys.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None)
            count += _unfolded(key, known) + _unfolded(value, known)
    elif isinstance(node, yaml.SequenceNode):
        count += sum(_unfolded(item, known) for item in node.value)
    known[id(node)] = count
    return count


def brief(value: object) -> str:
    """The start of a value as text, whatever it is; numbers of thousands of digits cannot be written out."""
    try:
        return str(value)[:80]
    except ValueError:
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
