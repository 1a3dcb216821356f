"""Plan of a job: it tracks the catalogue, counts appearances and assigns what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.catalog.category_ids import CategoryIds, ids_path, read_ids
from assets.catalog.types import Catalog
from assets.errors import SynthError
from pipeline.jobs.planning.assign import ASSIGNMENT_STREAM, Count, assign_planograms, assign_scenes
from pipeline.jobs.planning.store import Generation, Plan, Shard, Version
from pipeline.jobs.receipts import Receipt
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.tasks import SceneTask

# Weight of the average share of counting appearances against a SKU's own, in appearances.
PRIOR = 4.0
# A SKU that counts more rarely than this is not assigned even more often.
MIN_SHARE = 0.2


@dataclass(frozen=True)
class Change:
    """Difference of a catalogue from the last one, in numbers of SKUs. asked: whether `times` or `rounds` changed."""

    new: int = 0
    changed: int = 0
    delisted: int = 0
    asked: bool = False

    def __str__(self) -> str:
        """Return text like "120 new, 35 changed, 60 delisted"."""
        parts = {"new": self.new, "changed": self.changed, "delisted": self.delisted}
        text = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
        return text or ("unchanged, other coverage wanted" if self.asked else "unchanged")

    def __bool__(self) -> bool:
        return self.asked or bool(self.new or self.changed or self.delisted)


def extend_ids(catalog: Catalog, known: CategoryIds) -> CategoryIds:
    """Return the job's ids extended by those of new SKUs, in the order of the registry beside the list if there is one.

    Raises SynthError if registry and job disagree.
    """
    path = ids_path(catalog.source)
    if path.exists():
        registry = read_ids(path)
        common = min(len(registry), len(known))
        if registry.keys[:common] != known.keys[:common]:
            hint = "use one registry for all versions of the catalogue, or give another --out"
            raise SynthError(
                "the registry of category ids is not that of the job",
                code="category-ids-conflict",
                where=str(path),
                hint=hint,
            )
        known = max(registry, known, key=len)
    return known.extended(catalog.keys)


def update_catalog(
    plan: Plan,
    catalog: Catalog,
    digests: NDArray[np.uint8],
    settings: JobSettings,
    say: Callable[[str], None] | None = None,
) -> tuple[Plan, Change]:
    """Return the plan with the catalogue as its newest version, if it differs from the last one, and the difference.

    With planograms a version lists the SKUs that stand in them. digests: (N, 16) uint8, of the catalogue's SKUs in its
    order. say: reports what is left out of planograms. Raises SynthError for unusable ones.
    """
    ids = extend_ids(catalog, plan.ids)
    numbers = np.array([ids.of(key) for key in catalog.keys], np.int32)
    planograms = _planograms_of(catalog, ids, settings, say)
    if planograms:
        standing = np.isin(numbers, np.concatenate(planograms))
        numbers, digests = numbers[standing], digests[standing]
    asked = (settings.times, settings.rounds)
    version = Version(len(plan.versions), catalog.hash, *asked, numbers, digests)
    if not plan.versions:
        return Plan(ids, (version,), (), planograms), Change(new=len(numbers))
    old, size = plan.current, len(ids) + 1
    (was, then), (listed, now) = old.by_id(size), version.by_id(size)
    change = Change(
        new=int((listed & ~was).sum()),
        changed=int((listed & was & (then != now).any(axis=1)).sum()),
        delisted=int((was & ~listed).sum()),
        asked=asked != (old.times, old.rounds),
    )
    if not change and old.catalog_hash == catalog.hash:
        return replace(plan, planograms=planograms) if planograms else plan, change
    return Plan(ids, (*plan.versions, version), plan.generations, planograms), change


def _planograms_of(
    catalog: Catalog, ids: CategoryIds, settings: JobSettings, say: Callable[[str], None] | None
) -> tuple[NDArray[np.int32], ...]:
    """Return the category ids in each planogram of the job."""
    from pipeline.run.resources import open_backdrops, open_planograms
    from render.recipes import load_recipe

    render = settings.render
    if not render.backdrops.planogram:
        return ()
    recipe = load_recipe(render.recipe, streams=render.streams)
    shop = open_planograms(catalog, open_backdrops(render.backdrops), recipe)
    if say is not None:
        for line in shop.describe():
            say(line)
    return tuple(np.array([ids.of(sku) for sku in one.skus], np.int32) for one in shop.stocked)


@dataclass(frozen=True, eq=False)
class Coverage:
    """Appearances of each SKU, arrays over all ids (size,).

    counted: images in which it counts. shown: appearances in scenes that exist. broken: why a SKU cannot be used.
    """

    counted: NDArray[np.int64]
    shown: NDArray[np.int64]
    broken: Mapping[int, str]

    def share(self, views: int, expected: float) -> NDArray[np.float64]:
        """Return (size,), the share of a SKU's images that counts; `expected` while little is known."""
        return (self.counted + PRIOR * expected) / (self.shown * views + PRIOR)


