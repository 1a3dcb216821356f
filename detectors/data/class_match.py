"""Merge the classes of several data sets into one list: matched by SKU key, else by name, never by position."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.plurals import count_of, join_few
from dataset.categories import bare_name

# Label of a box that is neither target nor background: a crowd, a barely visible product, an excluded class.
IGNORED = -1
ClassChoice = Literal["all", "common", "product"]


@dataclass(frozen=True)
class Classes:
    """The classes of a detector or data set. Label i is keys[i] everywhere in `detectors` (i + 1 inside torchvision).

    keys: SKUs, or category names of a third-party data set. names: for display, one for each key.
    """

    keys: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.names) or len(set(self.keys)) != len(self.keys):
            raise ValueError("every class needs one key of its own and one name")

    def __len__(self) -> int:
        return len(self.keys)


# The only class of a class-agnostic detector, whose detections are identified by their embeddings.
PRODUCT = Classes(("product",), ("product",))
MAX_LISTED = 10


class Classified(Protocol):
    """A data set, reduced to what matching classes needs. root: its location."""

    @property
    def name(self) -> str: ...

    @property
    def root(self) -> object: ...

    @property
    def classes(self) -> Classes: ...


@dataclass(frozen=True)
class ClassMatch:
    """Merged classes of several data sets. notes: messages, such as on classes that only one of the sets has."""

    classes: Classes
    notes: tuple[str, ...]


def match_classes(sets: Sequence[Classified], choice: ClassChoice = "all") -> ClassMatch:
    """Merge the classes of several sets: those of the first one, then those that only later ones have.

    choice: "common" keeps only classes that all sets have; "product" merges all. Raises SynthError if none is left.
    """
    if choice == "product":
        return ClassMatch(PRODUCT, (_agnostic_note(sets),))
    keys: list[str] = []
    names: list[str] = []
    having: list[list[str]] = []
    renamed: list[str] = []
    for images in sets:
        known = Classes(tuple(keys), tuple(names))
        for key, name, label in zip(images.classes.keys, images.classes.names, labels_in(known, images), strict=True):
            if label is None:
                keys.append(key)
                names.append(name)
                having.append([])
                label = len(keys) - 1
            elif keys[label] != key:
                renamed.append(f"{key} of {images.name} is {keys[label]}")
            having[label].append(images.name)
    notes = [_only_in(images.name, keys, having, sets) for images in sets]
    if renamed:
        notes.append(f"{count_of(len(renamed), 'class')} matched by name, not by key: {join_few(renamed, MAX_LISTED)}")
    if len(sets) > 1 and all(len(owners) == 1 for owners in having):
        notes.append("no class is in more than one data set: do they use the same names for the same products?")
    kept = [place for place, owners in enumerate(having) if choice == "all" or len(owners) == len(sets)]
    if not kept:
        listed = "; ".join(f"{images.name}: {join_few(images.classes.keys, MAX_LISTED)}" for images in sets)
        hint = "categories are matched by their sku field, else by name"
        raise SynthError("the data sets have no class in common", code="classes-disjoint", found=listed, hint=hint)
    classes = Classes(tuple(keys[place] for place in kept), tuple(names[place] for place in kept))
    return ClassMatch(classes, tuple(note for note in notes if note))


def label_table(classes: Classes, images: Classified) -> NDArray[np.int32]:
    """Return (K,) the label in `classes` of each class of `images`, else IGNORED; all 0 for the one class "product"."""
    if is_agnostic(classes):
        return np.zeros(len(images.classes), np.int32)
    return np.array([IGNORED if label is None else label for label in labels_in(classes, images)], np.int32)


def is_agnostic(classes: Classes) -> bool:
    """Return whether these classes are the single class "product" of a class-agnostic detector."""
    return classes.keys == PRODUCT.keys


def _agnostic_note(sets: Sequence[Classified]) -> str:
    counts = ", ".join(f"{len(images.classes)} of {images.name}" for images in sets)
    return f"one class, {PRODUCT.keys[0]}, for all classes ({counts}): products are identified by their embeddings"


def rename_classes(images: Classified, known: Classes) -> Classes:
    """Return the classes of `images` in their order, with the keys and names that matching classes have in `known`."""
    pairs = zip(labels_in(known, images), images.classes.keys, images.classes.names, strict=True)
    renamed = [(key, name) if label is None else (known.keys[label], known.names[label]) for label, key, name in pairs]
    return Classes(tuple(key for key, _ in renamed), tuple(name for _, name in renamed))


def labels_in(classes: Classes, images: Classified) -> list[int | None]:
    """Return the label in `classes` of each class of `images`, else None. Raises SynthError for ambiguous matches."""
    by_key = {key: label for label, key in enumerate(classes.keys)}
    names = _Names(classes, images)
    labels: list[int | None] = []
    for key, name in zip(images.classes.keys, images.classes.names, strict=True):
        labels.append(by_key[key] if key in by_key else names.find(name))
    taken = [label for label in labels if label is not None]
    if len(set(taken)) != len(taken):
        twice = sorted({classes.keys[label] for label in taken if taken.count(label) > 1})
        raise _ambiguous("two categories of one data set match the same class of another", images, tuple(twice))
    return labels


class _Names:
    """Lookup tables of classes by name, since a catalogue may have 170,000 of them."""

    def __init__(self, classes: Classes, images: Classified) -> None:
        self.classes, self.images = classes, images
        # Classes whose key is in both sets are matched by key alone, as several may share a name.
        own = set(images.classes.keys)
        self.tables: list[tuple[Callable[[str], str], dict[str, list[int]]]] = [(str, {}), (_plain, {})]
        for label, key in enumerate(classes.keys):
            if key not in own:
                # A key is appended to a name that several classes share, so the bare name is looked up, too.
                names = dict.fromkeys((classes.names[label], bare_name(classes.names[label], key)))
                for form, table in self.tables:
                    for spelt in dict.fromkeys(map(form, names)):
                        table.setdefault(spelt, []).append(label)

    def find(self, name: str) -> int | None:
        """Return the class of that name, else one of a similar name (see _plain). Raises SynthError for several."""
        for form, table in self.tables:
            found = table.get(form(name), [])
            if len(found) > 1:
                keys = tuple(self.classes.keys[label] for label in found)
                raise _ambiguous(f"the category {name!r} matches several classes", self.images, keys)
            if found:
                return found[0]
        return None


def _ambiguous(what: str, images: Classified, keys: tuple[str, ...]) -> SynthError:
    hint = "give the categories a field sku with the key of the product"
    where, found = f"{images.name} ({images.root})", join_few(keys, MAX_LISTED)
    return SynthError(what, code="classes-ambiguous", where=where, found=found, hint=hint)


def _plain(name: str) -> str:
    """Normalise a name: "Alphabet Soup" and "alphabet_soup" become equal, 1.5 and 15 do not."""
    apart = re.sub(r"(?<=\d)[\W_]+(?=\d)", ".", name.casefold())
    return "".join(letter for letter in apart if letter.isalnum() or letter == ".") or name


def _only_in(name: str, keys: list[str], having: list[list[str]], sets: Sequence[Classified]) -> str:
    alone = [key for key, owners in zip(keys, having, strict=True) if owners == [name]]
    if not alone or len(sets) == 1:
        return ""
    return f"{count_of(len(alone), 'class')} only in {name}: {join_few(alone, MAX_LISTED)}"
