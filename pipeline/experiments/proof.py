"""`synth prove`: from a SKU list and labelled photos to a rendered set and a trained, adapted and judged detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from assets.console import PlainConsole
from assets.files.atomic import write_atomic
from assets.progress import Reporter
from detectors.checkpoints.detector import find_checkpoint
from detectors.data.mix import TrainingStream, stream
from detectors.evaluate.metrics.bootstrap import Interval
from detectors.evaluate.metrics.compare import compare
from detectors.evaluate.report import Report, evaluate
from pipeline.experiments.curve import claim_experiment, rendered_set, run_trainings, stopping_after
from pipeline.experiments.photos import SplitPhotos, split_photos
from pipeline.experiments.settings import ProofSettings
from pipeline.experiments.trainings import PlannedTraining, TrainingRunner
from pipeline.gap.settings import GapSettings

if TYPE_CHECKING:
    from pipeline.gap.run import GapReport

GAP_PAGE, DETECTOR = "gap.html", "detector.ckpt"


@dataclass(frozen=True)
class ProvenDetector:
    """One detector of a proof. gain: of AP over the one of synthetic images only, on the same resamples.

    name: how it was trained, in words. run: its folder.
    """

    name: str
    training: PlannedTraining
    run: Path
    report: Report
    gain: Interval | None

    @property
    def ap(self) -> Interval:
        """AP with its 95 % interval."""
        return self.report.intervals["AP"]


@dataclass(frozen=True)
class RefusedMethod:
    """A method of adaptation that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Proof:
    """The result of `synth prove`. detectors: that are done. refused: methods that had nothing to learn from.

    gap: of the renders to the photos that taught. chosen: the detector to use, by rule and not by the photos that
    judge: fine-tuned on the labels; also copied to DETECTOR.
    """

    settings: ProofSettings
    synthetic: Path
    photos: SplitPhotos
    detectors: Sequence[ProvenDetector]
    refused: Sequence[RefusedMethod]
    gap: GapReport | None
    finished: bool

    @property
    def chosen(self) -> ProvenDetector | None:
        return self.of("both")

    def of(self, kind: str) -> ProvenDetector | None:
        """Return the first detector of a kind of training, None if it is not done."""
        return next((one for one in self.detectors if one.training.kind == kind), None)


def plan_proof(settings: ProofSettings, photos: SplitPhotos) -> list[PlannedTraining]:
    """Return the trainings of a proof: without photos, with their labels, without, and photos alone."""
    every, seed = tuple(sorted(photos.pool.ids.tolist())), settings.seed
    unlabelled = [PlannedTraining("unlabelled", every, seed, method) for method in settings.methods]
    return [
        PlannedTraining("synthetic", (), seed),
        PlannedTraining("both", every, seed),
        *unlabelled,
        PlannedTraining("real", every, seed),
    ]


def prove(settings: ProofSettings, console: Console) -> Proof:
    """Render, train, adapt, judge and compare with photos; what is there is not made again.

    Raises SynthError for bad lists, photos and settings before anything is rendered or trained.
    """
    claim_experiment(settings)
    photos = split_photos(settings, console)
    trainings = plan_proof(settings, photos)
    with stopping_after(settings.minutes):
        synthetic = rendered_set(settings, console)
        runner = TrainingRunner(settings, photos, synthetic, PlainConsole(quiet=True))
        run_trainings(runner, trainings, console)
    done = [training for training in trainings if runner.is_done(training)]
    refused = {training: runner.record(training).refused for training in done}
    finished = len(done) == len(trainings)
    if trainings[1] in done:
        write_atomic(settings.out / DETECTOR, find_checkpoint(runner.checkpoints(trainings[1])).read_bytes())
    return Proof(
        settings,
        synthetic,
        photos,
        _judged(runner, [training for training in done if not refused[training]], photos, settings.seed),
        [RefusedMethod(_words(training), reason) for training, reason in refused.items() if reason],
        _gap(settings, photos, synthetic, console) if finished else None,
        finished,
    )


def _judged(
    runner: TrainingRunner, trainings: Sequence[PlannedTraining], photos: SplitPhotos, seed: int
) -> list[ProvenDetector]:
    """Return the detectors with their reports, each compared with the first, that of synthetic images only."""
    detectors: list[ProvenDetector] = []
    found = runner.found(trainings)
    for training, one in zip(trainings, found, strict=True):
        report = evaluate(photos.truth, one, threshold=None, rng=stream(seed, TrainingStream.BOOTSTRAP))
        gain = None
        if training.base is not None:
            gain = compare(photos.truth, found[0], one, rng=stream(seed, TrainingStream.BOOTSTRAP, 1)).ap
        detectors.append(ProvenDetector(_words(training), training, runner.checkpoints(training), report, gain))
    return detectors


def _words(training: PlannedTraining) -> str:
    return training.name.rpartition(",")[0] + (" alone" if training.kind == "real" else "")


def _gap(settings: ProofSettings, photos: SplitPhotos, synthetic: Path, console: Console) -> GapReport:
    """Compare the renders with the photos that taught, so that nothing is tuned to those that judge."""
    from pipeline.gap.page import write_page
    from pipeline.gap.run import measure_gap

    real = photos.pool.write(tuple(photos.pool.ids.tolist()), settings.out / "photos")
    asked = GapSettings(synthetic, real, settings.out / GAP_PAGE, group_key=settings.group_key, seed=settings.seed)
    report = measure_gap(asked, Reporter(console))
    write_page(report, asked.out)
    return report
