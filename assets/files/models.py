"""Pydantic models of small JSON files: all deviations from the declared types, ranges and keys become one error."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.errors import SynthError
from assets.files.json_input import scan_json
from assets.limits import Limit, read_file
from assets.plurals import first_few

INVALID = "content-invalid"
MAX_PROBLEMS = 20
# More mistakes are only counted: each takes pydantic a kilobyte. Long lists stop at their first (FailFast).
MANY = 10_000
# Largest integer that JavaScript and float64 represent exactly.
Count = Annotated[int, Field(ge=0, le=2**53)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileModel(BaseModel):
    """Content of a JSON file: no extra keys, no strings for numbers, no NaN, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def parse_model(model: type[Model], data: bytes, what: str, where: str, hint: str | None = None) -> Model:
    """Parse a JSON text. what, where: for messages, such as "the index". Raises SynthError with every problem."""
    scan_json(data, where)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise unusable(what, where, error, hint) from error


def read_model(model: type[Model], path: Path, limit: Limit, what: str, *, hint: str | None = None) -> Model:
    """Read a regular JSON file of at most `limit` bytes; otherwise as `parse_model`."""
    return parse_model(model, read_file(path, limit, what), what, str(path), hint)


def check_model(
    model: type[Model], content: Any, what: str, where: str, hint: str | None = None, *, code: str = INVALID
) -> Model:
    """Validate values that are already parsed (of a checkpoint, say); otherwise as `parse_model`. code: of errors."""
    try:
        return model.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise unusable(what, where, error, hint, code) from error


def unusable(
    what: str, where: str, error: ValidationError | RecursionError, hint: str | None = None, code: str = INVALID
) -> SynthError:
    """Return the error for a file whose content does not fit its model."""
    if not isinstance(error, ValidationError) or error.error_count() > MANY:
        found = f"{error.error_count():,} problems" if isinstance(error, ValidationError) else "nested too deep"
        return SynthError(f"{what} is invalid", code=code, where=where, found=found, hint=hint)
    found_all = error.errors(include_url=False, include_context=False)
    problems = first_few([f"{_format_location(item['loc'])}: {item['msg'][:200]}" for item in found_all], MAX_PROBLEMS)
    return SynthError(f"{what} is invalid", code=code, where=where, hint=hint, problems=problems)


def _format_location(location: Iterable[int | str]) -> str:
    return ".".join(str(part)[:60] for part in location) or "the whole"
