"""Whether an image, its depth, normals, ids and masks show one scene: cheap checks, made of every rendered image.

Some pixels are traced again where the products are at hand. Everywhere the stored images have to agree with each other,
and the picture with the outlines of what is labelled in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import decode_pixels
from assets.plurals import count_of
from assets.props.look import UNCHANGED
from dataset.spool import hash64
from pipeline.verify.masks import MaskMap, sound_mask
from pipeline.verify.records import Extras, Record, Violation

if TYPE_CHECKING:
    from assets.library import Library
    from render.scene import SceneSpec

# The brightest value of a picture that shows nothing, of 255; JPEG of black has some noise.
BLACK = 12
# Placements that are traced again, pixels of each, and the share that may differ: other machines round otherwise.
TRACED_PLACEMENTS, TRACED_PROPS, TRACED_PIXELS, MAX_OFF = 8, 2, 12, 0.05
MAX_PROPS = 60
# How far a stored value may be from the traced one, in steps of its 16 bits: rounding, and none of ids.
STEPS = {"depth": 1, "normals": 1, "ids": 0}
# Pixels whose normals are held against their rays; surfaces seen from the side are off by rounding.
FACING, EDGEWISE = 20_000, 1e-3
# Outlines: edges of a picture are where those of its labels are, and not some pixels beside. Measured on 398 renders of
# five recipes in sizes from 160x120 to 640x480: the mean rank of edges falls by 0.05 at least beside the outlines
# (SHARP), and is 0.08 higher at them than in the mirrored pictures (OWN); in pictures of other scenes by 0.04 at most,
# and 0.02 in most of them.
NEAR = tuple((y, x) for far in (4, 7) for y in (-far, 0, far) for x in (-far, 0, far) if x or y)
SHARP, OWN = 0.03, 0.06
MIRRORED, MIRRORED_BY = 0.06, 0.05
# A picture with edges has so many times the median contrast (of FAINT levels at least) in this share of its pixels.
MARKED, MARKED_SHARE, FAINT = 3.0, 0.02, 4.0
# Pixels of outlines that are needed, and that are looked at; the shortest side of a product that has any.
MIN_OUTLINE, MAX_OUTLINE, MIN_SIDE = 200, 4000, 16
# Fixtures with panes, which may be misted: what lies behind them need not have an outline.
GLASS = ("chest", "cooler", "door")


@dataclass(frozen=True)
class ShownImage:
    """A rendered image. picture: its file. extras: depth, normals and ids that can be read, (H, W) or (H, W, 3) uint16.

    records: valid annotations.
    """

    picture: bytes
    width: int
    height: int
    records: Sequence[Record]
    extras: Extras
    where: str

    @property
    def pixels(self) -> Mapping[str, NDArray[np.uint16]]:
        """The extras of the image's size."""
        found = {kind: one for kind, one in self.extras.items() if not isinstance(one, str)}
        return {kind: one for kind, one in found.items() if one.shape[:2] == (self.height, self.width)}


def check_agreement(image: ShownImage, scene: SceneSpec | None, library: Library | None = None) -> Iterator[Violation]:
    """Check what an image shows. scene: None if it is not known. library: the products, to trace some pixels again."""
    labels = _labels_of(image)
    yield from _check_picture(image, labels, glass=scene is not None and _has_glass(scene))
    yield from _check_covered(image)
    if scene is None:
        return
    if (scene.camera.width, scene.camera.height) != (image.width, image.height):
        told = f"the scene is of {scene.camera.width}x{scene.camera.height} px, not {image.width}x{image.height}"
        yield Violation(image.where, told)
        return
    yield from _check_facing(image, scene)
    if library is not None:
        yield from _check_traced(image, scene, library, labels)


def _labels_of(image: ShownImage) -> NDArray[np.uint16]:
    """(H, W) uint16 instance of each labelled pixel, 0 for none."""
    regions = MaskMap(image.height, image.width)
    for record in image.records:
        mask = sound_mask(record.get("segmentation"), image.height, image.width)
        instance = record.get("instance")
        if not isinstance(mask, str) and type(instance) is int and 0 < instance < 1 << 16:
            regions.add(instance, mask)
    return regions.numbers


def _has_glass(scene: SceneSpec) -> bool:
    return any(one.fixture is not None and one.fixture.kind in GLASS for one in scene.placements)


