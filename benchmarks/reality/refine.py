"""What methods of `synth refine` do to a data set, and what the comparison of edges lets through.

    python -m benchmarks.reality.refine gate data/synth                                # shifts and changes of colour
    python -m benchmarks.reality.refine methods data/synth --target photos --out runs  # each method after another

`gate` moves pictures by known distances in random directions, and changes colours, light, noise and compression without
moving anything. `methods` prints distances, names, rejections and seconds; refined sets in OUT are resumed.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from dataset.images import read_image
from detectors.translate.settings import TranslateSettings
from pipeline.refine.edges import EdgeAgreement, Region, compare_edges
from pipeline.refine.methods import METHOD_TABLE
from pipeline.refine.picture import region_of, rejection
from pipeline.refine.run import open_source, refine_set
from pipeline.refine.settings import RefineSettings
from pipeline.target.charts import shown_distance
from pipeline.target.measure import MEASURED

Pixels = np.ndarray
SHIFTS = (0.5, 1.0, 2.0, 3.0)
Change = Callable[[Pixels, np.random.Generator], Pixels]


@click.group()
def main() -> None:
    """Measure `synth refine`."""


@main.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--seed", default=0, show_default=True)
def gate(source: Path, seed: int) -> None:
    """Print how many pictures are rejected by what was done to them."""
    found: dict[str, list[EdgeAgreement]] = {}
    rng, seconds, count = np.random.default_rng(seed), 0.0, 0
    for part in open_source(source).parts:
        for stored in part.stored_images():
            size = stored.labels.image.size
            assert size is not None and isinstance(stored.data, Path)
            before = read_image(stored.data, *size)
            regions = [one for record in stored.labels.annotations if (one := region_of(record, *size)) is not None]
            for name, after in changed(before, regions, rng).items():
                began = time.perf_counter()
                found.setdefault(name, []).append(compare_edges(before, after, regions))
                seconds, count = seconds + time.perf_counter() - began, count + 1
    print_gate(found, seconds / count)


def changed(before: Pixels, regions: list[Region], rng: np.random.Generator) -> dict[str, Pixels]:
    """Return a picture changed in every way that is measured."""
    made = {
        "colours and contrast": recolored(before, rng),
        "colours, contrast, noise of 4": noisy(recolored(before, rng), rng),
        "noise of 4": noisy(before, rng),
        "JPEG of quality 60": compressed(before),
    }
    for distance in SHIFTS:
        made[f"moved by {distance:g} px"] = moved(before, distance, rng)
        made[f"moved by {distance:g} px, colours, noise of 4"] = noisy(
            recolored(made[f"moved by {distance:g} px"], rng), rng
        )
    if regions:
        region = max(regions, key=lambda one: (one.box[2] - one.box[0]) * (one.box[3] - one.box[1]))
        x0, y0, x1, y1 = region.box
        print_moved = before.copy()
        print_moved[y0:y1, x0:x1] = moved(before, 1.5, rng)[y0:y1, x0:x1]
        made["one product moved by 1.5 px"] = print_moved
    return made


def moved(pixels: Pixels, distance: float, rng: np.random.Generator) -> Pixels:
    """Move a picture in a random direction."""
    import cv2

    angle = rng.uniform(0, 2 * np.pi)
    matrix = np.array([[1, 0, distance * np.cos(angle)], [0, 1, distance * np.sin(angle)]], np.float32)
    return cv2.warpAffine(pixels, matrix, pixels.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def recolored(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Change gamma, channels, contrast and brightness by chance."""
    values = (pixels / 255) ** rng.uniform(0.6, 1.6) @ (np.eye(3) + rng.normal(0, 0.1, (3, 3)))
    values = (values - 0.4) * rng.uniform(0.6, 1.25) + 0.4 + rng.uniform(-0.1, 0.1)
    return (255 * np.clip(values, 0, 1) + 0.5).astype(np.uint8)


def noisy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Add noise of a deviation of 4 of 255."""
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def compressed(pixels: Pixels) -> Pixels:
    """Compress a picture as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=60)
    return np.array(Image.open(buffer))


def print_gate(found: dict[str, list[EdgeAgreement]], seconds: float) -> None:
    """Print a row for each change."""
    settings = RefineSettings(Path(), Path(), Path())
    table = Table(box=None)
    for title in ("pictures", "rejected", "of", "moved, px: least", "median", "most", "agreement: least", "median"):
        table.add_column(title, justify="left" if title == "pictures" else "right")
    for name, results in found.items():
        shifts, agreements = (np.array([getattr(one, key) for one in results]) for key in ("shift", "agreement"))
        rejected = sum(bool(rejection(one, settings)) for one in results)
        values = (shifts.min(), np.median(shifts), shifts.max(), agreements.min(), np.median(agreements))
        table.add_row(name, str(rejected), str(len(results)), *(f"{value:.2f}" for value in values))
    console = Console(width=160)
    console.print(table)
    console.print(f"{1000 * seconds:.0f} ms a picture")


@main.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--target", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option(
    "--translator", type=click.Path(exists=True, path_type=Path), help="For translate, which else is left out."
)
@click.option("--strength", default=1.0, show_default=True)
def methods(source: Path, target: Path, out: Path, translator: Path | None, strength: float) -> None:
    """Print distances before and after, names, rejections and seconds of each method."""
    rows: dict[str, list[str]] = {one.name: [] for one in MEASURED}
    more: dict[str, list[str]] = {"rejected": [], "named rightly, %": [], "seconds a picture": []}
    names = [name for name in METHOD_TABLE.names() if name != "translate" or translator is not None]
    for name in names:
        settings = RefineSettings(
            source,
            target,
            out / name,
            method=name,
            strength=(strength, strength),
            translate=TranslateSettings(network=translator),
            device="cpu",
        )
        result = refine_set(settings, Console(quiet=True))
        assert result.distances is not None and result.naming is not None
        for statistic, apart in zip(MEASURED, result.distances.distances, strict=True):
            rows[statistic.name] = rows[statistic.name] or [shown_distance(statistic, apart.before)]
            rows[statistic.name].append(shown_distance(statistic, apart.after))
        more["rejected"].append(f"{sum((result.rejected or {}).values())} of {result.total}")
        more["named rightly, %"].append(f"{100 * result.naming.after:.1f}")
        more["seconds a picture"].append(f"{result.seconds / result.made:.2f}" if result.made else "–")
    table = Table(box=None)
    for title in ("", "before", *names):
        table.add_column(title)
    for name, values in rows.items():
        table.add_row(name, *values)
    for name, values in more.items():
        table.add_row(name, "", *values)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
