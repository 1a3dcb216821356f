"""Settings of a detector's training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from assets.errors import SynthError, unknown_name
from assets.options import Device, Option, Seed
from detectors.checkpoints.recorded import RecordedSettings
from detectors.data.mix import Shares
from detectors.data.settings import REAL, DataSettings
from detectors.models import detector_module
from detectors.training.schedule import SCHEDULES, ScheduleName

Freeze = Literal["none", "backbone"]
# Default share of real photos in a mix: published gains are largest between 5 and 20 %.
REAL_SHARE = 0.2

# Options that training and adaptation share.
RunFolder = Annotated[Path, Option("Folder of the run. The same command again resumes it.", "Output")]
Mixture = Annotated[
    Shares,
    Option("Shares by source; the rest is synthetic.", "Data", parse="mix", shown="real:0.2"),
]
Augmentation = Annotated[str, Option("Random changes of training images.", "Training", parse="augment")]
Replay = Annotated[float, Option("Fraction of synthetic images while fine-tuning.", "Training", minimum=0, maximum=0.9)]
Batch = Annotated[int, Option("Images per step, over all devices.", "Training", minimum=1, maximum=4096)]
LearningRate = Annotated[
    float | None, Option("Peak learning rate of AdamW.", "Training", above=0, shown="the detector's own")
]
Patience = Annotated[int, Option("Epochs without better validation AP before it stops.", "Training", minimum=1)]
Readers = Annotated[
    int | None, Option("Processes that read images.", "Compute", minimum=0, maximum=128, shown="by cores")
]
Devices = Annotated[int, Option("Number of GPUs.", "Compute", minimum=1, maximum=64)]


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a detector's training.

    mix: shares by source; if empty, 0.2 real if there are real photos. schedule: "finetune" trains on synthetic images
    and then fine-tunes on real ones, "mix+finetune" trains on both and then fine-tunes. epochs: at the full learning
    rate, each of `epoch_images` (default: the synthetic set once). finetune_epochs: after them, at a tenth of the
    learning rate, on real images and a fraction `replay` of synthetic ones; default a quarter of `epochs`. batch:
    images per step over all devices. detector_options: NAME=VALUE. learning_rate: peak of AdamW; default the
    detector's, which is for a batch of 16, scaled with the square root of the batch. weights: none, imagenet, packaged,
    coco or a file. size: width and height that images are fitted into; default from the detector and the images' usual
    aspect ratio. patience: epochs without better validation AP before the training stops. live: names of the sources
    that make their images while training, set by `run_training`.
    """

    data: DataSettings
    out: RunFolder
    mix: Mixture = ()
    schedule: Annotated[
        ScheduleName,
        Option("Order of synthetic and real images; finetune ends on real ones.", "Training", parse="schedule"),
    ] = "mix"
    detector: Annotated[str, Option("Detector; --list names them.", "Model", parse="detector")] = "fasterrcnn_mobilenet"
    detector_options: Annotated[
        tuple[str, ...], Option("NAME=VALUE for this detector. Repeatable.", "Model", "--detector-option")
    ] = ()
    backbone: Annotated[
        str | None,
        Option("A backbone by name, e.g. resnet50, or any timm model with stages.", "Model", shown="the detector's"),
    ] = None
    weights: Annotated[str, Option("Initial weights.", "Model", parse="weights")] = "imagenet"
    size: Annotated[
        tuple[int, int] | None,
        Option("Input size of the network, in pixels.", "Model", parse="size", shown="by detector and data"),
    ] = None
    augment: Augmentation = "strong"
    epochs: Annotated[int, Option("Passes over the synthetic set.", "Training", minimum=1)] = 20
    epoch_images: Annotated[
        int | None, Option("Images per epoch.", "Training", minimum=1, shown="the synthetic set once")
    ] = None
    finetune_epochs: Annotated[
        int | None, Option("Epochs of fine-tuning.", "Training", minimum=1, shown="a quarter of --epochs")
    ] = None
    replay: Replay = 0.2
    batch: Batch = 16
    learning_rate: LearningRate = None
    weight_decay: float = 0.01
    clip_norm: float = 10.0
    patience: Patience = 8
    freeze: Freeze = "none"
    seed: Seed = 0
    workers: Readers = None
    device: Device = "auto"
    devices: Devices = 1
    live: tuple[str, ...] = ()
    # Settings that may differ when a training is resumed, as they do not change the result.
    FREE: ClassVar[tuple[str, ...]] = ("out", "workers", "patience")

    def __post_init__(self) -> None:
        # Imported here because they load OpenCV and torch, which a command's --help must not wait for.
        from detectors.augment import PRESETS
        from detectors.models.backbones.fits import check_backbone
        from detectors.models.interface import check_options, parse_options

        module = detector_module(self.detector)
        check_options(module, parse_options(self.detector_options), self.detector)
        if self.backbone is not None:
            check_backbone(module, self.backbone, self.detector)
        if self.augment not in PRESETS:
            raise unknown_name("augmentation", self.augment, PRESETS)
        if self.schedule not in SCHEDULES:
            raise unknown_name("schedule", self.schedule, SCHEDULES)
        if self.schedule != "mix" and self.data.real is None:
            raise SynthError(f"--schedule {self.schedule} needs real photos", code="option-missing", hint="give --real")
        if self.batch % self.devices:
            raise SynthError(
                "the batch cannot be divided among the devices",
                code="setting-invalid",
                found=f"--batch {self.batch} on {self.devices}",
                expected="a multiple of the number of devices",
            )

    def with_live(self, names: Sequence[str]) -> TrainSettings:
        """Return these settings for a training with live sources too. Raises SynthError if they do not fit them."""
        if self.schedule == "finetune" and not self.data.synthetic and not names:
            raise SynthError(
                "--schedule finetune starts with synthetic images", code="option-missing", hint="give --synthetic"
            )
        taken = [name for name in names if name in self.source_names]
        if taken:
            what = "a synthetic source needs another name"
            raise SynthError(what, code="setting-invalid", found=repr(taken[0]), hint="--synthetic NAME=PATH")
        if names and self.devices > 1:
            raise SynthError(
                "images that are rendered while training reach one device only",
                code="setting-invalid",
                found=f"--devices {self.devices}",
                expected="1",
                hint="render a data set for several devices: synth render",
            )
        return replace(self, live=tuple(names))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the sources of the mix: the synthetic ones, the live ones, then the real one."""
        names = [*(name for name, _ in self.data.synthetic), *self.live]
        return (*names, REAL) if self.data.real is not None else tuple(names)

    @property
    def completed_mix(self) -> Shares:
        """The mix as given, or by default 0.2 real beside a single synthetic source."""
        both = self.data.real is not None and (self.data.synthetic or self.live)
        return self.mix or (((REAL, REAL_SHARE),) if both and len(self.source_names) == 2 else ())

    def recorded(self) -> RecordedSettings:
        """Return what the run's folder and checkpoints record."""
        # The size of the disk cache has no effect on the result. Runs from before there was a choice of boxes resume.
        usual = [("data", "boxes")] if self.data.boxes == "visible" else []
        return RecordedSettings.of(self, without=[("data", "cache_bytes"), *usual])
