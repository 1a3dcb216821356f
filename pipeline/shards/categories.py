"""The categories of several data sets as one list: one for each SKU, whatever ids and names the sets gave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from assets.errors import SynthError
from assets.plurals import count_of, join_few
from dataset.categories import unique_names
from dataset.records import CategoryRecord


def unite_categories(
    sets: Sequence[list[CategoryRecord]], names: Sequence[str]
) -> tuple[list[dict[int, CategoryRecord]], list[str]]:
    """Of each set: its category ids to the records that they become; and what people should know about it.

    One SKU is one category, as the first set that has it says. An id that is another SKU's already is assigned again,
    above all ids of all sets; a name that another SKU has already gets the SKU appended.
    """
    by_key: dict[str, CategoryRecord] = {}
    taken: set[int] = set()
    free = 1 + max((record.id for records in sets for record in records if record.id is not None), default=0)
    kinds: list[dict[int, CategoryRecord]] = []
    notes: list[str] = []
    for name, records in zip(names, sets, strict=True):
        moved: list[str] = []
        differing = 0
        own: dict[int, CategoryRecord] = {}
        for record in records:
            number, key = record.id, record.key
            if number is None or key is None or number in own:
                raise SynthError(
                    "categories need unique ids and keys",
                    code="categories-invalid",
                    where=name,
                    found=str(record.content())[:200],
                )
            if key not in by_key:
                fresh = free if number in taken else number
                free += number in taken
                by_key[key] = replace(record, id=fresh)
                taken.add(fresh)
            target = by_key[key]
            differing += _described(replace(record, id=target.id)) != _described(target)
            own[number] = target
            if target.id != number:
                moved.append(f"{key}: {number} is now {target.id}")
        if len({record.id for record in own.values()}) < len(own):
            raise SynthError("two categories of one set have the same SKU", code="categories-invalid", where=name)
        if moved:
            some = join_few(moved, separator="; ")
            notes.append(f"{name}: {count_of(len(moved), 'category')} have other ids ({some})")
        if differing:
            notes.append(f"{name}: {differing} categories are described otherwise than before: the first one counts")
        kinds.append(own)
    renamed = _with_unique_names(by_key)
    if renamed:
        notes.append(f"{len(renamed)} categories have the name of another SKU: theirs has the SKU appended")
    return [{number: renamed.get(record.id or 0, record) for number, record in own.items()} for own in kinds], notes


def _described(record: CategoryRecord) -> CategoryRecord:
    """A category with the name that people gave it: its own name depends on the set that it was in."""
    return replace(record, name=record.shown, display_name=record.shown)


def _with_unique_names(by_key: Mapping[str, CategoryRecord]) -> dict[int, CategoryRecord]:
    """The categories whose names others have already, by id, each with a name of its own."""
    words = {key: record.name for key, record in by_key.items() if record.name is not None}
    names = unique_names(words.items())
    return {
        by_key[key].id or 0: replace(by_key[key], name=name, display_name=by_key[key].shown)
        for key, name in names.items()
        if name != words[key]
    }
