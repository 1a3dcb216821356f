"""`synth data filter`, `sample` and `split`: some images of a data set, or all of them under other splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from assets.errors import SynthError
from assets.progress import StepProgress
from dataset.chosen import Change, ImageList, Seen, choose, read_list, unchanged
from dataset.formats import open_labels
from dataset.formats.bop.targets import names_of_targets
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord, names_by_id, sku_of
from dataset.store import DataStore
from dataset.values import number, whole_number
from pipeline.shards.convert import ConvertSummary, write_data
from pipeline.shards.fresh import identity_of
from pipeline.shards.settings import ConvertSettings, FilterSettings, GroupKind, SampleSettings, SplitSettings


def filter_data(
    source: str | Path, out: str | Path, rule: FilterSettings, settings: ConvertSettings, console: Console
) -> ConvertSummary:
    """Write the images that the rule means, with products that it does not mean ignored or dropped."""
    store = _open(source, settings, console)
    names = names_by_id(store.categories)
    listed = _listed(rule.only) if rule.only else None
    change = _change_of(rule, names)
    seen, splits = [], []
    for split, one, labels in _look(store, "group", console, change):
        kept = _meant(split, labels, rule, listed)
        seen.append(one)
        splits.append(split if kept else "")
    made_by = identity_of("filter", [rule, sorted(listed.lines if listed else ()), settings], [source], [store])
    return _write(store, seen, splits, out, settings, made_by, console, change)


def sample_data(
    source: str | Path, out: str | Path, sample: SampleSettings, settings: ConvertSettings, console: Console
) -> ConvertSummary:
    """Write some images, drawn at random from each split in its share."""
    store = _open(source, settings, console)
    seen = [one for _, one, _ in _look(store, "image", console)]
    of = [store.parts[one.part].split for one in seen]
    wanted = _shared(Counter(of), min(sample.count, len(seen)))
    # By digest, so that a set that grows keeps the images of its sample where it can.
    order = sorted(range(len(seen)), key=lambda place: _draw(sample.seed, of[place], seen[place].name))
    splits = [""] * len(seen)
    for place in order:
        if wanted[of[place]] > 0:
            wanted[of[place]] -= 1
            splits[place] = of[place]
    made_by = identity_of("sample", [sample, settings], [source], [store])
    return _write(store, seen, splits, out, settings, made_by, console)


def split_data(
    source: str | Path, out: str | Path, division: SplitSettings, settings: ConvertSettings, console: Console
) -> ConvertSummary:
    """Write all images under new splits, each with its share of the images of every SKU."""
    store = _open(source, settings, console)
    seen = [one for _, one, _ in _look(store, division.by, console)]
    splits = _by_sku(seen, division) if division.by == "sku" else _by_group(seen, division)
    made_by = identity_of("split", [division, settings], [source], [store])
    return _write(store, seen, splits, out, settings, made_by, console)


def _open(source: str | Path, settings: ConvertSettings, console: Console) -> DataStore:
    return open_labels(source, images=settings.images, name=settings.source_format, console=console)


def _write(
    store: DataStore,
    seen: Sequence[Seen],
    splits: Sequence[str],
    out: str | Path,
    settings: ConvertSettings,
    made_by: str,
    console: Console,
    change: Change = unchanged,
) -> ConvertSummary:
    if not any(splits):
        hint = "'synth data stats' counts what there is"
        raise SynthError("no image is left", code="dataset-empty", where=store.where, hint=hint)
    return write_data(choose(store, seen, splits, change), out, settings.format, made_by, console)


def _look(
    store: DataStore, by: GroupKind, console: Console, change: Change = unchanged
) -> Iterable[tuple[str, Seen, ImageLabels]]:
    """Iterate over split, what is remembered and changed labels of each image."""
    with StepProgress(console, "looking", total=sum(part.count for part in store.parts), unit="images") as progress:
        for number, part in enumerate(store.parts):
            for place, labels in enumerate(part.labels()):
                labels = change(labels)
                kinds = [whole_number(one.value("category_id")) for one in labels.annotations if not one.ignored]
                skus = Counter(kind for kind in kinds if kind is not None)
                name, group = labels.image.file_name or "", _group_of(part.split, labels.image, by)
                yield part.split, Seen(number, place, name, len(labels.annotations), group, skus), labels
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


def _draw(seed: int, *words: str) -> bytes:
    return hashlib.blake2b("\0".join([str(seed), *words]).encode(errors="replace"), digest_size=16).digest()


def _shared(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """Return how many of each split make up a total, in their shares (largest remainders)."""
    exact = {name: total * count / sum(counts.values()) for name, count in counts.items()}
    found = {name: int(share) for name, share in exact.items()}
    rest = sorted(exact, key=lambda name: found[name] - exact[name])
    for name in rest[: total - sum(found.values())]:
        found[name] += 1
    return found


def _by_group(seen: Sequence[Seen], division: SplitSettings) -> list[str]:
    """Give each group, the largest first, to the split that lacks most of what it shows.

    After Sechidis et al. 2011, "On the stratification of multi-label data", with whole groups in place of examples.
    """
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(seen):
        groups.setdefault(one.group, []).append(place)
    kinds = {number: row for row, number in enumerate(sorted({sku for one in seen for sku in one.skus}))}
    shares = np.array([share for _, share in division.shares])
    totals = np.zeros(len(kinds) + 1)
    shown = {}
    for group, places in groups.items():
        counts = Counter[int]()
        for place in places:
            counts.update({kinds[sku]: count for sku, count in seen[place].skus.items()})
        # The number of images counts like one more product.
        counts[len(kinds)] = len(places)
        shown[group] = np.array(list(counts)), np.array(list(counts.values()), float)
    for rows, numbers in shown.values():
        np.add.at(totals, rows, numbers)
    lacking = shares[:, None] * totals
    chosen = [""] * len(seen)
    for group in sorted(groups, key=lambda one: (-len(groups[one]), _draw(division.seed, one))):
        rows, numbers = shown[group]
        need = lacking[:, rows] @ (numbers / totals[rows])
        best = int(np.argmax(need))
        lacking[best, rows] -= numbers
        for place in groups[group]:
            chosen[place] = division.shares[best][0]
    return chosen


def _by_sku(seen: Sequence[Seen], division: SplitSettings) -> list[str]:
    """Give each SKU to a split, in their shares, and each image to the latest split of those that it shows."""
    skus = sorted({sku for one in seen for sku in one.skus}, key=lambda sku: _draw(division.seed, str(sku)))
    edges = np.round(np.cumsum([share for _, share in division.shares]) * len(skus)).astype(int)
    at = {sku: int(np.searchsorted(edges, rank, side="right")) for rank, sku in enumerate(skus)}
    return [division.shares[max((at[sku] for sku in one.skus), default=0)][0] for one in seen]
