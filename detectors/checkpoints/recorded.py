"""Settings of a run as its folder and its checkpoints record them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from assets.errors import SynthError
from assets.files.json_input import parse_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class RecordedSettings:
    """The settings that a training was started with. text: a JSON object.

    Text, because torch's safe loader rejects paths, and because other versions of `synth` have other settings.
    """

    text: str = "{}"

    @classmethod
    def of(cls, settings: DataclassInstance, *, without: Sequence[tuple[str, str]] = ()) -> Self:
        """Record the fields of settings; tuples become lists, and paths strings. without: section and field."""
        fields = asdict(settings)
        for section, name in without:
            del fields[section][name]
        return cls(json.dumps(fields, default=str))

    @classmethod
    def parse(cls, data: bytes, where: str, hint: str | None = None) -> Self:
        """Check the text of a file. Raises SynthError unless it is a JSON object."""
        content = parse_json(data, "the settings", where, hint=hint, constants=True)
        if not isinstance(content, dict):
            what, found = "the settings are not a JSON object", type(content).__name__
            raise SynthError(what, code="content-invalid", where=where, found=found, hint=hint)
        return cls(json.dumps(content))

    def file(self) -> bytes:
        """Return the content of a file with the settings, one per line."""
        return json.dumps(self._values(), indent=1).encode() + b"\n"

    def value(self, name: str) -> Any:
        """Return a setting, None if it is not recorded."""
        return self._values().get(name)

    def differing(self, earlier: RecordedSettings, *, free: Sequence[str]) -> list[str]:
        """Return the settings that differ from those of an earlier call, except `free`, as "name: was, now"."""
        other = earlier._values()
        mine = {name: value for name, value in self._values().items() if name not in free}
        return _differing(mine, other)

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = parse_json(self.text.encode(), "the settings", "settings of a run", constants=True)
        return values


def _differing(mine: dict[str, Any], other: dict[str, Any], section: str = "") -> list[str]:
    """Return the settings that differ, by their names in sections.

    Settings that a version of synth added later count as equal while they have their empty default.
    """
    found = []
    for name, value in mine.items():
        earlier = other.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            found += _differing({**dict.fromkeys(earlier), **value}, earlier, f"{section}{name}.")
        elif earlier != value and (name in other or value not in (None, [])):
            found.append(f"{section}{name}: was {earlier!r}, now {value!r}")
    return found
