"""Settings of a render run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from assets.catalog.sku_lists import SkuSource
from assets.machine import cache_folder, usable_cores
from assets.options import MAX_SEED, Option
from dataset.layout import Splits
from render.backends import DEFAULT_BACKEND
from render.streams import STREAMS


@dataclass(frozen=True)
class BackdropFolders:
    """The user's own backdrops and planograms, any number of each; without any, the built-in ones are used."""

    hdri: Annotated[
        tuple[Path, ...],
        Option("Folder of HDRIs (.hdr, .exr) that replace the built-in ones. Repeatable.", "Scenes", exists="folder"),
    ] = ()
    photos: Annotated[
        tuple[Path, ...],
        Option("Folder of background photos, such as your shops. Repeatable.", "Scenes", exists="folder"),
    ] = ()
    surfaces: Annotated[
        tuple[Path, ...],
        Option("Folder of surface textures (table tops, shelves). Repeatable.", "Scenes", exists="folder"),
    ] = ()
    fixtures: Annotated[
        tuple[Path, ...],
        Option(
            "Folder of meshes (.glb, .obj, ...) of shelves and other fixtures. Repeatable.", "Scenes", exists="folder"
        ),
    ] = ()
    planogram: Annotated[
        tuple[Path, ...],
        Option(
            "Planogram file (.psa, .toml, .csv) whose bays the recipe shelf or fridge stands up. Repeatable.",
            "Scenes",
            exists="file",
        ),
    ] = ()


Cache = Annotated[
    Path,
    Option(
        "Folder that keeps normalised meshes between runs.", "Compute", default=cache_folder, shown="~/.cache/synth"
    ),
]


@dataclass(frozen=True)
class RunSettings:
    """A render run. Everything up to `streams` decides the bytes of the data set; the rest only how it is made.

    recipe: a name or a path to YAML, or several with their shares. samples, denoise: None for those of the preset.
    splits: name and share, sum 1. extras: of depth, normals, ids, shop. streams: version of the random streams and of
    the recipes' defaults, which an existing set keeps. workers: processes; they share the machine's threads. timeout_s:
    for one scene with all its views, long enough for 128 samples of a full HD image on two cores. memory_mb: a worker
    above it is replaced before its next scene. threads_each: of a worker, where other runs use the machine too; 0 for
    all threads.
    """

    sku_list: Annotated[
        SkuSource, Option("SKU list of your products: CSV, TSV, JSON Lines or Parquet.", "Data", parse="sku_list")
    ]
    out: Annotated[Path, Option("Folder of the data set. The same command again resumes it.", "Output")]
    scenes: Annotated[int, Option("Number of scenes.", "Scenes", minimum=1, maximum=10_000_000, default=100)]
    views: Annotated[int, Option("Images per scene, each from its own camera.", "Scenes", minimum=1, maximum=100)] = 1
    width: Annotated[
        int, Option("Image size in pixels.", "Rendering", name="--size", parse="size", fields=("width", "height"))
    ] = 640
    height: int = 480
    seed: Annotated[int, Option("Random seed.", "Scenes", minimum=0, maximum=MAX_SEED)] = 0
    recipe: Annotated[
        str | tuple[tuple[str, float], ...],
        Option("Arrangement of the scenes. Repeatable with weights: tabletop:0.7.", "Scenes", parse="recipe"),
    ] = "tabletop"
    backend: Annotated[
        str, Option("Renderer: raster is fast, cycles is a path tracer.", "Rendering", parse="backend")
    ] = DEFAULT_BACKEND
    preset: Annotated[str, Option("Rendering quality.", "Rendering", parse="preset")] = "draft"
    samples: Annotated[
        int | None, Option("Samples per pixel, overriding the preset.", "Rendering", minimum=1, maximum=65536)
    ] = None
    denoise: Annotated[bool | None, Option("Denoise, overriding the preset (cycles only).", "Rendering")] = None
    splits: Annotated[
        Splits,
        Option("Splits and their shares of the scenes, e.g. train:0.9,val:0.1.", "Output", "--split", parse="splits"),
    ] = (("train", 1.0),)
    extras: Annotated[
        tuple[str, ...],
        Option(
            "",
            "Output",
            flags=(
                ("depth", "Store depth as 16-bit PNG in millimetres."),
                ("normals", "Store normals as 16-bit PNG."),
                ("ids", "Store instance ids as 16-bit PNG."),
                ("shop", "Store labels of price tags, gaps and shelf lines, and where products belong."),
            ),
        ),
    ] = ()
    keypoints: Annotated[
        bool, Option("Label the corners of each product's bounding cuboid as COCO keypoints.", "Output")
    ] = False
    backdrops: BackdropFolders = BackdropFolders()
    licence: Annotated[str, Option("Licence of the images, written into the COCO files.", "Output")] = ""
    creator: Annotated[str, Option("Creator of the images, written into the COCO files.", "Output")] = ""
    streams: int = STREAMS
    workers: Annotated[int, Option("Parallel render processes.", "Compute", parse="workers")] = 1
    device: Annotated[Literal["auto", "cpu", "gpu"], Option("Device that cycles renders on.", "Compute")] = "auto"
    cache: Cache = Path()
    timeout_s: Annotated[
        float, Option("Kill a scene after N seconds.", "Compute", "--timeout", minimum=1, metavar="N")
    ] = 1800.0
    max_failures: Annotated[
        float, Option("Fraction of scenes that may fail before the run stops.", "Compute", minimum=0, maximum=1)
    ] = 0.1
    memory_mb: int = 6144
    threads_each: int = 0

    @property
    def threads(self) -> int:
        """Threads for each worker, so that all of them together fill the machine."""
        return self.threads_each or max(usable_cores() // max(self.workers, 1), 1)


def recipe_text(recipe: str | tuple[tuple[str, float], ...]) -> str:
    """Return a recipe, or several with their shares, as text like tabletop:0.7 + mine.yaml:0.3."""
    if isinstance(recipe, str):
        return Path(recipe).name
    return " + ".join(f"{Path(name).name}:{share:g}" for name, share in recipe)
