"""Proposals: the same boxes in the same order, found once per image, and moved with it."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from detectors.augment import augment, preset
from detectors.data import proposals
from detectors.data.mix import Draw
from detectors.data.prepare import prepare_training
from detectors.data.proposals import (
    ProposalSettings,
    cached_proposals,
    rank_regions,
    search_proposals,
    searched_size,
)
from detectors.data.sample import Sample
from detectors.data.settings import DataSettings
from detectors.training.fitting import prepare_proposals
from detectors.training.loader import InputSettings, TrainingImages, target_of
from detectors.training.setup import make_schedule
from support.sets.shapes import QUIET, tiny_settings, write_shapes

SMALL = ProposalSettings(width=96)


def blocks(width: int = 96, height: int = 64) -> np.ndarray:
    """Three coloured blocks on grey."""
    image = np.full((height, width, 3), 110, np.uint8)
    for place, color in enumerate(([220, 30, 30], [30, 200, 40], [40, 60, 230])):
        x = place * width // 3
        image[height // 4 : height // 2, x + 4 : x + width // 4] = color
    return image


def test_the_same_image_gives_the_same_boxes_in_the_same_order() -> None:
    """OpenCV orders them by the C library's random numbers, whatever these are."""
    found = []
    for seed in (1, 2, 99):
        ctypes.CDLL(None).srand(seed)
        found.append(search_proposals(blocks(), SMALL))
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])
    assert found[0].dtype == np.float32 and (found[0][:, 2:] > found[0][:, :2]).all()
    # A block is found to the pixel, and so is the whole image.
    assert (found[0] == [4, 16, 24, 32]).all(axis=1).any()
    assert (found[0] == [0, 0, 96, 64]).all(axis=1).any()


def test_fewer_proposals_are_the_first_ones() -> None:
    every, few = search_proposals(blocks(), SMALL), search_proposals(blocks(), replace(SMALL, count=2))
    assert len(every) > 2 and np.array_equal(few, every[:2])


def test_boxes_are_in_pixels_of_the_image_at_any_width_of_the_search() -> None:
    wide = search_proposals(blocks(), replace(SMALL, width=192))
    assert wide[:, 2].max() == 96 and wide[:, 3].max() == 64
    assert np.abs(wide - [4, 16, 24, 32]).max(axis=1).min() <= 1
    assert searched_size(1000, 500, 500) == (500, 250)
    assert searched_size(100, 1000, 500) == (100, 1000)  # bounded: at most twice as high as wide is wanted
    assert search_proposals(np.zeros((1, 3, 3), np.uint8), replace(SMALL, width=32)).shape[1] == 4


