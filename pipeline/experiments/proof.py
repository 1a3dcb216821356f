"""`synth prove`: from a SKU list and labelled photos to a rendered set and a trained, adapted and judged detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from assets.files.atomic import write_atomic
from assets.progress import Reporter
from detectors.checkpoints.detector import find_checkpoint
from detectors.data.mix import TrainingStream, stream
from detectors.evaluate.metrics.bootstrap import Interval
from detectors.evaluate.metrics.compare import compare
from detectors.evaluate.report import Report, evaluate
from pipeline.experiments.curve import claim_experiment, rendered_set, run_trials, stopping_after
from pipeline.experiments.photos import SplitPhotos, split_photos
from pipeline.experiments.settings import ProofSettings
from pipeline.experiments.trials import Trial, TrialRunner
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
    trial: Trial
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
        return next((one for one in self.detectors if one.trial.kind == kind), None)


def plan_proof(settings: ProofSettings, photos: SplitPhotos) -> list[Trial]:
    """Return the trainings of a proof: without photos, with their labels, without, and photos alone."""
    every, seed = tuple(sorted(photos.pool.ids.tolist())), settings.seed
    unlabelled = [Trial("unlabelled", every, seed, method) for method in settings.methods]
    return [Trial("synthetic", (), seed), Trial("both", every, seed), *unlabelled, Trial("real", every, seed)]


def prove(settings: ProofSettings, console: Console) -> Proof:
    """Render, train, adapt, judge and compare with photos; what is there is not made again.

    Raises SynthError for bad lists, photos and settings before anything is rendered or trained.
    """
    claim_experiment(settings)
    photos = split_photos(settings, console)
    trials = plan_proof(settings, photos)
    with stopping_after(settings.minutes):
        synthetic = rendered_set(settings, console)
        runner = TrialRunner(settings, photos, synthetic, Console(quiet=True))
        run_trials(runner, trials, console)
    done = [trial for trial in trials if runner.is_done(trial)]
    refused = {trial: runner.record(trial).refused for trial in done}
    finished = len(done) == len(trials)
    if trials[1] in done:
        write_atomic(settings.out / DETECTOR, find_checkpoint(runner.checkpoints(trials[1])).read_bytes())
    return Proof(
        settings,
        synthetic,
        photos,
        _judged(runner, [trial for trial in done if not refused[trial]], photos, settings.seed),
        [RefusedMethod(_words(trial), reason) for trial, reason in refused.items() if reason],
        _gap(settings, photos, synthetic, console) if finished else None,
        finished,
    )


def _judged(runner: TrialRunner, trials: Sequence[Trial], photos: SplitPhotos, seed: int) -> list[ProvenDetector]:
    """Return the detectors with their reports, each compared with the first, that of synthetic images only."""
    detectors: list[ProvenDetector] = []
    found = runner.found(trials)
    for trial, one in zip(trials, found, strict=True):
        report = evaluate(photos.truth, one, threshold=None, rng=stream(seed, TrainingStream.BOOTSTRAP))
        gain = None
        if trial.base is not None:
            gain = compare(photos.truth, found[0], one, rng=stream(seed, TrainingStream.BOOTSTRAP, 1)).ap
        detectors.append(ProvenDetector(_words(trial), trial, runner.checkpoints(trial), report, gain))
    return detectors


def _words(trial: Trial) -> str:
    return trial.name.rpartition(",")[0] + (" alone" if trial.kind == "real" else "")


def _gap(settings: ProofSettings, photos: SplitPhotos, synthetic: Path, console: Console) -> GapReport:
    """Compare the renders with the photos that taught, so that nothing is tuned to those that judge."""
    from pipeline.gap.page import write_page
    from pipeline.gap.run import measure_gap

    real = photos.pool.write(tuple(photos.pool.ids.tolist()), settings.out / "photos")
    asked = GapSettings(synthetic, real, settings.out / GAP_PAGE, group_key=settings.group_key, seed=settings.seed)
    report = measure_gap(asked, Reporter(console))
    write_page(report, asked.out)
    return report
