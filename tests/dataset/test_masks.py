"""Segmentations of all kinds: the same pixels as pycocotools, and nothing reaches it that it cannot bear."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as codec

from dataset.masks import compressed_mask, decode_mask, run_lengths

images = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1))
EDGE = 1 << 20


def plain_lengths(image: np.ndarray) -> list[int]:
    """Run lengths down the columns, beginning with zeros: slowly, as the definition says."""
    lengths, value = [0], 0
    for pixel in image.ravel(order="F"):
        if pixel != value:
            lengths.append(0)
            value = pixel
        lengths[-1] += 1
    return lengths


def characters(numbers: list[int]) -> bytes:
    """COCO's text of run lengths by its definition: entries past the third as differences, six bits a character."""
    text = bytearray()
    for place, number in enumerate(numbers):
        value, more = number - (numbers[place - 2] if place > 2 else 0), True
        while more:
            low, value = value & 31, value >> 5
            more = value != (-1 if low & 16 else 0)
            text.append((low | 32 * more) + 48)
    return bytes(text)


@given(image=images)
def test_run_lengths_are_those_of_pycocotools(image: np.ndarray) -> None:
    counts = codec.encode(np.asfortranarray(image))["counts"]
    lengths = run_lengths(counts)
    assert lengths is not None and lengths.tolist() == plain_lengths(image)
    assert characters(plain_lengths(image)) == counts


@given(image=images)
def test_compressed_and_plain_run_lengths_mean_one_mask(image: np.ndarray) -> None:
    height, width = image.shape
    text = codec.encode(np.asfortranarray(image))["counts"].decode()
    for counts in (text, plain_lengths(image)):
        mask = compressed_mask({"size": [height, width], "counts": counts}, height, width)
        assert isinstance(mask, bytes)
        assert (decode_mask(mask, height, width) == image).all()


@given(numbers=st.lists(st.integers(0, 2**29 - 1), min_size=1, max_size=20))
def test_long_run_lengths_are_read(numbers: list[int]) -> None:
    lengths = run_lengths(characters(numbers))
    # A difference may need one character more than any image: refused, not misread.
    assert lengths is None or lengths.tolist() == numbers
    assert lengths is not None or max(numbers) >= 2**28


@given(counts=st.binary(max_size=40) | st.text("0123456789:;<=>?@ABCPQRSTUVW_`abmno", max_size=40).map(str.encode))
def test_any_text_is_run_lengths_or_none(counts: bytes) -> None:
    lengths = run_lengths(counts)
    assert lengths is None or (lengths >= 0).all()


