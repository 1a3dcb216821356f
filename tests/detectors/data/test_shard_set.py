"""Training out of shards: every image once each time through, known from its place, the same as from columns."""

from __future__ import annotations

import os
import pickle
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from dataset.chosen import ImageList
from dataset.find import open_source
from dataset.problems import Problems
from dataset.shards.cache import ShardCache
from dataset.shards.index import read_index
from dataset.shards.parts import read_part
from dataset.storage.path import StoragePath
from detectors.augment import preset
from detectors.data.image_set import IGNORED, Classes, ImageSet
from detectors.data.mix import Mix, Windows
from detectors.data.read_coco import read_images
from detectors.data.settings import DataSettings
from detectors.data.shard_prepare import keep_listed, open_shards, reopen_shards
from detectors.data.shard_set import ShardSet
from detectors.training.loader import InputSettings, PlannedBatches, TrainingImages, training_loader
from detectors.training.schedule import Phase, Schedule
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.errors import raises
from support.sets.in_shards import sign_again
from support.sets.shapes import write_shapes

QUIET = Console(quiet=True)
IMAGES = 23


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("plain"), IMAGES, seed=5)


@pytest.fixture(scope="module")
def place(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> StoragePath:
    """Eight shards of three images and less."""
    place = StoragePath(str(tmp_path_factory.mktemp("shards") / "set"))
    pack_data(plain, place, QUIET, PackSettings(shard_images=3))
    return place


def opened(place: StoragePath, **options: object) -> ShardSet:
    problems = Problems("x")
    found = open_shards("synthetic", place, ("train",), problems, cache_bytes=10**9, **options)  # type: ignore[arg-type]
    assert not problems.bad
    return found


def columns(file: Path) -> ImageSet:
    return read_images(open_source(file, name="synthetic", splits=("train",)), Problems("x"))


sizes = st.lists(st.integers(0, 7), min_size=1, max_size=12).filter(any)


@given(sizes, st.integers(1, 5), st.integers(0, 9), st.integers(0, 9))
def test_each_time_through_every_image_comes_once(counts: list[int], width: int, seed: int, turn: int) -> None:
    windows = Windows(np.array(counts, np.int64), width)
    order = [windows.image_at(seed, 1, turn, place) for place in range(sum(counts))]
    assert sorted(order) == list(range(sum(counts)))
    again = Windows(np.array(counts, np.int64), width)
    assert [again.image_at(seed, 1, turn, place) for place in reversed(range(sum(counts)))] == order[::-1]


@given(sizes, st.integers(1, 5), st.integers(0, 60), st.integers(0, 30), st.integers(0, 3))
def test_a_start_anywhere_equals_the_way_there(
    counts: list[int], width: int, start: int, length: int, seed: int
) -> None:
    windows = {0: Windows(np.array(counts, np.int64), width)}
    mix = Mix((sum(counts), 3), (0.8, 0.2), seed, windows)
    assert list(mix.draws(start, start + length)) == list(mix.draws(0, start + length))[start:]
    times = Counter(draw.image for draw in mix.draws(0, 200) if draw.source == 0)
    assert max(times.values()) - min(times[image] for image in range(sum(counts))) <= 1


@settings(max_examples=30)
@given(sizes, st.integers(1, 4), st.integers(0, 100), st.integers(0, 5))
def test_shards_are_known_ahead_and_partners_are_near(counts: list[int], width: int, position: int, seed: int) -> None:
    mix = Mix((sum(counts),), (1.0,), seed, {0: Windows(np.array(counts, np.int64), width)})
    first = np.concatenate([[0], np.cumsum(counts)])
    (draw,) = mix.draws(position, position + 1)
    ahead = mix.shards_ahead(position, 0)
    own = int(np.searchsorted(first, draw.image, "right")) - 1
    partner = mix.partner(position, 0, rng=np.random.default_rng(seed))
    near = int(np.searchsorted(first, partner, "right")) - 1
    assert own in ahead[:width] and near in ahead[:width]


def test_a_window_is_mixed_as_well_as_can_be() -> None:
    """Neighbours come from one shard as often as chance has it among twelve, and never in the order they lie in."""
    counts, width = [50] * 240, 12
    windows = Windows(np.array(counts, np.int64), width)
    order = np.array([windows.image_at(0, 0, 0, place) for place in range(12_000)])
    shards = order // 50
    assert np.mean(shards[1:] == shards[:-1]) == pytest.approx(1 / width, abs=0.01)
    assert np.mean(np.diff(order) == 1) < 0.01
    # The next time through the shards meet others.
    later = np.array([windows.image_at(0, 0, 1, place) for place in range(600)]) // 50
    assert len(set(shards[:600]) & set(later)) < width // 2


def test_samples_are_those_of_the_set_they_came_from(plain: Path, place: StoragePath) -> None:
    shards, images = opened(place), columns(plain)
    assert len(shards) == len(images) == IMAGES and shards.classes == images.classes and shards.masks
    for index in range(IMAGES):
        for masks in (False, True):
            one, other = shards.read_sample(index, masks=masks), images.read_sample(index, masks=masks)
            for name in ("image", "boxes", "labels", "masks"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert "train-000007.tar, sample 1" in shards.locate(22)


def test_classes_are_taken_over_as_for_columns(place: StoragePath) -> None:
    shards = opened(place)
    fewer = shards.relabelled(Classes(("blue", "red"), ("blue", "red")))
    product = shards.relabelled(Classes(("product",), ("product",)))
    for index in range(IMAGES):
        own = [shards.own.keys[label] for label in shards.read_sample(index, masks=False).labels]
        labels = fewer.read_sample(index, masks=False).labels.tolist()
        assert labels == [{"blue": 0, "red": 1}.get(key, IGNORED) for key in own]
        assert product.read_sample(index, masks=False).labels.tolist() == [0] * len(own)


def plan_of(shards: ShardSet, steps: int = 12) -> Schedule:
    return Schedule((Phase("mix", steps, (1.0,)),), (len(shards),), 4, steps, 3, {0: shards.windows})


def batches_of(shards: ShardSet, workers: int, start: int = 0) -> list[tuple[object, ...]]:
    plan = plan_of(shards)
    view = InputSettings(96, 64, preset("strong"), masks=True, seed=3)
    order = PlannedBatches(plan, batch=4, start_step=start, rank=0, world=1)
    loader = training_loader(TrainingImages((shards,), plan, view), order, workers=workers, pin=False)
    return [(b.images.numpy().tobytes(), [t["boxes"].tolist() for t in b.targets], b.draws) for b in loader]


def test_any_number_of_loader_processes_gives_the_same_batches(place: StoragePath) -> None:
    shards = opened(place)
    alone = batches_of(shards, 0)
    assert batches_of(shards, 2) == alone
    assert batches_of(shards, 1, start=7) == alone[7:]
    assert pickle.loads(pickle.dumps(shards)).read_sample(3, masks=False).labels.tolist() is not None


def test_few_files_are_open_at_once(place: StoragePath) -> None:
    shards = replace(opened(place), window=1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for index in range(IMAGES):
        shards.read_sample(index, masks=False)
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 2


DAMAGE = {
    "missing": (lambda path: path.unlink(), "shard-damaged"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:700]), "shard-damaged"),
    "other size": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "shard-damaged"),
    "header": (lambda path: path.write_bytes(b"x" * 600 + path.read_bytes()[600:]), "shard-damaged"),
    "labels": (
        lambda path: path.write_bytes(path.read_bytes().replace(b'{"image"', b'["image"', 1)),
        "json-invalid",
    ),
    "box": (lambda path: path.write_bytes(path.read_bytes().replace(b'"bbox": [', b'"bbux": [', 1)), "records-invalid"),
    "picture": (
        lambda path: path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"\x88PNG", 1)),
        "image-unreadable",
    ),
}


