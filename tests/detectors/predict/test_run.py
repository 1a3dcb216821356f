"""Predict: everything that holds images is found and read as a viewer shows it, and COCO tools read the results."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as codec
from pycocotools.coco import COCO
from rich.console import Console

from assets.interrupt import ECHO_S
from dataset.masks import decode_mask
from detectors.augment import Letterbox
from detectors.checkpoints.detector import load_checkpoint, restore_model
from detectors.models.detect import detections_of, fit_image, forward
from detectors.models.image_masks import encode_masks
from detectors.predict import run as predicting
from detectors.predict.input_images import InputImage, Unreadable, read_input_images, read_upright
from detectors.predict.inputs import find_inputs, natural_order
from detectors.predict.run import PredictSummary, predict, print_summary
from detectors.predict.settings import PredictSettings
from support.errors import raises
from support.random_runs import CLASSES, SIZE, SMALL, random_run

QUIET = Console(quiet=True)
ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_run(tmp_path_factory.mktemp("ssdlite"), "ssdlite")


def paint(file: Path, *, seed: int = 0, width: int = 90, height: int = 60) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), np.uint8)
    Image.fromarray(cv2.resize(coarse, (width, height))).save(file)
    return file


def film(file: Path, frames: int = 12) -> Path:
    """Frame i is grey of value 10 i."""
    file.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for index in range(frames):
        video.write(np.full((48, 64, 3), 10 * index, np.uint8))
    video.release()
    return file


def load(out: Path) -> tuple[COCO, COCO]:
    """The files in `out` as pycocotools reads them, images and results."""
    truth = COCO(str(out / "images.json"))
    return truth, truth.loadRes(str(out / "predictions.json"))


def names(paths: list[str | Path], root: Path) -> list[str]:
    return [item.file.relative_to(root).as_posix() for item in find_inputs(paths).items]


class TestInputs:
    def test_folders_are_walked_in_natural_order(self, tmp_path: Path) -> None:
        for name in ("IMG_10.jpg", "IMG_2.JPG", "b/1.png", "a.webp", "notes.txt", ".hidden.jpg", ".thumbs/x.jpg"):
            paint(tmp_path / "a.png").rename(tmp_path / "made.png")
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / "made.png").rename(tmp_path / name)
        assert names([tmp_path], tmp_path) == ["a.webp", "b/1.png", "IMG_2.JPG", "IMG_10.jpg"]

    def test_patterns_and_files_named_twice(self, tmp_path: Path) -> None:
        for name in ("a/1.jpg", "a/b/2.jpg", "a/b/3.png"):
            paint(tmp_path / name)
        assert names([f"{tmp_path}/**/*.jpg"], tmp_path) == ["a/1.jpg", "a/b/2.jpg"]
        assert names([tmp_path / "a" / "b" / "3.png", tmp_path], tmp_path) == ["a/b/3.png", "a/1.jpg", "a/b/2.jpg"]

    def test_brackets_in_names_are_no_pattern(self, tmp_path: Path) -> None:
        assert names([paint(tmp_path / "shelf [1].jpg")], tmp_path) == ["shelf [1].jpg"]

    def test_everything_that_means_nothing_is_told_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        paint(tmp_path / "good.jpg")
        with raises("images-missing") as caught:
            find_inputs([tmp_path / "empty", f"{tmp_path}/*.gif", tmp_path / "good.jpg"])
        assert len(caught.value.problems) == 2 and ".webp" in str(caught.value.expected)

    def test_names_stay_apart(self, tmp_path: Path) -> None:
        """Also from frames that a video may have, and where only the letters' case differs."""
        for name in ("x/1.jpg", "y/1.jpg", "y/1.png", "z/Clip_000003.jpg", "z/CLIP.png"):
            paint(tmp_path / name)
        film(tmp_path / "z" / "clip.avi")
        found = find_inputs([tmp_path / "x", tmp_path / "y", tmp_path / "z"]).items
        assert [item.name for item in found] == ["1", "1_2", "1_3", "clip", "CLIP_2", "Clip_000003_2"]

    def test_results_of_an_earlier_run_are_no_input(self, tmp_path: Path) -> None:
        paint(tmp_path / "a.jpg")
        paint(tmp_path / "out" / "pictures" / "a.jpg")
        assert [item.name for item in find_inputs([tmp_path], leave_out=tmp_path / "out").items] == ["a"]

    def test_numbers_in_names(self) -> None:
        given = ["b1", "a10", "a9", "10", "9", "a"]
        assert sorted(given, key=natural_order) == ["9", "10", "a", "a9", "a10", "b1"]

    def test_ids_of_two_coco_files_that_overlap(self, tmp_path: Path) -> None:
        files = [coco_file(tmp_path / name, {7: f"{name}.jpg"}) for name in ("a", "b")]
        with raises("image-id-duplicate"):
            find_inputs(files)


