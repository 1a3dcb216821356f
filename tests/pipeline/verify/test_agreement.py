"""Images that do not show what is labelled in them, found without making a scene again, with checksums that hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.storage.path import StoragePath
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from pipeline.shards.pack import pack_data
from pipeline.verify.agreement import ShownImage, check_agreement
from support.console import quiet
from support.scenes import rle_of_mask, sign_files
from support.sets.foreign import QUIET
from support.verified import verified
from support.work_here import work_here

HEIGHT, WIDTH = 120, 160


def painted(seed: int) -> tuple[NDArray[np.uint8], list[dict]]:
    """A picture of some boxes before a ground, with shading and noise, and labels of most of them."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), rng.integers(40, 200, 3), np.float64)
    picture += np.linspace(0, 40, WIDTH)[None, :, None]
    numbers = np.zeros((HEIGHT, WIDTH), int)
    for number in range(1, 12):
        left, top = int(rng.integers(0, WIDTH - 50)), int(rng.integers(0, HEIGHT - 45))
        width, height = rng.integers(20, 50), rng.integers(20, 45)
        picture[top : top + height, left : left + width] = rng.integers(20, 230, 3)
        numbers[top : top + height, left : left + width] = number if number % 5 else 0
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8) + rng.normal(0, 6, picture.shape)
    records = []
    for number in np.unique(numbers[numbers > 0]).tolist():
        rows, columns = np.nonzero(numbers == number)
        box = [float(columns.min()), float(rows.min()), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)]
        records.append({"instance": number, "segmentation": rle_of_mask(numbers == number), "bbox": box})
    return picture.clip(0, 255).astype(np.uint8), records


def told(picture: NDArray[np.uint8], records: list[dict]) -> str:
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    return "\n".join(map(str, check_agreement(ShownImage(data, WIDTH, HEIGHT, records, {}, "x"), None)))


SEEDS = range(20)


def test_pictures_of_their_labels_are_believed() -> None:
    """Also grey, dark, overexposed, blurred and noisy ones, and those that show hardly anything."""
    changes: list[Callable[[NDArray], NDArray]] = [
        lambda one: one,
        lambda one: np.repeat(one.mean(axis=2, keepdims=True), 3, axis=2),
        lambda one: one * 0.15,
        lambda one: np.clip(one * 1.8, 0, 255),
        lambda one: cv2.GaussianBlur(one, (0, 0), 1.6),
        lambda one: one + np.random.default_rng(0).normal(0, 18, one.shape),
        lambda one: np.full_like(one, 128),
    ]
    for seed in SEEDS:
        picture, records = painted(seed)
        for number, change in enumerate(changes):
            changed = change(picture.astype(np.float32)).clip(0, 255).astype(np.uint8)
            assert told(changed, records) == "", (seed, number)
        assert told(picture, records[:1]) == told(picture, []) == ""


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda one: one[:, ::-1], "mirrored"),
        (lambda one: one[::-1], "upside down"),
        (lambda one: one[::-1, ::-1], "turned by 180 degrees"),
    ],
)
def test_mirrored_pictures_are_told(turn: Callable[[NDArray], NDArray], words: str) -> None:
    for seed in SEEDS:
        picture, records = painted(seed)
        assert words in told(np.ascontiguousarray(turn(picture)), records), seed


def test_pictures_of_other_scenes_are_told() -> None:
    found = [told(painted(seed + 1)[0], painted(seed)[1]) for seed in SEEDS]
    assert sum("shows something else" in one for one in found) >= 0.8 * len(found)


def test_black_pictures_are_told() -> None:
    picture, records = painted(0)
    assert "is black" in told(picture // 40, records)


def copies(folder: Path, kind: str) -> Iterator[Path]:
    yield from sorted((folder / kind).iterdir())


def each(kind: str, change: Callable[[NDArray], NDArray]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for file in copies(folder, kind):
            cv2.imwrite(str(file), change(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)))

    return damage


def exchange(kind: str) -> Callable[[Path], None]:
    """The files of two scenes for each other."""

    def damage(folder: Path) -> None:
        one, other = folder / kind / "000000_0.png", folder / kind / "000002_0.png"
        data = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(data)

    return damage


def without_props(folder: Path) -> None:
    """Ids of products alone."""
    from render.scene import SceneSpec

    for file in copies(folder, "ids"):
        scene = SceneSpec.from_json((folder / "scenes" / f"{file.stem}.json").read_text())
        products = [number for number, one in enumerate(scene.placements, start=1) if one.kind == "product"]
        numbers = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file), np.where(np.isin(numbers, products), numbers, 0).astype(np.uint16))


