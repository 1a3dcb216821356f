"""How far rendered images are from photographs: arrangement, size, distance, overlap, edges, hue.

    python -m benchmarks.photo_match --data ../shared/data --out runs/match                  # today's tabletop
    python -m benchmarks.photo_match --data ../shared/data --out runs/before --streams 1     # as it was with streams 1
    python -m benchmarks.photo_match --data ../shared/data --rendered MY_SET                 # a set that is there

DATA is the folder with hope/ and hope_real/. Scenes of hope/skus.csv are rendered at the photographs' aspect, 640 px
wide; X, 50th and 95th percentile in both and which
share of the photographs lies inside the renders' 5 to 95 %. Ranges are tuned on the arrangements of train.json;
test.json judges.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.color import LUMINANCE, linear_from_srgb
from assets.library import Library
from assets.machine import cache_folder
from benchmarks.twin.color import lab_from_linear
from benchmarks.twin.light import write_soft_lights
from benchmarks.twin.measure import COARSE, FINE, MIDDLE, band
from benchmarks.twin.scenes import compressed, read_arrangements
from benchmarks.twin.stage import build_scene
from benchmarks.twin.work import shared_pixels
from render.backends import open_backend
from render.backends.protocol import Backend, RenderSettings
from render.labels import trace_geometry
from render.scene import Environment, Finish, SceneSpec

WIDTH, HEIGHT = 640, 360
# L*a*b*: pixels greyer than this have no hue to speak of; products need so many coloured ones.
COLORED, FEWEST_COLORED = 25.0, 60
HUE = "hue off, degrees"
Values = dict[str, list[float]]


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), help="Where scenes are rendered.")
@click.option("--rendered", type=click.Path(exists=True, path_type=Path), help="A data set in place of new scenes.")
@click.option("--scenes", default=60, show_default=True)
@click.option("--recipe", default="tabletop", show_default=True)
@click.option("--streams", default=2, show_default=True, help="1: the defaults and streams of before.")
@click.option("--workers", default=1, show_default=True)
def main(
    data: Path, out: Path | None, rendered: Path | None, scenes: int, recipe: str, streams: int, workers: int
) -> None:
    """Renders, measures and prints the tables."""
    if rendered is None:
        if out is None:
            raise click.UsageError("give --out or --rendered")
        rendered = render_set(data, out, scenes, recipe, streams, workers)
    labels = rendered / "annotations" / "instances_train.json"
    with even_light(data) as even:
        renders = {**measure_set(rendered, labels, labels), HUE: hues_of_renders(rendered, even)}
        hues = {split: hues_of_photos(data, split, even) for split in ("train", "test")}
    for split in ("train", "test"):
        real = data / "hope_real"
        photos = measure_set(real, real / f"{split}.json", real / f"{split}_all28.json") | {HUE: hues[split]}
        print_table(split, photos, renders)


def render_set(data: Path, out: Path, scenes: int, recipe: str, streams: int, workers: int) -> Path:
    """A data set of the scans in `out`."""
    from rich.console import Console

    from assets.progress import Reporter
    from pipeline.run.render import run_render
    from pipeline.run.settings import RunSettings

    settings = RunSettings(
        data / "hope" / "skus.csv",
        out,
        scenes,
        width=WIDTH,
        height=HEIGHT,
        recipe=recipe,
        streams=streams,
        workers=workers,
        cache=cache_folder(),
    )
    run_render(settings, Reporter(Console(file=io.StringIO())))
    return out


def measure_set(folder: Path, scanned: Path, every: Path) -> Values:
    """All measures of a set. scanned: COCO file of the products that have a model, with masks; every: of all."""
    values: Values = {}
    for _, records in of_images(every):
        for name, value in measure_arrangement(records).items():
            values.setdefault(name, []).extend(value)
    for image, records in of_images(scanned):
        pixels = read_image(folder / "images" / image["file_name"])
        masks = [shrunk_mask(record, image) for record in records]
        for name, number in measure_image(pixels, masks).items():
            values.setdefault(name, []).append(number)
    return values


def of_images(file: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every image with its records; those marked `ignore` are left out, and images without any."""
    data = json.loads(file.read_text())
    found: dict[int, list[dict[str, Any]]] = {}
    for record in data["annotations"]:
        if not record.get("ignore"):
            found.setdefault(record["image_id"], []).append({**record, "scale": 0})
    for image in data["images"]:
        records = found.get(image["id"], [])
        for record in records:
            record["scale"] = WIDTH / image["width"]
        if records:
            yield image, records


