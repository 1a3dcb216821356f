"""Recipes that are no YAML, no recipe, or ask for what cannot be."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import strategies as st

from assets.errors import SynthError
from render.recipes import RECIPES, load_recipe, recipe_yaml
from support.fuzzing.files import WORDS, Files, Sandbox, broken, changed_words, nothing_written, run_command

VALUES = st.one_of(
    st.sampled_from(
        [
            "[5, 2]",
            "[1, .inf]",
            "[.nan, 1]",
            "-3",
            "[0, 0]",
            "[1, 1000000]",
            "[1, 0x" + "f" * 5000 + "]",
            ".inf",
            "[1, 2, 3]",
            "1e400",
            "{}",
        ]
    ),
    st.sampled_from(["!!python/object/apply:os.system [ls]", "!!int x", "!!timestamp y", "!!binary =", "!!bool z"]),
    st.sampled_from(["&a [*a, *a]", "*b", "&b {c: *b}", "<<: 3", "0x" + "f" * 5000, "1:" * 400 + "1", "? [1]", "'"]),
    st.sampled_from(["[" * 3000, "{a: " * 800, "- " * 500, "!!set {a, b}", "!!omap [a: 1]", "2001-99-99", "~"]),
    st.sampled_from(WORDS),
    st.text(max_size=10),
)


@st.composite
def recipes(draw: st.DrawFn) -> Files:
    """A whole recipe with lines changed, or raw text or bytes."""
    lines = recipe_yaml(load_recipe(draw(st.sampled_from(sorted(RECIPES))))).splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        key = lines[place].partition(":")[0]
        new = draw(st.one_of(VALUES.map(lambda value, key=key: f"{key}: {value}"), st.just(None), VALUES))
        lines[place] = lines[place] + "\n" + lines[place] if new is None else new
    good = "\n".join(lines).encode("utf-8", "surrogatepass")
    data = draw(st.one_of(st.just(good), broken(good, changed_words), st.binary(max_size=100)))
    return {"recipe.yaml": data}


def laughs(depth: int = 9) -> bytes:
    """A billion values in nine lines."""
    lines = ["recipe: tabletop", "l0: &l0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, depth)]
    return "\n".join(lines).encode()


def check_recipe_is_read_or_told(files: Files, box: Sandbox) -> None:
    """A recipe that is read can be shown and read again; anything else is told in bounded words."""
    path = box.write(files)
    with nothing_written(box):
        told = ""
        try:
            recipe = load_recipe(str(path))
        except SynthError as error:
            told = str(error)
        assert len(told) < 20_000
        if not told:
            again = box.out / "again.yaml"
            again.write_text(recipe_yaml(recipe), encoding="utf-8")
            assert load_recipe(str(again)) == recipe


def check_recipe_by_command(files: Files, box: Sandbox) -> None:
    """`synth recipe check` and `show` end in order."""
    path = box.write(files)
    with nothing_written(box), suppress(SynthError):
        assert run_command("recipe", "check", str(path)) == run_command("recipe", "show", str(path))
