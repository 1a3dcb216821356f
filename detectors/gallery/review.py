"""Close calls for people: review/review.jsonl with all of them, review/index.html with pictures of the closest."""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assets.atomic import write_whole
from detectors.embed.crops import prepare_crop
from detectors.evaluate.pictures import save_jpeg
from detectors.gallery.decision import Decision, Verdict
from detectors.gallery.gallery import NOBODY, Gallery
from detectors.gallery.recognized_files import Recognized

FOLDER, PAGE, CASES = "review", "index.html", "review.jsonl"
# On the page; all are in the file.
MOST_SHOWN, MOST_CANDIDATES = 200, 3
CROP_SIDE, CROP_MARGIN = 220, 0.15


@dataclass(frozen=True)
class _Case:
    """One close call. crop: its file beside the page. skus, scores: the candidates."""

    image_id: int
    file_name: str
    box: tuple[float, ...]
    margin: float
    crop: str
    skus: tuple[int, ...]
    scores: tuple[float, ...]


class Review:
    """The close calls of a run, gathered picture by picture; crops of more than are shown are not kept."""

    def __init__(self, out: Path, gallery: Gallery) -> None:
        self._folder, self._gallery = out / FOLDER, gallery
        self._closest: list[tuple[float, int, _Case]] = []
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, some: Sequence[Recognized]) -> None:
        """The close calls of some pictures."""
        for one in some:
            for place in np.flatnonzero(one.verdicts == Verdict.REVIEW).tolist():
                self._add(one, place)

    def finish(self, decision: Decision) -> Path | None:
        """Writes the file and the page; None where there was nothing to review."""
        if not self._lines:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / CASES, "".join(self._lines).encode())
        cases = [case for _, _, case in sorted(self._closest, key=lambda item: (-item[0], item[1]))]
        page = _page().render(
            cases=[self._shown(case) for case in cases],
            total=len(self._lines),
            version=self._gallery.version,
            margin=decision.margin,
        )
        write_whole(self._folder / PAGE, page.encode())
        return self._folder / PAGE

    def _add(self, one: Recognized, place: int) -> None:
        number = len(self._lines) + 1
        nearest, box = one.nearest, one.boxes.xyxy[place]
        candidates = [sku for sku in nearest.skus[place].tolist() if sku != NOBODY]
        case = _Case(
            one.image_id,
            one.shot.source.file_name or one.shot.name,
            tuple(round(float(edge), 2) for edge in box),
            float(nearest.margins[place]),
            f"crops/{number:06d}.jpg",
            tuple(candidates),
            tuple(float(score) for score in nearest.scores[place][: len(candidates)]),
        )
        self._lines.append(json.dumps(self._record(case), ensure_ascii=False) + "\n")
        # A heap whose smallest entry is the clearest of the cases kept.
        entry = (-case.margin, -number, case)
        if len(self._closest) < MOST_SHOWN:
            heapq.heappush(self._closest, entry)
        else:
            dropped = heapq.heappushpop(self._closest, entry)[2]
            (self._folder / dropped.crop).unlink(missing_ok=True)
            if dropped is case:
                return
        picture = Image.fromarray(prepare_crop(one.shot.picture, box, margin=CROP_MARGIN))
        picture.thumbnail((CROP_SIDE, CROP_SIDE))
        (self._folder / "crops").mkdir(parents=True, exist_ok=True)
        save_jpeg(picture, self._folder / case.crop)

    def _record(self, case: _Case) -> dict[str, Any]:
        keys = [self._gallery.keys[sku] for sku in case.skus]
        pairs = [{"sku": key, "similarity": round(score, 5)} for key, score in zip(keys, case.scores, strict=True)]
        about = {"image_id": case.image_id, "file_name": case.file_name, "box": case.box}
        return {**about, "margin": round(case.margin, 5), "candidates": pairs}

    def _shown(self, case: _Case) -> dict[str, Any]:
        """What the page says of a case; fronts become files beside it."""
        candidates = []
        for sku, score in list(zip(case.skus, case.scores, strict=True))[:MOST_CANDIDATES]:
            file = f"fronts/{sku:06d}.jpg"
            front = self._gallery.front(sku)
            if front:
                (self._folder / "fronts").mkdir(parents=True, exist_ok=True)
                write_whole(self._folder / file, front)
            candidates.append({"name": self._gallery.names[sku], "score": score, "front": file if front else ""})
        about = {"file_name": case.file_name, "margin": case.margin, "crop": case.crop}
        return {**about, "name": self._gallery.names[case.skus[0]], "candidates": candidates}


def _page() -> Any:
    from jinja2 import Environment, FileSystemLoader

    here = Path(__file__).parent
    folders = FileSystemLoader([here, here.parent / "evaluate"])
    return Environment(loader=folders, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
        "review.html.j2"
    )
