"""The index of a set: what the grid and the filters need of every picture and every box, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.records import AnnotationRecord, CategoryRecord, names_by_id, sku_of
from dataset.shop import SIDES
from dataset.store import StoredImage
from dataset.values import whole_number
from pipeline.view.layers import LAYERS
from pipeline.view.pieces import PICTURES, MadePiece
from pipeline.view.rows import BoxFacets, text_of
from pipeline.view.scripts import packed, write_script
from pipeline.view.thumbs import CELL_HEIGHT, CELL_WIDTH, COLUMNS

# Quarters of a pixel in which sides of boxes are told.
QUARTERS = 4
MAX_UINT16 = 65535


class Names:
    """Texts by number, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Any:
        return iter(self._numbers)


class CategoryTable:
    """The categories of a set by number: those that it declares, then SKUs that only annotations name."""

    def __init__(self, categories: Sequence[CategoryRecord]) -> None:
        self.keys, self._names = Names(), names_by_id(categories)
        self._of_id: dict[int | None, int] = {}
        self.rows: list[list[str]] = []
        for one in categories:
            number = self.keys.number(one.key or "?")
            self._of_id[whole_number(one.value("id"))] = number
            if number == len(self.rows):
                self.rows.append([one.key or "?", one.shown, text_of(one.value("supercategory") or "")])

    def number_of_id(self, number: int) -> int:
        """Return the number of a category by its id; one that the set does not have is added."""
        if number not in self._of_id:
            key = f"category {number}"
            self._of_id[number] = self.keys.number(key)
            self.rows.append([key, key, ""])
        return self._of_id[number]

    def number(self, record: AnnotationRecord) -> int:
        """Return the number of the category of an annotation."""
        if record.sku is None and (known := self._of_id.get(record.category_id)) is not None:
            return known
        key = sku_of(record, self._names)
        number = self.keys.number(key)
        if number == len(self.rows):
            self.rows.append([key, key, ""])
        return number


@dataclass
class SetIndex:
    """The index of a set while it is read. ids: of the images. sizes, boxes: columns of each piece, in order.

    folders: that files of pictures lie in.
    """

    categories: CategoryTable
    names: list[str] = field(default_factory=list)
    splits: Names = field(default_factory=Names)
    recipes: Names = field(default_factory=Names)
    sources: Names = field(default_factory=Names)
    split: array[int] = field(default_factory=lambda: array("H"))
    recipe: array[int] = field(default_factory=lambda: array("H"))
    source: array[int] = field(default_factory=lambda: array("H"))
    ids: array[int] = field(default_factory=lambda: array("q"))
    sizes: list[NDArray[np.int32]] = field(default_factory=list)
    boxes: list[BoxFacets] = field(default_factory=list)
    light: list[NDArray[np.float32]] = field(default_factory=list)
    layers: set[str] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)

    def add(self, split: str, stored: StoredImage) -> list[int]:
        """Take an image; return the category of each of its annotations."""
        labels, image = stored.labels, stored.labels.image
        if isinstance(stored.data, Path):
            self.folders.add(stored.data.parent)
        # Whole, however long: exported lists name images by it.
        self.names.append(image.file_name or text_of(image.value("file_name") or ""))
        self.split.append(self.splits.number(split))
        self.recipe.append(min(self.recipes.number(image.recipe or ""), MAX_UINT16))
        self.source.append(min(self.sources.number(image.backend or "not rendered"), MAX_UINT16))
        number = whole_number(image.value("id"))
        self.ids.append(-(2**63) if number is None else number)
        return [self.categories.number(record) for record in labels.annotations]

    def add_piece(self, piece: MadePiece) -> None:
        """Take the columns of the next piece."""
        self.sizes.append(piece.sizes)
        self.boxes.append(piece.boxes)
        self.light.append(piece.light)
        self.layers.update(piece.layers)

    def write(self, folder: Path, key: str, title: str, boxes: BoxFacets) -> None:
        """Write index.js, needed for the first paint, and boxes.js, needed for filters. boxes: all of the set."""
        self._write_pictures(folder / "index.js", key, title, np.concatenate(self.sizes))
        starts = np.zeros(len(boxes.counts) + 1, np.uint32)
        np.cumsum(boxes.counts, out=starts[1:])
        sides = np.clip(np.nan_to_num(boxes.xywh[:, 2:]) * QUARTERS + 0.5, 0, MAX_UINT16).astype(np.uint16)
        columns: dict[str, NDArray[Any]] = {
            "starts": starts,
            "category": boxes.category.astype(np.uint32),
            "width": sides[:, 0],
            "height": sides[:, 1],
            "visibility": boxes.visibility,
            "truncation": boxes.truncation,
            "view": boxes.view,
            "ignored": boxes.ignored,
        }
        light = np.concatenate(self.light)
        columns |= {"measured": light[:, 0].astype(np.uint32), "brightness": light[:, 1], "sharpness": light[:, 2]}
        content = {name: packed(values) for name, values in columns.items()}
        write_script(folder / "boxes.js", f"{key}/boxes", content)

    def _write_pictures(self, file: Path, key: str, title: str, sizes: NDArray[np.int32]) -> None:
        content = {
            "title": title,
            "pictures": PICTURES,
            "cell": [CELL_WIDTH, CELL_HEIGHT, COLUMNS],
            "names": self.names,
            "splits": list(self.splits),
            "recipes": list(self.recipes),
            "sources": list(self.sources),
            "split": packed(np.array(self.split, np.uint16)),
            "recipe": packed(np.array(self.recipe, np.uint16)),
            "source": packed(np.array(self.source, np.uint16)),
            "size": packed(sizes.astype(np.uint32)),
            "categories": self.categories.rows,
            "layers": [name for name in (*LAYERS, "scenes") if name in self.layers],
            "views": SIDES,
        }
        write_script(file, f"{key}/index", content)
