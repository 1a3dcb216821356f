"""Rendered products pasted into photographs, with the light, noise and blur of the place; labels are made anew.

Cut out by their masks as Dwibedi et al., "Cut, paste and learn", ICCV 2017. A product keeps its row of the picture, and
with it the size and the pose it has at that distance, and stands anywhere along it; those below hide those above.
Products that a photograph shows by itself have no labels: what a detector learns from them is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dataset.images import read_image
from dataset.masks import compressed_mask, decode_mask, encode_crop
from dataset.records import AnnotationRecord, ImageLabels
from pipeline.refine.edges import edge_map
from pipeline.refine.light import Light, LightMeter, match_light
from pipeline.refine.methods import Pixels, Preparation, RefinedPicture, RefinePicture, SourcePicture
from pipeline.refine.photos import cover
from pipeline.refine.settings import PasteSettings, RefineSettings

LABELS: Final = "new"
DONORS: Final = 2
Mask = NDArray[np.bool_]
# Products of fewer pixels a side are left out; of a picture and its donors at most so many are pasted.
MIN_SIDE, MAX_PRODUCTS = 14, 14
# Places tried for each product, and parts of a photograph of which the calmest is taken.
TRIES, PARTS = 12, 6
ZOOM = (1.0, 1.5)
# Sigma of the soft outline, and how far it reaches, pixels.
SOFT_PX, SOFT_MARGIN = 0.6, 2
# Below this share seen, labels say ignore.
MIN_VISIBLE = 0.1


@dataclass(frozen=True, eq=False)
class CutOut:
    """A product cut out of a picture. pixels: (h, w, 3). mask: (h, w). bottom: row below it, as a share of the height.

    light: of the picture around it.
    """

    record: AnnotationRecord
    pixels: Pixels
    mask: Mask
    bottom: float
    light: Light


@dataclass(frozen=True, eq=False)
class Pasted:
    """A cut-out with the column and row of its upper left pixel."""

    cut: CutOut
    x: int
    y: int

    def window(self, height: int, width: int) -> tuple[slice, slice]:
        h, w = self.cut.mask.shape
        return slice(self.y, self.y + h), slice(self.x, self.x + w)


def prepare(settings: RefineSettings, task: Preparation) -> None:
    """Nothing is prepared."""


def open_method(settings: RefineSettings) -> RefinePicture:
    """Return the function that makes a picture."""
    own = settings.paste

    def refine(picture: SourcePicture, photo: Pixels, strength: float, rng: np.random.Generator) -> RefinedPicture:
        height, width = picture.pixels.shape[:2]
        background = choose_background(photo, width, height, own.backgrounds, rng)
        cuts = list(cut_outs(picture.pixels, picture.labels, own))
        for donor in picture.donors:
            size = donor.labels.image.size
            if size is not None:
                cuts += cut_outs(read_image(donor.data, *size), donor.labels, own)  # type: ignore[arg-type]
        chosen = [cuts[int(place)] for place in rng.permutation(len(cuts))[:MAX_PRODUCTS]]
        pasted = place_all(chosen, width, height, own.max_hidden, rng)
        plain, matched = compose(background, pasted, strength, rng)
        return RefinedPicture(matched, plain, annotate(pasted, width, height))

    return refine


def choose_background(photo: Pixels, width: int, height: int, kind: str, rng: np.random.Generator) -> Pixels:
    """Return a part of a photograph; of one that shows products the part with the weakest edges of a few."""
    parts = [cover(photo, width, height, rng, zoom=float(rng.uniform(*ZOOM))) for _ in range(PARTS)]
    if kind == "empty":
        return parts[0]
    return min(parts, key=lambda part: float(edge_map(part)[0].mean()))


def cut_outs(pixels: Pixels, labels: ImageLabels, settings: PasteSettings) -> Iterator[CutOut]:
    """Cut the products out of a picture that are seen nearly whole."""
    height, width = pixels.shape[:2]
    meter = LightMeter(pixels)
    for record in labels.annotations:
        seen = (1.0 if record.visibility is None else record.visibility) * (1 - (record.truncation or 0.0))
        mask = compressed_mask(record.segmentation, height, width)
        if record.ignored or seen < settings.min_seen or not isinstance(mask, bytes) or not mask:
            continue
        whole = decode_mask(mask, height, width).astype(bool)
        rows, columns = (np.flatnonzero(whole.any(axis=axis)) for axis in (1, 0))
        if min(len(rows), len(columns)) < MIN_SIDE:
            continue
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        part = whole[y0:y1, x0:x1]
        light = meter.measure((x0, y0, x1, y1), whole)
        yield CutOut(record, pixels[y0:y1, x0:x1].copy(), part, y1 / height, light)


def place_all(
    cuts: Sequence[CutOut], width: int, height: int, max_hidden: float, rng: np.random.Generator
) -> list[Pasted]:
    """Place products along their rows, from the farthest to the nearest; those without room are left out."""
    placed: list[Pasted] = []
    owner = np.full((height, width), -1, np.int32)
    for cut in sorted(cuts, key=lambda one: one.bottom):
        h, w = cut.mask.shape
        if w > width or h > height:
            continue
        y = min(max(round(cut.bottom * height) - h, 0), height - h)
        for x in rng.integers(width - w + 1, size=TRIES).tolist():
            window = owner[y : y + h, x : x + w]
            if _hides_little(window, cut.mask, placed, owner, max_hidden):
                window[cut.mask] = len(placed)
                placed.append(Pasted(cut, x, y))
                break
    return placed


def _hides_little(
    window: NDArray[np.int32], mask: Mask, placed: Sequence[Pasted], owner: NDArray[np.int32], max_hidden: float
) -> bool:
    """Whether all products that are there would still be seen enough of."""
    hidden = window[mask]
    for number in np.unique(hidden[hidden >= 0]).tolist():
        left = int((owner == number).sum() - (hidden == number).sum())
        if left < (1 - max_hidden) * placed[number].cut.mask.sum():
            return False
    return True


def compose(
    background: Pixels, pasted: Sequence[Pasted], strength: float, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Return two pictures (H, W, 3): products as they were rendered, and with the light of their places."""
    height, width = background.shape[:2]
    plain, matched = background.astype(np.float32), background.astype(np.float32)
    meter = LightMeter(background)
    for one in pasted:
        rows, columns = one.window(height, width)
        box = (columns.start, rows.start, columns.stop, rows.stop)
        fitted = match_light(one.cut.pixels, one.cut.light, meter.measure(box), strength, rng)
        shade = 1 - _shadow(one.cut.mask, box, height, width)[:, :, None]
        for canvas, pixels in ((plain, one.cut.pixels.astype(np.float32)), (matched, fitted)):
            canvas *= shade
            _lay_over(canvas, pixels, one)
    done = [np.clip(canvas + 0.5, 0, 255).astype(np.uint8) for canvas in (plain, matched)]
    return done[0], done[1]


