"""`synth data filter`, `sample` and `split`: some images of a data set, or all of them under other splits."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.errors import SynthError
from assets.progress import StepProgress
from dataset.chosen import Change, ImageList, SeenImages, choose, read_list, unchanged
from dataset.formats import open_labels
from dataset.formats.bop.targets import names_of_targets
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord, names_by_id, sku_of
from dataset.store import DataStore
from dataset.values import number, whole_number
from pipeline.shards.convert import ConvertSummary, write_data
from pipeline.shards.fresh import identity_of
from pipeline.shards.settings import ConvertSettings, FilterSettings, GroupKind, SampleSettings, SplitSettings

# Place among the splits of images that are left out.
LEFT_OUT = -1


def filter_data(
    source: str | Path, out: str | Path, rule: FilterSettings, settings: ConvertSettings, console: Console
) -> ConvertSummary:
    """Write the images that the rule means, with products that it does not mean ignored or dropped."""
    store = _open(source, settings, console)
    names = names_by_id(store.categories)
    listed = _listed(rule.only) if rule.only else None
    change = _change_of(rule, names)
    names_of_splits, seen, kept = _splits(store), SeenImages(), array("q")
    for split, labels in _look(store, seen, "group", 0, console, change):
        kept.append(names_of_splits.index(split) if _meant(split, labels, rule, listed) else LEFT_OUT)
    splits = np.array(kept, np.int64)
    made_by = identity_of("filter", [rule, sorted(listed.lines if listed else ()), settings], [source], [store])
    return _write(store, seen, names_of_splits, splits, out, settings, made_by, console, change)


def sample_data(
    source: str | Path, out: str | Path, sample: SampleSettings, settings: ConvertSettings, console: Console
) -> ConvertSummary:
    """Write some images, drawn at random from each split in its share."""
    store = _open(source, settings, console)
    names, seen = _splits(store), _looked(store, "image", sample.seed, console)
    of = np.array([names.index(part.split) for part in store.parts], np.int64)[seen.column("part")]
    counts = {name: int((of == split).sum()) for split, name in enumerate(names)}
    wanted = _shared(counts, min(sample.count, len(seen)))
    splits = np.full(len(seen), LEFT_OUT)
    # By digest, so that a set that grows keeps the images of its sample where it can.
    order = np.argsort(seen.column("draw"), kind="stable")
    for split, name in enumerate(names):
        splits[order[of[order] == split][: wanted[name]]] = split
    made_by = identity_of("sample", [sample, settings], [source], [store])
    return _write(store, seen, names, splits, out, settings, made_by, console)


def split_data(
    source: str | Path, out: str | Path, division: SplitSettings, settings: ConvertSettings, console: Console
) -> ConvertSummary:
    """Write all images under new splits, each with its share of the images of every SKU."""
    store = _open(source, settings, console)
    seen = _looked(store, division.by, division.seed, console)
    splits = _by_sku(seen, division) if division.by == "sku" else _by_group(seen, division)
    made_by = identity_of("split", [division, settings], [source], [store])
    names = [name for name, _ in division.shares]
    return _write(store, seen, names, splits, out, settings, made_by, console)


def _open(source: str | Path, settings: ConvertSettings, console: Console) -> DataStore:
    return open_labels(source, images=settings.images, name=settings.source_format, console=console)


def _write(
    store: DataStore,
    seen: SeenImages,
    names: Sequence[str],
    splits: NDArray[np.int64],
    out: str | Path,
    settings: ConvertSettings,
    made_by: str,
    console: Console,
    change: Change = unchanged,
) -> ConvertSummary:
    if (splits == LEFT_OUT).all():
        hint = "'synth data stats' counts what there is"
        raise SynthError("no image is left", code="dataset-empty", where=store.where, hint=hint)
    return write_data(choose(store, seen, names, splits, change), out, settings.format, made_by, console)


def _splits(store: DataStore) -> list[str]:
    return list(dict.fromkeys(part.split for part in store.parts))


def _looked(store: DataStore, by: GroupKind, seed: int, console: Console) -> SeenImages:
    seen = SeenImages()
    for _ in _look(store, seen, by, seed, console):
        pass
    return seen


def _look(
    store: DataStore, seen: SeenImages, by: GroupKind, seed: int, console: Console, change: Change = unchanged
) -> Iterable[tuple[str, ImageLabels]]:
    """Iterate over split and changed labels of each image, and remember it."""
    with StepProgress(console, "looking", total=sum(part.count for part in store.parts), unit="images") as progress:
        for number, part in enumerate(store.parts):
            for place, labels in enumerate(part.labels()):
                labels = change(labels)
                kinds = [whole_number(one.value("category_id")) for one in labels.annotations if not one.ignored]
                skus = Counter(kind for kind in kinds if kind is not None)
                name, group = labels.image.file_name or "", _group_of(part.split, labels.image, by)
                draws = _draw(seed, group), _draw(seed, part.split, name)
                seen.add(number, place, name, len(labels.annotations), *draws, skus)
                yield part.split, labels
                progress.advance()


def _group_of(split: str, image: ImageRecord, by: GroupKind) -> str:
    """What an image belongs to: a group that the set names, a scene with all its views, or itself."""
    scene = None if image.index is None else f"scene {image.recipe} {image.seed} {image.index}"
    named = None if image.group is None else f"group {image.group}"
    found = {"group": named or scene, "scene": scene or named}.get(by)
    return found or f"image {split}/{image.file_name}"


def _listed(file: Path) -> ImageList:
    """Read a list of images, or the images of targets of BOP."""
    return ImageList(names_of_targets(file)) if file.suffix.lower() == ".json" else read_list(file)


def _meant(split: str, labels: ImageLabels, rule: FilterSettings, listed: ImageList | None) -> bool:
    """Whether an image is kept, by its own fields and its products that count."""
    image = labels.image
    if (rule.splits and split not in rule.splits) or (rule.recipes and image.recipe not in rule.recipes):
        return False
    if listed is not None and not listed.has(split, image.file_name):
        return False
    asks = rule.skus or rule.min_visibility or rule.min_side
    return rule.keep_empty or not asks or any(not one.ignored for one in labels.annotations)


def _change_of(rule: FilterSettings, names: Mapping[int | None, str]) -> Change:
    """Return the change of labels: products that are not meant are ignored or dropped."""

    def meant(record: AnnotationRecord) -> bool:
        visibility, box = number(record.visibility), record.bbox
        seen = visibility != visibility or visibility >= rule.min_visibility
        large = rule.min_side == 0 or (box is not None and min(box[2], box[3]) >= rule.min_side)
        return seen and large and (not rule.skus or sku_of(record, names) in rule.skus)

    def change(labels: ImageLabels) -> ImageLabels:
        if rule.others == "drop":
            return replace(labels, annotations=[one for one in labels.annotations if meant(one)])
        return replace(
            labels, annotations=[one if meant(one) else replace(one, ignore=1) for one in labels.annotations]
        )

    return change if rule.skus or rule.min_visibility or rule.min_side else unchanged


def _draw(seed: int, *words: str) -> int:
    """Return a number of 64 bits that is drawn for some words."""
    text = "\0".join([str(seed), *words]).encode(errors="replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest()[:8], "big")


def _shared(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """Return how many of each split make up a total, in their shares (largest remainders)."""
    exact = {name: total * count / sum(counts.values()) for name, count in counts.items()}
    found = {name: int(share) for name, share in exact.items()}
    rest = sorted(exact, key=lambda name: found[name] - exact[name])
    for name in rest[: total - sum(found.values())]:
        found[name] += 1
    return found


def _by_group(seen: SeenImages, division: SplitSettings) -> NDArray[np.int64]:
    """Give each group, the largest first, to the split that lacks most of what it shows.

    After Sechidis et al. 2011, "On the stratification of multi-label data", with whole groups in place of examples.
    """
    draws, group, sizes = np.unique(seen.column("group"), return_inverse=True, return_counts=True)
    kinds, rows = np.unique(seen.skus, return_inverse=True)
    # The number of images counts like one more product.
    totals = np.append(np.bincount(rows, seen.counts, len(kinds)), len(seen))
    lacking = np.array([share for _, share in division.shares])[:, None] * totals
    images, firsts = np.argsort(group, kind="stable"), np.append(0, np.cumsum(sizes))
    chosen = np.zeros(len(seen), np.int64)
    for one in np.lexsort((draws, -sizes)):
        own = images[firsts[one] : firsts[one + 1]]
        used, numbers = _shown(seen, own, rows, len(kinds))
        need = lacking[:, used] @ (numbers / totals[used])
        chosen[own] = best = int(np.argmax(need))
        lacking[best, used] -= numbers
    return chosen


def _shown(
    seen: SeenImages, images: NDArray[np.int64], rows: NDArray[np.int64], last: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return what images show together: rows of SKUs and how often, and `last` for the images themselves."""
    ends = seen.ends
    slices = [slice(ends[one], ends[one + 1]) for one in images]
    used, back = np.unique(np.concatenate([rows[one] for one in slices]), return_inverse=True)
    counts = np.bincount(back, np.concatenate([seen.counts[one] for one in slices]), len(used))
    return np.append(used, last), np.append(counts, len(images))


def _by_sku(seen: SeenImages, division: SplitSettings) -> NDArray[np.int64]:
    """Give each SKU to a split, in their shares, and each image to the latest split of those that it shows."""
    kinds, rows = np.unique(seen.skus, return_inverse=True)
    order = sorted(range(len(kinds)), key=lambda row: _draw(division.seed, str(kinds[row])))
    edges = np.round(np.cumsum([share for _, share in division.shares]) * len(kinds)).astype(int)
    split_of = np.zeros(len(kinds), np.int64)
    split_of[order] = np.searchsorted(edges, np.arange(len(kinds)), side="right")
    latest = np.zeros(len(seen), np.int64)
    np.maximum.at(latest, np.repeat(np.arange(len(seen)), np.diff(seen.ends)), split_of[rows])
    return latest
