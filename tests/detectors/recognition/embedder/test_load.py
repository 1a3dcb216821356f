"""Embedders in use: crops, fingerprints, files; what an untrained head keeps; crops stored and drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from detectors.augment.view import GREY
from detectors.checkpoints.detector import load_checkpoint
from detectors.checkpoints.recorded import RecordedSettings
from detectors.data.image_set import IGNORED, ImageSet
from detectors.recognition.embedder.augment import augment_crop, crop_preset, jitter_box
from detectors.recognition.embedder.checkpoint import EmbedderCheckpoint, save_embedder_checkpoint
from detectors.recognition.embedder.crop_store import SURROUNDING, Cut, JoinedCrops, store_crops
from detectors.recognition.embedder.crops import fit_square, prepare_crop
from detectors.recognition.embedder.evaluate import embed_boxes
from detectors.recognition.embedder.load import Embedder, fingerprint, load_embedder, new_embedder
from detectors.recognition.embedder.network import EmbeddingNet, GeM
from detectors.recognition.embedder.settings import CropChoice
from support.errors import raises
from support.sets.coco_files import coco, read_set, write_set
from support.sets.shapes import write_shapes

SMALL = "mobilenetv3_small_050"


@pytest.fixture(scope="module")
def small() -> Embedder:
    return new_embedder(SMALL, dim=16, side=32, weights="none", device="cpu")


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(embedder: Embedder, path: Path) -> None:
    save_embedder_checkpoint(
        EmbedderCheckpoint(embedder.spec, embedder.net.state_dict(), ("a",), RecordedSettings(), {}), path
    )


box_edges = st.tuples(*[st.floats(-50, 90)] * 4)


@settings(deadline=None)
@given(box_edges, st.floats(0, 0.9), st.integers(1, 40), st.integers(1, 40))
def test_a_crop_is_never_empty_and_holds_the_box(
    edges: tuple[float, ...], margin: float, width: int, height: int
) -> None:
    x0, x1 = sorted(edges[:2])
    y0, y1 = sorted(edges[2:])
    place = np.stack(np.meshgrid(np.arange(height), np.arange(width), [0], indexing="ij"), axis=-1)[:, :, 0]
    crop = prepare_crop(place.astype(np.uint8), np.array([x0, y0, x1, y1]), margin=margin)
    assert crop.shape[0] > 0 and crop.shape[1] > 0
    shown = crop.reshape(-1, 3)
    inside_x = [x for x in range(width) if x + 1 > x0 and x < x1]
    inside_y = [y for y in range(height) if y + 1 > y0 and y < y1]
    if inside_x and inside_y:
        assert shown[:, 1].min() <= inside_x[0] and shown[:, 1].max() >= inside_x[-1]
        assert shown[:, 0].min() <= inside_y[0] and shown[:, 0].max() >= inside_y[-1]


def test_a_crop_with_a_margin_on_paper() -> None:
    image = noise(50, 60)
    assert (prepare_crop(image, np.array([10, 20, 30, 40]), margin=0.1) == image[18:42, 8:32]).all()
    assert (prepare_crop(image, np.array([0, 0, 60, 50]), margin=0.5) == image).all()
    assert np.shares_memory(prepare_crop(image, np.array([1, 1, 9, 9]), margin=0), image)


@settings(deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 64))
def test_a_fitted_crop_keeps_its_shape_in_the_middle(height: int, width: int, side: int) -> None:
    square = fit_square(np.full((height, width, 3), 255, np.uint8), side)
    bright = np.argwhere((square == 255).all(axis=2))
    (top, left), (bottom, right) = bright.min(axis=0), bright.max(axis=0) + 1
    assert max(bottom - top, right - left) == side and (square[(square != 255).all(axis=2)] == GREY).all()
    assert abs(top - (side - bottom)) <= 1 and abs(left - (side - right)) <= 1
    assert (bottom - top) == max(1, round(side * height / max(height, width)))


def test_vectors_have_length_one_and_do_not_depend_on_their_batch(small: Embedder) -> None:
    crops = [noise(20 + i, 35 - i, i) for i in range(7)]
    together, apart = small.embed(crops), np.concatenate([small.embed([crop]) for crop in crops])
    assert together.shape == (7, 16) and together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(7), abs=1e-5)
    assert small.embed(iter(crops), batch=3) == pytest.approx(apart, abs=1e-5)
    assert small.embed([]).shape == (0, 16)


@pytest.mark.parametrize(("dim", "off"), [(400, 1e-4), (128, 0.25)])
def test_an_untrained_head_keeps_the_angles_of_the_features(dim: int, off: float) -> None:
    """Exactly where it has room for them (288 features here), else nearly."""
    net = EmbeddingNet(new_embedder(SMALL, dim=dim, side=32, weights="none", device="cpu").spec).eval()
    features = torch.randn(12, net.project.in_features, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = (
            torch.nn.functional.normalize(one, dim=1) for one in (features, net.norm(net.project(features)))
        )
    assert (before @ before.T - after @ after.T).abs().max() < off


def test_gem_lies_between_mean_and_maximum() -> None:
    maps = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    pool = GeM()
    with torch.no_grad():
        for power, expected in ((1.0, maps.mean(dim=(2, 3))), (200.0, maps.amax(dim=(2, 3)))):
            pool.power.fill_(power)
            assert torch.allclose(pool(maps), expected, atol=2e-2)


def test_a_file_gives_the_same_embedder_again(small: Embedder, tmp_path: Path) -> None:
    save(small, tmp_path / "best.ckpt")
    for path in (tmp_path, tmp_path / "best.ckpt"):
        again = load_embedder(path, device="cpu")
        assert again.fingerprint == small.fingerprint
        assert np.array_equal(again.embed([noise(30, 20)]), small.embed([noise(30, 20)]))


def test_the_fingerprint_knows_weights_and_preprocessing(small: Embedder) -> None:
    weights: dict[str, Tensor] = small.net.state_dict()
    seen = {small.fingerprint}
    for name in ("project.weight", "norm.running_mean", "pool.power"):
        moved = {key: value.clone() for key, value in weights.items()}
        moved[name].view(-1)[0] += 1e-3
        seen.add(fingerprint(small.spec, moved))
    seen.add(fingerprint(replace(small.spec, margin=0.1), weights))
    seen.add(fingerprint(replace(small.spec, side=64), weights))
    assert len(seen) == 6
    assert new_embedder(SMALL, dim=16, side=32, weights="none", device="cpu").fingerprint == small.fingerprint


def test_what_is_no_embedder_is_told(small: Embedder, tmp_path: Path) -> None:
    torch.save({"spec": {"detector": "ssdlite"}, "classes": {}, "weights": {}, "format": 1}, tmp_path / "detector.ckpt")
    with raises("checkpoint-foreign", found=r"a detector \(ssdlite\)"):
        load_embedder(tmp_path / "detector.ckpt")
    with raises("checkpoint-missing"):
        load_embedder(tmp_path / "nothing")
    (tmp_path / "text.ckpt").write_text("hello")
    with raises("tensor-file-unreadable"):
        load_embedder(tmp_path / "text.ckpt")
    save(small, tmp_path / "best.ckpt")
    with raises("checkpoint-foreign"):
        load_checkpoint(tmp_path)
    with raises("backbone-unsupported"):
        new_embedder("vit_tiny_patch16_224", dim=8, side=224, weights="none")
    with raises("unknown-name", what="timm backbone"):
        new_embedder("mobilenetv9", dim=8, side=64, weights="none")


def chosen(images: ImageSet, **fields: float | int) -> np.ndarray:
    return CropChoice(**{"least_side": 4, **fields}).rows(images, seed=0)  # type: ignore[arg-type]


def test_small_hidden_and_ignored_boxes_are_left_out(tmp_path: Path) -> None:
    content = coco(4, boxes=3)
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1]["bbox"] = [1, 1, 30, 3]
    content["annotations"][2]["visibility"] = 0.2
    images, _ = read_set(write_set(tmp_path, content))
    rows = chosen(images)
    assert rows.tolist() == list(range(3, 12)) and images.labels[0] == IGNORED
    assert chosen(images, least_visible=0.1).tolist() == list(range(2, 12))
    few = chosen(images, most=2)
    assert set(few.tolist()) <= set(rows.tolist()) and np.bincount(images.labels[few]).tolist() == [2, 2, 2]


def test_stored_crops_are_those_of_the_images(tmp_path: Path, small: Embedder) -> None:
    """Cut live and cut from the store: the same product, up to JPEG."""
    write_shapes(tmp_path / "set", 4, seed=3)
    images, _ = read_set(tmp_path / "set")
    rows = chosen(images)
    stored = store_crops(images, rows, tmp_path / "crops", side=32)
    assert len(stored) == len(rows) and stored.labels.tolist() == images.labels[rows].tolist()
    cuts = [stored.read(place) for place in range(len(stored))]
    middles = [prepare_crop(cut.image, cut.box, margin=0).mean(axis=(0, 1)) for cut in cuts]
    colors = np.array([(220, 30, 30), (30, 200, 40), (40, 60, 230)])[images.labels[rows]]
    assert np.abs(np.array(middles) - colors).max() < 40
    vectors = small.embed(prepare_crop(cut.image, cut.box, margin=small.margin) for cut in cuts)
    live = embed_boxes(small, images, rows)
    assert (vectors * live).sum(axis=1).min() > 0.9
    with pytest.raises(ValueError, match="must be ascending"):
        embed_boxes(small, images, rows[::-1])


def test_crops_are_cut_once_and_again_when_the_choice_changes(tmp_path: Path) -> None:
    write_shapes(tmp_path / "set", 3, seed=3)
    images, _ = read_set(tmp_path / "set")
    rows = chosen(images)
    store_crops(images, rows, tmp_path / "crops", side=32)
    before = (tmp_path / "crops" / "crops.bin").stat().st_mtime_ns
    told: list[int] = []
    store_crops(images, rows, tmp_path / "crops", side=32, advance=told.append)
    assert (tmp_path / "crops" / "crops.bin").stat().st_mtime_ns == before and sum(told) == len(rows)
    assert len(store_crops(images, rows[1:], tmp_path / "crops", side=32)) == len(rows) - 1
    store_crops(images, rows[1:], tmp_path / "crops", side=32, data_hash="changed")
    assert (tmp_path / "crops" / "crops.bin").stat().st_mtime_ns > before
    one, two = (
        store_crops(images, part, tmp_path / name, side=32) for name, part in (("a", rows[:2]), ("b", rows[2:]))
    )
    joined = JoinedCrops((one, two))
    assert joined.labels.tolist() == images.labels[rows].tolist()
    assert np.array_equal(joined.read(2).image, two.read(0).image)
    assert np.array_equal(joined.read(1).box, one.read(1).box)


def test_two_processes_cut_the_same_bytes(tmp_path: Path) -> None:
    write_shapes(tmp_path / "set", 5, seed=4)
    images, _ = read_set(tmp_path / "set")
    rows = chosen(images)
    for workers in (0, 2):
        store_crops(images, rows, tmp_path / str(workers), side=32, workers=workers)
    assert (tmp_path / "0" / "crops.bin").read_bytes() == (tmp_path / "2" / "crops.bin").read_bytes()


def a_cut(width: int = 60, height: int = 90) -> Cut:
    spare = np.array([width, height]) * SURROUNDING
    image = noise(int(height + 2 * spare[1]), int(width + 2 * spare[0]))
    return Cut(image, np.array([*spare, *(spare + [width, height])], np.float32))


def test_augmented_crops_are_reproducible_and_differ() -> None:
    cut = a_cut()
    views = [
        augment_crop(cut, side=48, margin=0.05, settings=crop_preset("strong"), rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(views[0], views[1]) and not np.array_equal(views[0], views[2])
    assert all(view.shape == (48, 48, 3) and view.dtype == np.uint8 for view in views)


def test_without_augmentation_a_training_crop_is_the_one_of_recognition() -> None:
    smooth = Cut(np.full((150, 120, 3), 90, np.uint8), np.array([30, 30, 90, 120], np.float32))
    smooth.image[40:110, 40:80] = 200
    made = augment_crop(smooth, side=64, margin=0.05, settings=crop_preset("none"), rng=np.random.default_rng(0))
    used = fit_square(prepare_crop(smooth.image, smooth.box, margin=0.05), 64)
    assert np.abs(made.astype(int) - used).mean() < 6


def test_the_grey_around_stays_grey_under_any_light() -> None:
    views = [
        augment_crop(
            a_cut(20, 90), side=48, margin=0.0, settings=crop_preset("strong"), rng=np.random.default_rng(seed)
        )
        for seed in range(10)
    ]
    assert all((view[:, :8] == GREY).all() and (view[:, -8:] == GREY).all() for view in views)


def test_boxes_are_off_as_a_detectors_are_and_never_by_more_than_the_surrounding() -> None:
    strong, box = crop_preset("strong"), np.array([100.0, 200.0, 150.0, 300.0])
    moved = np.array([jitter_box(box, strong, rng=np.random.default_rng(seed)) for seed in range(500)])
    shares = (moved - box) / [50, 100, 50, 100]
    assert np.abs(shares).max() <= strong.most_jitter < SURROUNDING
    assert shares.std(axis=0) == pytest.approx(np.full(4, strong.jitter), rel=0.15)
    with raises("unknown-name", expected="strong"):
        crop_preset("stong")
