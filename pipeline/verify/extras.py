"""Checks of the optional images: ids, depth and normals agree with the masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import decode_pixels
from assets.limits import IMAGE_BYTES, read_file
from pipeline.verify.records import Violation


def read_png(path: Path, channels: int) -> NDArray[np.uint16] | str:
    """A 16-bit PNG, (H, W) or (H, W, 3), or what is wrong with it in words."""
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        return f"file {name} is missing"
    try:
        return decode_png(read_file(path, IMAGE_BYTES, "the image", path.name), name, channels)
    except SynthError as error:
        return f"file {name} cannot be read: {error}"


def decode_png(data: bytes, name: str, channels: int) -> NDArray[np.uint16] | str:
    """The pixels of a 16-bit PNG, (H, W) or (H, W, 3), or what is wrong with it in words."""
    import cv2

    try:
        pixels = decode_pixels(data, cv2.IMREAD_UNCHANGED, name, "the image")
    except SynthError as error:
        return f"file {name} cannot be read: {error}"
    shape = (*pixels.shape, 1)[2]
    if pixels.dtype != np.uint16 or shape != channels:
        return f"{name} is {pixels.dtype} with {shape} channels, expected uint16 with {channels}"
    return pixels


def check_ids(pixels: NDArray[np.uint16], masks: Mapping[int, NDArray[np.bool_]], where: str) -> Iterator[Violation]:
    """Each mask is where the id image has its instance."""
    for instance, mask in masks.items():
        there = pixels == instance
        if there.shape != mask.shape or not np.array_equal(there, mask):
            yield Violation(
                where, f"ids: instance {instance} has {int(there.sum())} pixels, its mask {int(mask.sum())}"
            )


def check_depth(pixels: NDArray[np.uint16], masks: Mapping[int, NDArray[np.bool_]], where: str) -> Iterator[Violation]:
    """Whatever is labelled lies at some depth."""
    for instance, mask in masks.items():
        if pixels.shape != mask.shape:
            yield Violation(where, f"depth is {pixels.shape}, expected {mask.shape}")
            return
        if (pixels[mask] == 0).any():
            yield Violation(where, f"depth: {int((pixels[mask] == 0).sum())} pixels of instance {instance} have none")


def check_normals(
    pixels: NDArray[np.uint16], masks: Mapping[int, NDArray[np.bool_]], where: str
) -> Iterator[Violation]:
    """Normals on labelled pixels have length 1 and face the camera's side or its edge."""
    for instance, mask in masks.items():
        if pixels.shape[:2] != mask.shape:
            yield Violation(where, f"normals are {pixels.shape[:2]}, expected {mask.shape}")
            return
        vectors = pixels[mask].astype(np.float64) / 65535 * 2 - 1
        lengths = np.linalg.norm(vectors, axis=1)
        if (np.abs(lengths - 1) > 1e-3).any():
            yield Violation(
                where, f"normals: instance {instance} has lengths from {lengths.min():.3f} to {lengths.max():.3f}"
            )


EXTRA_CHECKS = {"ids": (check_ids, 1), "depth": (check_depth, 1), "normals": (check_normals, 3)}
