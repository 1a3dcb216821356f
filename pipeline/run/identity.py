"""Identity of a data set: the settings and hashes that must be equal to resume it, as dataset.json stores them."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from assets.errors import SynthError
from assets.files.models import FileModel
from assets.options import MAX_SEED
from dataset.layout import Splits
from render.streams import STREAMS

EXTRAS = ("depth", "normals", "ids", "shop")
# Ranges of the command line.
MAX_SIDE, MAX_VIEWS = 8192, 100
Side = Annotated[int, Field(ge=8, le=MAX_SIDE)]


class StoredIdentity(FileModel):
    """What must be equal to resume a data set or a job. Newer versions may add fields."""

    model_config = ConfigDict(extra="allow")

    def content(self) -> dict[str, Any]:
        """Return the fields as JSON stores them, without those that equal what older versions had no word for."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def digest(self) -> str:
        """Return the SHA-256 of the content."""
        return json_digest(self.content())

    def file(self) -> bytes:
        """Return the content of a file with the identity."""
        return (json.dumps(self.content(), indent=1, ensure_ascii=False) + "\n").encode()

    def differing(self, new: StoredIdentity) -> list[str]:
        """Return a line for each field that is another in `new`, long values cut."""
        was, now = self.content(), new.content()
        names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        return [f"{name}: was {_brief(was.get(name))}, now {_brief(now.get(name))}" for name in names]


def json_digest(content: object) -> str:
    """Return the SHA-256 of a value as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def _check_split(text: str) -> str:
    splits_of(text)
    return text


def _check_extras(text: str) -> str:
    if not {*filter(None, text.split(","))} <= {*EXTRAS}:
        raise ValueError(f"values other than {', '.join(EXTRAS)}")
    return text


class RunIdentity(StoredIdentity):
    """The identity of a `synth render`.

    sku_list, recipe, backdrops: hashes of their content. split: as train:0.9,val:0.1. extras: such as depth,ids. ids:
    hash of the category ids, "" for those of the list's order. plugins: digest or version of third-party code by its
    use.
    """

    sku_list: str
    recipe: str
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    views: Annotated[int, Field(ge=1, le=MAX_VIEWS)]
    width: Side
    height: Side
    backend: str
    preset: str
    samples: int
    denoise: bool
    split: Annotated[str, AfterValidator(_check_split)]
    extras: Annotated[str, AfterValidator(_check_extras)]
    backdrops: str
    licence: str
    creator: str
    # Absent in sets of version 1.
    drawing: int = 1
    streams: int = 1
    # Absent in sets without keypoints.
    keypoints: bool = False
    # Absent in sets whose ids are those of the list's order, and in those without code of third parties.
    ids: str = ""
    plugins: dict[str, str] = Field(default_factory=dict)


def splits_of(text: str) -> Splits:
    """Return names and shares of train:0.9,val:0.1. Raises ValueError unless names are safe in file names."""
    parts = [item.partition(":") for item in text.split(",")]
    shares = tuple((name, float(share)) for name, _, share in parts)
    if len(dict(shares)) < len(shares) or not all(name.isidentifier() and 0 < share <= 1 for name, share in shares):
        raise ValueError("not of the form train:0.9,val:0.1")
    return shares


def check_streams(version: int, where: str) -> int:
    """Return the version of the random streams of a data set or job. Raises SynthError if it is unknown here."""
    if not 1 <= version <= STREAMS:
        raise SynthError(
            "unknown version of the random streams",
            code="format-version-unsupported",
            where=where,
            found=str(version),
            expected=f"a number from 1 to {STREAMS}",
            hint="use the version of synth that made it, or newer",
        )
    return version
