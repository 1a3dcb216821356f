"""Scene recipes: one file and one line in TABLE each, imported only when asked for.

A recipe's module defines `SETTINGS`, a SceneRecipe with its ranges, and `lay_out(settings, request) -> SceneLayout`;
render/sample.py samples what all recipes have in common.
"""

from __future__ import annotations

import difflib
import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import indent
from types import MappingProxyType, ModuleType
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from assets.errors import SynthError, unknown_name
from assets.files.yaml_input import brief, read_yaml
from assets.limits import RECIPE_BYTES, read_file
from assets.plugins import PluginTable, is_python_file
from assets.plurals import count_of, first_few
from render.recipes.mix import MAX_PARTS, MIX, Recipe, RecipeMix, RecipePart, ShareWeight
from render.recipes.parts import SceneRecipe, Section, field_names
from render.recipes.versions import added_keys, check_known, defaults_of, merged
from render.streams import STREAMS

# (name or path of a recipe, its share of the scenes).
RecipeShares = tuple[tuple[str, float], ...]
# File name -> path of a Python file that a YAML recipe may refer to.
PythonFiles = Mapping[str, Path]
TABLE = PluginTable(
    "recipe",
    {
        "tabletop": "render.recipes.tabletop",
        "scatter": "render.recipes.scatter",
        "shelf": "render.recipes.shelf",
        "fridge": "render.recipes.fridge",
        "endcap": "render.recipes.endcap",
        "bin": "render.recipes.bin",
        "checkout": "render.recipes.checkout",
    },
    "synth.recipes",
    ("SETTINGS", "lay_out"),
    files=True,
)
RECIPES = TABLE.modules


def recipe_names() -> tuple[str, ...]:
    """Return the names of the built-in recipes and of those that installed packages provide."""
    return TABLE.names()


def recipe_module(name: str) -> Any:
    """Import the module of a recipe, given its name or the path of a Python file.

    Raises SynthError for an unknown name and for a module that is not a complete recipe.
    """
    module = TABLE.load(name)
    settings = module.SETTINGS
    problem = ""
    if not (isinstance(settings, type) and issubclass(settings, SceneRecipe)):
        problem = "SETTINGS is not a subclass of SceneRecipe"
    elif settings.__module__ != module.__name__:
        problem = f"SETTINGS is defined in {settings.__module__}"
    elif settings.__abstractmethods__:
        problem = f"SETTINGS does not define {', '.join(sorted(settings.__abstractmethods__))}"
    if problem:
        expected = "SETTINGS = a subclass of render.recipes.parts.SceneRecipe that this module defines"
        raise SynthError(
            f"the recipe {name!r} is incomplete",
            code="plugin-incomplete",
            where=module.__file__,
            found=problem,
            expected=expected,
        )
    return module


