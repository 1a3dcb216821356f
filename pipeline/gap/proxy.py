"""Proxy AP: a detector trained briefly on the rendered set, evaluated on labelled photographs."""

from __future__ import annotations

import io
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from assets.console import PlainConsole
from assets.options import DeviceName
from assets.progress import Reporter, duration_text
from dataset.storage.path import StoragePath
from detectors.evaluate.metrics.bootstrap import Interval

# The smallest detector that tells products apart; measured at 0.16 s an image on one core, reading included.
DETECTOR, BACKBONE, AREA, BATCH, RATE, SECONDS_PER_IMAGE = "fcos", "tf_efficientnet_lite0", 320 * 192, 4, 5e-4, 0.16
STRIDE = 32


@dataclass(frozen=True)
class ProxyScore:
    """AP on photographs of a detector trained briefly on renders. steps: of its training; seconds: of all."""

    ap: Interval
    ap50: float
    steps: int
    seconds: float


def proxy_score(
    synth: Path | StoragePath,
    labels: Path,
    *,
    steps: int,
    aspect: float,
    weights: str,
    seed: int,
    device: DeviceName,
    reporter: Reporter,
) -> ProxyScore:
    """Train for so many steps on a rendered set, and return AP on labelled photographs.

    aspect: width over height of the photographs. weights: as `synth train` takes them. Raises SynthError as training
    and evaluation do, as where both sets have no class in common.
    """
    from detectors.data.settings import DataSettings
    from detectors.training.run import run_training
    from detectors.training.settings import TrainSettings

    began = time.monotonic()
    cost = duration_text(steps * BATCH * SECONDS_PER_IMAGE)
    reporter.say(f"proxy AP: {steps} steps of {BATCH} images, about {cost} on one core")
    width, height = (max(STRIDE * round(side / STRIDE), STRIDE) for side in _sides(aspect))
    with tempfile.TemporaryDirectory(prefix="synth-gap-") as folder:
        settings = TrainSettings(
            data=DataSettings(synthetic=(("synthetic", synth),), hold_out=0.0, skip_bad=True),
            out=Path(folder) / "run",
            detector=DETECTOR,
            backbone=BACKBONE,
            weights=weights,
            size=(width, height),
            augment="light",
            epochs=1,
            epoch_images=steps * BATCH,
            batch=BATCH,
            learning_rate=RATE,
            seed=seed,
            workers=0,
            device=device,
        )
        run_training(settings, _quiet())
        ap, ap50 = score_run(settings.out, labels, device=device)
    return ProxyScore(ap, ap50, steps, time.monotonic() - began)


def _sides(aspect: float) -> tuple[float, float]:
    return float(np.sqrt(AREA * aspect)), float(np.sqrt(AREA / aspect))


def score_run(run: Path, labels: Path, *, device: DeviceName) -> tuple[Interval, float]:
    """Return AP, with its interval, and AP50 of a run on labelled photographs."""
    from detectors.evaluate.report import Report
    from detectors.evaluate.run import evaluate_runs
    from detectors.evaluate.settings import EvaluateSettings

    with tempfile.TemporaryDirectory(prefix="synth-gap-") as folder:
        settings = EvaluateSettings(
            runs=(run,),
            data=(labels,),
            out=Path(folder),
            workers=0,
            device=device,
            skip_bad=True,
        )
        (report,) = evaluate_runs(settings, _quiet()).values()
    assert isinstance(report, Report)
    value = report.coco["AP"]
    return report.intervals.get("AP", Interval(value, float("nan"), float("nan"))), report.coco["AP50"]


def _quiet() -> Console:
    return PlainConsole(file=io.StringIO())
