"""More than fifty ways to damage a data set, found by the checksums, and by the content where these are made again.

What only the checksums can find says why, and that nothing else finds it is asserted too.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from assets.library import Library
from dataset.checksums import CHECKSUMS
from dataset.layout import Layout
from pipeline.run.resources import open_library
from pipeline.run.settings import RunSettings
from pipeline.verify import images as verify_images
from pipeline.verify import rendered as verify_rendered
from pipeline.verify.checksums import check_checksums
from pipeline.verify.scenes import Sources, open_sources
from support.scenes import mask_of_rle, rle_of_mask, sign_files
from support.verified import verified

Record = dict[str, Any]
STEM, VIEW, OTHER = "000000_0", "000000_1", "000002_0"


def coco_file(folder: Path, stem: str = STEM) -> Path:
    return next(file for file in sorted(folder.glob("annotations/*")) if f'"{stem}.jpg"' in file.read_text())


def change(file: Path, edit: Callable[[Record], object]) -> None:
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")))


def records_in(data: Record) -> tuple[Record, list[Record]]:
    """The image and its annotations, of a COCO file as of an image's own labels; the largest mask first."""
    if "image" in data:
        image, records = data["image"], data["annotations"]
    else:
        image = next(image for image in data["images"] if image["file_name"] == f"{STEM}.jpg")
        records = [record for record in data["annotations"] if record["image_id"] == image["id"]]
    return image, sorted(records, key=lambda record: (-record["area"], record["instance"]))


def everywhere(edit: Callable[[Record, list[Record]], object]) -> Callable[[Path], None]:
    """The same change in the COCO file and in the image's own labels."""

    def damage(folder: Path) -> None:
        for file in (coco_file(folder), Layout(folder).labels(STEM)):
            change(file, lambda data: edit(*records_in(data)))

    return damage


def in_coco(edit: Callable[[Record, list[Record]], object]) -> Callable[[Path], None]:
    return lambda folder: change(coco_file(folder), lambda data: edit(*records_in(data)))


def put(name: str, value: Any) -> Callable[[Path], None]:
    """Another value for a field of the largest annotation; value: or what makes it of the one that is there."""

    def edit(_image: Record, records: list[Record]) -> None:
        records[0][name] = value(records[0][name]) if callable(value) else value

    return everywhere(edit)


def moved(mask: Record, by: int = 2) -> Record:
    return rle_of_mask(np.roll(mask_of_rle(mask), by, axis=1))


def shift_mask(_image: Record, records: list[Record]) -> None:
    """Mask, amodal mask and boxes of the smallest, all by the same: nothing in the labels disagrees."""
    for record in records[-1:]:
        for name in ("segmentation", "amodal_segmentation"):
            record[name] = moved(record[name])
        for name in ("bbox", "amodal_bbox"):
            record[name][0] += 2


def swap_skus(_image: Record, records: list[Record]) -> None:
    one = records[0]
    other = next(record for record in records if record["sku"] != one["sku"])
    for name in ("sku", "category_id"):
        if name in one:
            one[name], other[name] = other[name], one[name]


def remove_one(folder: Path) -> None:
    """With ids that are dense again."""
    layout = Layout(folder)
    gone = records_in(json.loads(layout.labels(STEM).read_text()))[1][-1]["instance"]
    change(layout.labels(STEM), lambda data: _drop(data, lambda record: record["instance"] == gone))
    file = coco_file(folder)
    number = records_in(json.loads(file.read_text()))[0]["id"]
    change(file, lambda data: _drop(data, lambda r: r["image_id"] == number and r["instance"] == gone))
    change(file, lambda data: [r.update(id=place) for place, r in enumerate(data["annotations"], 1)])


def _drop(data: Record, wrong: Callable[[Record], bool]) -> None:
    data["annotations"] = [record for record in data["annotations"] if not wrong(record)]


def double_one(data: Record) -> None:
    place = data["annotations"].index(records_in(data)[1][0])
    data["annotations"].insert(place, data["annotations"][place])
    for number, record in enumerate(data["annotations"], 1):
        data["annotations"][number - 1] = {**record, "id": number}


