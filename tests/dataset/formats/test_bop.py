"""BOP scenes: units, frames, counts of pixels and boxes as its description has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image
from rich.console import Console

from assets.demo import demo_list
from assets.mesh.types import Material, Mesh, MeshPart
from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.formats.bop import write
from dataset.formats.bop.models import diameter_of, texture_atlas, write_models
from dataset.formats.bop.targets import BopTarget, read_targets
from dataset.masks import compressed_mask, decode_mask, encode_crop
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.shards.choose import filter_data
from pipeline.shards.convert import ConvertSummary, convert_data, mesh_reader
from pipeline.shards.settings import ConvertSettings, FilterSettings
from support.errors import raises

WIDTH, HEIGHT = 40, 30
LENS = [[50.0, 0.0, 20.0], [0.0, 60.0, 15.0], [0.0, 0.0, 1.0]]
# The camera stands 2 m along x of the world and is turned by a quarter about its own axis.
WORLD_FROM_CAMERA = [[0.0, -1.0, 0.0, 2.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
POSE = [[0.0, 0.0, 1.0, 0.1], [1.0, 0.0, 0.0, -0.2], [0.0, 1.0, 0.0, 0.7], [0.0, 0.0, 0.0, 1.0]]


def block(x: int, y: int, width: int, height: int) -> Any:
    return encode_crop(np.ones((height, width), bool), x, y, HEIGHT, WIDTH)


def product(**fields: Any) -> AnnotationRecord:
    """8 x 5 pixels, half of which are seen; a fifth of the product is outside the image."""
    return AnnotationRecord.parse(
        {
            "category_id": 7,
            "bbox": [32, 10, 4, 5],
            "segmentation": block(32, 10, 4, 5),
            "amodal_segmentation": block(32, 10, 8, 5),
            "amodal_bbox": [32, 10, 10, 5],
            "visibility": 0.5,
            "truncation": 0.2,
            "camera_from_object": POSE,
            **fields,
        }
    )


def convert(folder: Path, images: list[list[AnnotationRecord]], split: str = "val", **fields: Any) -> ConvertSummary:
    source = folder / "source"
    (source / "images" / split).mkdir(parents=True)
    (source / "annotations").mkdir()
    rows = []
    for number, records in enumerate(images, start=1):
        Image.new("RGB", (WIDTH, HEIGHT), (number, 0, 0)).save(source / "images" / split / f"{number}.png")
        own = [
            AnnotationRecord.parse({**one.content(), "id": 100 * number + at, "image_id": number})
            for at, one in enumerate(records)
        ]
        said = {"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT}
        camera = {"K": LENS, "world_from_camera": WORLD_FROM_CAMERA}
        rows.append(ImageLabels(ImageRecord.parse({**said, "camera": camera, **fields}), own))
    head = Head([CategoryRecord(id=7, name="Tea", sku="t")])
    write_coco(source / "annotations" / f"instances_{split}.json", rows, head)
    return convert_data(source, folder / "bop", ConvertSettings("bop"), Console(quiet=True))


def content(file: Path) -> Any:
    return json.loads(file.read_text())


def test_numbers_are_those_of_the_description(tmp_path: Path) -> None:
    summary = convert(tmp_path, [[product()], []])
    scene = tmp_path / "bop" / "val" / "000000"
    assert set(summary.lost) == {"names of images, which become numbers"}
    camera = content(scene / "scene_camera.json")["0"]
    assert camera["cam_K"] == [50, 0, 20, 0, 60, 15, 0, 0, 1]
    # Camera from world: the turn back, and 2 m = 2,000 mm from the camera, along its own -y... by hand: R^T (p - t).
    np.testing.assert_allclose(np.reshape(camera["cam_R_w2c"], (3, 3)), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(camera["cam_t_w2c"], [0, 2000, 0], atol=1e-9)
    poses, infos = content(scene / "scene_gt.json"), content(scene / "scene_gt_info.json")
    assert poses == {
        "0": [{"obj_id": 7, "cam_R_m2c": [0, 0, 1, 1, 0, 0, 0, 1, 0], "cam_t_m2c": [100, -200, 700]}],
        "1": [],
    }
    # 40 pixels inside are four fifths of 50; 20 of them are seen.
    assert infos["0"] == [
        {
            "bbox_obj": [32, 10, 9, 4],
            "bbox_visib": [32, 10, 3, 4],
            "px_count_all": 50,
            "px_count_valid": 40,
            "px_count_visib": 20,
            "visib_fract": 0.4,
        }
    ]
    masks = {kind: np.array(Image.open(scene / kind / "000000_000000.png")) for kind in ("mask", "mask_visib")}
    assert {kind: int((mask == 255).sum()) for kind, mask in masks.items()} == {"mask": 40, "mask_visib": 20}
    assert sorted(path.name for path in (scene / "rgb").iterdir()) == ["000000.png", "000001.png"]
    assert sorted(path.name for path in (tmp_path / "bop").iterdir()) == ["categories.json", "val"]


def test_products_come_back(tmp_path: Path) -> None:
    convert(tmp_path, [[product()]])
    (part,) = open_labels(tmp_path / "bop").parts
    (labels,) = part.labels()
    (record,) = labels.annotations
    assert (record.category_id, record.bbox, record.area) == (7, [32, 10, 4, 5], 20)
    assert (record.visibility, record.truncation) == (0.5, pytest.approx(0.2))
    assert record.amodal_bbox == [32, 10, 10, 5]
    np.testing.assert_allclose(record.camera_from_object, POSE, atol=1e-12)
    assert labels.image.camera is not None
    np.testing.assert_allclose(labels.image.camera["world_from_camera"], WORLD_FROM_CAMERA, atol=1e-12)
    counts = compressed_mask(record.amodal_segmentation, HEIGHT, WIDTH)
    assert isinstance(counts, bytes) and decode_mask(counts, HEIGHT, WIDTH).sum() == 40


def test_what_is_hardly_visible_is_ignored(tmp_path: Path) -> None:
    hidden = product(visibility=0.1, segmentation=block(32, 10, 2, 2), bbox=[32, 10, 2, 2], ignore=1)
    summary = convert(tmp_path, [[product(), hidden, product(ignore=1)]])
    assert summary.lost["ignored products of which more than a tenth is visible, which count"] == 1
    (labels,) = open_labels(tmp_path / "bop").parts[0].labels()
    assert [one.ignored for one in labels.annotations] == [False, True, False]


def test_scenes_are_begun_anew_after_a_number_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "SCENE_IMAGES", 2)
    convert(tmp_path, [[product()], [], [product()], [], [product()]])
    store = open_labels(tmp_path / "bop")
    assert [part.count for part in store.parts] == [2, 2, 1]
    labels = [one for part in store.parts for one in part.labels()]
    assert [len(one.annotations) for one in labels] == [1, 0, 1, 0, 1]
    assert len({one.image.id for one in labels}) == len({one.image.file_name for one in labels}) == 5


def test_what_has_no_pose_or_camera_is_named(tmp_path: Path) -> None:
    without = AnnotationRecord(category_id=7, bbox=[0, 0, 4, 4], segmentation=block(0, 0, 4, 4))
    assert convert(tmp_path / "a", [[product(), without]]).lost["products without a pose or a mask"] == 1
    bent = {"K": LENS, "distortion": {"model": "brown_conrady", "k1": 0.1}}
    lost = convert(tmp_path / "b", [[product()]], camera=bent).lost
    assert lost["distortion and rolling shutter of cameras"] == 1
    lost = convert(tmp_path / "c", [[product()]], camera=None).lost
    assert lost["images without the matrix of their camera, and their products"] == 1


def test_sets_of_others_are_read_without_masks_and_names(tmp_path: Path) -> None:
    """As the classic data sets are: boxes by the toolkit, shares of visible pixels, depth in other files."""
    scene = tmp_path / "test" / "000003"
    (scene / "rgb").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(scene / "rgb" / "000012.png")
    (scene / "scene_camera.json").write_text(json.dumps({"12": {"cam_K": np.ravel(LENS).tolist(), "depth_scale": 0.1}}))
    turn = np.eye(3).ravel().tolist()
    rows = [{"obj_id": number, "cam_R_m2c": turn, "cam_t_m2c": [0, 0, 500]} for number in (5, 2)]
    (scene / "scene_gt.json").write_text(json.dumps({"12": rows}))
    infos = [
        {"bbox_obj": [1, 2, 9, 19], "bbox_visib": [1, 2, 4, 9], "px_count_visib": 40, "visib_fract": 0.25},
        {"bbox_obj": [-1, -1, -1, -1], "bbox_visib": [-1, -1, -1, -1], "px_count_visib": 0, "visib_fract": 0.0},
    ]
    (scene / "scene_gt_info.json").write_text(json.dumps({"12": infos}))
    for place in (tmp_path, tmp_path / "test", scene):
        store = open_labels(place)
        assert [(one.id, one.name) for one in store.categories] == [(1, "obj_000002"), (2, "obj_000005")]
        (part,) = store.parts
        (labels,) = part.labels()
        (record,) = labels.annotations
        assert (part.split, record.category_id, record.bbox, record.visibility) == ("test", 2, [1, 2, 5, 10], 0.25)
        assert record.amodal_bbox == [1, 2, 10, 20] and np.array(record.camera_from_object)[2, 3] == 0.5


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("scene_camera.json", '{"0": {"cam_K": [1]}}'),
        ("scene_camera.json", '{"x": {"cam_K": [1, 0, 1, 0, 1, 1, 0, 0, 1]}}'),
        ("scene_camera.json", "[]"),
        ("scene_gt.json", '{"0": [{"obj_id": 8}]}'),
        ("scene_gt.json", '{"0": [{"obj_id": 7, "cam_R_m2c": [0, 0, 0, 0, 0, 0, 0, 0, 0], "cam_t_m2c": [0, 0, 0]}]}'),
        ("scene_gt.json", '{"0": [{"obj_id": 7, "cam_R_m2c": "x", "cam_t_m2c": [0, 0, 0]}]}'),
        ("scene_gt.json", '{"0": [3]}'),
    ],
)
def test_what_is_wrong_has_a_code(file: str, text: str, tmp_path: Path) -> None:
    convert(tmp_path, [[product()]])
    (tmp_path / "bop" / "val" / "000000" / file).write_text(text)
    with raises("records-invalid"):
        [list(part.labels()) for part in open_labels(tmp_path / "bop").parts]


def box_mesh(size: tuple[float, float, float], **fields: Any) -> Mesh:
    """A box of our frame: standing on z = 0, centred."""
    corners = np.array([(x, y, z) for z in (0, 1) for y in (-0.5, 0.5) for x in (-0.5, 0.5)]) * size
    faces = [(0, 1, 3), (0, 3, 2), (4, 5, 7), (4, 7, 6), (0, 1, 5), (0, 5, 4)]
    material = Material(np.array([1.0, 0.0, 0.0, 1.0]), **{k: v for k, v in fields.items() if k == "texture"})
    uv = np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] * 2) if "texture" in fields else None
    parts = (MeshPart(0, 2, Material(np.array([0.0, 1.0, 0.0, 1.0]))), MeshPart(2, len(faces), material))
    return Mesh("box", corners, np.array(faces), np.tile([0.0, 0.0, 1.0], (8, 1)), parts, uv=uv)


def with_models(folder: Path, name: str, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> Path:
    convert(folder, [[product()], [product()]])
    monkeypatch.setattr(
        "pipeline.shards.convert.mesh_reader", lambda settings: lambda sku: mesh if sku == "t" else None
    )
    convert_data(folder / "source", folder / "modelled", ConvertSettings(name), Console(quiet=True))
    return folder / "modelled"


@pytest.mark.parametrize("name", ["bop", "bop-webdataset"])
def test_models_stand_about_the_middle_of_their_boxes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box of 60 x 80 x 200 mm: its diagonal is the root of 3600 + 6400 + 40000; its middle is 100 mm up."""
    folder = with_models(tmp_path, name, box_mesh((0.06, 0.08, 0.2)), monkeypatch)
    sizes = content(folder / "models" / "models_info.json")
    assert sizes == {
        "7": {
            **{"min_x": pytest.approx(-30), "min_y": pytest.approx(-40), "min_z": pytest.approx(-100)},
            **{"size_x": pytest.approx(60), "size_y": pytest.approx(80), "size_z": pytest.approx(200)},
            "diameter": pytest.approx(50_000**0.5),
        }
    }
    found = trimesh.load(folder / "models" / "obj_000007.ply", process=False)
    np.testing.assert_allclose(found.bounds, [[-30, -40, -100], [30, 40, 100]], atol=1e-4)
    assert len(found.faces) == 6 and found.visual.vertex_colors[0, :3].tolist() == [255, 0, 0]
    if name == "bop":
        (row, *_) = content(folder / "val" / "000000" / "scene_gt.json")["0"]
        # The model's origin is 100 mm along its own z from the product's, which is the camera's x of POSE.
        np.testing.assert_allclose(row["cam_t_m2c"], [200, -200, 700], atol=1e-4)
    (labels, _) = open_labels(folder).parts[0].labels()
    np.testing.assert_allclose(labels.annotations[0].camera_from_object, POSE, atol=1e-7)


