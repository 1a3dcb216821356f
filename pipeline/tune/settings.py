"""Settings of tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from assets.catalog.sku_lists import SkuSource
from assets.errors import SynthError
from assets.options import MAX_SEED, Device, Option
from pipeline.run.settings import BackdropFolders, Cache

# Photographs below which AP is noise: its 95 % interval is 0.15 wide on 10 photographs, 0.09 on 30.
ENOUGH_FOR_AP = 30
SCENES, SCENES_FOR_AP, SCENES_FOR_MINING = 12, 100, 200


@dataclass(frozen=True)
class TuneSettings:
    """A search. recipe: where it starts. report: None is beside `out`. trials: folder; None is beside `out`.

    budget: trials, those of earlier calls included. minutes: of this call. scenes: of each trial; by default 12, 100
    where a detector is trained on them, 200 where its failures are sought. keys: sections and fields to tune; by
    default those of the factors that differ most. steps: of the detector of each trial, for AP.
    """

    recipe: Annotated[str, Option("Recipe to start from: a name or a YAML file.", "Scenes", parse="recipe_name")]
    sku_list: Annotated[
        SkuSource, Option("SKU list of your products: CSV, TSV, JSON Lines or Parquet.", "Data", parse="sku_list")
    ]
    out: Annotated[Path, Option("The better recipe, a YAML file.", "Output")]
    real: Annotated[
        Path | None,
        Option("Photographs to come close to: folder or COCO file. One half is kept to check.", "Data", exists="any"),
    ] = None
    hard_mining: Annotated[
        Path | None,
        Option("Run whose detector's failures are sampled more often, instead of --real.", "Data", exists="any"),
    ] = None
    detector: Annotated[
        Path | None,
        Option("Run whose detector finds objects, where photographs have no boxes.", "Data", exists="any"),
    ] = None
    group_key: Annotated[str | None, Option("Image field that names its group.", "Data", shown="group, if present")] = (
        None
    )
    photos: Annotated[
        int, Option("Number of photographs measured at most.", "Data", "--max-photos", minimum=8, maximum=2000)
    ] = 200
    report: Annotated[Path | None, Option("Page with the evidence.", "Output", shown="as --out, ending in .html")] = (
        None
    )
    trials: Annotated[
        Path | None,
        Option(
            "Folder of finished trials. The same command again resumes them.",
            "Output",
            "--trials-folder",
            shown="as --out, ending in -trials",
        ),
    ] = None
    budget: Annotated[int, Option("Number of trials.", "Options", minimum=2, maximum=100_000)] = 40
    minutes: Annotated[float | None, Option("Stop in good order after so many minutes.", "Options", above=0)] = None
    objective: Annotated[
        Literal["distance", "ap"],
        Option("Distance of distributions, or AP of a detector trained on each trial.", "Options"),
    ] = "distance"
    keys: Annotated[
        tuple[str, ...], Option("Key to tune, such as camera.distance. Repeatable.", "Options", "--key")
    ] = ()
    force: Annotated[bool, Option("Tune on AP with fewer photographs than it takes.", "Options")] = False
    steps: Annotated[int, Option("Training steps of each trial, for AP.", "Options", minimum=10)] = 200
    scenes: Annotated[
        int | None,
        Option("Scenes of each trial.", "Scenes", minimum=4, maximum=100_000, shown="12; 100 for AP; 200 for mining"),
    ] = None
    seed: Annotated[int, Option("Random seed.", "Scenes", minimum=0, maximum=MAX_SEED)] = 0
    width: Annotated[
        int,
        Option(
            "Size at which scenes are rendered and photographs measured.",
            "Rendering",
            "--size",
            parse="size",
            fields=("width", "height"),
            shown="that of the photographs, at most 320x240",
        ),
    ] = 0
    height: int = 0
    backdrops: BackdropFolders = field(default_factory=BackdropFolders)
    cache: Cache = Path()
    device: Device = "auto"

    def __post_init__(self) -> None:
        if (self.real is None) == (self.hard_mining is None):
            code = "option-missing" if self.real is None else "options-conflict"
            raise SynthError(
                "tuning needs photographs or a detector", code=code, expected="either --real or --hard-mining"
            )

    @property
    def report_path(self) -> Path:
        """The file of the page."""
        return self.report or self.out.with_suffix(".html")

    @property
    def trials_folder(self) -> Path:
        """The folder of finished trials."""
        return self.trials or self.out.with_name(f"{self.out.stem}-trials")

    @property
    def scene_count(self) -> int:
        """Scenes of each trial."""
        usual = SCENES_FOR_MINING if self.hard_mining else SCENES_FOR_AP if self.objective == "ap" else SCENES
        return self.scenes or usual
