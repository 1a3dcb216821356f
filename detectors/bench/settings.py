"""Settings of a comparison of detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from assets.errors import SynthError, unknown_name
from assets.machine import usable_cores
from assets.options import Device, Option, Seed
from detectors.checkpoints.recorded import RecordedSettings
from detectors.data.settings import Boxes, SkipBad
from detectors.training.settings import Augmentation, Batch, LearningRate, Readers

ALL = "all"
STEPS = 1000


@dataclass(frozen=True)
class BenchSettings:
    """Settings of `synth bench`. judged: share of the groups of `data` that judge without `judge`.

    steps, minutes: of training each detector; one of them, by default STEPS. backbones, sizes, proposals: variations,
    each combination of which is a row. silence: minutes without a line in its log after which a row is ended.
    minutes_in_all: after which a call stops in good order.
    """

    data: Annotated[Path, Option("Labelled images to train on: folder or COCO JSON.", "Data", exists="any")]
    judge: Annotated[
        Path | None,
        Option("Labelled photos that judge and teach nothing.", "Data", exists="any", shown="some groups of --data"),
    ] = None
    judged: Annotated[
        float, Option("Share of --data that judges without --judge, by group.", "Data", above=0, maximum=0.9)
    ] = 0.2
    group_key: Annotated[str | None, Option("Image field that names its group.", "Data", shown="group, if present")] = (
        None
    )
    boxes: Boxes = "visible"
    skip_bad: SkipBad = False
    out: Annotated[Path, Option("Folder of the comparison. The same command again resumes it.", "Output")] = Path(
        "bench"
    )
    detectors: Annotated[tuple[str, ...], Option("Detectors to compare.", "Model", parse="detector_list")] = (ALL,)
    backbones: Annotated[
        tuple[str, ...],
        Option(
            "Backbones to vary, of any name that --backbone of the training takes.",
            "Model",
            parse="names",
            shown="each detector's own",
        ),
    ] = ()
    sizes: Annotated[
        tuple[tuple[int, int], ...],
        Option("Input sizes to vary; detectors of one size keep it.", "Model", parse="sizes", shown="by the data"),
    ] = ()
    proposals: Annotated[
        tuple[int, ...],
        Option("Numbers of proposals to vary, of detectors with that option.", "Model", parse="counts"),
    ] = ()
    small: Annotated[bool, Option("Take the smallest network of detectors that are large by default.", "Model")] = False
    weights: Annotated[str, Option("Initial weights.", "Model", parse="weights")] = "imagenet"
    steps: Annotated[
        int | None, Option("Steps of training each detector.", "Training", minimum=10, shown=f"{STEPS}")
    ] = None
    minutes: Annotated[
        float | None, Option("Minutes of training each detector, instead of --steps.", "Training", above=0)
    ] = None
    augment: Augmentation = "strong"
    batch: Batch = 16
    learning_rate: LearningRate = None
    seed: Seed = 0
    repeats: Annotated[int, Option("Images of which the latency is measured.", "Evaluation", minimum=5)] = 100
    together: Annotated[
        int, Option("Images in one batch of the throughput.", "Evaluation", minimum=1, maximum=1024)
    ] = 8
    threads: Annotated[
        int | None, Option("Threads of training and of measurements.", "Compute", minimum=1, shown="by cores")
    ] = None
    silence: Annotated[
        float, Option("End a row that has printed nothing for so many minutes.", "Compute", "--timeout", above=0)
    ] = 30.0
    minutes_in_all: Annotated[
        float | None, Option("Stop in good order after so many minutes; the same command goes on.", "Compute", above=0)
    ] = None
    retry: Annotated[bool, Option("Try rows again that have failed.", "Compute")] = False
    workers: Readers = None
    device: Device = "auto"
    # What may differ when a comparison is resumed: more detectors and variations may be added, too.
    FREE: ClassVar[tuple[str, ...]] = (
        *("out", "minutes_in_all", "retry", "silence", "workers"),
        *("detectors", "backbones", "sizes", "proposals"),
    )

    def __post_init__(self) -> None:
        from detectors.augment import PRESETS

        if self.steps is not None and self.minutes is not None:
            raise SynthError("--steps and --minutes exclude each other", code="options-conflict", hint="give one")
        if self.augment not in PRESETS:
            raise unknown_name("augmentation", self.augment, PRESETS)
        for name in ("detectors", "backbones", "sizes", "proposals"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                found = ", ".join(map(str, given))
                raise SynthError(f"--{name} names one twice", code="setting-invalid", found=found)
        if not self.detectors:
            raise SynthError("no detector is named", code="setting-invalid", expected=f"{ALL}, or NAME,NAME")

    @property
    def used_threads(self) -> int:
        """Threads of training and measurements."""
        return self.threads or usable_cores()

    def recorded(self) -> RecordedSettings:
        """Return what the folder of the comparison records."""
        return RecordedSettings.of(self)
