"""What to do next after a proof: sentences that follow from its numbers, the most urgent first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from assets.plurals import count_of, join_few
from detectors.evaluate.metrics.bootstrap import FEW_GROUPS, Interval
from pipeline.experiments.proof import DETECTOR, Proof, ProvenDetector

# Below these a detector misses products, or names them wrongly, too often to be of use.
FINDS, NAMES = 0.6, 0.8
# Classes of which AP is below this share of the mean are named.
WEAK = 0.5
# Below this AP nothing is said of single classes, nor of what is missing beside photos alone.
LEARNED = 0.05
MAX_KEYS = 3


def next_steps(proof: Proof) -> list[str]:
    """Return what to do next. Every sentence names the number that it follows from."""
    best = proof.chosen
    if best is None:
        return ["The same command goes on: the detector to use is not trained yet."]
    steps = [*_of_judges(best), *_of_finding(best), *_of_gap(proof), *_of_labels(proof)]
    steps += [*_of_methods(proof), *_of_renders(proof, best), *_of_classes(best)]
    file = proof.settings.out / DETECTOR
    return [*steps, f"Use the detector: synth predict {file} PHOTOS; synth export {file}."]


def _of_judges(best: ProvenDetector) -> Iterator[str]:
    groups = best.report.groups
    if groups < FEW_GROUPS:
        width = best.ap.high - best.ap.low
        wide = f"is {width:.2f} wide" if math.isfinite(width) else "cannot be said"
        yield f"Judge by photos of more places: with {count_of(groups, 'group')} the 95 % interval of AP {wide}."


def _of_finding(best: ProvenDetector) -> Iterator[str]:
    finding = best.report.finding
    if finding.ap50 < FINDS:
        yield (
            f"Products are missed (AP50 of finding any product {finding.ap50:.2f}): render objects of the size that "
            "they have in photos (gap below), a larger --input-size, more --steps."
        )
    elif finding.naming < NAMES:
        yield (
            f"Products are found (AP50 {finding.ap50:.2f}) and {1 - finding.naming:.0%} of them named wrongly: "
            "a larger --input-size shows more print, and 'synth recognize' names crops by a gallery of your list."
        )


def _of_gap(proof: Proof) -> Iterator[str]:
    if proof.gap is None:
        return
    keys = list({advice.factor: advice for advice in reversed(proof.gap.advice)}.values())[::-1][:MAX_KEYS]
    if keys:
        words = "; ".join(f"{one.change} {one.key} {one.tried or one.current} ({one.factor})" for one in keys)
        yield f"Bring the renders closer: {words}. 'synth tune' does so by itself."


def _of_labels(proof: Proof) -> Iterator[str]:
    both = proof.of("both")
    if both is None or both.gain is None:
        return
    photos = count_of(len(both.training.photos), "labelled photo")
    if _sure(both.gain) > 0:
        yield f"Labels help: {photos} add {both.gain.value:+.3f} AP. 'synth curve' says what more are worth."
    elif _sure(both.gain) < 0:
        yield f"Fine-tuning on {photos} hurts ({both.gain.value:+.3f} AP): fewer --photo-steps, photos of more places."
    else:
        yield f"What {photos} add is not sure ({_range(both.gain)} AP): 'synth curve' measures it with more trainings."


def _of_methods(proof: Proof) -> Iterator[str]:
    for one in proof.detectors:
        if one.training.kind == "unlabelled" and one.gain is not None and _sure(one.gain) > 0:
            yield f"Photos without labels help: {one.training.method} adds {one.gain.value:+.3f} AP."


def _of_renders(proof: Proof, best: ProvenDetector) -> Iterator[str]:
    alone = proof.of("real")
    if alone is not None and alone.ap.value >= best.ap.value >= LEARNED:
        yield (
            f"Photos alone do as well (AP {alone.ap.value:.3f} against {best.ap.value:.3f}): synthetic images add "
            "nothing yet; render more scenes, nearer to the photos."
        )


def _of_classes(best: ProvenDetector) -> Iterator[str]:
    mean = best.ap.value
    weak = [one.name for one in best.report.classes if one.ap < WEAK * mean and one.boxes > 1]
    if weak and mean >= LEARNED:
        yield f"Look at the models of {join_few(weak)}: their AP is under half of the mean ('synth catalog show')."


def _sure(gain: Interval) -> int:
    """Return 1 or -1 where the interval of a gain leaves zero out, else 0."""
    return 1 if gain.low > 0 else -1 if gain.high < 0 else 0


def _range(interval: Interval) -> str:
    return f"{interval.low:+.3f} to {interval.high:+.3f}" if math.isfinite(interval.low) else "no interval"