def camera_off(image: Record, _records: object = None) -> None:
    image["camera"]["K"][0][0] *= 1.005
    image["camera"]["K"][1][1] *= 1.005


def camera_off_everywhere(folder: Path) -> None:
    everywhere(camera_off)(folder)
    change(Layout(folder).scene(STEM), camera_off)


def swap(*names: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        one, other = (folder / name for name in names)
        first = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(first)

    return damage


def repaint(edit: Callable[[np.ndarray], np.ndarray], **how: Any) -> Callable[[Path], None]:
    """The image opened, changed and stored again."""

    def damage(folder: Path) -> None:
        file = Layout(folder).image(STEM)
        with Image.open(file) as image:
            pixels = np.array(image)
        Image.fromarray(edit(pixels)).save(file, "JPEG", **({"quality": 95} | how))

    return damage


def blot(pixels: np.ndarray) -> np.ndarray:
    pixels[8:14, 8:14] = 255, 0, 255
    return pixels


def magenta(pixels: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.array([255, 0, 255], np.uint8), pixels.shape).copy()


def repixel(kind: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = Layout(folder).file(kind, STEM)
        pixels = edit(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
        file.write_bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())

    return damage


def farther(depth: np.ndarray) -> np.ndarray:
    return (depth * 1.01).astype(np.uint16)


def one_for_another(ids: np.ndarray) -> np.ndarray:
    first, second = np.unique(ids[ids > 0])[:2]
    return np.where(ids == first, second, np.where(ids == second, first, ids)).astype(np.uint16)


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-200])


