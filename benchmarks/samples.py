"""What samples and the denoiser buy: error of the image, seconds of a frame, and what a detector learns from them.

    python benchmarks/samples.py --data ../shared/data --out runs/samples                # the images: ten minutes
    python benchmarks/samples.py --data ../shared/data --out runs/samples --detectors    # and detectors: half an hour

Every variant renders the same scenes. The error is against REFERENCE, on the products' pixels, in steps of an 8-bit
image. Detectors see renders of one variant only and are judged on all real
photographs. Rows that are done are not done again; OUT/index.html shows everything that is. DATA as for sim2real.py.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import sim2real
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.color import srgb_from_linear
from assets.files.atomic import write_atomic
from assets.library import Library
from assets.machine import cache_folder
from render.backends import open_backend
from render.backends.protocol import RenderSettings
from render.labels import trace_geometry
from render.recipes import load_recipe
from render.sample import sample_scene
from render.scene import SceneSpec
from render.sensor import MIDDLE_GREY

REFERENCE = RenderSettings(backend="cycles", samples=256, denoise=False)
# Of each scene's middle, shown beside each other.
CROP = 160


@dataclass(frozen=True)
class Variant:
    """One way to render. trained: a detector learns from it too."""

    backend: str
    samples: int
    denoise: bool = False
    trained: bool = False

    @property
    def name(self) -> str:
        """cycles-4-denoised."""
        return f"{self.backend}-{self.samples}" + ("-denoised" if self.denoise else "")


VARIANTS = (
    Variant("raster", 1),
    Variant("raster", 4, trained=True),
    Variant("raster", 16),
    Variant("cycles", 1, trained=True),
    Variant("cycles", 1, denoise=True),
    Variant("cycles", 2, denoise=True),
    Variant("cycles", 4),
    Variant("cycles", 4, denoise=True, trained=True),
    Variant("cycles", 8, denoise=True),
    Variant("cycles", 16),
    Variant("cycles", 16, denoise=True, trained=True),
    Variant("cycles", 64),
    Variant("cycles", 64, denoise=True),
)


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--scenes", default=6, show_default=True, help="For the images.")
@click.option("--size", default="320x240", show_default=True, help="Of the images.")
@click.option("--detectors", is_flag=True, help="Train and judge detectors as well.")
@click.option("--renders", default=100, show_default=True, help="For each detector.")
@click.option("--steps", default=200, show_default=True, help="Of each training, 4 images each.")
def main(data: Path, out: Path, scenes: int, size: str, detectors: bool, renders: int, steps: int) -> None:
    """Makes what is not there yet, prints the table and writes the page."""
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    width, height = (int(side) for side in size.split("x"))
    measure_images(data, out, scenes, width, height, console)
    for variant in VARIANTS:
        if detectors and variant.trained and not _file(out, variant, "detector").exists():
            train_on(variant, data, out, renders, steps, console)
    show(out, console)


def measure_images(data: Path, out: Path, scenes: int, width: int, height: int, console: Console) -> None:
    """The error and the seconds of each variant, and a strip of crops."""
    left = [variant for variant in VARIANTS if not _file(out, variant, "picture").exists()]
    if not left:
        return
    library = Library(load_catalog(data / "hope" / "skus.csv"), Backdrops.open(), cache_dir=cache_folder())
    recipe = load_recipe("tabletop")
    specs = [
        sample_scene(library, recipe, seed=3, index=index, view=0, width=width, height=height)
        for index in range(scenes)
    ]
    masks = [products_of(spec, library) for spec in specs]
    truth, _ = render_all(specs, library, REFERENCE)
    wanted = [code(image, image, mask) for image, mask in zip(truth, masks, strict=True)]
    _write_strip(out / "reference.png", wanted)
    for variant in left:
        settings = RenderSettings(backend=variant.backend, samples=variant.samples, denoise=variant.denoise)
        images, seconds = render_all(specs, library, settings)
        coded = [code(*pair, mask) for *pair, mask in zip(images, truth, masks, strict=True)]
        errors = [np.abs(a - b)[mask].mean() * 255 for a, b, mask in zip(coded, wanted, masks, strict=True)]
        _write_strip(out / f"{variant.name}.png", coded)
        row = {"error": float(np.mean(errors)), "seconds": seconds}
        write_atomic(_file(out, variant, "picture"), json.dumps(row).encode())
        console.print(f"{variant.name}: error {row['error']:.2f}, {seconds:.2f} s a frame", highlight=False)


def products_of(spec: SceneSpec, library: Library) -> NDArray[np.bool_]:
    """(H, W) bool, where a product is seen."""
    kinds = np.array([False, *(placement.kind == "product" for placement in spec.placements)])
    return np.asarray(kinds[trace_geometry(spec, library).ids])


def render_all(
    specs: list[SceneSpec], library: Library, settings: RenderSettings
) -> tuple[list[NDArray[np.float32]], float]:
    """The linear images (H, W, 3), and seconds for each after the first, which warms up."""
    backend = open_backend(library, settings)
    backend.render(specs[0])
    started = time.perf_counter()
    images = [backend.render(spec)[..., :3] for spec in specs]
    seconds = (time.perf_counter() - started) / len(specs)
    backend.close()
    return images, seconds


def code(image: NDArray, truth: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The image in sRGB, 0..1, exposed so that the products of the true image are middle grey."""
    gain = MIDDLE_GREY / max(float(np.clip(truth, 0, 10)[mask].mean()), 1e-6)
    return srgb_from_linear(np.clip(image * gain, 0, 1))


