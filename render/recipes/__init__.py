"""Recipes say how scenes are drawn. One file and one line in RECIPES each; imported only when asked for.

A recipe module has a frozen model `Recipe` (its ranges) and
`lay_out(library, recipe, streams, width, height, hand) -> SceneSpec`; hand: products chosen beforehand, or None.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
from collections.abc import Iterable
from pathlib import Path
from textwrap import indent
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from assets.errors import SynthError, unknown_name
from assets.limits import RECIPE_BYTES, read_file
from assets.plurals import count_of
from render.recipes.mix import MAX_PARTS, MIX, RecipeMix, RecipePart, ShareWeight
from render.recipes.parts import Section
from render.recipes.versions import added_keys, check_known, defaults_of, merged
from render.recipes.yaml_file import brief, read_yaml
from render.streams import STREAMS

# Names or paths of recipes, each with its share of the scenes.
RecipeShares = tuple[tuple[str, float], ...]
RECIPES = {"tabletop": "render.recipes.tabletop", "scatter": "render.recipes.scatter"}


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with the project."""
    return tuple(RECIPES)


def recipe_module(name: str) -> Any:
    """The module of a recipe. Raises SynthError for an unknown name."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return importlib.import_module(RECIPES[name])


def load_recipe(name_or_path: str | RecipeShares, *, streams: int = STREAMS) -> Section:
    """A recipe by its name, with its defaults, or from a YAML file that names one and changes some of its ranges.

    Several of them, each with its share, make a mix. streams: version of the streams of the data set that it is for:
    its defaults are those of then. Raises SynthError that lists everything wrong with the file at once.
    """
    if not isinstance(name_or_path, str):
        return mix_of((share, load_recipe(name, streams=streams)) for name, share in name_or_path)
    if name_or_path in RECIPES:
        model = recipe_module(name_or_path).Recipe
        recipe: Section = model.model_validate(defaults_of(name_or_path, model().model_dump(), streams))
        return recipe
    path = Path(name_or_path)
    if path.suffix.lower() not in (".yaml", ".yml") and not path.exists():
        raise unknown_name("recipe", name_or_path, [*RECIPES, "a path to a .yaml file"])
    return recipe_from_yaml(_read(path), where=str(path), streams=streams)


def mix_of(parts: Iterable[tuple[float, Section]]) -> RecipeMix:
    """The mix of several recipes with their shares. Raises SynthError for too many, one twice, or a mix among them."""
    given = list(parts)
    recipes = [recipe for _, recipe in given]
    problems = ["a mix in a mix"] if any(isinstance(recipe, RecipeMix) for recipe in recipes) else []
    problems += ["a recipe twice"] if any(recipe in recipes[:place] for place, recipe in enumerate(recipes)) else []
    if problems or not 1 <= len(given) <= MAX_PARTS:
        expected = f"1 to {MAX_PARTS} different recipes, each with its share"
        raise SynthError(
            "these recipes cannot be mixed",
            code="recipe-mix-invalid",
            found=f"{len(given)} recipes",
            expected=expected,
            problems=problems,
        )
    return RecipeMix(parts=tuple(RecipePart(share=share, of=recipe) for share, recipe in given))


def _read(path: Path) -> str:
    try:
        return read_file(path, RECIPE_BYTES, "the recipe").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "save it as UTF-8"
        raise SynthError(
            "the recipe cannot be read", code="recipe-unreadable", where=str(path), found=str(error), hint=hint
        ) from error


def recipe_from_yaml(text: str, *, where: str, streams: int = STREAMS) -> Section:
    """The recipe in a YAML text, its defaults those of that version of the streams.

    Raises SynthError naming `where` for each problem in it.
    """
    data = read_yaml(text, where)
    if isinstance(data, dict) and data.get("recipe") == MIX:
        return _mix_from(data, where, streams)
    return _recipe_from(data, where, streams)


def _mix_from(data: dict[Any, Any], where: str, streams: int) -> RecipeMix:
    """The mix that a file says: `parts`, each with a `share` and `of`, the name of a recipe or a recipe written out."""
    parts: Any = data.get("parts")
    shaped = isinstance(parts, list) and all(isinstance(part, dict) and "of" in part for part in parts)
    if not shaped or set(data) != {"recipe", "parts"} or any(set(part) - {"share", "of"} for part in parts):
        raise SynthError(
            "not a mix of recipes",
            code="recipe-mix-invalid",
            where=where,
            expected="'parts': a list of {share: NUMBER, of: RECIPE}",
        )
    try:
        shares = [TypeAdapter(ShareWeight).validate_python(part.get("share", 1.0)) for part in parts]
    except ValidationError as error:
        raise SynthError(
            "a share of the mix is no number over 0",
            code="recipe-mix-invalid",
            where=where,
            found=brief(error.errors()[0]["input"]),
        ) from error
    wholes = [{"recipe": part["of"]} if isinstance(part["of"], str) else part["of"] for part in parts]
    recipes = [_recipe_from(whole, f"{where}, part {number}", streams) for number, whole in enumerate(wholes, 1)]
    return mix_of(zip(shares, recipes, strict=True))


def _recipe_from(data: Any, where: str, streams: int) -> Section:
    name = data.get("recipe") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(name, str):
        expected = f"a mapping with the key 'recipe': one of {', '.join(RECIPES)}"
        raise SynthError(
            "not a recipe",
            code="recipe-invalid",
            where=where,
            found=type(data).__name__,
            expected=expected,
            hint=SHOW_HINT,
        )
    model = recipe_module(name).Recipe
    try:
        defaults = defaults_of(name, model().model_dump(), streams)
        recipe: Section = model.model_validate(merged(defaults, data))
    except ValidationError as error:
        found = error.errors()
        problems = [_problem(model, item) for item in found[:MAX_TOLD]]
        problems += [f"and {len(found) - MAX_TOLD} more"] if len(found) > MAX_TOLD else []
        raise SynthError(
            f"the recipe has {count_of(len(found), 'problem')}",
            code="recipe-invalid",
            where=where,
            problems=problems,
            hint=SHOW_HINT,
        ) from error
    check_known(recipe, streams, where)
    return recipe


MAX_TOLD = 50
SHOW_HINT = "'synth recipe show NAME' prints a whole recipe with every key and its meaning"


def _problem(model: type[BaseModel], item: Any) -> str:
    place = ".".join(brief(key) for key in item["loc"])
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(item["loc"][-1]), _keys_at(model, item["loc"][:-1]), n=1, cutoff=0.5)
        return f"{place}: unknown key" + (f", did you mean {close[0]!r}?" if close else "")
    text = str(item["msg"]).removeprefix("Value error, ")
    return f"{place}: {text}, found {brief(item['input'])}"


def _keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for key in location:
        field = model.model_fields.get(str(key))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)


def recipe_yaml(recipe: Section, *, streams: int = STREAMS) -> str:
    """The whole recipe as YAML, each key with its meaning; `recipe_from_yaml` of that version reads it back equal."""
    if isinstance(recipe, RecipeMix):
        parts = (
            f"- share: {_yaml_value(part.share)}\n  of:\n{indent(recipe_yaml(part.of, streams=streams), ' ' * 4)}"
            for part in recipe.parts
        )
        return f"recipe: {MIX}\nparts:\n{''.join(parts)}"
    return "\n".join(_yaml_lines(recipe, 0, _added(recipe, streams))) + "\n"


def _added(recipe: Section, streams: int) -> dict[str, Any]:
    return dict(added_keys(str(recipe.model_dump(include={"recipe"})["recipe"]), streams))


def _yaml_lines(section: BaseModel, depth: int, without: dict[str, Any]) -> list[str]:
    lines = []
    before = "  " * depth
    for name, field in type(section).model_fields.items():
        if name in without and depth:
            continue
        value = getattr(section, name)
        note = f"  # {field.description}" if field.description else ""
        if isinstance(value, BaseModel):
            lines += [f"{before}{name}:{note}", *_yaml_lines(value, depth + 1, dict.fromkeys(without.get(name) or ()))]
        else:
            lines.append(f"{before}{name}: {_yaml_value(value)}{note}")
    return lines


def _yaml_value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_yaml_value(item) for item in value)}]"
    if isinstance(value, float):
        # YAML 1.1 reads an exponent without a point as text.
        return repr(value) if "e" not in repr(value) else f"{value:.12f}"
    return str(value)


def recipe_hash(recipe: Section, *, streams: int = STREAMS) -> str:
    """SHA-256 of the recipe's content: equal for equal ranges, however the file was written.

    streams: in that version's keys, so that data sets of then are known by the same hash.
    """
    content = recipe.model_dump_json(exclude=_added(recipe, streams))
    return hashlib.sha256(content.encode()).hexdigest()
