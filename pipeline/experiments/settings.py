"""Settings of experiments: what is rendered, how detectors are trained, and which photos they learn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from assets.catalog.sku_lists import SkuSource
from assets.errors import SynthError
from assets.options import Device, Option, Seed
from detectors.checkpoints.recorded import RecordedSettings
from detectors.data.settings import Boxes
from detectors.training.settings import Augmentation, Batch, LearningRate, Readers
from pipeline.run.settings import BackdropFolders, Cache

# Subsets of up to so many photos are drawn more often: they differ most.
FEW_PHOTOS = 5


@dataclass(frozen=True)
class RenderedSet:
    """The synthetic set of an experiment. synthetic: one that exists; otherwise `scenes` are rendered."""

    synthetic: Annotated[
        Path | None,
        Option("A rendered set of these products, instead of rendering one.", "Data", exists="any"),
    ] = None
    scenes: Annotated[int, Option("Scenes to render.", "Scenes", minimum=1, maximum=1_000_000)] = 1000
    width: Annotated[
        int, Option("Size of the renders in pixels.", "Scenes", name="--size", parse="size", fields=("width", "height"))
    ] = 640
    height: int = 480
    recipe: Annotated[
        str | tuple[tuple[str, float], ...],
        Option("Arrangement of the scenes. Repeatable with weights: tabletop:0.7.", "Scenes", parse="recipe"),
    ] = "tabletop"
    backdrops: BackdropFolders = field(default_factory=BackdropFolders)
    render_workers: Annotated[int, Option("Parallel render processes.", "Compute", parse="workers")] = 1
    cache: Cache = Path()


@dataclass(frozen=True)
class TrainingRecipe:
    """How every detector of an experiment is trained. steps: on synthetic images. photo_steps: then on photos.

    A detector without synthetic images gets both numbers together. input_size: width and height of the network's input.
    """

    detector: Annotated[str, Option("Detector; 'synth train --list' names them.", "Model", parse="detector")] = (
        "fasterrcnn_mobilenet"
    )
    backbone: Annotated[
        str | None,
        Option("A backbone by name, e.g. resnet50, or any timm model with stages.", "Model", shown="the detector's"),
    ] = None
    weights: Annotated[str, Option("Initial weights.", "Model", parse="weights")] = "imagenet"
    input_size: Annotated[
        tuple[int, int] | None,
        Option("Input size of the network, in pixels.", "Model", parse="size", shown="by detector and data"),
    ] = None
    steps: Annotated[int, Option("Steps of training on synthetic images.", "Training", minimum=10)] = 3000
    photo_steps: Annotated[int, Option("Steps of fine-tuning on photos.", "Training", minimum=10)] = 600
    augment: Augmentation = "strong"
    batch: Batch = 16
    learning_rate: LearningRate = None
    boxes: Boxes = "visible"
    workers: Readers = None
    device: Device = "auto"


@dataclass(frozen=True)
class ExperimentSettings:
    """What all experiments need. judge: labelled photos of which nothing is learned or chosen.

    judged: the share of groups of `real` that judge without them. minutes: after which a call stops in good order.
    """

    sku_list: Annotated[
        SkuSource, Option("SKU list of your products: CSV, TSV, JSON Lines or Parquet.", "Data", parse="sku_list")
    ]
    real: Annotated[Path, Option("Labelled photos to learn from: folder or COCO JSON.", "Data", exists="any")]
    judge: Annotated[
        Path | None,
        Option("Labelled photos that judge and teach nothing.", "Data", exists="any", shown="some groups of --real"),
    ] = None
    judged: Annotated[
        float, Option("Share of the groups of --real that judge without --judge.", "Data", above=0, maximum=0.9)
    ] = 0.34
    group_key: Annotated[str | None, Option("Image field that names its group.", "Data", shown="group, if present")] = (
        None
    )
    rendered: RenderedSet = field(default_factory=RenderedSet)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    minutes: Annotated[
        float | None, Option("Stop in good order after so many minutes; the same command goes on.", "Compute", above=0)
    ] = None
    seed: Seed = 0
    out: Path = Path("experiment")
    # What may differ when an experiment is resumed, as it changes no training.
    FREE: ClassVar[tuple[str, ...]] = ("out", "minutes")

    @property
    def keeps_runs(self) -> bool:
        """Whether checkpoints are kept when they have been judged."""
        return True

    def recorded(self) -> RecordedSettings:
        """Return what the folder of the experiment records."""
        how = [("training", "workers"), ("training", "device"), ("rendered", "render_workers"), ("rendered", "cache")]
        return RecordedSettings.of(self, without=how)


@dataclass(frozen=True)
class CurveSettings(ExperimentSettings):
    """A curve over the number of photos. counts: its points; none and all of them are always among them.

    draws: subsets of each number of photos up to five, half as many above. seeds: trainings of each subset.
    """

    counts: Annotated[
        tuple[int, ...],
        Option("Number of photos to learn from, besides 0 and all. Repeatable.", "Data", "--count", minimum=1),
    ] = (1, 5, 10, 20)
    out: Annotated[Path, Option("Folder of the curve. The same command again resumes it.", "Output")] = Path("curve")
    draws: Annotated[
        int, Option("Subsets of up to five photos; half as many of more.", "Data", minimum=1, maximum=1000)
    ] = 10
    seeds: Annotated[int, Option("Trainings of each subset.", "Training", minimum=1, maximum=100)] = 3
    keep_runs: Annotated[bool, Option("Keep the checkpoints of all trainings.", "Output")] = False
    FREE: ClassVar[tuple[str, ...]] = (*ExperimentSettings.FREE, "counts", "draws", "seeds", "keep_runs")

    @property
    def keeps_runs(self) -> bool:
        return self.keep_runs

    def __post_init__(self) -> None:
        if len(set(self.counts)) < len(self.counts):
            found = ", ".join(map(str, self.counts))
            raise SynthError("a number of photos was given twice", code="setting-invalid", found=found)


@dataclass(frozen=True)
class ProofSettings(ExperimentSettings):
    """A proof from a list and photos to a judged detector. methods: of adaptation to photos without their labels."""

    methods: Annotated[
        tuple[str, ...],
        Option("Adaptation that reads no labels, beside the others. Repeatable.", "Training", "--method"),
    ] = ("adabn", "self-training")
    out: Annotated[Path, Option("Folder of the proof. The same command again resumes it.", "Output")] = Path("proof")
    FREE: ClassVar[tuple[str, ...]] = (*ExperimentSettings.FREE, "methods")

    def __post_init__(self) -> None:
        from detectors.adapt import method_module

        for method in self.methods:
            method_module(method)
