"""Every error has a code of the table, every code is used, and the page about them is the table."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.error_codes import ERROR_CODES
from assets.errors import SynthError, unknown_name
from support.paths import ROOT

FOLDERS = ("assets", "dataset", "render", "detectors", "pipeline")


def sources() -> list[Path]:
    return [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]


def codes_given(node: ast.AST) -> Iterator[ast.expr]:
    """What a node gives as a code: `code=` of a call, a default of a parameter `code`, an assignment to `code`."""
    if isinstance(node, ast.Call):
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
    elif isinstance(node, ast.arguments):
        for parameter, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            if parameter.arg == "code" and default is not None:
                yield default
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            pairs = zip(target.elts, node.value.elts, strict=False) if _both_tuples(target, node.value) else ()
            named = [(target, node.value), *pairs]
            yield from (value for name, value in named if isinstance(name, ast.Name) and name.id == "code")


def _both_tuples(target: ast.expr, value: ast.expr) -> bool:
    return isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)


@pytest.mark.parametrize("file", sources(), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_codes_are_literals_of_the_table_or_passed_on(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            for value in codes_given(node):
                if isinstance(value, ast.Constant):
                    assert value.value in ERROR_CODES, f"line {node.lineno}"
                else:
                    assert isinstance(value, ast.Name) and value.id == "code", f"line {node.lineno}"


def test_every_code_is_used() -> None:
    nodes = (node for file in sources() for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    used = {value.value for node in nodes for value in codes_given(node) if isinstance(value, ast.Constant)}
    assert {code for code in used if code is not None} == set(ERROR_CODES)


def test_codes_are_words_in_kebab_case_with_a_sentence_each() -> None:
    for code, meaning in ERROR_CODES.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
        assert meaning[0].isupper() and meaning.endswith(".") and len(meaning) <= 100, code


def test_the_page_is_the_table() -> None:
    rows = re.findall(r"^\| `(\S+)` \| (.+) \|$", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    assert rows == list(ERROR_CODES.items())


class OwnError(SynthError):
    """A kind of its own."""


def test_an_error_keeps_its_code_and_kind_across_processes_and_places() -> None:
    error = OwnError("x", code="mesh-empty", where="a", found="b", expected="c", hint="d", problems=["e", "f"])
    same = pickle.loads(pickle.dumps(error))
    assert type(same) is OwnError and (str(same), vars(same)) == (str(error), vars(error))
    moved = error.with_where("b")
    assert type(moved) is OwnError and vars(moved) == {**vars(error), "where": "b"}


def test_unknown_names_have_a_code_each_caller_may_change() -> None:
    assert unknown_name("recipe", "shelv", ["shelf"]).code == "unknown-name"
    assert unknown_name("SKU", "a", ["b"], code="unknown-sku").code == "unknown-sku"
