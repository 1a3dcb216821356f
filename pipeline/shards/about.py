"""dataset.json of a sharded set: what stands beside the records of its COCO files, and what it was rendered from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assets.errors import SynthError
from assets.files.json_input import parse_json
from dataset.checksums import CHECKSUMS
from dataset.records import Head, InfoRecord
from dataset.storage.path import StoragePath

DATASET = "dataset.json"


@dataclass(frozen=True)
class AboutShards:
    """What dataset.json says.

    heads: info and licences of the splits that state them. rendered: dataset.json of the set that was packed. sets: the
    same file of each set that was merged. signed: whether there is a list of checksums. content: the file as it stands.
    """

    heads: Mapping[str, Head] = field(default_factory=dict)
    rendered: Any = None
    sets: Sequence[AboutShards] = ()
    signed: bool = True
    content: Any = None

    def to_json(self, command: str) -> bytes:
        """The file, as `command` writes it."""
        splits = {split: {"info": head.info.content(), "licenses": head.licenses} for split, head in self.heads.items()}
        content = {"format": 1, "command": command, "checksums": CHECKSUMS, "splits": splits}
        content |= {} if self.rendered is None else {"dataset": self.rendered}
        content |= {"sets": [one.content for one in self.sets]} if self.sets else {}
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def read_about(location: StoragePath) -> AboutShards:
    """What dataset.json says; nothing where it is missing or damaged."""
    try:
        about = parse_json(location.read(DATASET), DATASET, location.locate(DATASET))
    except (FileNotFoundError, SynthError):
        about = None
    if not isinstance(about, dict):
        return AboutShards(signed=False, content={})
    splits = about.get("splits")
    heads = {
        split: Head((), InfoRecord.parse(said["info"]), said["licenses"])
        for split, said in (splits.items() if isinstance(splits, dict) else ())
        if isinstance(said, dict) and isinstance(said.get("info"), dict) and isinstance(said.get("licenses"), list)
    }
    return AboutShards(heads, about.get("dataset"), signed=bool(about.get("checksums")), content=about)
