"""What a job does next: takes in the catalogue, counts what was seen, deals what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.catalog.category_ids import CategoryIds, ids_path, read_ids
from assets.catalog.types import Catalog
from assets.errors import SynthError
from pipeline.jobs.planning.assign import DEAL, Count, assign_scenes
from pipeline.jobs.planning.store import Generation, Plan, Shard, Version
from pipeline.jobs.receipts import Receipt
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.tasks import SceneTask

# A SKU's own share of appearances that count is trusted like so many others of the average.
PRIOR = 4.0
# What is seen more rarely than this is not dealt ever more often for it.
MIN_SHARE = 0.2


@dataclass(frozen=True)
class Change:
    """How a catalogue differs from the one before: numbers of SKUs. asked: whether another number of times is asked."""

    new: int = 0
    changed: int = 0
    delisted: int = 0
    asked: bool = False

    def __str__(self) -> str:
        """120 new, 35 changed, 60 delisted."""
        parts = {"new": self.new, "changed": self.changed, "delisted": self.delisted}
        told = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
        return told or ("as before, asked for otherwise" if self.asked else "as before")

    def __bool__(self) -> bool:
        return self.asked or bool(self.new or self.changed or self.delisted)


def ids_for(catalog: Catalog, known: CategoryIds) -> CategoryIds:
    """The ids that the job knows, and those of SKUs that are new: as the registry beside the list has them.

    Raises SynthError where registry and job have gone different ways.
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
    plan: Plan, catalog: Catalog, digests: NDArray[np.uint8], settings: JobSettings
) -> tuple[Plan, Change]:
    """The plan with the catalogue as its newest version, if it is another one than before, and what is different.

    digests: (N, 16), of the catalogue's SKUs in its order.
    """
    ids = ids_for(catalog, plan.ids)
    numbers = np.array([ids.of(key) for key in catalog.keys], np.int32)
    asked = (settings.times, settings.rounds)
    version = Version(len(plan.versions), catalog.hash, *asked, numbers, digests)
    if not plan.versions:
        return Plan(ids, (version,), ()), Change(new=len(numbers))
    old, size = plan.current, len(ids) + 1
    (was, then), (listed, now) = old.by_id(size), version.by_id(size)
    change = Change(
        new=int((listed & ~was).sum()),
        changed=int((listed & was & (then != now).any(axis=1)).sum()),
        delisted=int((was & ~listed).sum()),
        asked=asked != (old.times, old.rounds),
    )
    if not change and old.catalog_hash == catalog.hash:
        return plan, change
    return Plan(ids, (*plan.versions, version), plan.generations), change


@dataclass(frozen=True, eq=False)
class Coverage:
    """How often each SKU was seen, arrays over all ids (size,).

    counted: pictures in which it counts. shown: appearances in scenes that there are. broken: why a SKU cannot be used.
    """

    counted: NDArray[np.int64]
    shown: NDArray[np.int64]
    broken: Mapping[int, str]

    def share(self, views: int, expected: float) -> NDArray[np.float64]:
        """(size,): of a SKU's pictures, the share that counts; `expected` as long as little is known."""
        return (self.counted + PRIOR * expected) / (self.shown * views + PRIOR)


def coverage_of(plan: Plan, receipts: Mapping[str, Receipt], settings: JobSettings) -> Coverage:
    """Counted from the receipts; what was rendered of a SKU that looks otherwise now does not count."""
    counted, shown = np.zeros(plan.size, np.int64), np.zeros(plan.size, np.int64)
    broken: dict[int, str] = {}
    for generation in plan.generations:
        stale, deal = plan.stale(generation), generation.deal
        dropped = generation.scenes_with(stale)
        stale_ids = set(np.unique(deal.cards[stale]).tolist())
        for shard in generation.shards(settings.render.splits, settings.shard_scenes):
            receipt = receipts.get(shard.name)
            if receipt is None:
                continue
            failed = {failure.index for failure in receipt.failures} | set(receipt.dropped)
            absent = np.isin(shard.scenes + generation.first, list(failed)) | dropped[shard.scenes]
            there = np.repeat(~absent, np.diff(deal.starts)[shard.scenes])
            cards = deal.cards[generation.cards_of(shard.scenes)]
            np.add.at(counted, cards[there], np.array(receipt.cards, np.int64)[there])
            np.add.at(shown, cards[there], 1)
            for failure in receipt.failures:
                found = {plan.ids.of(sku): why for sku, why in failure.broken.items() if sku in plan.ids}
                broken |= {number: why for number, why in found.items() if number not in stale_ids}
    return Coverage(counted, shown, broken)


