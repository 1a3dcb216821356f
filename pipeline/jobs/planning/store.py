"""Stored plan of a job: versions of the catalogue, and generations of scenes with their products."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.catalog.category_ids import CategoryIds, ids_csv, parse_ids
from assets.errors import SynthError
from assets.files.array_input import check_array, read_arrays
from assets.files.models import Model, parse_model
from dataset.layout import Splits
from dataset.storage.path import StoragePath
from pipeline.jobs.files import GenerationFile, VersionFile
from pipeline.jobs.planning.assign import Assignment, shards_of

PLAN, IDS = "plan", "ids.csv"
DIGEST_BYTES = 16
DAMAGED = "the job's plan"
HINT = "restore the file: the scenes of the job follow from it"


@dataclass(frozen=True, eq=False)
class Version:
    """A version of the catalogue in the job. ids: (N,) int32 of its SKUs. digests: (N, 16) uint8 of their appearance.
    times, rounds: appearances wanted of each SKU, and extra rounds to fill coverage gaps."""

    number: int
    catalog_hash: str
    times: int
    rounds: int
    ids: NDArray[np.int32]
    digests: NDArray[np.uint8]

    def by_id(self, size: int) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        """Return (size,) bool whether each id is listed, and (size, 16) uint8 its digest, zeros if it is not."""
        listed, digests = np.zeros(size, bool), np.zeros((size, DIGEST_BYTES), np.uint8)
        listed[self.ids], digests[self.ids] = True, self.digests
        return listed, digests


@dataclass(frozen=True, eq=False)
class Shard:
    """A shard of a generation. scenes: (S,) counted from 0 within the generation, in order."""

    name: str
    split: str
    scenes: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Generation:
    """Scenes that were assigned together. version: of the catalogue, at the time. first: index of the first scene.

    share: expected share of the assigned appearances that count.
    """

    number: int
    version: int
    first: int
    share: float
    assignment: Assignment

    def shards(self, splits: Splits, shard_scenes: int) -> list[Shard]:
        """Return its shards, in order."""
        found = shards_of(self.first, len(self.assignment), splits, shard_scenes)
        numbers: dict[str, int] = {}
        shards = []
        for split, scenes in found:
            number = numbers.setdefault(split, 0)
            numbers[split] += 1
            shards.append(Shard(f"{split}-g{self.number:04d}-{number:06d}", split, scenes))
        return shards

    def positions_of(self, scenes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions in the assignment of all products of these scenes, in order."""
        starts = self.assignment.starts[scenes]
        lengths = self.assignment.starts[scenes + 1] - starts
        before = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(scenes) else np.zeros(0, np.int64)
        return np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)

    def scenes_with(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return (S,) bool, which scenes have one of the marked appearances (A,)."""
        if not len(self.assignment):
            return np.zeros(0, bool)
        found: NDArray[np.bool_] = np.logical_or.reduceat(marked, self.assignment.starts[:-1])
        return found


@dataclass(frozen=True, eq=False)
class Plan:
    """The whole plan of a job so far. planograms: category ids in each planogram of the job; not stored with it."""

    ids: CategoryIds
    versions: tuple[Version, ...]
    generations: tuple[Generation, ...]
    planograms: tuple[NDArray[np.int32], ...] = ()

    @property
    def current(self) -> Version:
        """The current version of the catalogue."""
        return self.versions[-1]

    @property
    def size(self) -> int:
        """Length of arrays over all ids; there is no id 0."""
        return len(self.ids) + 1

    @property
    def scenes(self) -> int:
        """The number of all scenes assigned so far, which is the index of the next one."""
        return sum(len(generation.assignment) for generation in self.generations)

    def lists(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Return (N,) bool: which SKUs of a catalogue the current version lists: with planograms, those in them."""
        return np.isin([self.ids.of(key) for key in keys], self.current.ids)

    @cached_property
    def times_assigned(self) -> NDArray[np.int64]:
        """(size,) int64, how often each SKU has been assigned in all generations."""
        ids = [generation.assignment.category_ids for generation in self.generations]
        return np.bincount(np.concatenate([np.zeros(0, np.int64), *ids]), minlength=self.size)

    def stale(self, generation: Generation) -> NDArray[np.bool_]:
        """Return (A,) bool: appearances of SKUs whose digest has changed since they were assigned."""
        listed, now = self.current.by_id(self.size)
        _, then = self.versions[generation.version].by_id(self.size)
        changed = listed & (now != then).any(axis=1)
        return changed[generation.assignment.category_ids]

    def delisted(self, generation: Generation) -> NDArray[np.bool_]:
        """Return (A,) bool: appearances of SKUs that are no longer listed."""
        listed, _ = self.current.by_id(self.size)
        return ~listed[generation.assignment.category_ids]


def read_plan(location: StoragePath) -> Plan:
    """Return the stored plan, empty for a job that has not begun. Raises SynthError for damaged files."""
    names = location.names(PLAN)
    names = [name for name in names if name.endswith(".json")]
    versions = [name for name in names if name.startswith("version-")]
    try:
        ids = parse_ids(location.read(IDS), location.locate(IDS)) if versions else CategoryIds()
    except FileNotFoundError as error:
        raise SynthError(
            "the job's plan is damaged", code="job-damaged", where=location.locate(IDS), found="missing", hint=HINT
        ) from error
    plan = Plan(
        ids,
        tuple(_read_version(location, name, len(ids)) for name in versions),
        tuple(_read_generation(location, name, len(ids)) for name in names if name.startswith("generation-")),
    )
    _check_order(location, plan)
    return plan


def write_version(location: StoragePath, version: Version, ids: CategoryIds) -> None:
    """Write the list of SKUs and the ids first, then the file that completes the version."""
    location.write(IDS, ids_csv(ids))
    about = {"catalog_hash": version.catalog_hash, "times": version.times, "rounds": version.rounds}
    arrays: dict[str, NDArray] = {"ids": version.ids, "digests": version.digests}
    _write_pair(location, f"version-{version.number:04d}", about, arrays)


def write_generation(location: StoragePath, generation: Generation) -> None:
    """Write the products of the scenes first, then the file that completes the generation."""
    chosen = generation.assignment
    about = {
        "version": generation.version,
        "first": generation.first,
        "scenes": len(chosen),
        "appearances": len(chosen.category_ids),
        "share": generation.share,
    }
    arrays: dict[str, NDArray] = {"cards": chosen.category_ids, "starts": chosen.starts, "numbers": chosen.numbers}
    if len(chosen.planograms):
        arrays["planograms"] = chosen.planograms
    _write_pair(location, f"generation-{generation.number:04d}", about, arrays)


def _write_pair(location: StoragePath, name: str, about: dict[str, Any], arrays: Mapping[str, NDArray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # not compressed: versions of zlib write different bytes
    location.write(f"{PLAN}/{name}.npz", buffer.getvalue())
    location.write(f"{PLAN}/{name}.json", (json.dumps(about) + "\n").encode())


def _read_pair(location: StoragePath, name: str, model: type[Model]) -> tuple[int, Model, dict[str, NDArray]]:
    stem = name.removesuffix(".json")
    about_name, arrays_name = f"{PLAN}/{name}", f"{PLAN}/{stem}.npz"
    try:
        about = parse_model(model, location.read(about_name), DAMAGED, location.locate(about_name), HINT)
        arrays = read_arrays(location.read(arrays_name), DAMAGED, location.locate(arrays_name), HINT)
        return int(stem.rpartition("-")[2]), about, arrays
    except (FileNotFoundError, ValueError) as error:
        raise _damaged(location, name, error) from error


def _damaged(location: StoragePath, name: str, error: Exception | str) -> SynthError:
    return SynthError(
        "the job's plan is damaged",
        code="job-damaged",
        where=location.locate(f"{PLAN}/{name}"),
        found=str(error),
        hint=HINT,
    )


def _read_version(location: StoragePath, name: str, size: int) -> Version:
    """Read a version of the catalogue. size: number of ids."""
    number, about, arrays = _read_pair(location, name, VersionFile)
    try:
        ids = check_array(arrays.get("ids"), np.int32, None)
        digests = check_array(arrays.get("digests"), np.uint8, len(ids), DIGEST_BYTES)
        _check_ids(ids, size)
    except ValueError as error:
        raise _damaged(location, name, error) from error
    return Version(number, about.catalog_hash, about.times, about.rounds, ids, digests)


def _read_generation(location: StoragePath, name: str, size: int) -> Generation:
    """Read a generation of scenes. size: number of ids."""
    number, about, arrays = _read_pair(location, name, GenerationFile)
    try:
        category_ids = check_array(arrays.get("cards"), np.int32, about.appearances)
        starts = check_array(arrays.get("starts"), np.int64, about.scenes + 1)
        numbers = check_array(arrays.get("numbers"), np.int32, len(category_ids))
        planograms = check_array(arrays.get("planograms", np.zeros(0, np.int32)), np.int32, None)
        _check_ids(category_ids, size)
        if len(planograms) not in (0, about.scenes) or planograms.min(initial=0) < 0:
            raise ValueError("numbers of planograms that are not one per scene")
        if starts[0] != 0 or starts[-1] != len(category_ids) or (np.diff(starts) < 0).any():
            raise ValueError("starts of scenes that do not partition the appearances")
    except ValueError as error:
        raise _damaged(location, name, error) from error
    assigned = Assignment(category_ids, starts, numbers, planograms)
    return Generation(number, about.version, about.first, about.share, assigned)


def _check_ids(ids: NDArray, size: int) -> None:
    if len(ids) and not 1 <= int(ids.min()) <= int(ids.max()) <= size:
        raise ValueError(f"ids from {ids.min()} to {ids.max()}, but {IDS} has 1 to {size}")


def _check_order(location: StoragePath, plan: Plan) -> None:
    """Raise SynthError unless versions and generations are numbered without gaps and refer to existing ones."""
    first = 0
    for number, generation in enumerate(plan.generations):
        name = f"generation-{generation.number:04d}.json"
        if generation.number != number or generation.version >= len(plan.versions) or generation.first != first:
            found = f"version {generation.version}, first scene {generation.first}"
            raise _damaged(
                location, name, f"{found}, but there are {len(plan.versions)} versions and {first} scenes before"
            )
        first += len(generation.assignment)
    for number, version in enumerate(plan.versions):
        if version.number != number:
            raise _damaged(location, f"version-{version.number:04d}.json", f"version {number} is missing")
