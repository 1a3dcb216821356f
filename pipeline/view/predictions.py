"""Detections over the truth: a COCO results file, matched as `synth evaluate` does, at an overlap of one half."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.json_input import read_json, stream_json
from assets.limits import COCO_BYTES, DATASET_JSON
from assets.plurals import first_few
from dataset.values import box_numbers, number, short, whole_number
from detectors.data.class_match import PRODUCT
from detectors.data.image_set import Classes
from detectors.evaluate.metrics.align import Aligned, BoxColumns
from detectors.evaluate.metrics.matching import find_candidates, match
from pipeline.view.index import SetIndex
from pipeline.view.pieces import PICTURES
from pipeline.view.rows import BoxFacets
from pipeline.view.scripts import packed, script_of, write_script

WHAT = "the COCO results file"
# Where an evaluation leaves its results in a run.
PLACES = ("evaluation/predictions.json", "evaluation/predictions", "predictions.json", "predictions")
REPORT = "report.json"
WRONG, RIGHT, NEITHER = 0, 1, 2
# As `synth evaluate` chooses one of several splits.
ORDER = ("test", "val", "valid", "train")
MAX_PROBLEMS = 20


@dataclass(frozen=True, eq=False)
class FoundColumns:
    """D detections by picture and falling score. picture, category: (D,) int64. xyxy: (D, 4) float64, pixels."""

    picture: NDArray[np.int64]
    category: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    score: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JudgedDetections:
    """Detections with what they are. status: (D,) uint8, WRONG, RIGHT or NEITHER. judged: (P,) pictures of their split.

    best: (A,) float64, for each box of the truth the score of the detection that found it, -1 for none.
    """

    found: FoundColumns
    status: NDArray[np.uint8]
    judged: NDArray[np.bool_]
    best: NDArray[np.float64]


def find_results(path: Path) -> list[Path]:
    """Return the results files at a path: itself, or those that the evaluation of a run has left."""
    if path.is_file():
        return [path]
    for place in (*(path / name for name in PLACES), path):
        if place.is_file():
            return [place]
        if place.is_dir() and place.name == "predictions" and (files := sorted(place.glob("*.json"))):
            return files
    raise SynthError(
        "the run has no detections",
        code="file-missing",
        where=str(path),
        expected=" or ".join(PLACES[:2]),
        hint="'synth evaluate RUN --data DIR' writes them; give DIR to 'synth view' as well",
    )


def judge_detections(files: Sequence[Path], index: SetIndex, boxes: BoxFacets) -> JudgedDetections:
    """Read detections and match them with the boxes of a set. Raises SynthError if they belong to other images."""
    found, judged = _read(files, index)
    # A detector that tells no products apart is judged by boxes alone.
    agnostic = _is_agnostic(files[0])
    keys = PRODUCT.keys if agnostic else tuple(str(one) for one in range(max(len(index.categories.rows), 1)))
    owner = np.repeat(np.arange(len(boxes.counts)), boxes.counts)
    edges = np.nan_to_num(boxes.xywh.astype(np.float64))
    edges[:, 2:] += edges[:, :2]
    truth = BoxColumns(owner, _label(boxes.category, agnostic), edges, np.prod(edges[:, 2:] - edges[:, :2], axis=1))
    sides = np.maximum(found.xyxy[:, 2:] - found.xyxy[:, :2], 0)
    detections = BoxColumns(found.picture, _label(found.category, agnostic), found.xyxy, sides.prod(axis=1))
    ignored = boxes.ignored.astype(bool) | np.isnan(boxes.xywh[:, 0])
    groups = np.arange(len(boxes.counts), dtype=np.int32)
    classes = Classes(keys, keys)
    data = Aligned(
        classes, len(keys), len(groups), groups, truth, ignored, detections, found.score, np.arange(len(groups))
    )
    matches = match(data, find_candidates(data))
    status = np.full(len(found.score), NEITHER, np.uint8)
    status[matches.rows[matches.right[0]]] = RIGHT
    status[matches.rows[matches.wrong[0]]] = WRONG
    best = np.full(len(owner), -1.0)
    took = matches.box[0] >= 0
    best[matches.box[0][took]] = found.score[matches.rows[took]]
    return JudgedDetections(found, status, judged, best)


def _label(category: NDArray[np.integer], agnostic: bool) -> NDArray[np.int64]:
    return np.zeros(len(category), np.int64) if agnostic else category.astype(np.int64)


def _is_agnostic(file: Path) -> bool:
    """Whether the report beside the results is that of a detector that tells no products apart."""
    folder = file.parent.parent if file.parent.name == "predictions" else file.parent
    if not (folder / REPORT).is_file():
        return False
    try:
        report = read_json(folder / REPORT, DATASET_JSON, "the report")
    except SynthError:
        return False
    classes = report.get("classes") if isinstance(report, dict) else None
    if isinstance(classes, list):
        return [one.get("key") for one in classes if isinstance(one, dict)] == list(PRODUCT.keys)
    return classes == 1 and isinstance(report, dict)


def _read(files: Sequence[Path], index: SetIndex) -> tuple[FoundColumns, NDArray[np.bool_]]:
    images, categories, numbers = array("q"), array("q"), array("d")
    problems: list[str] = []
    for file in files:
        for place, row in enumerate(stream_json(file, "item", COCO_BYTES, WHAT), start=1):
            problem = _add_row(row, images, categories, numbers)
            if problem:
                problems.append(f"{file.name}, row {place}: {problem}")
    if problems:
        raise SynthError(
            "not a COCO results file",
            code="predictions-invalid",
            where=str(files[0]),
            expected="a list of objects with image_id, category_id, bbox and score",
            problems=first_few(problems, MAX_PROBLEMS),
        )
    picture, judged = _pictures(np.array(images, np.int64), index, str(files[0]))
    rows = np.array(numbers, np.float64).reshape(-1, 5)
    rows[:, 2:4] += rows[:, :2]
    # As detections are held everywhere: float32.
    edges, score = rows[:, :4].astype(np.float32).astype(np.float64), rows[:, 4].astype(np.float32).astype(np.float64)
    category = _categories(np.array(categories, np.int64), index)
    order = np.lexsort((-score, picture))
    return FoundColumns(picture[order], category[order], edges[order], score[order]), judged


def _add_row(row: object, images: array[int], categories: array[int], numbers: array[float]) -> str:
    """Take a row, or return what is wrong with it."""
    if not isinstance(row, dict):
        return f"found {short(row)}"
    image, category = whole_number(row.get("image_id")), whole_number(row.get("category_id"))
    box, score = box_numbers(row.get("bbox")), number(row.get("score"))
    if image is None or category is None or box is None or score != score:
        return short(row)
    images.append(image)
    categories.append(category)
    numbers.extend((*box, score))
    return ""


def _pictures(ids: NDArray[np.int64], index: SetIndex, where: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the picture of each image id, and which pictures are of the split that has all of them."""
    own, split, wanted = np.array(index.ids, np.int64), np.array(index.split), np.unique(ids)
    names = list(index.splits)
    ranked = sorted(range(len(names)), key=lambda one: (ORDER.index(names[one]) if names[one] in ORDER else 9, one))
    for chosen in ranked:
        of_split = split == chosen
        if np.isin(wanted, own[of_split]).all():
            places = np.flatnonzero(of_split)
            order = places[np.argsort(own[places], kind="stable")]
            return order[np.searchsorted(own[order], ids)], of_split
    raise SynthError(
        "the detections belong to other images",
        code="predictions-mismatch",
        where=where,
        found=f"image ids such as {', '.join(map(str, wanted[:5].tolist()))}",
        expected="those of one split of the data set",
    )


