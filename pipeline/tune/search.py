"""The search itself: optuna proposes ranges, one trial after the other; a trial follows from the ones before alone."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from assets.errors import SynthError
from assets.progress import StepProgress
from pipeline.tune.journal import Journal, TrialRow, check_trials
from pipeline.tune.objective import IsHopeless
from pipeline.tune.space import WIDTH, SearchSpace
from render.recipes.parts import SceneRecipe

# Trials after the first two that vary the best of all before by a normal deviate, before the sampler takes turns with
# that, its size in steps and in octaves of width; trials before any is given up. With ten ranges and 40 trials, taking
# turns came nearer to the bottom of bowls than the sampler alone.
VARIED, VARIED_STEPS, VARIED_WIDTH, FIRST_PRUNED = 10, 0.7, 0.3, 6


class Objective(Protocol):
    """What is minimised."""

    def evaluate(self, recipe: SceneRecipe, is_hopeless: IsHopeless) -> tuple[list[float], bool]:
        """Return the value after each part of a trial, and whether it was given up."""


def search(
    space: SearchSpace,
    objective: Objective,
    journal: Journal,
    *,
    budget: int,
    seed: int,
    until: Callable[[], bool],
    progress: StepProgress,
) -> None:
    """Run trials until there are `budget` of them in the journal, or `until` says so.

    Trial 0 is the recipe as it is, trial 1 the first guess, further ones vary the best so far; once the sampler (TPE)
    has seen enough, both take turns. Every trial has a sampler of its own, seeded by its number, which knows all
    trials before: a resumed search is the same as one that was never interrupted. Raises SynthError for a journal that
    it cannot have made.
    """
    check_trials(journal, space.bounds())
    with _quiet_optuna():
        while len(journal.trials) < budget and not until():
            began = time.monotonic()
            row = _trial(space, objective, journal, seed)
            journal.add(row)
            best = best_trial(journal)
            words = f"best {best.value:.3f}" if best is not None and best.value is not None else ""
            progress.advance(words, seconds=time.monotonic() - began, failed=row.state == "failed")


def best_trial(journal: Journal) -> TrialRow | None:
    """Return the complete trial with the lowest value, the earliest of several."""
    complete = [row for row in journal.trials if row.state == "complete" and row.value is not None]
    return min(complete, key=lambda row: (row.value, row.number), default=None)


def importances(space: SearchSpace, journal: Journal) -> dict[str, float]:
    """Return the share of each parameter in what the better trials have in common; empty for too few trials.

    PED-ANOVA: Watanabe et al., "PED-ANOVA: Efficiently quantifying hyperparameter importance", IJCAI 2023.
    """
    import optuna

    with _quiet_optuna():
        study = _study(space, journal)
        try:
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
        except (ValueError, RuntimeError):
            return {}


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _study(space: SearchSpace, journal: Journal) -> Any:
    """Return a study with the trials of a journal."""
    import optuna

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_PRUNED, n_warmup_steps=0))
    for row in journal.trials:
        study.add_trial(_frozen(space, row))
    return study


def _frozen(space: SearchSpace, row: TrialRow) -> Any:
    from optuna.trial import TrialState, create_trial

    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    return create_trial(
        params=row.params,
        distributions=_distributions(space),
        value=row.value if row.state == "complete" else None,
        intermediate_values=dict(enumerate(row.steps)),
        state=states[row.state],
    )


def _distributions(space: SearchSpace) -> dict[str, Any]:
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(*ends) for name, ends in space.bounds().items()}


def _trial(space: SearchSpace, objective: Objective, journal: Journal, seed: int) -> TrialRow:
    number = len(journal.trials)
    if number < 2:
        known: Mapping[str, float] = journal.content.guess if number else {}
        params = {name: known.get(name, 0.0) for name in space.bounds()}
        return _evaluate(space, objective, number, params, lambda part, value: False)
    # Made of the journal each time, so that a resumed search knows exactly what an uninterrupted one knows.
    study = _study(space, journal)
    study.sampler = _sampler(seed, number)
    if number < 2 + VARIED or number % 2 == 0:
        study.enqueue_trial(_varied(space, journal, np.random.default_rng([seed, 11, number])))
    trial = study.ask(_distributions(space))

    def is_hopeless(part: int, value: float) -> bool:
        trial.report(value, part)
        return bool(trial.should_prune())

    return _evaluate(space, objective, number, dict(trial.params), is_hopeless)


def _varied(space: SearchSpace, journal: Journal, rng: np.random.Generator) -> dict[str, float]:
    best = best_trial(journal)
    middle = best.params if best is not None else {}
    found = {}
    for name, (low, high) in space.bounds().items():
        size = VARIED_WIDTH if name.endswith(WIDTH) else VARIED_STEPS
        found[name] = float(np.clip(middle.get(name, 0.0) + size * rng.normal(), low, high))
    return found


def _sampler(seed: int, number: int) -> Any:
    import optuna

    own = int(np.random.default_rng([seed, 7, number]).integers(2**31))
    return optuna.samplers.TPESampler(seed=own, n_startup_trials=1, multivariate=True)


def _evaluate(
    space: SearchSpace, objective: Objective, number: int, params: dict[str, float], is_hopeless: IsHopeless
) -> TrialRow:
    try:
        values, pruned = objective.evaluate(space.recipe_at(params), is_hopeless)
    except SynthError as error:
        if number == 0 or error.code in ("out-of-memory", "opengl-unavailable", "disk-full"):
            raise
        return TrialRow(number=number, params=params, state="failed", value=None, steps=[])
    state = "pruned" if pruned else "complete"
    return TrialRow(number=number, params=params, state=state, value=values[-1], steps=values)  # type: ignore[arg-type]
