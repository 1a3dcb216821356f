"""What a preview is made of: images with their instances, whatever kind of data set they are from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError, unknown_name
from assets.files.image_input import open_image
from assets.options import Option
from dataset.records import AnnotationRecord, sku_of
from dataset.shop import ShopRecords
from dataset.values import number

T = TypeVar("T")
Style = Literal["outline", "mask", "box"]
STYLES: tuple[Style, ...] = ("outline", "mask", "box")
# Orientation tag of EXIF.
ORIENTATION = 0x0112


@dataclass(frozen=True)
class PreviewSettings:
    """What is shown. skus, below_visibility: only instances of these SKUs, only those visible to less than this share.

    images: where the images of a COCO file lie, if not beside it.
    """

    count: Annotated[int, Option("Images shown.", "Output", minimum=1, maximum=400)] = 12
    skus: Annotated[
        tuple[str, ...],
        Option("Only images with this SKU, with only its instances outlined. Repeatable.", "Filters", "--sku"),
    ] = ()
    below_visibility: Annotated[
        float | None, Option("Only instances less visible than this fraction.", "Filters", minimum=0, maximum=1)
    ] = None
    style: Annotated[Style, Option("Drawing style of the instances.", "Output")] = "outline"
    shop: Annotated[
        bool,
        Option("Also price tags, gaps and shelf lines, in the colours of the products that belong there.", "Output"),
    ] = False
    images: Annotated[
        Path | None, Option("Folder of the images, if they are not beside their COCO file.", "Data", exists="folder")
    ] = None

    @property
    def filters(self) -> bool:
        """Whether only some instances are wanted."""
        return bool(self.skus) or self.below_visibility is not None

    def wants(self, record: AnnotationRecord, sku: str) -> bool:
        """Whether an annotation is to be shown."""
        if self.skus and sku not in self.skus:
            return False
        return self.below_visibility is None or number(record.visibility) < self.below_visibility

    def described(self) -> str:
        """The filters in words, empty where there are none."""
        words = [f"SKU {' or '.join(self.skus)}"] if self.skus else []
        if self.below_visibility is not None:
            words.append(f"less than {100 * self.below_visibility:g} % visible")
        return ", ".join(words)


@dataclass(frozen=True)
class PreviewImage:
    """An image to draw. data: its file, or what stands in it. records: annotations that are drawn.

    size: width and height that its labels count in, None if they do not say. names: category id -> SKU. exact:
    whether a mask that cannot be read is a mistake, as in sets of our own, or left out. shop: labels of shops, if they
    are to be drawn.
    """

    where: str
    data: bytes | Path
    size: tuple[int, int] | None
    records: Sequence[AnnotationRecord]
    names: Mapping[int | None, str]
    exact: bool = False
    shop: ShopRecords | None = None

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB as the labels count pixels. Raises SynthError if it cannot be read."""
        from PIL import ImageOps

        with open_image(self.data, self.where, "the image") as image:
            # Where sizes do not tell whether labels count the image as turned, it is drawn as viewers show it.
            plain = self.size == image.size or image.getexif().get(ORIENTATION, 1) == 1
            return np.array((image if plain else ImageOps.exif_transpose(image)).convert("RGB"))

    def sku_of(self, record: AnnotationRecord) -> str:
        """The SKU of an annotation."""
        return sku_of(record, self.names)


@dataclass(frozen=True)
class PreviewSource:
    """The images that were chosen. total: number of images of the whole set."""

    name: str
    images: Sequence[PreviewImage]
    total: int


def check_skus(settings: PreviewSettings, known: Iterable[str], where: str) -> None:
    """Raise SynthError for a SKU that the set does not have."""
    names = sorted(set(known))
    for sku in settings.skus:
        if sku not in names:
            raise unknown_name("SKU", sku, names, code="unknown-sku", where=where)


def nothing_wanted(settings: PreviewSettings, where: str, visibility_known: bool) -> SynthError:
    """The error for filters that leave nothing. visibility_known: whether annotations say how visible they are."""
    hint = None
    if settings.below_visibility is not None and not visibility_known:
        hint = "no annotation has the field visibility; those of rendered sets do"
    return SynthError(
        "no instance is left to draw", code="filter-empty", where=where, expected=settings.described(), hint=hint
    )


def choose(wanted: Sequence[T], count: int) -> list[T]:
    """At most `count` of the images that have something to show, evenly spread."""
    places = {int(place) for place in np.linspace(0, len(wanted) - 1, min(count, len(wanted)))}
    return [wanted[place] for place in sorted(places)]


def kept_records(
    records: Sequence[AnnotationRecord], names: Mapping[int | None, str], settings: PreviewSettings
) -> list[AnnotationRecord]:
    """The annotations of an image that are drawn."""
    return [record for record in records if settings.wants(record, sku_of(record, names))]
