"""What holds for every augmented sample, whatever was drawn; presets and their settings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.augment import PARTNERS, PRESETS, AugmentSettings, augment, fit, preset
from detectors.data.image_set import IGNORED
from detectors.data.sample import Sample
from support.errors import raises

CHANCES = {name: 1.0 for name in AugmentSettings.__dataclass_fields__ if name.endswith(("_chance", "_share"))}
EVERYTHING = AugmentSettings(**CHANCES)  # type: ignore[arg-type]


def frozen(sample: Sample) -> Sample:
    """The sample with arrays that cannot be written to."""
    for array in (sample.image, sample.boxes, sample.labels, sample.masks):
        if array is not None:
            array.flags.writeable = False
    return sample


@st.composite
def samples(draw: st.DrawFn, with_masks: bool | None = None) -> Sample:
    """Images of any small size with boxes from tiny to all of it; masks tight in their boxes, with holes."""
    width, height = draw(st.sampled_from([1, 2, 7, 33, 200])), draw(st.sampled_from([1, 2, 9, 40, 150]))
    count = draw(st.integers(0, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    labels = rng.integers(IGNORED, 5, count)
    if not (draw(st.booleans()) if with_masks is None else with_masks):
        corners = np.sort(rng.random((count, 2, 2)) ** draw(st.sampled_from([1, 8])), axis=1)
        boxes = (corners * [width, height]).reshape(count, 4).astype(np.float32)
        return frozen(Sample(image, boxes, labels))
    masks = np.zeros((count, height, width), np.uint8)
    for mask in masks:
        row, column = rng.integers(height), rng.integers(width)
        part = mask[row : rng.integers(row, height) + 1, column : rng.integers(column, width) + 1]
        part[:] = rng.random(part.shape) < 0.8
        part[0, 0] = 1
    return frozen(Sample(image, tight_boxes(masks), labels, masks))


def tight_boxes(masks: np.ndarray) -> np.ndarray:
    """The slow twin: (N, 4) from where each mask is not zero."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.nonzero(mask)
        box[:] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return boxes


def check(result: Sample, sources: list[Sample], width: int, height: int) -> None:
    assert result.image.shape == (height, width, 3) and result.image.dtype == np.uint8
    assert result.boxes.dtype == np.float32 and result.labels.dtype == np.int64
    assert (result.boxes >= 0).all() and (result.boxes <= [width, height, width, height]).all()
    assert (result.boxes[:, 2:] - result.boxes[:, :2] >= 1 - 1e-4).all()
    known = np.concatenate([source.labels for source in sources])
    assert set(result.labels.tolist()) <= {*known.tolist(), IGNORED}
    if result.masks is not None:
        assert result.masks.dtype == np.uint8 and result.masks.max(initial=0) <= 1
        np.testing.assert_array_equal(result.boxes, tight_boxes(result.masks))


SIZES = st.sampled_from([1, 2, 30, 64, 120])
SETTINGS = st.sampled_from([*PRESETS.values(), EVERYTHING, replace(EVERYTHING, mosaic_chance=0)])


@settings(max_examples=150)
@given(st.lists(samples(), min_size=1, max_size=4), SETTINGS, SIZES, SIZES, st.integers(0, 2**32))
def test_every_result_is_a_sound_sample(
    given_samples: list[Sample], chosen: AugmentSettings, width: int, height: int, seed: int
) -> None:
    """Right size, boxes inside and a pixel at least, labels known, masks tight; inputs are read-only all along."""
    sample, *others = given_samples
    loaders = [partial(lambda other: other, other) for other in others]
    results = [
        augment(sample, loaders, settings=chosen, width=width, height=height, rng=np.random.default_rng(seed))
        for _ in range(2)
    ]
    check(results[0], given_samples, width, height)
    for name in ("image", "boxes", "labels", "masks"):  # the same chance gives the same bytes
        np.testing.assert_array_equal(getattr(results[0], name), getattr(results[1], name))


@settings(max_examples=50)
@given(st.lists(samples(with_masks=True), min_size=4, max_size=4), st.integers(0, 2**32))
def test_masks_in_give_masks_out(given_samples: list[Sample], seed: int) -> None:
    sample, *others = given_samples
    loaders = [partial(lambda other: other, other) for other in others]
    made = augment(sample, loaders, settings=EVERYTHING, width=50, height=40, rng=np.random.default_rng(seed))
    assert made.masks is not None


@given(samples(), st.integers(0, 9))
def test_none_is_fit(sample: Sample, seed: int) -> None:
    made = augment(sample, [], settings=preset("none"), width=64, height=48, rng=np.random.default_rng(seed))
    plain, _ = fit(sample, 64, 48)
    np.testing.assert_array_equal(made.image, plain.image)
    np.testing.assert_array_equal(made.boxes, plain.boxes)


def test_partners_are_loaded_only_when_drawn_and_once() -> None:
    sample = Sample(np.zeros((20, 30, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    loaded: list[int] = []

    def loader(index: int) -> Sample:
        loaded.append(index)
        return sample

    others = [partial(loader, index) for index in range(PARTNERS + 2)]
    for chosen, expected in ((preset("none"), []), (EVERYTHING, list(range(PARTNERS)))):
        loaded.clear()
        augment(sample, others, settings=chosen, width=30, height=20, rng=np.random.default_rng(0))
        assert loaded == expected


def test_an_unknown_preset_is_told_with_the_closest() -> None:
    with raises("unknown-name", hint="did you mean 'strong'"):
        preset("stong")
    assert preset("strong") == AugmentSettings()


def test_print_is_never_mirrored_unless_asked_for() -> None:
    assert all(chosen.flip_chance == 0 for chosen in PRESETS.values())


def test_settings_that_make_no_sense_are_all_told() -> None:
    with raises("setting-invalid") as caught:
        AugmentSettings(zoom_chance=1.5, zoom=(2.0, 1.0), blur=(0.0, 1.0))
    assert len(caught.value.problems) == 3