def _lay_over(canvas: NDArray[np.float32], pixels: NDArray[np.float32], one: Pasted) -> None:
    """Lay a product over a picture (H, W, 3) with a soft outline; its colours are continued beyond its mask.

    Pixels of the outline are half old background: their colours are those of the nearest pixel inside.
    """
    import cv2

    mask = np.pad(one.cut.mask.astype(np.uint8), SOFT_MARGIN)
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
    if not inner.any():
        inner = mask
    _, nearest = cv2.distanceTransformWithLabels(1 - inner, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    ys, xs = np.nonzero(inner)
    source = np.zeros((int(nearest.max()) + 1, 2), np.int64)
    source[nearest[ys, xs]] = np.column_stack([ys, xs])
    padded = np.pad(pixels, ((SOFT_MARGIN,) * 2, (SOFT_MARGIN,) * 2, (0, 0)))
    filled = np.where(inner[:, :, None] > 0, padded, padded[source[nearest][..., 0], source[nearest][..., 1]])
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SOFT_PX)
    height, width = canvas.shape[:2]
    top, left = one.y - SOFT_MARGIN, one.x - SOFT_MARGIN
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + mask.shape[0], height), min(left + mask.shape[1], width)
    inside = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    canvas[y0:y1, x0:x1] += alpha[inside][:, :, None] * (filled[inside] - canvas[y0:y1, x0:x1])


def _shadow(mask: Mask, box: tuple[int, int, int, int], height: int, width: int) -> NDArray[np.float32]:
    """Return the darkness (H, W), 0..1, of the soft shadow where a product stands."""
    import cv2

    x0, _, x1, y1 = box
    columns = np.flatnonzero(mask.any(axis=0))
    lowest = len(mask) - mask[::-1, columns].argmax(axis=0)
    depth = max(round(0.12 * (x1 - x0)), 2)
    ground = np.zeros((height, width), np.float32)
    for column, row in zip((x0 + columns).tolist(), (y1 - len(mask) + lowest).tolist(), strict=True):
        if row >= y1 - 0.35 * len(mask):
            ground[max(row - depth, 0) : row + depth // 2 + 1, column] = 1
    return np.asarray(0.55 * cv2.GaussianBlur(ground, (0, 0), max(depth / 1.5, 1.0)), dtype=np.float32)


def annotate(pasted: Sequence[Pasted], width: int, height: int) -> list[AnnotationRecord]:
    """Return the labels of products by the order in which they hide each other, without ids."""
    owner = np.zeros((height, width), np.int32)
    for number, one in enumerate(pasted, 1):
        owner[one.window(height, width)][one.cut.mask] = number
    found = []
    for number, one in enumerate(pasted, 1):
        seen = owner == number
        rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        visibility = round(float(seen.sum() / one.cut.mask.sum()), 6)
        h, w = one.cut.mask.shape
        found.append(
            AnnotationRecord(
                category_id=one.cut.record.category_id,
                sku=one.cut.record.sku,
                instance=number,
                bbox=[float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
                area=float(seen.sum()),
                iscrowd=0,
                segmentation=encode_crop(seen[y0:y1, x0:x1], x0, y0, height, width),
                visibility=visibility,
                truncation=0.0,
                amodal_bbox=[float(one.x), float(one.y), float(w), float(h)],
                amodal_segmentation=encode_crop(one.cut.mask, one.x, one.y, height, width),
                ignore=int(visibility < MIN_VISIBLE),
            )
        )
    return found