def coco_file(folder: Path, files: dict[int, str], category: int = 1) -> Path:
    images = []
    for number, name in files.items():
        paint(folder / "images" / name, seed=number)
        images.append({"id": number, "file_name": name, "width": 90, "height": 60})
    file = folder / "some.json"
    kinds = [{"id": category + label, "name": key} for label, key in enumerate(CLASSES.keys)]
    file.write_text(json.dumps({"images": images, "annotations": [], "categories": kinds}))
    return file


class TestShots:
    @pytest.mark.parametrize("turn", range(1, 9))
    def test_images_stand_upright(self, tmp_path: Path, turn: int) -> None:
        """All eight EXIF orientations of an image give what PIL's viewer shows: the red corner, turned."""
        image = Image.new("RGB", (64, 32))
        image.paste((255, 0, 0), (0, 0, 16, 16))
        exif = Image.Exif()
        exif[ORIENTATION] = turn
        image.save(tmp_path / "a.jpg", exif=exif, quality=95)
        upright = read_upright(tmp_path / "a.jpg")
        assert upright.shape == ((32, 64, 3) if turn < 5 else (64, 32, 3))
        rows, columns = np.nonzero(upright[..., 0] > 128)
        top, left = rows.mean() < upright.shape[0] / 2, columns.mean() < upright.shape[1] / 2
        # From EXIF's table: where the stored image's first row and column are shown.
        assert (top, left) == {1: (1, 1), 2: (1, 0), 3: (0, 0), 4: (0, 1), 5: (1, 1), 6: (1, 0), 7: (0, 0), 8: (0, 1)}[
            turn
        ]

    @pytest.mark.parametrize(
        ("mode", "value", "expected"),
        [("L", 80, 80), ("RGBA", (80, 80, 80, 255), 80), ("P", 80, 80), ("I;16", 80 * 257, 80), ("1", 1, 255)],
    )
    def test_images_of_other_kinds(self, tmp_path: Path, mode: str, value: object, expected: int) -> None:
        image = Image.new("L", (20, 10), 80).convert("P") if mode == "P" else Image.new(mode, (20, 10), value)
        image.save(tmp_path / "a.png")
        upright = read_upright(tmp_path / "a.png")
        assert upright.shape == (10, 20, 3) and upright.dtype == np.uint8 and (upright == expected).all()

    def test_cut_off_images_are_unreadable(self, tmp_path: Path) -> None:
        data = paint(tmp_path / "a.jpg").read_bytes()
        (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
        (image,) = read_input_images(find_inputs([tmp_path]).items, SIZE)
        assert isinstance(image, Unreadable) and "truncated" in image.reason

    @pytest.mark.parametrize("threads", [0, 2])
    def test_videos_give_every_nth_frame_in_order(self, tmp_path: Path, threads: int) -> None:
        items = find_inputs([film(tmp_path / "clip.avi"), paint(tmp_path / "last.png")]).items
        images = list(read_input_images(items, SIZE, every=5, threads=threads))
        assert all(isinstance(image, InputImage) for image in images)
        assert [image.name for image in images] == ["clip_000000", "clip_000005", "clip_000010", "last"]
        assert [round(image.pixels.mean() / 10) for image in images[:3]] == [0, 5, 10]

    def test_few_frames_are_held_at_a_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever takes one image causes no more than a few to be decoded."""
        fitted = []
        monkeypatch.setattr(
            "detectors.predict.input_images.fit_image", lambda *given: (fitted.append(1), fit_image(*given))[1]
        )
        images = read_input_images(find_inputs([film(tmp_path / "clip.avi", 60)]).items, SIZE, threads=2)
        next(images)
        images.close()
        assert len(fitted) <= 6


class TestResults:
    def test_coco_tools_read_what_the_detector_found(self, run: Path, tmp_path: Path) -> None:
        """The boxes of the files are those of the network asked directly."""
        file = paint(tmp_path / "in" / "a.png")
        summary = predict(PredictSettings(run, (str(tmp_path / "in"),), tmp_path / "out", 0.3), QUIET)
        truth, found = load(tmp_path / "out")
        model = restore_model(load_checkpoint(run))
        fitted, box = fit_image(read_upright(file), *SIZE)
        expected = detections_of(forward(model, torch.from_numpy(fitted[None]))[0], box)
        kept = expected.scores >= 0.05
        rows = found.loadAnns(found.getAnnIds())
        boxes = np.array([row["bbox"] for row in rows])
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_allclose(boxes, expected.boxes[kept], atol=1e-3)
        np.testing.assert_allclose([row["score"] for row in rows], expected.scores[kept], atol=1e-6)
        assert [row["category_id"] - 1 for row in rows] == expected.labels[kept].tolist()
        assert summary.written == len(rows) > 0 and summary.shown == (expected.scores >= 0.3).sum()
        kinds = truth.loadCats(truth.getCatIds())
        assert [(kind["id"], kind["sku"], kind["name"]) for kind in kinds] == [
            (1, "sku-tea", "Green tea"),
            (2, "sku-oats", "Oats"),
            (3, "sku-soup", "Tomato soup"),
        ]
        assert truth.dataset["info"]["threshold"] == 0.3
        (image,) = truth.dataset["images"]
        assert (image["file_name"], image["width"], image["height"]) == (str(file), 90, 60)
        with Image.open(tmp_path / "out" / "pictures" / "a.jpg") as drawn:
            assert drawn.size == (180, 120)

    def test_a_mixed_run(self, run: Path, tmp_path: Path) -> None:
        """A COCO file keeps its ids, others follow; a video's frames are plots; what is broken is told."""
        coco = coco_file(tmp_path / "set", {40: "x/1.png", 7: "y/1.png"}, category=5)
        film(tmp_path / "more" / "clip.avi")
        paint(tmp_path / "more" / "1.png")
        (tmp_path / "more" / "2.jpg").write_bytes(b"")
        (tmp_path / "more" / "3.mp4").write_bytes(b"no video")
        paths = (str(coco), str(tmp_path / "more"))
        summary = predict(PredictSettings(run, paths, tmp_path / "out", every=6, batch=3, workers=1), QUIET)
        truth, _ = load(tmp_path / "out")
        images = truth.dataset["images"]
        assert [image["id"] for image in images] == [40, 7, 41, 42, 43]
        assert [image["file_name"] for image in images[:2]] == ["x/1.png", "y/1.png"]
        assert [image.get("frame") for image in images] == [None, None, None, 0, 6]
        plots = tmp_path / "out" / "pictures"
        made = {file.relative_to(plots).as_posix() for file in plots.rglob("*.jpg")}
        assert made == {"x/1.jpg", "y/1.jpg", "1.jpg", "clip_000000.jpg", "clip_000006.jpg"}
        assert summary.images == 5 and sorted(failed.file.name for failed in summary.failed) == ["2.jpg", "3.mp4"]
        assert len(summary.notes) == 1 and "category ids" in summary.notes[0]

    def test_masks_have_the_size_of_their_image(self, tmp_path: Path) -> None:
        run = random_run(tmp_path / "run", "maskrcnn", SMALL, size=(48, 48), background=3.0)
        paint(tmp_path / "a.png", width=200, height=90)
        predict(PredictSettings(run, (str(tmp_path / "a.png"),), tmp_path / "out", 0.3), QUIET)
        _, found = load(tmp_path / "out")
        rows = found.loadAnns(found.getAnnIds())
        assert rows
        for row in rows:
            mask = codec.decode(row["segmentation"])
            x, y, width, height = row["bbox"]
            assert mask.shape == (90, 200)
            mask[int(y) : int(np.ceil(y + height)), int(x) : int(np.ceil(x + width))] = 0
            assert not mask.any()

    def test_masks_are_scaled_about_pixel_centres(self) -> None:
        """A rectangle of 2 x 2 cells in the network's pixels is the same rectangle of 8 x 8 in the original's."""
        share = np.zeros((6, 10), np.float32)
        share[1:3, 2:4] = 1
        (counts,) = encode_masks(share[None], np.array([[7.5, 3.5, 17, 13]], np.float32), Letterbox(0.25, 40, 20))
        mask = decode_mask(counts, 20, 40)
        assert mask.shape == (20, 40)
        assert cv2.boundingRect(np.ascontiguousarray(mask)) == (8, 4, 8, 8)
        # Between cells shares fall linearly, which rounds the four corners off.
        assert mask.sum() == 64 - 4

    @pytest.mark.parametrize(("signals", "kept"), [(1, 3), (2, 2)])
    def test_ctrl_c_keeps_what_is_complete(
        self, signals: int, kept: int, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the third batch, after some of its rows were written already; once finishes it, twice stops now."""
        for number in range(5):
            paint(tmp_path / "in" / f"{number}.png", seed=number)
        seen = []

        def rows_of(found: object) -> list[dict]:
            seen.append(found)
            for _ in range(signals if len(seen) == 3 else 0):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(2 * ECHO_S)
            return [{"image_id": len(seen), "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]

        monkeypatch.setattr(predicting, "result_rows", rows_of)
        summary = predict(
            PredictSettings(run, (str(tmp_path / "in"),), tmp_path / "out", 0.5, batch=1, draw=False), QUIET
        )
        truth, found = load(tmp_path / "out")
        assert summary.interrupted and summary.images == kept
        assert truth.getImgIds() == found.getAnnIds() == list(range(1, kept + 1))

    def test_other_errors_leave_no_files(self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        paint(tmp_path / "in" / "a.png")

        def fail(found: object) -> None:
            raise MemoryError

        monkeypatch.setattr(predicting, "result_rows", fail)
        with pytest.raises(MemoryError):
            predict(PredictSettings(run, (str(tmp_path / "in"),), tmp_path / "out", 0.5, draw=False), QUIET)
        assert not list((tmp_path / "out").glob("*.json*"))

    def test_where_nothing_can_be_read(self, run: Path, tmp_path: Path) -> None:
        """The files are there and empty, and the run has failed."""
        (tmp_path / "a.jpg").write_bytes(b"nothing")
        summary = predict(PredictSettings(run, (str(tmp_path / "a.jpg"),), tmp_path / "out", 0.5, draw=False), QUIET)
        assert summary.failed and json.loads((tmp_path / "out" / "predictions.json").read_text()) == []
        assert COCO(str(tmp_path / "out" / "images.json")).getImgIds() == []
        assert not (tmp_path / "out" / "pictures").exists()

    def test_low_thresholds_reach_into_the_file(self, run: Path, tmp_path: Path) -> None:
        predict(PredictSettings(run, (str(paint(tmp_path / "a.png")),), tmp_path / "out", 0.02, draw=False), QUIET)
        assert COCO(str(tmp_path / "out" / "images.json")).dataset["info"]["least_score"] == 0.02

    @pytest.mark.parametrize("wrong", [{"threshold": 1.5}, {"batch": 0}, {"every": 0}, {"workers": -1}])
    def test_numbers_that_make_no_sense(self, tmp_path: Path, wrong: dict) -> None:
        with raises("setting-invalid", what="too small|threshold"):
            PredictSettings(tmp_path, (), tmp_path, **wrong)

    def test_the_summary_says_what_failed(self, tmp_path: Path) -> None:
        failed = [Unreadable(Path(f"{number}.jpg"), "broken") for number in range(12)]
        console = Console(record=True, width=200, file=(tmp_path / "log").open("w"))
        summary = PredictSummary(tmp_path, 0.5, 20, 3, 10, 4, failed, ["a note"], True, 2.0)
        print_summary(console, summary)
        console.file.close()
        text = console.export_text()
        for part in ("stopped after 3 of 20", "could not be read: 12", "and 2 more", "a note", "1.5/s", "0.50"):
            assert part in text

    def test_real_photographs(self, run: Path, tmp_path: Path, shared_data: Path) -> None:
        folder = shared_data / "hope_real" / "images"
        summary = predict(PredictSettings(run, (str(folder / "scene_0000_light_0.jpg"),), tmp_path, 0.3), QUIET)
        truth, _ = load(tmp_path)
        assert summary.images == 1 and not summary.failed
        assert [(image["width"], image["height"]) for image in truth.dataset["images"]] == [(1920, 1080)]