@pytest.mark.parametrize(("spoil", "code"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_told_with_its_shard(plain: Path, tmp_path: Path, spoil: object, code: str) -> None:
    place = StoragePath(str(tmp_path / "set"))
    pack_data(plain, place, QUIET, PackSettings(shard_images=12))
    tar = tmp_path / "set" / "shards" / "train-000000.tar"
    spoil(tar)  # type: ignore[operator]
    if tar.exists() and code != "shard-damaged":
        with raises("shard-damaged", where=r"train-000000\.tar"):
            opened(place).read_sample(0, masks=True)
        sign_again(place)
    shards = opened(place)
    with raises(code) as caught:
        [shards.read_sample(index, masks=True) for index in range(12)]
    assert "train-000000.tar" in str(caught.value)
    shards.read_sample(12, masks=True)


def test_bad_labels_can_be_left_out(plain: Path, tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "set"))
    pack_data(plain, place, QUIET, PackSettings(shard_images=30))
    DAMAGE["box"][0](tmp_path / "set" / "shards" / "train-000000.tar")
    sign_again(place)
    boxes = [len(opened(place, skip_bad=True).read_sample(index, masks=False).boxes) for index in range(IMAGES)]
    assert sum(boxes) == read_index(place).shards[0].annotations - 1


def test_shards_from_elsewhere_are_fetched_once_and_make_room(plain: Path, tmp_path: Path) -> None:
    there = StoragePath(f"memory://{tmp_path.name}/set")
    pack_data(plain, there, QUIET, PackSettings(shard_images=3, spool=tmp_path / "spool"))
    entries = read_index(there).shards
    room = sum(sorted(entry.tar_bytes for entry in entries)[-3:])
    cache = ShardCache(tmp_path / "cache", room)
    (tmp_path / "cache").mkdir()
    for name, age in (("old", 2), ("new", 0)):
        left = tmp_path / "cache" / f".x.tar.{name}.tmp"
        left.write_bytes(b"half")
        os.utime(left, (time.time() - age * 86_400,) * 2)
    first = cache.fetch(there, entries[0])
    assert first.read_bytes() == there.read("shards/train-000000.tar")
    stamp = first.stat().st_ino
    assert cache.fetch(there, entries[0]).stat().st_ino == stamp
    # What became of it on the disk is not used.
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    assert cache.fetch(there, entries[0]).read_bytes() == there.read("shards/train-000000.tar")
    for entry in entries:
        cache.fetch(there, entry)
        held = [path.stat().st_size for path in (tmp_path / "cache").glob("*.tar")]
        assert sum(held) <= room
    assert cache.fetch(there, entries[-1]).exists() and not first.exists()
    assert [path.name for path in (tmp_path / "cache").glob("*.tmp")] == [".x.tar.new.tmp"]


def test_a_shard_that_changed_on_the_way_is_refused(plain: Path, tmp_path: Path) -> None:
    there = StoragePath(f"memory://{tmp_path.name}/set")
    pack_data(plain, there, QUIET, PackSettings(spool=tmp_path / "spool"))
    (entry,) = read_index(there).shards
    cache = ShardCache(tmp_path / "cache")
    there.write("shards/train-000000.tar", there.read("shards/train-000000.tar")[:-1] + b"x")
    with raises("shard-damaged", found="SHA-256"):
        cache.fetch(there, entry)
    there.delete("shards/train-000000.tar")
    with raises("shard-missing"):
        cache.fetch(there, entry)
    assert not list((tmp_path / "cache").glob("*.tar"))


def test_settings_tell_what_is_wrong(tmp_path: Path, place: StoragePath) -> None:
    from detectors.data.prepare import prepare_training

    twice = DataSettings(synthetic=(("a", place),), real=Path(str(place)))
    with raises("dataset-duplicate"):
        prepare_training(twice, seed=0, print_line=lambda line: None)
    with raises("dataset-sharded"):
        prepare_training(DataSettings(real=Path(str(place))), seed=0, print_line=lambda line: None)
    with raises("split-missing"):
        open_shards("x", place, ("test",), Problems("x"), cache_bytes=1)


def test_listed_images_alone_keep_their_samples(place: StoragePath, tmp_path: Path) -> None:
    whole = opened(place)
    wanted = [0, 4, 5, 22]
    names = [image.file_name for shard in whole.shards for image in read_part(place, shard).images]
    lines = {f"train/{names[index]}" for index in wanted}
    some = keep_listed(whole, ImageList(frozenset(lines)))
    assert len(some) == len(wanted) and np.diff(some.first).sum() == 4
    some.relabelled(some.classes).save(tmp_path)
    for images in (some, reopen_shards(tmp_path)):
        for place_of, index in enumerate(wanted):
            one, other = images.read_sample(place_of, masks=False), whole.read_sample(index, masks=False)
            assert (one.image == other.image).all() and (one.boxes == other.boxes).all()