def measure_arrangement(records: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Of one image: values of its products, or one of its own."""
    poses = [np.array(record.get("camera_from_object", record.get("camera_from_mesh"))) for record in records]
    away = [float(np.linalg.norm(pose[:3, 3])) for pose in poses]
    counts = Counter(record["sku"] for record in records)
    return {
        "visibility": [float(record["visibility"]) for record in records],
        "size, px": [max(record["bbox"][2:]) * record["scale"] for record in records],
        "products": [float(len(records))],
        "repeats": [float(len(records) - len(counts))],
        "distance, m": [float(np.median(away))],
        "depth of field, far/near": [max(away) / min(away)],
    }


def read_image(file: Path) -> NDArray[np.float64]:
    """sRGB 0..1, WIDTH wide."""
    import cv2

    pixels = cv2.imread(str(file))[..., ::-1].astype(np.float32) / 255
    return np.asarray(cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.float64)


def shrunk_mask(record: dict[str, Any], image: dict[str, Any]) -> NDArray[np.bool_]:
    """The mask at the size of the compared images, its rim left out."""
    import cv2
    from pycocotools import mask as codec

    mask = codec.decode(compressed(record["segmentation"], image))
    small = cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.erode(small, np.ones((3, 3), np.uint8)) > 0)


def measure_image(image: NDArray[np.float64], masks: list[NDArray[np.bool_]]) -> dict[str, float]:
    """Looks of an image (H, W, 3), sRGB 0..1, on its products; edges also outside of them."""
    inside = np.any(masks, axis=0)
    linear = linear_from_srgb(image)
    lab = lab_from_linear(linear)
    grey, edges = image @ LUMINANCE, edge_of(lab[..., 0])
    middle = band(grey, MIDDLE, COARSE, inside)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    return {
        "edges on products": float(edges[inside].mean()),
        "sharpness": band(grey, 0, FINE, inside) / max(middle, 1e-9),
        "contrast, middle": 255 * middle,
        "contrast, coarse": 255 * band(grey, COARSE, 3 * COARSE, inside),
        "lightness": float(lab[inside, 0].mean()),
        "lightness, spread": float(lab[inside, 0].std()),
        "chroma": float(chroma[inside].mean()),
        "warmth": float(lab[inside, 2].mean()),
        "edges around": float(edges[~_grown(inside)].mean()),
        "lightness around": float(lab[~inside, 0].mean()),
    }


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    import cv2

    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)


def edge_of(lightness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change of L* per pixel."""
    import cv2

    across, down = (cv2.Scharr(lightness, cv2.CV_64F, *axis) / 32 for axis in ((1, 0), (0, 1)))
    return np.hypot(across, down)


@dataclass(frozen=True)
class EvenLight:
    """What shows products as their textures are: the scans, a renderer, and light that comes evenly from all around."""

    library: Library
    backend: Backend

    def image(self, scene: SceneSpec) -> NDArray[np.float64]:
        """The scene (H, W, 3) in even light and untinted, L*a*b*."""
        plain = tuple(replace(item, finish=Finish()) for item in scene.placements)
        lit = replace(scene, environment=Environment("even.hdr"), lights=(), placements=plain)
        return lab_from_linear(np.clip(self.backend.render(lit)[..., :3], 0, 1).astype(np.float64))


@contextmanager
def even_light(data: Path) -> Iterator[EvenLight]:
    """The scans in even light."""
    with tempfile.TemporaryDirectory(prefix="photo-match-") as folder:
        write_soft_lights(Path(folder))
        library = Library(
            load_catalog(data / "hope" / "skus.csv"), Backdrops.open(hdri_dir=Path(folder)), cache_dir=cache_folder()
        )
        backend = open_backend(library, RenderSettings("raster", samples=4))
        try:
            yield EvenLight(library, backend)
        finally:
            backend.close()


def hues_of_renders(rendered: Path, even: EvenLight) -> list[float]:
    """Degrees by which the hue of each product of a data set is off that of its texture."""
    found = []
    for file in sorted((rendered / "scenes").glob("*.json")):
        scene = SceneSpec.from_json(file.read_text())
        ids = trace_geometry(scene, even.library).ids
        shown = np.where(ids <= sum(item.kind == "product" for item in scene.placements), ids, 0)
        image = read_image(rendered / "images" / f"{file.stem}.jpg")
        found += hues_off(lab_from_linear(linear_from_srgb(image)), even.image(scene), shown)
    return found


def hues_of_photos(data: Path, split: str, even: EvenLight) -> list[float]:
    """The same of the photographs, their arrangements rebuilt from the measured poses."""
    found = []
    for arrangement in read_arrangements(data / "hope_real", split):
        scene = build_scene(
            even.library, arrangement, WIDTH, color=(0.3, 0.3, 0.3), environment=Environment("even.hdr")
        )
        plain, shown = even.image(scene), shared_pixels(arrangement, trace_geometry(scene, even.library).ids)
        for photo in arrangement.photos:
            found += hues_off(lab_from_linear(linear_from_srgb(read_image(photo))), plain, shown)
    return found


def hues_off(lab: NDArray[np.float64], plain: NDArray[np.float64], shown: NDArray[np.int32]) -> list[float]:
    """Degrees between the mean hues of each product's coloured pixels in two images (H, W, 3), L*a*b*."""
    import cv2

    colored = np.hypot(plain[..., 1], plain[..., 2]) > COLORED
    found = []
    for number in np.unique(shown[shown > 0]):
        whole = cv2.erode((shown == number).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        pixels = whole & colored
        if pixels.sum() < FEWEST_COLORED:
            continue
        there, here = (image[pixels, 1:].mean(axis=0) for image in (lab, plain))
        if min(np.hypot(*there), np.hypot(*here)) > COLORED / 2:  # else colours of all kinds that make grey together
            turn = np.arctan2(there[1], there[0]) - np.arctan2(here[1], here[0])
            found.append(float(np.degrees(np.angle(np.exp(1j * turn)))))
    return found


def print_table(split: str, photos: Values, renders: Values) -> None:
    """One line per measure, and the mean share inside."""
    click.echo(f"{split:26}     photos 5/50/95            renders 5/50/95           mean photo/render    inside")
    shares = []
    for name, values in photos.items():
        theirs, ours = np.array(values), np.array(renders[name])
        low, high = np.percentile(ours, (5, 95))
        shares.append(float(((theirs >= low) & (theirs <= high)).mean()))
        spans = "   ".join(" ".join(f"{x:7.2f}" for x in np.percentile(side, (5, 50, 95))) for side in (theirs, ours))
        click.echo(f"{name:26} {spans}   {theirs.mean():8.2f} {ours.mean():8.2f}   {shares[-1]:6.2f}")
    spread = [float(np.log(values["distance, m"]).std()) for values in (photos, renders)]
    hue = [float(np.std(values[HUE])) for values in (photos, renders)]
    click.echo(f"spread of log distance: photos {spread[0]:.2f}, renders {spread[1]:.2f}")
    click.echo(f"hue off, sd in degrees: photos {hue[0]:.1f}, renders {hue[1]:.1f}")
    click.echo(f"{split} mean inside {np.mean(shares):.2f}\n")


if __name__ == "__main__":
    main()