def test_models_are_meshes_of_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reader = mesh_reader(ConvertSettings("bop", sku_list=demo_list()))
    assert reader is not None and reader("unknown") is None
    mesh = reader("demo-0004")  # 110 x 55 x 180 mm
    assert mesh is not None
    frames = write_models(tmp_path, [CategoryRecord(id=4, sku="demo-0004"), CategoryRecord(id=5, sku="other")], reader)
    np.testing.assert_allclose(frames.origins[4], [0, 0, 0.09], atol=1e-6)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        *("models_info.json", "obj_000004.ply", "obj_000004.png"),
    ]
    found = trimesh.load(tmp_path / "models" / "obj_000004.ply", process=False)
    np.testing.assert_allclose(found.extents, [110, 55, 180], atol=0.01)
    with raises("options-conflict"):
        mesh_reader(ConvertSettings("yolo", sku_list=demo_list()))


def test_textures_of_a_model_are_one_image() -> None:
    texture = np.zeros((10, 20, 4), np.uint8)
    texture[:5] = (255, 255, 0, 255)
    texture[5:] = (0, 0, 255, 255)
    atlas, places = texture_atlas(box_mesh((1, 1, 1), texture=texture)) or (None, None)
    assert atlas is not None and places is not None and atlas.shape == (18, 20, 3)
    pixels = [atlas[round((1 - v) * 18 - 0.5), int(u * 20)].tolist() for u, v in places]
    # Corners 2 and 3 are in the plain part alone, green; of the others v = 0 is the texture's last row, blue.
    assert pixels[2] == pixels[3] == [0, 255, 0]
    assert pixels[4] == pixels[5] == [0, 0, 255] and pixels[6] == pixels[7] == [255, 255, 0]
    assert texture_atlas(box_mesh((1, 1, 1))) is None


