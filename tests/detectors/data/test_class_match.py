"""Classes of several data sets: by key, else by name, never by position."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import SynthError
from detectors.data.class_match import ClassChoice, match_classes
from detectors.data.image_set import IGNORED, Classes, ImageSet
from support.errors import raises
from support.evaluate_cases import image_set

Pairs = list[tuple[str, str]]


def a_set(name: str, pairs: Pairs) -> ImageSet:
    """One image with a box of every class, and one more box of unknown class."""
    classes = Classes(tuple(key for key, _ in pairs), tuple(text for _, text in pairs))
    labels = [*range(len(pairs)), IGNORED]
    images = image_set(1, [(0, label, [i, 0.0, i + 1.0, 1.0]) for i, label in enumerate(labels)], classes)
    return replace(images, name=name)


SYNTHETIC: Pairs = [("cola-1", "Cola"), ("soup-1", "Alphabet Soup"), ("tea-1", "Tea")]


@pytest.mark.parametrize(
    ("real", "matched"),
    [
        (SYNTHETIC, [0, 1, 2]),
        (SYNTHETIC[::-1], [2, 1, 0]),  # another order
        (SYNTHETIC[1:2], [1]),  # fewer
        ([("tea-1", "Other words")], [2]),  # the key counts, whatever the name
        ([("Cola", "Cola"), ("Tea", "Tea")], [0, 2]),  # no SKUs: names are the keys
        ([("alphabet_soup", "alphabet_soup")], [1]),  # case and blanks do not count
        ([("x", "X"), ("tea-1", "Tea")], [3, 2]),  # one more
        ([("9", "Cola"), ("cola-1", "Diet")], [3, 0]),  # the key has been taken: the name alone is not enough
        ([("cola-1", "Tea"), ("tea-1", "Cola")], [0, 2]),  # names crossed
    ],
)
def test_classes_are_matched(real: Pairs, matched: list[int]) -> None:
    sets = [a_set("synthetic", SYNTHETIC), a_set("real", real)]
    match = match_classes(sets)
    assert match.classes.keys[:3] == ("cola-1", "soup-1", "tea-1")
    assert sets[0].relabelled(match.classes).labels.tolist() == [0, 1, 2, IGNORED]
    assert sets[1].relabelled(match.classes).labels.tolist() == [*matched, IGNORED]
    assert len(match.classes) == max(3, *(label + 1 for label in matched))


def test_classes_of_one_side_are_told() -> None:
    match = match_classes([a_set("synthetic", SYNTHETIC), a_set("real", [("tea-1", "Tea"), ("x", "X")])])
    assert match.notes == ("2 classes only in synthetic: cola-1, soup-1", "1 class only in real: x")


def test_matches_by_name_are_told_since_two_products_may_bear_one_name() -> None:
    match = match_classes(
        [a_set("synthetic", SYNTHETIC), a_set("real", [("4006", "Cola"), ("soup-1", "-"), ("tea-1", "-")])]
    )
    assert match.notes == ("1 class matched by name, not by key: 4006 of real is cola-1",)


def test_nothing_in_common_is_told() -> None:
    sets = [a_set("synthetic", SYNTHETIC), a_set("real", [("x", "X")])]
    assert "no class is in more than one data set" in match_classes(sets).notes[-1]
    with raises("classes-disjoint") as error:
        match_classes(sets, "common")
    assert "real: x" in str(error.value)


def test_common_keeps_what_all_have_and_ignores_the_rest() -> None:
    sets = [a_set("synthetic", SYNTHETIC), a_set("real", [("tea-1", "Tea"), ("x", "X"), ("Cola", "Cola")])]
    match = match_classes(sets, "common")
    assert match.classes.keys == ("cola-1", "tea-1")
    assert sets[0].relabelled(match.classes).labels.tolist() == [0, IGNORED, 1, IGNORED]
    labelled = sets[1].relabelled(match.classes)
    assert labelled.labels.tolist() == [1, IGNORED, 0, IGNORED]
    # Left out is left out: what a box of no class really is, the evaluation does not ask.
    assert labelled.true_labels.tolist() == [1, IGNORED, 0, IGNORED]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # Two sizes of one name here, one label there: a guess would teach one of them wrongly.
        ([("c-1", "Cola"), ("c-2", "Cola")], [("Cola", "Cola")]),
        ([("c-1", "Cola"), ("c-2", "COLA")], [("cola", "cola")]),
        # Told apart by their keys in data sets: the bare name is still that of both.
        ([("c-1", "Cola"), ("c-2", "Cola (c-2)")], [("Cola", "Cola")]),
        # Two labels there, one product here.
        ([("c-1", "Cola")], [("Cola", "Cola"), ("cola", "cola")]),
        ([("c-1", "Cola")], [("9", "Cola"), ("8", "Cola")]),
    ],
)
def test_ambiguous_names_are_refused(first: Pairs, second: Pairs) -> None:
    with raises("classes-ambiguous") as error:
        match_classes([a_set("synthetic", first), a_set("real", second)])
    assert "c-1" in str(error.value) and "field sku" in str(error.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cola 1.5", "Cola 15"),  # a point between digits counts
        ("A-1-1", "A-11"),
        ("!!!", "???"),  # nothing but punctuation
        ("水", "茶"),  # letters of any script
    ],
)
def test_names_that_differ_in_more_than_blanks_are_apart(one: str, other: str) -> None:
    assert len(match_classes([a_set("a", [("1", one)]), a_set("b", [("2", other)])]).classes) == 2


def test_the_very_name_goes_before_one_that_is_alike() -> None:
    match = match_classes([a_set("a", [("c-1", "Cola"), ("c-2", "COLA")]), a_set("b", [("COLA", "COLA")])])
    assert match.classes.keys == ("c-1", "c-2") and "COLA of b is c-2" in match.notes[1]


def test_a_name_with_its_key_appended_is_known() -> None:
    match = match_classes([a_set("a", [("c-1", "Cola"), ("c-2", "Cola (c-2)")]), a_set("b", [("x", "Cola (c-2)")])])
    assert match.classes.keys == ("c-1", "c-2") and "x of b is c-2" in match.notes[1]


def test_ignored_boxes_stay_ignored_but_keep_what_they_are() -> None:
    images = a_set("real", SYNTHETIC)
    images = replace(images, labels=np.full(4, IGNORED, np.int32))
    labelled = images.relabelled(Classes(("tea-1", "cola-1"), ("Tea", "Cola")))
    assert labelled.labels.tolist() == [IGNORED] * 4
    assert labelled.true_labels.tolist() == [1, IGNORED, 0, IGNORED]
    assert labelled.labels.dtype == labelled.true_labels.dtype == np.int32


names = st.lists(st.text("abcDE _-", min_size=1, max_size=4), min_size=1, max_size=5, unique=True)


@given(first=names, second=names, choice=st.sampled_from(["all", "common"]))
def test_every_box_keeps_its_name_or_is_ignored(first: list[str], second: list[str], choice: ClassChoice) -> None:
    def letters(name: str) -> str:
        return re.sub("[ _-]", "", name.casefold())

    sets = [a_set("a", [(name, name) for name in first]), a_set("b", [(name, name) for name in second])]
    try:
        match = match_classes(sets, choice)
    except SynthError:
        return
    for images in sets:
        for before, after in zip(images.labels, images.relabelled(match.classes).labels, strict=True):
            if before == IGNORED or after == IGNORED:
                assert after == IGNORED and (before == IGNORED or choice == "common")
            else:
                assert letters(images.classes.keys[before]) == letters(match.classes.keys[after])


@given(order=st.permutations(range(3)))
def test_the_order_of_categories_means_nothing(order: list[int]) -> None:
    shuffled = a_set("real", [SYNTHETIC[place] for place in order])
    match = match_classes([a_set("synthetic", SYNTHETIC), shuffled])
    assert match.classes.keys == tuple(key for key, _ in SYNTHETIC) and not match.notes
    assert shuffled.relabelled(match.classes).labels.tolist() == [*order, IGNORED]
