"""Files that describe the whole data set of a job: index, categories, dataset.json, failures, summary."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from assets.catalog.category_ids import ids_hash
from assets.catalog.types import Catalog
from assets.errors import SynthError
from dataset.categories import unique_names, with_cuboid
from dataset.checksums import write_signed_index
from dataset.records import CategoryRecord
from dataset.shards.index import coco_name, read_categories, tar_name, write_categories
from dataset.storage.path import StoragePath
from pipeline.jobs.planning.plan import Coverage, deficits, listed_broken
from pipeline.jobs.planning.store import Plan
from pipeline.jobs.receipts import Receipt
from pipeline.jobs.settings import JobSettings

DATASET, FAILURES, SUMMARY = "dataset.json", "failures.jsonl", "summary.json"


@dataclass(frozen=True)
class SetCounts:
    """Contents of the data set in numbers."""

    shards: int
    images: int
    annotations: int
    bytes: int


def write_set_files(
    location: StoragePath, plan: Plan, receipts: Mapping[str, Receipt], catalog: Catalog, settings: JobSettings
) -> SetCounts:
    """Write all files that describe the set as its receipts are now; any reader can use it from then on."""
    write_categories(location, job_categories(location, plan, catalog, keypoints=settings.render.keypoints))
    location.write(DATASET, _dataset_json(location, plan, catalog, settings))
    entries = [receipt.entry for receipt in receipts.values() if receipt.entry.images]
    write_signed_index(location, entries)
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in failure_records(receipts)]
    if lines:
        location.write(FAILURES, "".join(lines).encode())
    else:
        location.delete(FAILURES)
    return SetCounts(
        len(entries),
        sum(entry.images for entry in entries),
        sum(entry.annotations for entry in entries),
        sum(entry.tar_bytes + entry.coco_bytes for entry in entries),
    )


def job_categories(
    location: StoragePath, plan: Plan, catalog: Catalog, *, keypoints: bool = False
) -> list[CategoryRecord]:
    """Return COCO categories of every SKU ever listed, by id; those no longer listed are marked.

    A name that the stored categories have already is kept, since shards contain it.
    """
    before: dict[str, CategoryRecord] = {}
    with suppress(SynthError):
        before = {str(record.sku): record for record in read_categories(location)}
    listed = {sku.sku: (sku.name or sku.sku, sku.category) for sku in catalog}
    shown = [
        (key, listed[key][0] if key in listed else before.get(key, CategoryRecord(name=key)).shown)
        for key in plan.ids.keys
    ]
    known = {key: (record.name or "", record.shown) for key, record in before.items()}
    names = unique_names(shown, known)
    records = [
        CategoryRecord(
            id=number,
            name=names[key],
            supercategory=listed[key][1] if key in listed else before.get(key, CategoryRecord()).supercategory or "",
            sku=key,
            display_name=display,
            delisted=None if key in listed else True,
        )
        for number, (key, display) in enumerate(shown, start=1)
    ]
    return [with_cuboid(record) for record in records] if keypoints else records


def _dataset_json(location: StoragePath, plan: Plan, catalog: Catalog, settings: JobSettings) -> bytes:
    from pipeline.run.dataset_info import describe_run
    from pipeline.run.resources import open_backdrops, render_settings
    from render.recipes import load_recipe

    render = replace(settings.render, out=location.local or Path(), scenes=plan.scenes)
    backdrops, recipe = open_backdrops(render.backdrops), load_recipe(render.recipe, streams=render.streams)
    info = describe_run(render, catalog, backdrops, recipe, render_settings(render))
    identity = info.identity.model_copy(update={"ids": ids_hash(catalog, plan.ids)})
    sources = info.sources
    if location.local is None:  # no path is relative to a bucket
        sources = {name: (render.out / path).resolve().as_posix() for name, path in sources.items()}
    return info.model_copy(update={"identity": identity, "sources": sources}).to_json().encode()


def failure_records(receipts: Mapping[str, Receipt]) -> Iterator[dict[str, Any]]:
    """Yield the scenes that could not be made, in the order of their shards, with all that is needed to make them
    again."""
    for _, receipt in sorted(receipts.items()):
        for failure in receipt.failures:
            yield {"shard": receipt.shard, **failure.model_dump(mode="json")}


def write_summary(
    location: StoragePath, plan: Plan, coverage: Coverage, counts: SetCounts, settings: JobSettings
) -> dict[str, Any]:
    """Write summary.json: how the set covers the catalogue, and every SKU that lacks appearances, with the reason."""
    views, times = settings.render.views, plan.current.times
    missing = deficits(plan, coverage, times)
    numbers = sorted({*np.flatnonzero(missing).tolist(), *listed_broken(plan, coverage)})
    seen = coverage.counted[plan.current.ids]
    summary = {
        "skus": len(plan.current.ids),
        "times": times,
        "shards": counts.shards,
        "images": counts.images,
        "annotations": counts.annotations,
        "seen_least": int(seen.min()) if len(seen) else 0,
        "seen_median": float(np.median(seen)) if len(seen) else 0.0,
        "seen_most": int(seen.max()) if len(seen) else 0,
        "short": {plan.ids.key_of(number): _why_short(coverage, number, views) for number in numbers},
    }
    location.write(SUMMARY, (json.dumps(summary, indent=1, ensure_ascii=False) + "\n").encode())
    return summary


def _why_short(coverage: Coverage, number: int, views: int) -> dict[str, Any]:
    shown, counted = int(coverage.shown[number]), int(coverage.counted[number])
    if number in coverage.broken:
        return {"seen": counted, "why": f"cannot be used: {coverage.broken[number]}"}
    why = f"hidden or too small in {shown * views - counted} of {shown * views} images"
    return {"seen": counted, "why": why if shown else "its scenes failed"}


def delete_replaced_shards(location: StoragePath, receipts: Mapping[str, Receipt]) -> None:
    """Delete files of shards that were revised or lost all their images, once the index names the others."""
    entries = [receipt.entry for receipt in receipts.values() if receipt.entry.images]
    named = {name(entry.name) for entry in entries for name in (tar_name, coco_name)}
    for folder in ("shards", "annotations"):
        for name in location.names(folder):
            shard = name.rpartition(".")[0].partition("-r")[0]
            if shard in receipts and f"{folder}/{name}" not in named:
                location.delete(f"{folder}/{name}")
