"""How well `synth verify` tells pictures that are not those of their labels, without making a scene again.

    synth render --demo --scenes 60 --out /tmp/shelf --recipe shelf
    python benchmarks/scale/agreement.py /tmp/shelf ...

For each folder of `synth render`: how many of its pictures pass, and how many are told once they are mirrored, and once
they are those of the next image; and what the checks of an image take. Prints rows for docs/results.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np

from pipeline.verify.agreement import ShownImage, check_agreement
from render.scene import SceneSpec


@dataclass
class Counts:
    """Of a set. passed: sound pictures of which nothing is said. seconds: of processors, for these."""

    images: int = 0
    passed: int = 0
    mirrored: int = 0
    exchanged: int = 0
    seconds: float = 0.0


def mirrored(data: bytes) -> bytes:
    """Return a JPEG of the mirrored picture."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return bytes(cv2.imencode(".jpg", pixels[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def count(folder: Path, stems: Sequence[str]) -> Counts:
    """Try the pictures of a set, as they are and changed."""
    found = Counts(len(stems))
    pictures = [(folder / "images" / f"{stem}.jpg").read_bytes() for stem in stems]
    for place, stem in enumerate(stems):
        scene = SceneSpec.from_json((folder / "scenes" / f"{stem}.json").read_text())
        records = json.loads((folder / "labels" / f"{stem}.json").read_text())["annotations"]
        size = (scene.camera.width, scene.camera.height)
        began = time.process_time()
        found.passed += not list(check_agreement(ShownImage(pictures[place], *size, records, {}, stem), scene))
        found.seconds += time.process_time() - began
        other = pictures[(place + 1) % len(pictures)]
        for name, data in (("mirrored", mirrored(pictures[place])), ("exchanged", other)):
            told = bool(list(check_agreement(ShownImage(data, *size, records, {}, stem), scene)))
            setattr(found, name, getattr(found, name) + told)
    return found


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--most", default=60, show_default=True, help="Images of a set, evenly spread.")
def main(folders: tuple[Path, ...], most: int) -> None:
    """Try FOLDERS of 'synth render'."""
    total = Counts()
    for folder in folders:
        stems = sorted(path.stem for path in (folder / "images").glob("*.jpg"))
        found = count(folder, stems[:: max(len(stems) // most, 1)][:most])
        for name, value in vars(found).items():
            setattr(total, name, getattr(total, name) + value)
        print_row(folder.name, found)
    print_row("all", total)


def print_row(name: str, found: Counts) -> None:
    """A row of a table."""
    shares = [f"{one / max(found.images, 1):.0%}" for one in (found.passed, found.mirrored, found.exchanged)]
    print(f"| {name} | {found.images} | {' | '.join(shares)} | {1000 * found.seconds / max(found.images, 1):.0f} ms |")


if __name__ == "__main__":
    main()
