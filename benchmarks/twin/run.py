"""Photographed arrangements rebuilt, rendered and laid beside their photographs.

    python -m benchmarks.twin.run --data ../shared/data --out runs/twin                   # both backends, some minutes
    python -m benchmarks.twin.run --data ../shared/data --out runs/twin --backends raster

DATA is the folder with hope/ and hope_real/. Writes OUT/index.html with images, and OUT/results.json. What is learned
of the camera (tone curve, colour matrix) is learned on the training arrangements alone; the test ones judge.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.color import linear_from_srgb
from assets.files.atomic import write_atomic
from assets.library import Library
from benchmarks.twin.draws import compare_looks, drawn_looks
from benchmarks.twin.geometry import MaskMatch, match_masks
from benchmarks.twin.light import (
    BasisLight,
    CameraModel,
    LightFit,
    combine,
    fit_matrix,
    fitted_scene,
    make_basis,
    usable_channels,
    write_mixed_light,
    write_soft_lights,
)
from benchmarks.twin.measure import Likeness, compare_colors
from benchmarks.twin.page import write_page
from benchmarks.twin.scenes import read_arrangements
from benchmarks.twin.work import Work, develop_like, explain, predict, prepare
from render.backends import open_backend
from render.backends.protocol import RenderSettings
from render.recipes import load_recipe

# Slopes of the tone curve that are tried on the training arrangements.
TONES = (1.0, 1.2, 1.4, 1.6)
LOOK_WIDTH = 640


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--backends", default="raster,cycles", show_default=True, help="What renders under the fitted lights.")
@click.option("--width", default=480, show_default=True, help="Of the compared images; their height follows.")
@click.option("--samples", default=16, show_default=True, help="Of Cycles.")
@click.option("--draws", default=10, show_default=True, help="Draws of the recipe per arrangement; 0 leaves them out.")
@click.option("--recipe", default="tabletop", show_default=True, help="Whose lights, finishes and sensor are drawn.")
@click.option("--threads", default=0, show_default=True, help="0 = all cores.")
def main(data: Path, out: Path, backends: str, width: int, samples: int, draws: int, recipe: str, threads: int) -> None:
    """Makes the page and prints its tables."""
    started = time.monotonic()
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    softs = write_soft_lights(out / "lights")
    library, rooms = open_library(data, out)
    basis = make_basis(softs)
    raster = open_backend(library, RenderSettings("raster", samples=4, threads=threads))
    works = [
        prepare(library, raster, arrangement, split, basis, width)
        for split in ("train", "test")
        for arrangement in read_arrangements(data / "hope_real", split)
    ]
    masks = {work.arrangement.group: match_masks(library, work.arrangement) for work in works}
    cameras = learn_cameras([work for work in works if work.split == "train"])
    best = list(cameras.values())[-1]
    fits = {(work.arrangement.group, k): explain(work, k, best) for work in works for k in range(len(work.photos))}
    images = {"raster": {key: predict_of(works, key, fit, best) for key, fit in fits.items()}}
    if "cycles" in backends.split(","):
        settings = RenderSettings("cycles", samples=samples, threads=threads)
        images["cycles"] = render_fitted(data, out, settings, works, basis, fits, best)
    results: dict[str, Any] = {
        "masks": summarize_masks(works, masks),
        "light": {split: light_rows(works, split, cameras, images) for split in ("train", "test")},
        "cameras": {name: dataclasses.asdict(camera) for name, camera in cameras.items()},
        "looks": {},
    }
    drawn = {}
    for split in ("train", "test") if draws else ():
        looks = [
            drawn_looks(library, raster, work, load_recipe(recipe), rooms, draws, LOOK_WIDTH)
            for work in works
            if work.split == split
        ]
        results["looks"][split] = compare_looks(*([x for one in looks for x in one[k]] for k in (0, 1)))
        drawn |= {work.arrangement.group: one[2] for work, one in zip(of_split(works, split), looks, strict=True)}
    raster.close()
    write_page(out, works, masks, results, images, drawn)
    write_atomic(out / "results.json", json.dumps(results, default=plain, indent=1).encode())
    print_results(results, time.monotonic() - started)


def open_library(data: Path, out: Path) -> tuple[Library, Backdrops]:
    """The scans with soft lights and built-in rooms as environments; and the rooms alone, for draws."""
    rooms, lights = Backdrops.open(), Backdrops.open(hdri_dir=out / "lights")
    every = Backdrops((*rooms.hdris, *lights.hdris), (), (), {**rooms.files, **lights.files})
    return Library(load_catalog(data / "hope/skus.csv"), every, cache_dir=out / "cache"), rooms


def of_split(works: list[Work], split: str) -> list[Work]:
    """The arrangements of one split."""
    return [work for work in works if work.split == split]


def learn_cameras(works: list[Work]) -> dict[str, CameraModel]:
    """Plain sRGB; the tone curve that explains these photographs best; that with the colour matrix that does."""
    errors = {tone: np.mean([row.by_pixel for row in fitted_likeness(works, CameraModel(tone))]) for tone in TONES}
    tone = min(errors, key=lambda value: errors[value])
    renders, lights = [], []
    for work in works:
        for lighting in range(len(work.photos)):
            fit = explain(work, lighting, CameraModel(tone))
            coded = work.inside(work.photos[lighting]).astype(np.float64)
            whole = usable_channels(coded).all(axis=1)
            renders.append(combine(work.inside(work.basis), fit.weights)[whole])
            lights.append(CameraModel(tone).light_of(coded[whole]) / fit.gains)
    matrix = fit_matrix(renders, lights)
    return {
        "plain sRGB": CameraModel(),
        f"S curve {tone:g}": CameraModel(tone),
        f"S curve {tone:g} and colour matrix": CameraModel(tone, matrix),
    }


def fitted_likeness(works: list[Work], camera: CameraModel) -> list[Likeness]:
    """Each photograph against its twin under lights fitted to it."""
    return [
        liken(work, predict(work, explain(work, lighting, camera), camera), lighting)
        for work in works
        for lighting in range(len(work.photos))
    ]


def liken(work: Work, twin: np.ndarray, lighting: int, chosen: np.ndarray | None = None) -> Likeness:
    """A twin (H, W, 3), linear, against one photograph, on all compared pixels or on those `chosen` among them."""
    photo = linear_from_srgb(work.inside(work.photos[lighting]).astype(np.float64))
    chosen = np.ones(len(photo), bool) if chosen is None else chosen
    return compare_colors(work.inside(twin)[chosen], photo[chosen], work.keys[chosen])


def other_products(work: Work, camera: CameraModel) -> list[Likeness]:
    """Lights fitted to every other product, judged on the rest, both ways round."""
    rows = []
    for lighting in range(len(work.photos)):
        for parity in (0, 1):
            chosen = work.keys % 2 == parity
            twin = predict(work, explain(work, lighting, camera, chosen), camera)
            rows.append(liken(work, twin, lighting, ~chosen))
    return rows


def other_lightings(work: Work, camera: CameraModel) -> list[Likeness]:
    """Lights fitted to one photograph, judged on the others with a new exposure and white balance only."""
    rows = []
    for lighting in range(len(work.photos)):
        light = combine(work.basis, explain(work, lighting, camera).weights)
        others = [other for other in range(len(work.photos)) if other != lighting]
        rows += [liken(work, develop_like(work, light, other, camera), other) for other in others]
    return rows


def even_light(work: Work, camera: CameraModel) -> list[Likeness]:
    """The first light of the basis, even all around, with exposure and white balance only."""
    return [liken(work, develop_like(work, work.basis[0], k, camera), k) for k in range(len(work.photos))]


def light_rows(
    works: list[Work], split: str, cameras: dict[str, CameraModel], images: dict[str, dict[Any, np.ndarray]]
) -> list[dict[str, Any]]:
    """The table of what lights explain, one row per way and camera; mean over photographs."""
    some = of_split(works, split)
    rows = []
    for name, camera in cameras.items():
        ways = {
            "lights fitted": fitted_likeness(some, camera),
            "lights fitted to other products": [row for work in some for row in other_products(work, camera)],
            "lights of another lighting": [row for work in some for row in other_lightings(work, camera)],
            "even light": [row for work in some for row in even_light(work, camera)],
        }
        rows += [{"way": way, "backend": "raster", "camera": name, **mean_of(found)} for way, found in ways.items()]
    for backend in set(images) - {"raster"}:
        found = [
            liken(work, images[backend][work.arrangement.group, k], k) for work in some for k in range(len(work.photos))
        ]
        rows.append({"way": "lights fitted", "backend": backend, "camera": list(cameras)[-1], **mean_of(found)})
    return rows


def mean_of(rows: list[Likeness]) -> dict[str, float]:
    """Mean of each measure."""
    return {
        field.name: float(np.mean([getattr(row, field.name) for row in rows])) for field in dataclasses.fields(Likeness)
    }


def predict_of(works: list[Work], key: tuple[str, int], fit: LightFit, camera: CameraModel) -> np.ndarray:
    """The raster twin of one photograph, linear."""
    work = next(work for work in works if work.arrangement.group == key[0])
    return predict(work, fit, camera)


def render_fitted(
    data: Path,
    out: Path,
    settings: RenderSettings,
    works: list[Work],
    basis: list[BasisLight],
    fits: dict[tuple[str, int], LightFit],
    camera: CameraModel,
) -> dict[tuple[str, int], np.ndarray]:
    """Twins rendered in one go under all fitted lights, developed like their photographs."""
    softs = [light.environment.hdri for light in basis if light.lamp is None]
    source = Backdrops.open(hdri_dir=out / "lights")
    mixed = out / "mixed"
    shutil.rmtree(mixed, ignore_errors=True)
    mixed.mkdir()
    for (group, lighting), fit in fits.items():
        write_mixed_light(mixed / f"{group}_{lighting}.hdr", [source.hdri(key)[..., ::-1] for key in softs], fit)
    catalog = load_catalog(data / "hope/skus.csv")
    library = Library(catalog, Backdrops.open(hdri_dir=mixed), cache_dir=out / "cache")
    backend = open_backend(library, settings)
    found = {}
    for work in works:
        for lighting in range(len(work.photos)):
            key = (work.arrangement.group, lighting)
            scene = fitted_scene(work.scene, basis, fits[key], f"{key[0]}_{lighting}.hdr")
            found[key] = develop_like(work, backend.render(scene)[..., :3], lighting, camera)
    backend.close()
    return found


def summarize_masks(works: list[Work], masks: dict[str, list[MaskMatch]]) -> dict[str, dict[str, float]]:
    """Overlaps per arrangement and of all: as traced, without what products without scans hide, and of those products

    that nothing without a pose hides.
    """
    groups = {work.arrangement.group: masks[work.arrangement.group] for work in works}
    rows = {**groups, "all": [match for found in groups.values() for match in found]}
    return {name: _mask_row(found) for name, found in rows.items()}


def _mask_row(found: list[MaskMatch]) -> dict[str, float]:
    known = [match for match in found if not match.behind_unknown]
    whole = [match for match in known if match.raw > 0.95 and np.isfinite(match.outline)]
    return {
        "products": len(found),
        "as traced": float(np.mean([match.raw for match in found])),
        "without unscanned": float(np.mean([match.restricted for match in found])),
        "accounted": len(known),
        "accounted overlap": float(np.mean([match.restricted for match in known])),
        "least": float(np.min([match.restricted for match in known])),
        "box offset": float(np.median([match.box_offset for match in found])),
        "photo offset": float(np.median([match.outline for match in whole])) if whole else float("nan"),
    }


def plain(value: object) -> object:
    """Dataclasses and arrays for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(type(value).__name__)


def print_results(results: dict[str, Any], seconds: float) -> None:
    """The tables as text."""
    for name, row in results["masks"].items():
        click.echo(f"{name:10} " + ", ".join(f"{key} {value:.3g}" for key, value in row.items()))
    for split, rows in results["light"].items():
        for row in rows:
            numbers = " ".join(f"{key} {row[key]:.2f}" for key in ("by_pixel", "by_product", "contrast", "chroma"))
            click.echo(f"{split:5} {row['backend']:6} {row['camera']:30} {row['way']:32} {numbers}")
    for split, rows in results["looks"].items():
        for row in rows:
            spans = "  ".join(" ".join(f"{value:7.2f}" for value in span) for span in (row.photos, row.renders))
            click.echo(f"{split:5} {row.name:10} {spans}  inside {row.inside:.2f} distance {row.distance:.2f}")
        means = [float(np.nanmean([getattr(row, name) for row in rows])) for name in ("inside", "distance")]
        click.echo(f"{split:5} mean inside {means[0]:.2f}, distance {means[1]:.2f}")
    click.echo(f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