def coverage_of(plan: Plan, receipts: Mapping[str, Receipt], settings: JobSettings) -> Coverage:
    """Count appearances from the receipts; scenes with a SKU's former appearance do not count."""
    counted, shown = np.zeros(plan.size, np.int64), np.zeros(plan.size, np.int64)
    broken: dict[int, str] = {}
    for generation in plan.generations:
        stale, assignment = plan.stale(generation), generation.assignment
        dropped = generation.scenes_with(stale)
        stale_ids = set(np.unique(assignment.category_ids[stale]).tolist())
        for shard in generation.shards(settings.render.splits, settings.shard_scenes):
            receipt = receipts.get(shard.name)
            if receipt is None:
                continue
            failed = {failure.index for failure in receipt.failures} | set(receipt.dropped)
            absent = np.isin(shard.scenes + generation.first, list(failed)) | dropped[shard.scenes]
            present = np.repeat(~absent, np.diff(assignment.starts)[shard.scenes])
            ids = assignment.category_ids[generation.positions_of(shard.scenes)]
            np.add.at(counted, ids[present], np.array(receipt.counted, np.int64)[present])
            np.add.at(shown, ids[present], 1)
            for failure in receipt.failures:
                found = {plan.ids.of(sku): why for sku, why in failure.broken.items() if sku in plan.ids}
                broken |= {number: why for number, why in found.items() if number not in stale_ids}
    return Coverage(counted, shown, broken)


def deficits(plan: Plan, coverage: Coverage, times: int) -> NDArray[np.int64]:
    """Return (size,), in how many more images each listed SKU must count; 0 for those that cannot be used."""
    listed, _ = plan.current.by_id(plan.size)
    missing = np.where(listed, np.maximum(times - coverage.counted, 0), 0)
    missing[list(coverage.broken)] = 0
    return missing


def listed_broken(plan: Plan, coverage: Coverage) -> set[int]:
    """Return the ids of listed SKUs that cannot be used."""
    return set(coverage.broken) & set(plan.current.ids.tolist())


def next_generation(plan: Plan, coverage: Coverage, settings: JobSettings, expected: float) -> Generation | None:
    """Return scenes for what is missing; None if nothing is, or after the last extra round.

    expected: share of the images of a product in which it counts.
    """
    version, views = plan.current, settings.render.views
    rounds_done = sum(generation.version == version.number for generation in plan.generations)
    missing = deficits(plan, coverage, version.times)
    if not missing.any() or rounds_done > version.rounds:
        return None
    shares = np.maximum(coverage.share(views, expected), MIN_SHARE)
    needs = np.ceil(missing / (views * shares) - 1e-9).astype(np.int64)
    number = len(plan.generations)
    listed, _ = version.by_id(plan.size)
    listed[list(coverage.broken)] = False
    rng = np.random.default_rng([settings.render.seed, ASSIGNMENT_STREAM, number])
    if plan.planograms:
        assignment = assign_planograms(needs, plan.times_assigned, listed, plan.planograms, rng=rng)
    else:
        assignment = assign_scenes(needs, plan.times_assigned, listed, products_count(settings, plan.scenes), rng=rng)
    return Generation(number, version.number, plan.scenes, expected, assignment)


def products_count(settings: JobSettings, first: int) -> Count:
    """Return the minimum and maximum number of products of a scene; for a mix by the scene, counted from `first`."""
    from render.recipes import load_recipe
    from render.recipes.mix import RecipeMix, parts_by_scene

    recipe, seed = load_recipe(settings.render.recipe, streams=settings.render.streams), settings.render.seed
    if not isinstance(recipe, RecipeMix):
        return recipe.product_count()
    ranges, part_at = [part.of.product_count() for part in recipe.parts], parts_by_scene(recipe, seed)
    return lambda scene: ranges[int(part_at(first + scene))]


def with_generation(plan: Plan, generation: Generation) -> Plan:
    """Return the plan with one more generation."""
    return replace(plan, generations=(*plan.generations, generation))


def matching_receipts(plan: Plan, receipts: Mapping[str, Receipt], settings: JobSettings) -> dict[str, Receipt]:
    """Return the receipts that match the plan's shards, product by product; others are ignored."""
    found = {}
    for generation, shard in planned_shards(plan, settings):
        receipt = receipts.get(shard.name)
        lengths = generation.assignment.starts[shard.scenes + 1] - generation.assignment.starts[shard.scenes]
        if receipt is not None and len(receipt.counted) == lengths.sum() and receipt.scenes == len(lengths):
            found[shard.name] = receipt
    return found


def planned_shards(plan: Plan, settings: JobSettings) -> Iterator[tuple[Generation, Shard]]:
    """Yield all shards of the plan, in order."""
    for generation in plan.generations:
        for shard in generation.shards(settings.render.splits, settings.shard_scenes):
            yield generation, shard


def scene_task(plan: Plan, generation: Generation, scene: int) -> SceneTask:
    """Return scene `scene` of a generation as a task for a worker."""
    products = generation.assignment.slice_of(scene)
    ids = tuple(generation.assignment.category_ids[products].tolist())
    numbers = tuple(generation.assignment.numbers[products].tolist())
    planogram = int(generation.assignment.planograms[scene]) if len(generation.assignment.planograms) else None
    return SceneTask(generation.first + scene, tuple(map(plan.ids.key_of, ids)), ids, numbers, planogram)