def load_recipe(name_or_path: str | RecipeShares, *, streams: int = STREAMS) -> Recipe:
    """Load a recipe: a name or Python file gives its defaults, a YAML file changes some of its ranges.

    Several (name, share) pairs give a mix. streams: version of the random streams of the data set, which selects that
    version's defaults. Raises SynthError that lists every problem of the file at once.
    """
    if not isinstance(name_or_path, str):
        return mix_of((share, _load_single(name, streams)) for name, share in name_or_path)
    path = Path(name_or_path)
    # A folder named like a recipe, such as bin, does not hide it.
    named = name_or_path in recipe_names() or is_python_file(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml") or (path.exists() and not named):
        return recipe_from_yaml(_read_text(path), where=str(path), streams=streams, files=_files_beside(path))
    if not named:
        raise unknown_name("recipe", name_or_path, [*recipe_names(), "a path to a .yaml or .py file"])
    return _with_changes(name_or_path, {}, name_or_path, streams)


def _load_single(name: str, streams: int) -> SceneRecipe:
    recipe = load_recipe(name, streams=streams)
    if isinstance(recipe, RecipeMix):
        raise SynthError("a recipe of a mix cannot be a mix itself", code="recipe-mix-invalid", where=name)
    return recipe


def modules_of(recipe: Recipe) -> dict[str, ModuleType]:
    """Return the module that defines each recipe (each part of a mix), by the recipe's name."""
    parts = [part.of for part in recipe.parts] if isinstance(recipe, RecipeMix) else [recipe]
    return {part.recipe: sys.modules[type(part).__module__] for part in parts}


def check_takes_planograms(recipe: Recipe) -> None:
    """Raise SynthError unless scenes of the recipe (of each part of a mix) can follow a planogram."""
    parts = [part.of for part in recipe.parts] if isinstance(recipe, RecipeMix) else [recipe]
    unable = sorted({part.without_planograms() for part in parts} - {""})
    if unable:
        raise SynthError(
            "the recipe stands no planograms up",
            code="planogram-recipe",
            found=", ".join(unable),
            hint="give --recipe shelf or --recipe fridge with --planogram",
        )


def _files_beside(path: Path) -> PythonFiles:
    """Return the Python files in the folder of a YAML file, by name."""
    return {file.name: file for file in path.parent.glob("*.py")}


def mix_of(parts: Iterable[tuple[float, SceneRecipe]]) -> RecipeMix:
    """Combine recipes with their shares into a mix. Raises SynthError for too many recipes or a duplicate."""
    given = list(parts)
    recipes = [recipe for _, recipe in given]
    sources: dict[str, set[str]] = {}
    for recipe in recipes:
        sources.setdefault(recipe.recipe, set()).add(type(recipe).__module__)
    problems = [f"two Python files named {name}" for name, modules in sources.items() if len(modules) > 1]
    problems += ["a duplicate recipe"] if any(recipe in recipes[:i] for i, recipe in enumerate(recipes)) else []
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


def _read_text(path: Path) -> str:
    try:
        return read_file(path, RECIPE_BYTES, "the recipe").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "save it as UTF-8"
        raise SynthError(
            "the recipe cannot be read", code="recipe-unreadable", where=str(path), found=str(error), hint=hint
        ) from error


def recipe_from_yaml(
    text: str, *, where: str, streams: int = STREAMS, files: PythonFiles = MappingProxyType({})
) -> Recipe:
    """Parse a recipe from YAML; keys that are missing get the defaults of that version of the streams.

    files: the only Python files that the text may refer to, so that a text from elsewhere runs no other code. Raises
    SynthError that lists every problem of the text.
    """
    data = read_yaml(text, where)
    if isinstance(data, dict) and data.get("recipe") == MIX:
        return _mix_from(data, where, streams, files)
    return _recipe_from(data, where, streams, files)


def _mix_from(data: dict[Any, Any], where: str, streams: int, files: PythonFiles) -> RecipeMix:
    """Parse a mix: `parts`, each with a `share` and `of`, which is a recipe's name or a complete recipe."""
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
            "a share of the mix is not a number above 0",
            code="recipe-mix-invalid",
            where=where,
            found=brief(error.errors()[0]["input"]),
        ) from error
    wholes = [{"recipe": part["of"]} if isinstance(part["of"], str) else part["of"] for part in parts]
    recipes = [_recipe_from(whole, f"{where}, part {number}", streams, files) for number, whole in enumerate(wholes, 1)]
    return mix_of(zip(shares, recipes, strict=True))


def _recipe_from(data: Any, where: str, streams: int, files: PythonFiles) -> SceneRecipe:
    name = data.get("recipe") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(name, str):
        expected = f"a mapping with the key 'recipe': one of {', '.join(recipe_names())}"
        raise SynthError(
            "not a recipe",
            code="recipe-invalid",
            where=where,
            found=type(data).__name__,
            expected=expected,
            hint=SHOW_HINT,
        )
    if is_python_file(name):
        if name not in files:
            hint = (
                "put the Python file beside the YAML file, and name it without a folder; for a data set give --plugin"
            )
            raise SynthError(
                "the Python file of the recipe is not there",
                code="plugin-file-missing",
                where=where,
                found=brief(name),
                hint=hint,
            )
        name = str(files[name])
    return _with_changes(name, data, where, streams)