def _check_picture(image: ShownImage, labels: NDArray[np.uint16], *, glass: bool) -> Iterator[Violation]:
    """Check that a picture is not black, and has edges where the labels have theirs."""
    try:
        picture = decode_pixels(image.picture, cv2.IMREAD_COLOR, image.where, "the image")
    except SynthError:
        return  # reported with the file
    if picture.max() <= BLACK:
        yield Violation(image.where, "the image is black")
        return
    if picture.shape[:2] != labels.shape:
        return  # reported with the file
    small = [record["instance"] for record in image.records if _is_small(record)]
    rows, columns = _outline(np.where(np.isin(labels, small), 0, labels))
    contrast = _contrast(picture)
    if len(rows) < MIN_OUTLINE or (contrast > MARKED * max(float(np.median(contrast)), FAINT)).mean() < MARKED_SHARE:
        return
    edges = cv2.equalizeHist(contrast)
    own, sharp = _at_outline(edges, rows, columns)
    turned = {"mirrored": edges[:, ::-1], "upside down": edges[::-1], "turned by 180 degrees": edges[::-1, ::-1]}
    others = {name: _at_outline(one, rows, columns) for name, one in turned.items()}
    best = max(others, key=lambda name: others[name][1])
    if others[best][1] >= MIRRORED and others[best][1] >= sharp + MIRRORED_BY:
        yield Violation(image.where, f"the image is {best}: the outlines of its labels fit it so, and not as it is")
    elif not glass and sharp < SHARP and own - np.mean([one for one, _ in others.values()]) < OWN:
        yield Violation(image.where, "the image shows something else: it has no edges where its labels have outlines")


def _is_small(record: Record) -> bool:
    box = record.get("bbox")
    return not isinstance(box, list) or len(box) != 4 or min(box[2:]) < MIN_SIDE


def _outline(labels: NDArray[np.uint16]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of pixels at the border of two labels, evenly thinned out where there are many."""
    border = np.zeros(labels.shape, bool)
    across, along = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= along
    border[:-1] |= along
    rows, columns = np.nonzero(border)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), MAX_OUTLINE)).astype(int)
    return rows[chosen], columns[chosen]


def _contrast(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) uint8 largest difference of the neighbours of each pixel."""
    contrast = np.zeros(picture.shape[:2], np.uint8)
    contrast[:, 1:-1] = cv2.absdiff(picture[:, 2:], picture[:, :-2]).max(axis=2)
    contrast[1:-1] = np.maximum(contrast[1:-1], cv2.absdiff(picture[2:], picture[:-2]).max(axis=2))
    return contrast


def _at_outline(edges: NDArray[np.uint8], rows: NDArray, columns: NDArray) -> tuple[float, float]:
    """Return the mean rank of edges at an outline, 0 to 1, and by how much it is less some pixels beside it.

    edges: (H, W) rank of each pixel's contrast among those of the picture.
    """
    height, width = edges.shape
    own, beside = float(edges[rows, columns].mean()), []
    for down, right in NEAR:
        y, x = rows + down, columns + right
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        if inside.any():
            beside.append(float(edges[y[inside], x[inside]].mean()))
    return own / 255, (own - float(np.mean(beside or [own]))) / 255


def _check_covered(image: ShownImage) -> Iterator[Violation]:
    """Check that depth, normals and ids have something at the same pixels: all that is traced, props as well."""
    covered = {kind: one.reshape(*one.shape[:2], -1).any(axis=2) for kind, one in image.pixels.items()}
    for kind, other in (("ids", "depth"), ("normals", "depth"), ("normals", "ids")):
        if kind in covered and other in covered and (off := int((covered[kind] != covered[other]).sum())):
            yield Violation(image.where, f"{kind} and {other} disagree whether {count_of(off, 'pixel')} show anything")


def _check_facing(image: ShownImage, scene: SceneSpec) -> Iterator[Violation]:
    """Check that visible surfaces face the camera."""
    from render.optics.rays import directions_at

    coded = image.pixels.get("normals")
    if coded is None:
        return
    rows, columns = np.nonzero(coded.any(axis=2))
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), FACING)).astype(int)
    rows, columns = rows[chosen], columns[chosen]
    rays = directions_at(scene.camera, np.column_stack([columns, rows]) + 0.5)
    # OpenCV reads the last channel first.
    normals = coded[rows, columns, ::-1].astype(np.float64) / 65535 * 2 - 1
    away = (normals * rays).sum(axis=1) > EDGEWISE * np.linalg.norm(rays, axis=1)
    if away.any():
        of = f"{int(away.sum())} of {count_of(len(rows), 'pixel')}"
        yield Violation(image.where, f"normals: {of} have surfaces that face away from the camera")