def test_the_diameter_is_the_largest_distance() -> None:
    points = np.random.default_rng(1).normal(size=(300, 3)) * (1, 5, 2)
    slow = max(float(np.linalg.norm(points - one, axis=1).max()) for one in points)
    assert diameter_of(points) == pytest.approx(slow)
    assert diameter_of(np.array([[0.0, 0, 0], [3, 4, 0], [1, 1, 0]])) == pytest.approx(5)  # flat
    assert diameter_of(np.zeros((1, 3))) == 0


@pytest.mark.parametrize("name", ["bop", "bop-webdataset"])
def test_depth_comes_along(name: str, tmp_path: Path) -> None:
    convert(tmp_path, [[product()], [product()]])
    depth = np.full((HEIGHT, WIDTH), 700, np.uint16)
    (tmp_path / "source" / "depth").mkdir()
    Image.fromarray(depth).save(tmp_path / "source" / "depth" / "2.png")
    stored = (tmp_path / "source" / "depth" / "2.png").read_bytes()
    summary = convert_data(tmp_path / "source", tmp_path / "out", ConvertSettings(name), Console(quiet=True))
    assert "depth images" not in summary.lost
    first, second = (one for part in open_labels(tmp_path / "out").parts for one in part.stored_images())
    assert first.read_beside("depth") is None and second.read_beside("depth") == stored
    summary = convert_data(tmp_path / "source", tmp_path / "yolo", ConvertSettings("yolo"), Console(quiet=True))
    assert summary.lost["depth images"] == 1
    summary = convert_data(tmp_path / "source", tmp_path / "coco", ConvertSettings(), Console(quiet=True))
    assert not summary.lost and (tmp_path / "coco" / "depth" / "2.png").read_bytes() == stored
    if name == "bop":
        assert (tmp_path / "out" / "val" / "000000" / "depth" / "000001.png").read_bytes() == stored