def test_ranks_do_not_depend_on_the_order_found_and_mix_sizes() -> None:
    """Half of the ranks hold about half of the large regions, in expectation more: theirs are smaller numbers."""
    rng = np.random.default_rng(0)
    corner, side = rng.integers(0, 300, (200, 2)), rng.integers(4, 200, (200, 2))
    regions = np.concatenate([corner, corner + side], axis=1).astype(np.uint16)
    ranked = rank_regions(regions)
    assert np.array_equal(ranked, rank_regions(rng.permutation(regions)))
    assert sorted(map(tuple, ranked)) == sorted(map(tuple, regions))
    area = (ranked[:, 2:].astype(int) - ranked[:, :2]).prod(axis=1)
    large = area > np.median(area)
    assert 60 < large[:100].sum() < 100


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the searches that were really made."""
    made: list[int] = []
    plain = proposals._search

    def counted(*args: object) -> np.ndarray:
        made.append(1)
        return plain(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(proposals, "_search", counted)
    return made


def test_an_image_is_searched_once(searches: list[int], tmp_path: Path) -> None:
    first = cached_proposals(blocks(), SMALL, cache=tmp_path)
    assert np.array_equal(first, cached_proposals(blocks(), SMALL, cache=tmp_path)) and len(searches) == 1
    # How many of them are wanted changes nothing in the file; another image or search does.
    assert len(cached_proposals(blocks(), replace(SMALL, count=2), cache=tmp_path)) == 2 and len(searches) == 1
    cached_proposals(blocks(), replace(SMALL, width=64), cache=tmp_path)
    cached_proposals(blocks()[:, ::-1], SMALL, cache=tmp_path)
    cached_proposals(blocks().reshape(96, 64, 3), SMALL, cache=tmp_path)
    assert len(searches) == 4
    cached_proposals(blocks(48, 32), SMALL, store=False, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.npy"))) == 4


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", "cut", "long", "backwards", "text"])
def test_damaged_files_are_made_again(damage: bytes | str, searches: list[int], tmp_path: Path) -> None:
    first = cached_proposals(blocks(), SMALL, cache=tmp_path)
    (file,) = tmp_path.rglob("*.npy")
    whole = file.read_bytes()
    if damage == "backwards":
        np.save(file, np.array([[5, 5, 2, 9]], np.uint16))
    elif damage == "text":
        np.save(file, np.array([["a", "b", "c", "d"]]))
    else:
        file.write_bytes({"cut": whole[:-3], "long": bytes(proposals.MAX_BYTES + 1)}.get(str(damage)) or b"\x93NUMPY")
    assert np.array_equal(cached_proposals(blocks(), SMALL, cache=tmp_path), first)
    assert len(searches) == 2 and file.read_bytes() == whole


def test_a_killed_search_leaves_nothing(searches: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(proposals.np, "save", lambda file, array: (file.write(b"half"), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            cached_proposals(blocks(), SMALL, cache=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    cached_proposals(blocks(), SMALL, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.npy"))) == 1


def test_a_cache_that_cannot_be_written_only_costs_time(searches: list[int], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    first = cached_proposals(blocks(), SMALL, cache=tmp_path / "file")
    assert np.array_equal(first, cached_proposals(blocks(), SMALL, cache=tmp_path / "file")) and len(searches) == 2


STILL = preset("none")


@pytest.mark.parametrize(
    "settings",
    [
        STILL,
        replace(STILL, flip_chance=1),
        replace(STILL, zoom_chance=1, zoom=(0.2, 4), aspect=(0.5, 2)),
        replace(STILL, mosaic_chance=1),
        replace(STILL, zoom_chance=1, zoom=(0.5, 2), flip_chance=0.5, mosaic_chance=0.5, erase_chance=0.5),
    ],
)
def test_proposals_move_with_the_boxes(settings: object) -> None:
    """Proposals that are the boxes come out as the boxes do; of what is cut off, nothing is left."""
    rng = np.random.default_rng(5)
    boxes = np.array([[4, 16, 24, 32], [36, 16, 56, 32], [68, 16, 95, 60]], np.float32)
    sample = Sample(blocks(), boxes, np.arange(3), proposals=boxes.copy())
    for _ in range(20):
        made = augment(sample, [lambda: sample] * 3, settings=settings, width=80, height=72, rng=rng)  # type: ignore[arg-type]
        assert made.proposals is not None and np.array_equal(made.proposals, made.boxes)


def test_pasting_keeps_proposals_and_samples_without_any_have_none() -> None:
    box = np.array([[4, 16, 24, 32]], np.float32)
    mask = np.zeros((1, 64, 96), np.uint8)
    mask[0, 16:32, 4:24] = 1
    sample = Sample(blocks(), box, np.zeros(1, np.int64), mask, proposals=np.array([[0, 0, 50, 50]], np.float32))
    pasting, rng = replace(STILL, paste_chance=1), np.random.default_rng(0)
    made = augment(sample, [lambda: sample] * 3, settings=pasting, width=96, height=64, rng=rng)
    assert len(made.boxes) > 1 and made.proposals is not None and made.proposals.tolist() == [[0, 0, 50, 50]]
    plain = replace(sample, proposals=None)
    assert augment(plain, [], settings=STILL, width=96, height=64, rng=rng).proposals is None
    assert "proposals" not in target_of(plain) and target_of(made)["proposals"].shape == (1, 4)


def test_a_training_searches_its_images_once(
    searches: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, each image once; its samples then have proposals, and nothing is searched again."""
    monkeypatch.setattr("detectors.data.proposals.cache_folder", lambda: tmp_path / "cache")
    write_shapes(tmp_path / "set", 4, seed=0)
    settings = tiny_settings(tmp_path / "run", DataSettings(synthetic=(("synthetic", tmp_path / "set"),)))
    data = prepare_training(settings.data, seed=0, print_line=lambda line: None)
    prepare = partial(prepare_proposals, data, SMALL, QUIET, workers=0)
    prepare()
    assert len(searches) == 4
    prepare()
    inputs = InputSettings(48, 32, preset("strong"), masks=False, seed=0, proposals=SMALL)
    images = TrainingImages(data.sources, make_schedule(settings, data), inputs)
    samples = [images.make(Draw(0, index, index)) for index in range(4)]
    assert len(searches) == 4
    for sample in samples:
        assert sample.proposals is not None and len(sample.proposals) > 0
        assert (sample.proposals >= 0).all() and (sample.proposals <= [48, 32, 48, 32]).all()
    with monkeypatch.context() as patch:  # what another process has removed is searched when it is met
        patch.setattr("detectors.data.proposals.cache_folder", lambda: tmp_path / "other")
        assert images.make(Draw(0, 0, 0)).proposals is not None and len(searches) > 4