def other_device(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """The damage, and the image's entry says that another device made it."""

    def both(folder: Path) -> None:
        everywhere(lambda image, _: image.update(renderer="another card; versions 00000000"))(folder)
        damage(folder)

    return both


def comment(folder: Path) -> None:
    file = Layout(folder).image(STEM)
    data = file.read_bytes()
    file.write_bytes(data[:2] + b"\xff\xfe\0\7hello" + data[2:])


def info(edit: Callable[[Record], object]) -> Callable[[Path], None]:
    return lambda folder: change(folder / "dataset.json", edit)


def edit_list(edit: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        lines = (folder / CHECKSUMS).read_text().splitlines(keepends=True)
        (folder / CHECKSUMS).write_text("".join(edit(lines)))

    return damage


def add(name: str, like: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / like).read_bytes())


IMAGE, SCENE = f"images/{STEM}.jpg", f"scenes/{STEM}.json"
DIFFERS = "image rendered again"
TRACED = "traced again"
# What finds it where the checksums were made anew. "": only they find it; the reason stands beside.
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "mask shifted in the COCO file": (in_coco(shift_mask), "holds different annotations"),
    "mask, amodal mask and boxes shifted everywhere": (everywhere(shift_mask), TRACED),
    "categories swapped": (
        lambda folder: change(coco_file(folder), lambda data: data["categories"].reverse()),
        "categories differ from the catalogue",
    ),
    "SKUs of two annotations swapped": (everywhere(swap_skus), r"instance \d+ is .* in scenes"),
    "pose off by a centimetre": (
        put("camera_from_object", lambda pose: [[*row[:3], row[3] + 0.01 * (at < 3)] for at, row in enumerate(pose)]),
        "camera_from_object of instance",
    ),
    "K off by 0.5 % in the labels": (everywhere(camera_off), "camera.K differs from"),
    "K off by 0.5 % everywhere": (camera_off_everywhere, "sampled again"),
    "camera moved in the labels": (
        everywhere(lambda image, _: image["camera"]["world_from_camera"][0].__setitem__(3, 0.5)),
        "world_from_camera differs",
    ),
    "images of two scenes swapped": (swap(IMAGE, f"images/{OTHER}.jpg"), DIFFERS),
    "images of two views swapped": (swap(IMAGE, f"images/{VIEW}.jpg"), DIFFERS),
    "another scene's image": (add(IMAGE, f"images/{OTHER}.jpg"), DIFFERS),
    "plain magenta": (repaint(magenta), DIFFERS),
    "a painted blot": (repaint(blot), DIFFERS),
    "image mirrored": (repaint(lambda pixels: pixels[:, ::-1].copy()), DIFFERS),
    "image encoded again": (repaint(lambda pixels: pixels, quality=80), DIFFERS),
    "image lighter by two levels": (repaint(lambda p: np.minimum(p, 253) + 2, quality=100, subsampling=0), DIFFERS),
    "plain magenta, of another device": (other_device(repaint(magenta)), f"{DIFFERS}.*beyond the tolerance"),
    "another view, of another device": (other_device(swap(IMAGE, f"images/{VIEW}.jpg")), "beyond the tolerance"),
    # Another device's noise is as large as that: it is held to the tolerance, and the report says so.
    "encoded again, of another device": (other_device(repaint(lambda pixels: pixels, quality=80)), ""),
    # Not a pixel of the image is another one.
    "a comment in the JPEG": (comment, ""),
    "depth scaled by 1.01": (repixel("depth", farther), "depth/.* traced again"),
    "depth of another scene": (swap(f"depth/{STEM}.png", f"depth/{OTHER}.png"), "depth/.* traced again"),
    "depth of one pixel": (
        repixel("depth", lambda d: np.where(np.arange(d.size).reshape(d.shape) == d.argmax(), d - 9, d)),
        "1 pixel of",
    ),
    # The same pixels in other bytes.
    "depth compressed again": (repixel("depth", lambda depth: depth), ""),
    "ids shifted by a pixel": (repixel("ids", lambda ids: np.roll(ids, 1, axis=1)), "ids: instance"),
    "ids of two instances swapped": (repixel("ids", one_for_another), "ids/.* traced again|ids: instance"),
    "normals turned round": (
        repixel("normals", lambda n: np.where(n.any(axis=2, keepdims=True), 65535 - n, n)),
        "normals/.* traced again",
    ),
    "annotation removed everywhere": (remove_one, TRACED),
    "annotation doubled": (lambda folder: change(coco_file(folder), double_one), "holds different annotations"),
    "amodal box moved": (put("amodal_bbox", lambda box: [box[0] + 1, *box[1:]]), f"amodal_bbox|{TRACED}"),
    "amodal mask grown": (
        put("amodal_segmentation", lambda mask: rle_of_mask(mask_of_rle(mask) | mask_of_rle(moved(mask, 1)))),
        "amodal_bbox|visibility",
    ),
    "visibility changed": (put("visibility", lambda seen: seen * 0.9), "visibility .*, but"),
    "truncation changed": (put("truncation", lambda share: share * 0.9 + 0.05), f"{TRACED}|disagree"),
    "area changed": (put("area", lambda area: area + 1), "but the mask has"),
    "box off by one": (put("bbox", lambda box: [box[0] + 1, *box[1:]]), "bbox .*, but the mask's is"),
    "another size in the image entry": (everywhere(lambda image, _: image.update(width=95)), "expected 95x72"),
    "ignore flag set": (put("ignore", lambda flag: 1 - flag), "ignore 1, but"),
    "crowd flag set": (put("iscrowd", 1), "iscrowd 1"),
    "another SKU with the right category": (put("sku", "other"), "but its category is"),
    "image missing": (lambda folder: (folder / IMAGE).unlink(), "is missing"),
    "depth missing": (lambda folder: (folder / f"depth/{STEM}.png").unlink(), "is missing"),
    "labels missing": (lambda folder: Layout(folder).labels(STEM).unlink(), "cannot be used"),
    "one image more": (add("images/000009_0.jpg", IMAGE), "belongs to no image"),
    "one depth map more": (add("depth/000009_0.png", f"depth/{STEM}.png"), "belongs to no image"),
    "image cut short": (cut(IMAGE), "cannot be read|truncated"),
    "depth cut short": (cut(f"depth/{STEM}.png"), "depth/.* cannot be read"),
    "lights of the scene changed": (
        lambda folder: change(folder / SCENE, lambda data: data["sensor"].update(seed=data["sensor"]["seed"] + 1)),
        "sampled again",
    ),
    "seed changed in dataset.json": (info(lambda data: data["identity"].update(seed=1)), "but dataset.json says 1"),
    "recipe changed in dataset.json": (
        info(lambda data: data.update(recipe=re.sub(r"lens_mm:.*", "lens_mm: [200, 210]", data["recipe"]))),
        "sampled again",
    ),
    # It is what the set says of itself: nothing else tells of it.
    "versions changed in dataset.json": (info(lambda data: data["versions"].update(numpy="0.1")), ""),
    # Another list cannot be told from a changed one: the report says that nothing was drawn again.
    "hash of the list changed in dataset.json": (info(lambda data: data["identity"].update(sku_list="0" * 64)), ""),
    "samples that make no sense": (info(lambda data: data["identity"].update(samples=-1)), "identity.samples"),
    "licence changed": (
        lambda folder: change(coco_file(folder), lambda data: data["licenses"][0].update(name="mine")),
        "dataset.json says 'CC0'",
    ),
    "splits swapped": (swap("annotations/instances_train.json", "annotations/instances_val.json"), "a different split"),
    # With a list that fits there is no damage.
    "a line of the checksums changed": (
        edit_list(lambda lines: [lines[0].replace(lines[0][:4], "0000"), *lines[1:]]),
        "",
    ),
    "a line of the checksums removed": (edit_list(lambda lines: lines[:-1]), ""),
}
SAID = {
    "encoded again, of another device": "other devices or versions",
    "hash of the list changed in dataset.json": "the SKU list has changed",
}