def deficits(plan: Plan, coverage: Coverage, times: int) -> NDArray[np.int64]:
    """(size,): in how many more pictures each listed SKU is to count; 0 for those that cannot be used."""
    listed, _ = plan.current.by_id(plan.size)
    missing = np.where(listed, np.maximum(times - coverage.counted, 0), 0)
    missing[list(coverage.broken)] = 0
    return missing


def next_generation(plan: Plan, coverage: Coverage, settings: JobSettings, expected: float) -> Generation | None:
    """Scenes for what is missing; None where nothing is, or it was dealt again as often as is wanted.

    expected: share of the pictures of a product in which it counts.
    """
    version, views = plan.current, settings.render.views
    dealt = sum(generation.version == version.number for generation in plan.generations)
    missing = deficits(plan, coverage, version.times)
    if not missing.any() or dealt > version.rounds:
        return None
    shares = np.maximum(coverage.share(views, expected), MIN_SHARE)
    needs = np.ceil(missing / (views * shares) - 1e-9).astype(np.int64)
    number = len(plan.generations)
    listed, _ = version.by_id(plan.size)
    listed[list(coverage.broken)] = False
    rng = np.random.default_rng([settings.render.seed, DEAL, number])
    deal = assign_scenes(needs, plan.dealt, listed, products_count(settings, plan.scenes), rng=rng)
    return Generation(number, version.number, plan.scenes, expected, deal)


def products_count(settings: JobSettings, first: int) -> Count:
    """How many products a scene is dealt, least and most; of a mix by the scene, counted from scene `first`."""
    from render.recipes import load_recipe
    from render.recipes.mix import RecipeMix, parts_by_scene

    recipe, seed = load_recipe(settings.render.recipe, streams=settings.render.streams), settings.render.seed
    if not isinstance(recipe, RecipeMix):
        return recipe.product_count()
    ranges, part_at = [part.of.product_count() for part in recipe.parts], parts_by_scene(recipe, seed)
    return lambda scene: ranges[int(part_at(first + scene))]


def with_generation(plan: Plan, generation: Generation) -> Plan:
    """The plan with one generation more."""
    return replace(plan, generations=(*plan.generations, generation))


def matching_receipts(plan: Plan, receipts: Mapping[str, Receipt], settings: JobSettings) -> dict[str, Receipt]:
    """Those receipts that speak of the plan's shards, product by product; others are as good as none."""
    found = {}
    for generation, shard in planned_shards(plan, settings):
        receipt = receipts.get(shard.name)
        lengths = generation.deal.starts[shard.scenes + 1] - generation.deal.starts[shard.scenes]
        if receipt is not None and len(receipt.cards) == lengths.sum() and receipt.scenes == len(lengths):
            found[shard.name] = receipt
    return found


def planned_shards(plan: Plan, settings: JobSettings) -> Iterator[tuple[Generation, Shard]]:
    """All shards of the plan, in order."""
    for generation in plan.generations:
        for shard in generation.shards(settings.render.splits, settings.shard_scenes):
            yield generation, shard


def scene_task(plan: Plan, generation: Generation, scene: int) -> SceneTask:
    """Scene `scene` of a generation, ready for a worker."""
    hand = generation.deal.hand(scene)
    ids = tuple(generation.deal.cards[hand].tolist())
    numbers = tuple(generation.deal.numbers[hand].tolist())
    return SceneTask(generation.first + scene, tuple(map(plan.ids.key_of, ids)), ids, numbers)