def train_on(variant: Variant, data: Path, out: Path, renders: int, steps: int, console: Console) -> None:
    """Renders with the variant, trains on nothing else and judges on every real photograph."""
    from detectors.evaluate.run import evaluate_runs
    from detectors.evaluate.settings import EvaluateSettings
    from detectors.training.run import run_training

    console.rule(variant.name)
    scale = replace(sim2real.SCALES["toy"], steps=steps)
    # As large as the network sees them: shrinking a larger image would average its noise away.
    size = "{}x{}".format(*scale.size)
    words = ["--backend", variant.backend, "--samples", variant.samples, "--seed", 11]
    words += ["--denoise" if variant.denoise else "--no-denoise"]
    synthetic = sim2real.render_set(data, out / variant.name, renders, size, *words)
    row = sim2real.Row(variant.name, 0, synthetic=True)
    run_training(sim2real.settings_of(row, scale, data, synthetic, out / "runs", 0, 0), console)
    photos = tuple(data / "hope_real" / f"{split}.json" for split in ("train", "test"))
    found = {}
    for photo in photos:
        judged = EvaluateSettings(runs=(sim2real.folder_of(out / "runs", row),), data=(photo,), workers=0)
        (report,) = evaluate_runs(judged, console).values()
        found[photo.stem] = {"AP": report.coco["AP"], "AP50": report.coco["AP50"]}
    write_atomic(_file(out, variant, "detector"), json.dumps(found).encode())


def show(out: Path, console: Console) -> None:
    """The table on the console and the page in OUT."""
    rows = [_row(out, variant) for variant in VARIANTS if _file(out, variant, "picture").exists()]
    table = Table("variant", "error of 255", "s a frame", "AP, 20 photos", "AP, 10 photos")
    for row in rows:
        table.add_row(row["name"], row["error"], row["seconds"], row["train"], row["test"])
    console.print(table)
    write_atomic(out / "index.html", _page(out, rows).encode())


def _row(out: Path, variant: Variant) -> dict[str, Any]:
    image = json.loads(_file(out, variant, "picture").read_text())
    file = _file(out, variant, "detector")
    found = json.loads(file.read_text()) if file.exists() else {}
    scores = {name: f"{found[name]['AP']:.3f}" if name in found else "-" for name in ("train", "test")}
    return {"name": variant.name, "error": f"{image['error']:.2f}", "seconds": f"{image['seconds']:.2f}", **scores}


def _page(out: Path, rows: list[dict[str, Any]]) -> str:
    head = "<tr><th>variant<th>error of 255<th>s a frame<th>AP, 20 photos<th>AP, 10 photos<th>products"
    lines = [
        f"<tr><td>{row['name']}<td>{row['error']}<td>{row['seconds']}<td>{row['train']}<td>{row['test']}"
        f"<td>{_embedded(out / (row['name'] + '.png'))}"
        for row in rows
    ]
    style = "body{font:14px sans-serif}td,th{padding:2px 8px;text-align:left}img{display:block}"
    reference = f"<tr><td>{REFERENCE.samples} samples<td>0<td><td><td><td>{_embedded(out / 'reference.png')}"
    return (
        "<!doctype html><meta charset=utf-8><title>Samples and the denoiser</title>"
        f"<style>{style}</style><h1>Samples and the denoiser</h1><table>{head}{''.join(lines)}{reference}</table>"
    )


def _embedded(file: Path) -> str:
    return f'<img src="data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}">' if file.exists() else ""


def _write_strip(path: Path, images: list[NDArray[np.float64]]) -> None:
    import cv2

    crops = []
    for image in images[:5]:
        top, left = (image.shape[0] - CROP) // 2, (image.shape[1] - CROP) // 2
        crops.append(image[max(top, 0) : top + CROP, max(left, 0) : left + CROP])
    strip = np.hstack(crops)
    write_atomic(path, cv2.imencode(".png", (strip[..., ::-1] * 255 + 0.5).astype(np.uint8))[1].tobytes())


def _file(out: Path, variant: Variant, what: str) -> Path:
    return out / f"{variant.name}.{what}.json"


if __name__ == "__main__":
    main()