@given(text=st.text("0123456789:;<=>?@ABCPQRSTUVW_`abmno", max_size=40))
@settings(max_examples=300)
def test_what_passes_decodes_as_pycocotools_does(text: str) -> None:
    lengths = run_lengths(text.encode())
    mask = compressed_mask({"size": [6, 7], "counts": text}, 6, 7)
    if lengths is None or lengths.sum() != 42:
        assert isinstance(mask, str)
        return
    assert isinstance(mask, bytes)
    values = np.repeat(np.arange(len(lengths)) % 2, lengths).reshape(7, 6).T
    assert (decode_mask(mask, 6, 7) == values).all()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [6, 7], "counts": "o" * 100}, "do not fill"),  # never ends
        ({"size": [6, 7], "counts": "ooooooo0"}, "do not fill"),  # 2^35: more than 32 bits
        ({"size": [6, 7], "counts": characters([10**6]).decode()}, "do not fill"),  # would be written past the end
        ({"size": [6, 7], "counts": characters([10])}, "found dict|do not fill"),
        ({"size": [6, 7], "counts": "Z" * EDGE}, "do not fill"),  # a long text
        ({"size": [6, 7], "counts": "\ud800é"}, "do not fill"),  # no ASCII
        ({"size": [6, 7], "counts": ""}, "do not fill"),
        ({"size": [6, 7], "counts": None}, "do not fill"),
        ({"size": [7, 6], "counts": [42]}, "run lengths of size"),  # width and height swapped
        ({"size": 42, "counts": [42]}, "run lengths of size"),
        ({"size": None, "counts": [42]}, "run lengths of size"),
        ({"counts": [42]}, "run lengths of size"),
        ({"size": [6, 7], "counts": [41]}, "do not fill"),
        ({"size": [6, 7], "counts": [-1, 43]}, "do not fill"),
        ({"size": [6, 7], "counts": [10**400]}, "do not fill"),
        ({"size": [6, 7], "counts": ["42"]}, "do not fill"),
        ({"size": [6, 7], "counts": [True] * 42}, "do not fill"),
        ({"size": [6, 7]}, "found dict"),
        ("mask.png", "found str"),
        (7, "found int"),
        ([[1, 1, 5, 1, 5]], "not a list x1"),  # an odd number
        ([[[1, 1], [5, 1], [5, 5]]], "not a list x1"),  # pairs
        ([[1, 1, 5, 1, 5, None]], "not a list x1"),
        ([[1, 1, 5, 1, 5, "five"]], "not a list of numbers"),
        ([[1, 1, 5, 1, 5, 10**400]], "not a list of numbers"),
        ([[1, 1, 5, 1, 5, float("nan")]], "not a list x1"),
        ([{}], "not a list of numbers"),
        ([[1, 1, 5, 5]], "no polygon has three corners"),
        ([[]], "no polygon has three corners"),
        ([[0, 0, 7, 6] * 10_000], "longer than any outline"),  # minutes in the rasteriser
    ],
)
def test_what_is_no_mask_is_told(segmentation: Any, message: str) -> None:
    found = compressed_mask(segmentation, 6, 7)
    assert isinstance(found, str)
    assert any(part in found for part in message.split("|")), found
    assert len(found) < 200


def test_seven_characters_are_more_than_pycocotools_can_hold() -> None:
    # [0, 42], the 0 written in six characters and in seven.
    lengths = run_lengths(b"PPPPP0Z1")
    assert lengths is not None and lengths.tolist() == [0, 42]
    assert run_lengths(b"PPPPPP0Z1") is None


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_no_segmentation_is_no_mask(nothing: Any) -> None:
    assert compressed_mask(nothing, 6, 7) == b""


@given(left=st.integers(0, 5), top=st.integers(0, 5), width=st.integers(1, 6), height=st.integers(1, 6))
def test_a_rectangle_of_whole_pixels_is_those_pixels(left: int, top: int, width: int, height: int) -> None:
    right, bottom = left + width, top + height
    ring = [left, top, right, top, right, bottom, left, bottom]
    expected = np.zeros((12, 12), np.uint8)
    expected[top:bottom, left:right] = 1
    # As a list of polygons, and as one that was not put into a list.
    for polygons in ([ring], ring):
        mask = compressed_mask(polygons, 12, 12)
        assert isinstance(mask, bytes)
        assert (decode_mask(mask, 12, 12) == expected).all()


def test_polygons_are_united_and_lines_among_them_left_out() -> None:
    pair = [[0, 0, 2, 0, 2, 2, 0, 2], [4, 4, 6, 4, 6, 6, 4, 6], [0, 0, 9, 9]]
    mask = compressed_mask(pair, 10, 10)
    assert isinstance(mask, bytes) and decode_mask(mask, 10, 10).sum() == 8


def test_corners_far_outside_cost_nothing() -> None:
    start = time.perf_counter()
    mask = compressed_mask([[-1e300, -1e300, 1e300, -1e300, 1e300, 1e300, -1e300, 1e300]], 30, 40)
    assert isinstance(mask, bytes) and decode_mask(mask, 30, 40).all()
    # Unclipped it never returns; a second is far beyond what it takes.
    assert time.perf_counter() - start < 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=12,
)


@given(value=json_values)
def test_any_value_is_a_mask_or_a_message(value: Any) -> None:
    mask = compressed_mask(value, 6, 7)
    assert isinstance(mask, str) or not mask or decode_mask(mask, 6, 7).shape == (6, 7)