def _with_changes(name: str, data: dict[Any, Any], where: str, streams: int) -> SceneRecipe:
    """Return the recipe of that name or path with the values of `data` in place of its defaults."""
    model, short = recipe_module(name).SETTINGS, Path(name).name
    try:
        defaults = defaults_of(short, model().model_dump(), streams)
        recipe: SceneRecipe = model.model_validate({**merged(defaults, data), "recipe": short})
    except ValidationError as error:
        found = error.errors()
        problems = first_few([_problem(model, item) for item in found], MAX_LISTED)
        raise SynthError(
            f"the recipe has {count_of(len(found), 'problem')}",
            code="recipe-invalid",
            where=where,
            problems=problems,
            hint=SHOW_HINT,
        ) from error
    check_known(recipe, streams, where)
    return recipe


MAX_LISTED = 50
SHOW_HINT = "'synth recipe show NAME' prints a whole recipe with every key and its meaning"


def _problem(model: type[BaseModel], item: Any) -> str:
    key_path = ".".join(brief(key) for key in item["loc"])
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(item["loc"][-1]), _keys_at(model, item["loc"][:-1]), n=1, cutoff=0.5)
        return f"{key_path}: unknown key" + (f", did you mean {close[0]!r}?" if close else "")
    text = str(item["msg"]).removeprefix("Value error, ")
    return f"{key_path}: {text}, found {brief(item['input'])}"


def _keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for key in location:
        field = model.model_fields.get(str(key))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)


def recipe_yaml(recipe: Recipe, *, streams: int = STREAMS) -> str:
    """Format the whole recipe as YAML, each key with its description as a comment.

    `recipe_from_yaml` with the same version of the streams reads an equal recipe back.
    """
    if isinstance(recipe, RecipeMix):
        parts = (
            f"- share: {_yaml_value(part.share)}\n  of:\n{indent(recipe_yaml(part.of, streams=streams), ' ' * 4)}"
            for part in recipe.parts
        )
        return f"recipe: {MIX}\nparts:\n{''.join(parts)}"
    return "\n".join(_yaml_lines(recipe, 0, _added(recipe, streams))) + "\n"


def _added(recipe: Recipe, streams: int) -> dict[str, Any]:
    return dict(added_keys(recipe.recipe, streams))


def _yaml_lines(section: Section, depth: int, without: dict[str, Any]) -> list[str]:
    lines = []
    before = "  " * depth
    for name in field_names(section):
        if name in without and depth:
            continue
        field, value = type(section).model_fields[name], getattr(section, name)
        note = f"  # {field.description}" if field.description else ""
        if isinstance(value, Section):
            lines += [f"{before}{name}:{note}", *_yaml_lines(value, depth + 1, dict.fromkeys(without.get(name) or ()))]
        else:
            lines.append(f"{before}{name}: {_yaml_value(value)}{note}")
    return lines


def _yaml_value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_yaml_value(item) for item in value)}]"
    if isinstance(value, float):
        # YAML 1.1 parses a number with an exponent but no decimal point as a string.
        return repr(value) if "e" not in repr(value) else f"{value:.12f}"
    return str(value)


def recipe_hash(recipe: Recipe, *, streams: int = STREAMS) -> str:
    """Return the SHA-256 of the recipe's values, which does not depend on how its file was written.

    streams: keys that this version did not have are left out, so that the hashes of older data sets still match.
    """
    content = recipe.model_dump_json(exclude=_added(recipe, streams))
    return hashlib.sha256(content.encode()).hexdigest()