def negated(coded: NDArray) -> NDArray:
    return np.where(coded.any(axis=2, keepdims=True), 65535 - coded, 0).astype(np.uint16)


DAMAGES = {
    "black": (each("images", np.zeros_like), "is black"),
    "depth scaled": (each("depth", lambda one: (one * 1.04).astype(np.uint16)), "depth: "),
    "depth swapped": (exchange("depth"), "depth"),
    "normals negated": (each("normals", negated), "face away from the camera"),
    "normals of another axis": (each("normals", lambda one: one[..., ::-1]), "normals"),
    "normals swapped": (exchange("normals"), "normals"),
    "ids without props": (without_props, "ids and depth disagree"),
    "ids swapped": (exchange("ids"), "ids"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_of_images_that_are_not_made_again_is_told(
    damage: Callable[[Path], None], words: str, rendered: RunSettings, cache: Path
) -> None:
    """With checksums that hold, by a call that makes no scene again."""
    folder = rendered.out.with_name("other")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(rendered.out, folder)
    damage(folder)
    sign_files(folder)
    report = verified(folder, sample=0, cache=cache)
    assert report.scenes_sampled == 0 and words in "\n".join(map(str, report.violations))


def test_what_was_read_by_an_earlier_call_is_read_again(rendered: RunSettings, cache: Path, tmp_path: Path) -> None:
    """Of a set of one image, which is the last one of a call and the first one of the next."""
    with work_here():
        run_render(replace(rendered, out=tmp_path / "one", scenes=1, views=1), quiet())
    assert verified(tmp_path / "one", sample=0, cache=cache).violations == ()
    each("normals", negated)(tmp_path / "one")
    sign_files(tmp_path / "one")
    found = verified(tmp_path / "one", sample=0, cache=cache).violations
    assert "face away from the camera" in "\n".join(map(str, found))


def test_ids_alone_are_held_against_the_props_of_the_scene(rendered: RunSettings, cache: Path) -> None:
    """Where neither depth nor normals tell that something is there."""
    from assets.catalog.load import load_catalog
    from pipeline.run.resources import open_library
    from render.scene import SceneSpec

    library = open_library(rendered.sku_list, rendered.backdrops, cache)
    assert load_catalog(rendered.sku_list).hash == library.catalog.hash
    folder = rendered.out.with_name("alone")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(rendered.out, folder)
    words = []
    for damaged in (False, True):
        if damaged:
            without_props(folder)
        for file in copies(folder, "ids"):
            scene = SceneSpec.from_json((folder / "scenes" / f"{file.stem}.json").read_text())
            picture = (folder / "images" / f"{file.stem}.jpg").read_bytes()
            ids = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            shown = ShownImage(picture, 96, 72, [], {"ids": ids}, file.stem)
            words.append([str(one) for one in check_agreement(shown, scene, library)])
    assert words[:8] == [[]] * 8
    assert any("without any show placements" in line for lines in words[8:] for line in lines)


def test_shards_are_looked_at_in_the_same_way(rendered: RunSettings, cache: Path, tmp_path: Path) -> None:
    folder = rendered.out.with_name("third")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(rendered.out, folder)
    each("normals", negated)(folder)
    each("images", np.zeros_like)(folder)
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(folder, place, QUIET)
    found = "\n".join(map(str, verified(place, sample=0).violations))
    assert "face away from the camera" in found and "is black" in found and "traced" not in found
    # With the list at hand pixels are traced, too.
    whole, scaled = StoragePath(str(tmp_path / "whole")), StoragePath(str(tmp_path / "scaled"))
    pack_data(rendered.out, whole, QUIET)
    assert verified(whole, sample=0, cache=cache, sku_list=rendered.sku_list).violations == ()
    shutil.rmtree(folder)
    shutil.copytree(rendered.out, folder)
    each("depth", lambda one: (one * 1.04).astype(np.uint16))(folder)
    pack_data(folder, scaled, QUIET)
    report = verified(scaled, sample=0, cache=cache, sku_list=rendered.sku_list)
    assert report.violations and all("depth: " in line.what and "traced" in line.what for line in report.violations)
