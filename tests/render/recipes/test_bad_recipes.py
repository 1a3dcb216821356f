"""Recipes of strangers: YAML that runs, unfolds or nests without end, and files that are none."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from render.recipes import load_recipe, recipe_from_yaml
from support.errors import raises
from support.fuzzing.files import deadline
from support.fuzzing.recipes import laughs


def told(text: str, code: str, message: str = "") -> None:
    with deadline(20), raises(code, text=message):
        recipe_from_yaml(text, where="r.yaml")


@pytest.mark.parametrize("depth", [5, 9, 40])
def test_a_billion_values_in_nine_lines(depth: int) -> None:
    tracemalloc.start()
    told(laughs(depth).decode(), "limit-exceeded", "values in a recipe")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("recipe: !!python/object/apply:os.system ['true']", "recipe-unreadable", "could not determine a constructor"),
        ("recipe: !!python/name:os.system", "recipe-unreadable", "could not determine a constructor"),
        ("recipe: !mine tabletop", "recipe-unreadable", "could not determine a constructor"),
        ("recipe: tabletop\nrecipe: scatter", "recipe-unreadable", "'recipe' appears twice, line 2"),
        ("recipe: tabletop\ncamera: {aim: [0, 0], aim: [1, 1]}", "recipe-unreadable", "'aim' appears twice"),
        ("recipe: &a [*a]", "recipe-unreadable", "contains itself"),
        ("recipe: tabletop\nseed: &a {b: *a}", "recipe-unreadable", "contains itself"),
        ("recipe: tabletop\nx: !!timestamp never", "recipe-unreadable", ""),
        ("recipe: tabletop\nx: !!int many", "recipe-unreadable", ""),
        ("recipe: tabletop\nx: " + "[" * 5000, "recipe-unreadable", ""),
        ("recipe: tabletop\n? [a, b]\n: 1", "recipe-unreadable", ""),
        (
            "recipe: tabletop\nproducts: {count: [0x" + "f" * 5000 + ", 1]}",
            "recipe-invalid",
            "products.count: Exceeds the limit",
        ),
        ("recipe: tabletop\nproducts: {count: [" + "9" * 5000 + ", 1]}", "recipe-unreadable", ""),
        (
            "recipe: tabletop\n" + "".join(f"k{n}: 1\n" for n in range(3000)),
            "recipe-invalid",
            "3000 problems(.|\n)*and 2950 more",
        ),
        ("recipe: tabletop\n--- \nrecipe: scatter", "recipe-unreadable", ""),
        ("\0", "recipe-unreadable", ""),
        ("recipe: tabletop\n" + "#" * 70_000, "limit-exceeded", "bytes of a recipe"),
        ("recipe: tabletop\nproduct: {}", "recipe-invalid", "did you mean 'products'"),
        ("recipe: tabletop\nproducts: {count: [1, 1000000]}", "recipe-invalid", "must lie within 1 and 500"),
        ("recipe: tabletop\nproducts: {count: [-5, 1]}", "recipe-invalid", "must lie within 1 and 500"),
        ("recipe: tabletop\nproducts: {count: [9, 1]}", "recipe-invalid", "a range is"),
        ("recipe: tabletop\ncamera: {distance: [0, 0]}", "recipe-invalid", "must lie within 0.2 and 10"),
        ("recipe: tabletop\ncamera: {lens_mm: [0, .inf]}", "recipe-invalid", "finite"),
        ("recipe: tabletop\ncamera: {lens_mm: [.nan, 50]}", "recipe-invalid", "finite"),
        ("recipe: tabletop\nproducts: {touch: .nan}", "recipe-invalid", "less than or equal|finite|valid"),
        ("recipe: tabletop\nproducts: {manner: {stand: .inf}}", "recipe-invalid", "finite"),
        ("recipe: tabletop\nproducts: {manner: {stand: 1e308, lie: 1e308}}", "recipe-invalid", "less than or equal"),
    ],
)
def test_what_is_no_recipe_is_told(text: str, code: str, message: str) -> None:
    told(text, code, message)


def test_aliases_that_repeat_a_little_are_read() -> None:
    text = "recipe: tabletop\ntable: {roughness: &half [0.4, 0.6]}\nfinish: {roughness: *half}"
    recipe = recipe_from_yaml(text, where="r.yaml").model_dump()
    assert recipe["table"]["roughness"] == recipe["finish"]["roughness"] == (0.4, 0.6)


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_a_recipe_that_is_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "r.yaml")
    with deadline(20), raises("file-unreadable", "not-a-file"):
        load_recipe(str(tmp_path / "r.yaml"))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_told(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "r.yaml").write_bytes("recipe: tabletop # schön".encode(encoding))
    with raises("recipe-unreadable", hint="UTF-8"):
        load_recipe(str(tmp_path / "r.yaml"))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes("recipe: tabletop".encode("utf-8-sig"))
    assert load_recipe(str(tmp_path / "r.yaml")).model_dump()["recipe"] == "tabletop"