def _categories(ids: NDArray[np.int64], index: SetIndex) -> NDArray[np.int64]:
    found, places = np.unique(ids, return_inverse=True)
    known = [index.categories.number_of_id(one) for one in found.tolist()]
    return np.array(known, np.int64)[places] if len(known) else np.zeros(0, np.int64)


def write_detections(folder: Path, key: str, judged: JudgedDetections) -> None:
    """Write found.js, which filters need, and the boxes of each piece."""
    found, pictures = judged.found, len(judged.judged)
    starts = np.searchsorted(found.picture, np.arange(pictures + 1)).astype(np.uint32)
    columns = {
        "starts": packed(starts),
        "score": packed(found.score.astype(np.float32)),
        "status": packed(judged.status),
        "category": packed(found.category.astype(np.uint32)),
        "best": packed(judged.best.astype(np.float32)),
        "judged": packed(judged.judged.astype(np.uint8)),
    }
    for piece in range(-(-pictures // PICTURES)):
        last = min((piece + 1) * PICTURES, pictures)
        rows = [_rows(found, starts[picture], starts[picture + 1]) for picture in range(piece * PICTURES, last)]
        write_atomic(folder / f"found-{piece:05d}.js", script_of(f"{key}/found/{piece}", rows))
    write_script(folder / "found.js", f"{key}/found", columns)


def _rows(found: FoundColumns, first: int, last: int) -> list[list[float]]:
    """x, y, width and height of the detections of a picture, to a hundredth of a pixel."""
    edges = found.xyxy[first:last].copy()
    edges[:, 2:] -= edges[:, :2]
    return [[round(edge, 2) for edge in row] for row in edges.tolist()]
