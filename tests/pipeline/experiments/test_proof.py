"""From photos and renders to a judged detector: what is trained, what the page says, and when it says it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from detectors.data.image_set import Predictions
from detectors.evaluate.metrics.bootstrap import Interval
from detectors.evaluate.report import json_text
from detectors.evaluate.results import write_results
from pipeline.experiments import proof as module
from pipeline.experiments.advice import next_steps
from pipeline.experiments.proof import DETECTOR, Proof, prove
from pipeline.experiments.proof_report import print_proof, summarize_proof, write_proof
from pipeline.experiments.settings import ProofSettings, RenderedSet
from pipeline.experiments.trainings import FOUND, RECORD, PlannedTraining, TrainingRecord, TrainingRunner
from support.errors import raises
from support.sets.shapes import write_shapes

QUIET = Console(quiet=True)
# Share of the boxes that each kind of training finds.
SHARES = {"synthetic": 0.5, "both": 1.0, "unlabelled": 0.7, "real": 0.3}


class PretendedRunner(TrainingRunner):
    """Finds a share of the boxes by the kind of training. stop_at: the kind before which it is interrupted."""

    stop_at = ""

    def run(self, training: PlannedTraining) -> bool:
        if training.kind == type(self).stop_at:
            return False
        truth, folder = self.photos.truth, self.folder(training)
        kept = np.flatnonzero(np.arange(len(truth.boxes)) % 10 < 10 * SHARES[training.kind])
        columns = (truth.image_of_box()[kept], truth.boxes[kept], truth.labels[kept])
        found = Predictions(truth.classes, *columns, np.full(len(kept), 0.9, np.float32))
        write_results(folder / FOUND, found, truth, dict(zip(truth.classes.keys, truth.category_ids, strict=True)))
        self.checkpoints(training).mkdir(parents=True)
        write_atomic(self.checkpoints(training) / "best.ckpt", training.name.encode())
        record = TrainingRecord(
            kind=training.kind,
            photos=list(training.photos),
            seed=training.seed,
            method=training.method,
            steps=10,
            seconds=1.0,
        )
        write_atomic(folder / RECORD, json_text(record.model_dump()).encode())
        return True


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProofSettings:
    monkeypatch.setattr(module, "TrainingRunner", PretendedRunner)
    PretendedRunner.stop_at = ""
    return ProofSettings(
        sku_list=tmp_path / "skus.csv",
        real=write_shapes(tmp_path / "photos", 24, seed=1, groups=6),
        out=tmp_path / "proof",
        rendered=RenderedSet(synthetic=write_shapes(tmp_path / "synthetic", 8, seed=2)),
        methods=("dann",),
        judged=0.5,
    )


@pytest.fixture
def without_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the comparison of renders with photos out, which takes seconds."""
    monkeypatch.setattr(module, "_gap", lambda *_: None)


def test_a_proof_ends_with_a_detector_and_a_page(settings: ProofSettings) -> None:
    proof = prove(settings, QUIET)
    assert proof.finished and [one.training.kind for one in proof.detectors] == [
        "synthetic",
        "both",
        "unlabelled",
        "real",
    ]
    summary = summarize_proof(proof)
    write_proof(proof, summary)
    print_proof(QUIET, summary)
    assert (settings.out / DETECTOR).read_text().startswith("synthetic + 12 photos")
    gains = {row.name: row.gain.value for row in summary.rows if row.gain}
    assert 0 < gains["synthetic + 12 photos without labels, dann"] < gains["synthetic + 12 photos"]
    content = json.loads((settings.out / "proof.json").read_text())
    assert content["detector"] == str(settings.out / DETECTOR) and content["judged_groups"] == 3
    page = (settings.out / "proof.html").read_text()
    assert page.count("data:image/jpeg") == 12 and "gap.html" in page and (settings.out / "gap.html").exists()


@pytest.mark.usefixtures("without_gap")
def test_an_interrupted_proof_goes_on(settings: ProofSettings) -> None:
    PretendedRunner.stop_at = "unlabelled"
    part = prove(settings, QUIET)
    assert not part.finished and part.chosen is not None
    PretendedRunner.stop_at = "both"
    assert len(prove(settings, QUIET).detectors) == 4


def test_before_the_detector_is_trained_there_is_one_step(settings: ProofSettings) -> None:
    PretendedRunner.stop_at = "both"
    proof = prove(settings, QUIET)
    assert next_steps(proof) == ["The same command goes on: the detector to use is not trained yet."]
    assert summarize_proof(proof).detector is None


@pytest.mark.usefixtures("without_gap")
def test_a_method_without_anything_to_learn_from_is_named(
    settings: ProofSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise SynthError("no photo is consistent", code="pseudo-labels-empty", found="0 of 12")

    pretended = PretendedRunner.run
    monkeypatch.setattr("pipeline.experiments.trainings.adapt_run", refuse)
    monkeypatch.setattr(
        PretendedRunner,
        "run",
        lambda self, one: (TrainingRunner.run if one.kind == "unlabelled" else pretended)(self, one),
    )
    proof = prove(settings, QUIET)
    assert proof.finished and [one.training.kind for one in proof.detectors] == ["synthetic", "both", "real"]
    (refused,) = summarize_proof(proof).refused
    assert refused.reason == "no photo is consistent (0 of 12)" and "dann" in refused.name


def test_unknown_methods_are_refused_at_once(settings: ProofSettings) -> None:
    with raises("unknown-name"):
        replace(settings, methods=("magic",))


def steps_of(proof: Proof, **gains: tuple[float, float, float]) -> str:
    """What to do next if the gains of these kinds were others."""
    changed = [
        replace(one, gain=Interval(*gains[one.training.kind]) if one.training.kind in gains else one.gain)
        for one in proof.detectors
    ]
    return "\n".join(next_steps(replace(proof, detectors=changed)))


@pytest.mark.usefixtures("without_gap")
def test_advice_follows_from_the_numbers(settings: ProofSettings) -> None:
    proof = prove(settings, QUIET)
    assert "Judge by photos of more places: with 3 groups" in steps_of(proof)
    assert "Products are missed" not in steps_of(proof) and "named wrongly" not in steps_of(proof)
    assert "Labels help: 12 labelled photos add +0.300 AP" in steps_of(proof, both=(0.3, 0.2, 0.4))
    assert "hurts (-0.300 AP)" in steps_of(proof, both=(-0.3, -0.4, -0.2))
    assert "not sure (-0.100 to +0.400 AP)" in steps_of(proof, both=(0.1, -0.1, 0.4))
    assert "dann adds +0.200 AP" in steps_of(proof, unlabelled=(0.2, 0.1, 0.3))
    assert "Photos without labels" not in steps_of(proof, unlabelled=(0.2, -0.1, 0.3))
    best = proof.chosen
    assert best is not None and "Photos alone do as well" not in steps_of(proof)
    missed = replace(best.report, finding=replace(best.report.finding, ap50=0.4, naming=0.5))
    wrong = replace(best.report, finding=replace(best.report.finding, ap50=0.9, naming=0.5))
    for report, words in ((missed, "Products are missed"), (wrong, "50% of them named wrongly")):
        others = [replace(one, report=report) if one is best else one for one in proof.detectors]
        assert words in "\n".join(next_steps(replace(proof, detectors=others)))