@pytest.mark.parametrize("name", ["bop", "bop-webdataset"])
def test_targets_are_what_is_visible_in_test_images(name: str, tmp_path: Path) -> None:
    hidden = product(visibility=0.01, segmentation=block(32, 10, 1, 1), bbox=[32, 10, 1, 1])
    convert(tmp_path, [[hidden], [product(), product(), hidden]], split="test")
    targets = tmp_path / "bop" / "test_targets_bop19.json"
    assert content(targets) == [{"im_id": 1, "inst_count": 2, "obj_id": 7, "scene_id": 0}]
    assert read_targets(targets) == [BopTarget(0, 1, 7, 2)]
    convert_data(tmp_path / "source", tmp_path / "set", ConvertSettings(name), Console(quiet=True))
    summary = filter_data(
        tmp_path / "set", tmp_path / "some", FilterSettings(only=targets), ConvertSettings(), Console(quiet=True)
    )
    assert (summary.images, summary.annotations) == (1, 3)
    for text in ('[{"scene_id": 1}]', "3", '[{"scene_id": -1, "im_id": 0, "obj_id": 1}]', '{"a": [[[]]]}'):
        targets.write_text(text)
        with raises("records-invalid"):
            read_targets(targets)


def test_shards_are_those_of_webdataset_and_of_the_toolkit(tmp_path: Path) -> None:
    """Suffixes and counts as its description has them; the package webdataset reads all samples."""
    webdataset = pytest.importorskip("webdataset")
    convert(tmp_path, [[product()], [product(), product()]])
    convert_data(tmp_path / "source", tmp_path / "web", ConvertSettings("bop-webdataset"), Console(quiet=True))
    shard = tmp_path / "web" / "val" / "shard-000000.tar"
    assert content(shard.with_name("key_to_shard.json")) == {"000000_000000": 0, "000000_000001": 0}
    with shard.open("rb") as file:
        opened = webdataset.tariterators.tar_file_expander([{"url": str(shard), "stream": file}])
        samples = list(webdataset.tariterators.group_by_keys(opened))
    assert [one["__key__"] for one in samples] == ["000000_000000", "000000_000001"]
    scene = tmp_path / "bop" / "val" / "000000"
    names = {"camera.json": "scene_camera", "gt.json": "scene_gt", "gt_info.json": "scene_gt_info"}
    for place, sample in enumerate(samples):
        kinds = {*names, "rgb.png", "mask.json", "mask_visib.json"}
        assert {key for key in sample if not key.startswith("__")} == kinds
        for suffix, name in names.items():
            assert json.loads(sample[suffix]) == content(scene / f"{name}.json")[str(place)]
        for row, mask in json.loads(sample["mask.json"]).items():
            stored = np.array(Image.open(scene / "mask" / f"{place:06d}_{int(row):06d}.png")) > 0
            counts = np.array(mask["counts"])
            flat = np.repeat(np.arange(len(counts)) % 2, counts)
            np.testing.assert_array_equal(flat.reshape(mask["size"], order="F"), stored)


@pytest.mark.parametrize("junk", [b"", b"\0" * 2000, b"x" * 3000])
def test_damaged_shards_have_a_code(junk: bytes, tmp_path: Path) -> None:
    convert(tmp_path, [[product()]])
    convert_data(tmp_path / "source", tmp_path / "web", ConvertSettings("bop-webdataset"), Console(quiet=True))
    shard = tmp_path / "web" / "val" / "shard-000000.tar"
    shard.write_bytes(junk + shard.read_bytes()[len(junk) + 700 :])
    with raises("shard-damaged", "records-invalid", "image-unreadable", "json-invalid"):
        [list(part.labels()) for part in open_labels(tmp_path / "web").parts]
