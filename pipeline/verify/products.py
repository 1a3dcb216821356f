"""Checks of all products of a rendered image together: of folders and of shards alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.verify.extras import EXTRA_CHECKS
from pipeline.verify.masks import MaskMap, check_masks, shared_pixels, sound_mask
from pipeline.verify.records import Extras, Record, Violation

# What an id image of 16 bits can hold.
MAX_INSTANCE = 65535


@dataclass(frozen=True)
class KnownProducts:
    """The categories of a set: id to SKU, and the ids of those that are no longer sold."""

    keys: dict[int, str]
    delisted: frozenset[int] = frozenset()


def check_products(
    records: Sequence[tuple[Record, str]],
    image: Record,
    extras: Extras,
    where: str,
) -> Iterator[Violation]:
    """The masks of each annotation, no pixel in two of them, depth and the like where the masks are.

    records: each with where it is, for people. image: checked to have its size. extras: by kind, the image's pixels,
    or in words why they cannot be read.
    """
    height, width = image["height"], image["width"]
    masks: dict[int, Record] = {}
    where_of: dict[int, str] = {}
    for record, there in records:
        mask, amodal = (sound_mask(record.get(name), height, width) for name in ("segmentation", "amodal_segmentation"))
        if isinstance(mask, str) or isinstance(amodal, str):
            found = f"segmentation: {mask}" if isinstance(mask, str) else f"amodal_segmentation: {amodal}"
            yield Violation(there, found)
            continue
        yield from check_masks(record, mask, amodal, there)
        instance = record.get("instance")
        if type(instance) is not int or not 1 <= instance <= MAX_INSTANCE or instance in masks:
            yield Violation(there, f"instance {instance!r}, expected a number of its own in the image")
        else:
            masks[instance], where_of[instance] = mask, there
    regions = MaskMap(height, width)
    if extras or (masks and shared_pixels(list(masks.values()))):
        for instance, mask in masks.items():
            if shared := regions.add(instance, mask):
                yield Violation(where_of[instance], f"{shared} pixels also belong to another mask")
    for kind, pixels in extras.items():
        yield from (
            [Violation(where, pixels)] if isinstance(pixels, str) else EXTRA_CHECKS[kind][0](pixels, regions, where)
        )