def _check_traced(
    image: ShownImage, scene: SceneSpec, library: Library, labels: NDArray[np.uint16]
) -> Iterator[Violation]:
    """Check pixels of some placements: they are where masks and ids say, at the stored depth, with the stored normals.

    Tracing all placements of a scene would take as long as making its labels again.
    """
    rng = np.random.default_rng(hash64(image.where) & (2**63 - 1))
    claims = image.pixels.get("ids", labels)
    there = [number for number in np.unique(claims).tolist() if 0 < number <= len(scene.placements)]
    wrong, looked = Counter[str](), 0
    for instance in _chosen(scene, rng.permutation(there).tolist()):
        points = np.argwhere(claims == instance)
        rows, columns = points[rng.integers(0, len(points), TRACED_PIXELS)].T
        try:
            wrong.update(_differing(image, scene, library, instance, rows, columns))
        except (SynthError, OSError):
            return  # reported where scenes are sampled again
        looked += TRACED_PIXELS
    if claims is not labels and len(image.pixels) == 1:
        hidden, of = _hidden_props(scene, library, np.argwhere(claims == 0), rng)
        if hidden > MAX_OFF * of:
            yield Violation(image.where, f"ids: {hidden} of {count_of(of, 'pixel')} without any show placements")
    for kind, number in sorted(wrong.items()):
        if number > MAX_OFF * looked:
            told = f"{number} of {count_of(looked, 'pixel')} differ from those traced again from the scene"
            yield Violation(image.where, f"{kind}: {told}")


def _chosen(scene: SceneSpec, instances: Sequence[int]) -> list[int]:
    """Return some instances whose meshes are quickly made: products as the list has them first, and a few props."""
    kinds = {number: scene.placements[number - 1] for number in instances}
    plain = [number for number, one in kinds.items() if one.kind == "product" and one.finish.change == UNCHANGED]
    props = [number for number, one in kinds.items() if one.kind == "prop"][:TRACED_PROPS]
    rest = [number for number in instances if number not in plain and number not in props]
    return [*props, *plain, *rest][:TRACED_PLACEMENTS]


def _differing(
    image: ShownImage, scene: SceneSpec, library: Library, instance: int, rows: NDArray, columns: NDArray
) -> dict[str, int]:
    """Return of how many of N pixels masks and ids, depth and normals differ from a placement that is traced alone."""
    from render.labels import trace_points

    depth, normals = trace_points(scene, library, instance, np.column_stack([columns, rows]))
    hit = np.isfinite(depth)
    fresh: dict[str, NDArray] = {
        "depth": np.clip(np.where(hit, depth * 1000.0, 0), 0, 65535) + 0.5,
        # OpenCV reads the last channel first.
        "normals": ((normals + 1) / 2 * 65535 + 0.5)[:, ::-1],
    }
    found = {"ids" if "ids" in image.pixels else "masks": int((~hit).sum())}
    for kind in fresh.keys() & image.pixels.keys():
        stored = image.pixels[kind][rows, columns].astype(np.int64)
        off = np.abs(stored - fresh[kind].astype(np.int64)) > STEPS[kind]
        found[kind] = int((off.reshape(len(rows), -1).any(axis=1) & hit).sum())
    return found


def _hidden_props(
    scene: SceneSpec, library: Library, empty: NDArray[np.intp], rng: np.random.Generator
) -> tuple[int, int]:
    """Return how many of some pixels without an id show a prop, and of how many. empty: (N, 2) rows and columns."""
    from render.labels import trace_points

    if not len(empty):
        return 0, 0
    rows, columns = empty[rng.integers(0, len(empty), TRACED_PIXELS)].T
    hit = np.zeros(len(rows), bool)
    props = [number for number, one in enumerate(scene.placements, start=1) if one.kind == "prop"]
    for instance in props[:MAX_PROPS]:
        with suppress(SynthError, OSError):
            hit |= np.isfinite(trace_points(scene, library, instance, np.column_stack([columns, rows]))[0])
    return int(hit.sum()), len(rows)