@pytest.fixture
def copy(rendered: RunSettings, tmp_path: Path) -> Path:
    # The sources are named relative to the set.
    folder = rendered.out.with_name("damaged")
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(rendered.out, folder))


@pytest.fixture
def rendered_before(rendered: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is rendered again is what was rendered: that it is the same is the matter of test_verify."""

    def render_again(settings: RunSettings, indices: Sequence[int], stop: object) -> Iterator[tuple[int, str]]:
        for index in indices:
            for name in ("images", "scenes", "labels"):
                for file in (rendered.out / name).glob(f"{index:06d}_*"):
                    shutil.copy(file, settings.out / name)
            yield index, ""

    monkeypatch.setattr(verify_images, "render_again", render_again)


@pytest.fixture(scope="module")
def library(rendered: RunSettings, cache: Path) -> Library:
    return open_library(rendered.sku_list, rendered.backdrops, cache)


@pytest.fixture
def one_library(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products are built once for all of these tests."""

    def shared(*args: Any) -> Sources:
        sources = open_sources(*args)
        return replace(sources, library=library) if sources.library is not None else sources

    monkeypatch.setattr(verify_rendered, "open_sources", shared)


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.usefixtures("rendered_before", "one_library")
def test_every_damage_is_found(copy: Path, cache: Path, name: str) -> None:
    damage, found_by = DAMAGES[name]
    damage(copy)
    folders = ("annotations", "depth", "ids", "images", "labels", "normals", "scenes")
    assert [found for some in check_checksums(copy, folders) for found in some]
    sign_files(copy)
    needs_scenes = not found_by or any(words in found_by for words in ("again", "tolerance", "pixel", "samples"))
    report = verified(copy, sample=int(needs_scenes), cache=cache)
    told = [str(violation) for violation in report.violations]
    if found_by:
        assert any(re.search(found_by, text) for text in told), told
    else:
        assert not told and SAID.get(name, "") in "".join(report.skipped), (told, report.skipped)


def test_images_of_other_devices_are_held_to_a_tolerance() -> None:
    rng = np.random.default_rng(4)
    image = rng.integers(40, 200, (48, 64, 3)).astype(np.uint8)
    noisy = (image + rng.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)
    other = np.roll(image, 5, axis=1)
    differences = verify_images.differences
    assert differences(image, noisy, same=False) == "" and differences(image, image, same=True) == ""
    assert "same device" in differences(image, noisy, same=True)
    assert "tolerance" in differences(image, other, same=False)
    assert "64x48 px, not 64x40" in differences(image, image[:40], same=False)
