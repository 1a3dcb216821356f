"""TOML planograms, a format of our own: every field of a planogram, lengths in millimetres and angles in degrees.

Tables and keys are those of the types in assets/planogram/types.py: [[planogram]], [[planogram.bay]],
[[planogram.shelf]], [[planogram.shelf.position]] and [[product]].
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.models import FileModel, parse_model
from assets.limits import PLANOGRAM_TOML_BYTES, read_file
from assets.planogram.reading import unreadable_planogram
from assets.planogram.types import Planogram, PlanogramProduct, PlanogramSet

SUFFIXES = (".toml",)
# Of files that are written.
MAX_BYTES, STATES_SIZES = PLANOGRAM_TOML_BYTES, True
FORMAT: Literal["synth-planogram-1"] = "synth-planogram-1"
# Field of a type -> table of the file.
TABLES = {"shelves": "shelf", "bays": "bay", "positions": "position", "products": "product", "planograms": "planogram"}
# Key of the file -> field of a type; keys that are none get names that no field has.
FIELDS = {table: name for name, table in TABLES.items() if table in ("shelf", "bay", "position")} | {
    "slope_deg": "slope",
    "slope": "slope (slope_deg?)",
    "row": "row (reserved)",
}
COUNTS = ("wide", "high", "deep", "layers")
THICKNESS_MM = 30
MILLIMETRE = Decimal("0.001")
DEGREE = Decimal("0.01745329251994329576923690768")
# Larger numbers are no lengths and would take time to convert.
MAX_NUMBER = Decimal(10**9)
MAX_DOTS = 20


class PlanogramToml(FileModel):
    """Content of a planogram in TOML."""

    format: Literal["synth-planogram-1"]
    planogram: tuple[Planogram, ...]
    product: tuple[PlanogramProduct, ...] = ()


def read_planograms(path: Path, catalog: Catalog | None = None) -> PlanogramSet:
    """Read a TOML file. Raises one SynthError with every unknown key and invalid value."""
    data = read_file(path, PLANOGRAM_TOML_BYTES, "the planogram")
    try:
        text = data.decode("utf-8-sig")
        _check_dots(text)
        raw = tomllib.loads(text, parse_float=Decimal)
        raw["planogram"] = [_with_defaults(plan) for plan in _list_of(raw, "planogram")]
        # As JSON, lists are tuples and tables are values to pydantic in strict mode, too.
        content = json.dumps(_converted("", raw), allow_nan=False).encode()
    except (ValueError, RecursionError, ArithmeticError, TypeError) as error:
        raise unreadable_planogram(path, str(error) or "nested too deep", "TOML") from error
    try:
        found = parse_model(PlanogramToml, content, "the planogram", str(path))
    except SynthError as error:
        problems = [line.replace("shelves.", "shelf.").replace("positions.", "position.") for line in error.problems]
        raise SynthError(
            error.what, code="planogram-invalid", where=str(path), found=error.found, problems=problems
        ) from error
    return PlanogramSet(found.planogram, found.product)


def write_planograms(planograms: Iterable[Planogram], products: Iterable[PlanogramProduct] = ()) -> Iterator[bytes]:
    """Return the parts of a TOML file, one for each planogram; it reads as the same planograms and products."""
    yield f'format = "{FORMAT}"\n'.encode()
    for product in products:
        yield _encode_table("product", product)
    for planogram in planograms:
        yield _encode_table("planogram", planogram)


def losses(planograms: Iterable[Planogram]) -> Counter[str]:
    """Return what this format cannot carry, and how often: nothing."""
    return Counter()


def _encode_table(name: str, value: Any) -> bytes:
    return ("\n".join(_table_lines(name, value)) + "\n").encode()


def _check_dots(text: str) -> None:
    """Refuse keys of many parts, for which tomllib takes memory that grows with their square."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MAX_DOTS:
            raise ValueError(f"line {number} has more than {MAX_DOTS} dots")


def _list_of(table: dict[str, Any], key: str) -> list[Any]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(f"{key} is no list of tables, as [[{key}]]")
    return found


def _with_defaults(plan: dict[str, Any]) -> dict[str, Any]:
    """Number what has no id; a shelf is as wide and deep as the planogram and ends at its back."""
    shelves = []
    for number, shelf in enumerate(_list_of(plan, "shelf"), start=1):
        usual = {"id": str(number), "kind": "shelf", "x": 0, "thickness": THICKNESS_MM}
        shelf = {**usual, **{key: plan[key] for key in ("width", "depth") if key in plan}, **shelf}
        if "z" not in shelf and all(isinstance(one, int | Decimal) for one in (plan.get("depth"), shelf.get("depth"))):
            shelf["z"] = plan["depth"] - shelf["depth"]
        positions = enumerate(_list_of(shelf, "position"), start=1)
        shelf["position"] = [{"id": str(place), **position} for place, position in positions]
        shelves.append(shelf)
    return {**plan, "shelf": shelves, "bay": _list_of(plan, "bay")}


def _converted(key: str, value: Any) -> Any:
    """Convert numbers to metres and radians, and the names of tables to those of fields."""
    if isinstance(value, dict):
        return {FIELDS.get(name, name): _converted(name, one) for name, one in value.items()}
    if isinstance(value, list):
        return [_converted(key, one) for one in value]
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or (key in COUNTS and isinstance(value, int)):
        return value
    number = Decimal(value)
    if not number.is_finite() or number.copy_abs() > MAX_NUMBER:
        raise ValueError(f"{key} = {number!s:.40}, expected a number of at most 1e9")
    return float(number * (DEGREE if key == "slope_deg" else MILLIMETRE))


def _table_lines(path: str, value: Any) -> Iterator[str]:
    yield f"\n[[{path}]]"
    nested = []
    for field in fields(value):
        item = getattr(value, field.name)
        if field.name in TABLES:
            nested += [(TABLES[field.name], one) for one in item]
        elif field.name != "row" and item != field.default:
            yield _assignment(field.name, item)
    for name, one in nested:
        yield from _table_lines(f"{path}.{name}", one)


def _assignment(name: str, value: Any) -> str:
    return f"slope_deg = {_scaled(value, DEGREE)}" if name == "slope" else f"{name} = {_text(name, value)}"


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # values hold no control characters, so that it is TOML as well
    if isinstance(value, tuple):
        return f"[{', '.join(_text(name, one) for one in value)}]"
    if is_dataclass(value):
        values = ((field, getattr(value, field.name)) for field in fields(value))
        parts = [(field.name, item) for field, item in values if item != field.default]
        return f"{{ {', '.join(_assignment(name, one) for name, one in parts)} }}"
    return str(value) if name in COUNTS else _scaled(value, MILLIMETRE)


def _scaled(value: float, unit: Decimal) -> str:
    """Return the shortest number that reads as the same value."""
    exact = Decimal(repr(float(value))) / unit
    for digits in (6, 12, 17, 24):
        number = Decimal(f"{exact:.{digits}g}")
        if float(number * unit) == value:
            break
    return f"{number.normalize():f}"
