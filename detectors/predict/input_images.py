"""Reading of images and video frames for inference: decoded upright, fitted to the network, read ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import broken_image, open_image, reason_of
from dataset.images import ORIENTATION, TURNED, read_image
from detectors.augment import Letterbox
from detectors.models.detect import fit_image
from detectors.predict.inputs import FRAME_DIGITS, Input
from detectors.predict.video_input import open_video

ImageArray = NDArray[np.uint8]
# Images read ahead per thread; more would only cost memory.
READ_AHEAD = 2


class InputImage(NamedTuple):
    """One image to process. image: (H, W, 3) uint8 RGB, upright. fitted: the image in the network's input size.

    letterbox: maps boxes back. name: for result files, without suffix. frame: index in a video, None for a still image.
    """

    source: Input
    name: str
    frame: int | None
    pixels: ImageArray
    fitted: ImageArray
    letterbox: Letterbox


class Unreadable(NamedTuple):
    """A file that could not be read, and why."""

    file: Path
    reason: str


Read = Callable[[], InputImage | Unreadable]


def read_input_images(
    items: Iterable[Input], size: tuple[int, int], *, every: int = 1, threads: int = 0
) -> Generator[InputImage | Unreadable, None, None]:
    """Yield the images of all inputs in order, and every `every`-th frame of videos; `threads` read a few images ahead.

    size: width and height of the network's input. Only a few images are in memory, however long a video is.
    """
    reads = (read for item in items for read in _reads_of(item, size, every))
    if not threads:
        yield from (read() for read in reads)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[InputImage | Unreadable]] = deque()
    try:
        for read in reads:
            waiting.append(pool.submit(read))
            if len(waiting) > READ_AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def numbered_batches(
    images: Iterator[InputImage | Unreadable], failed: list[Unreadable], *, batch: int, first_id: int
) -> Iterator[list[tuple[InputImage, int]]]:
    """Yield images in batches, each with its id: its own, else the next one from `first_id` on.

    failed: unreadable ones are added to it.
    """
    while taken := list(islice(images, batch)):
        failed += [image for image in taken if isinstance(image, Unreadable)]
        numbered = []
        for image in taken:
            if isinstance(image, InputImage):
                given = image.source.image_id
                numbered.append((image, first_id if given is None else given))
                first_id += given is None
        yield numbered


def count_input_images(items: Iterable[Input], every: int) -> int:
    """Return the number of images to read, for videos according to their headers."""
    return sum(_frames_told(item.file, every) if item.is_video else 1 for item in items)


def read_upright(file: Path) -> ImageArray:
    """Read an image file as (H, W, 3) uint8 RGB, rotated by its EXIF tag as viewers do.

    Raises SynthError if it cannot be read completely.
    """
    from PIL import ImageOps

    try:
        with open_image(file, str(file), "an image") as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):
                # 16-bit grey, which `convert` would clip instead of scaling it.
                grey = (np.asarray(upright, np.float64) / 257).clip(0, 255).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(upright.convert("RGB"))
    except (SynthError, MemoryError):
        raise
    except Exception as error:  # decoders raise many types
        raise broken_image("an image", str(file), error) from error


def turned_in_place(input_image: InputImage) -> bool:
    """Return whether EXIF rotates an image without changing its size, so that the size does not reveal the rotation."""
    if input_image.frame is not None or input_image.source.size is not None:
        return False
    with open_image(input_image.source.file, str(input_image.source.file), "an image") as image:
        return image.getexif().get(ORIENTATION) in TURNED and image.size == input_image.pixels.shape[1::-1]


def _reads_of(item: Input, size: tuple[int, int], every: int) -> Iterator[Read]:
    if item.is_video:
        yield from _frames(item, size, every)
    else:
        yield partial(_read_still, item, size)


def _read_still(item: Input, size: tuple[int, int]) -> InputImage | Unreadable:
    try:
        # Images of a COCO file are read in the file's own pixel coordinates, which may be those of the unrotated image.
        image = read_image(item.file, *item.size) if item.size else read_upright(item.file)
    except SynthError as error:
        return Unreadable(item.file, reason_of(error))
    return _input_image(item, item.name, None, image, size)


def _input_image(item: Input, name: str, frame: int | None, image: ImageArray, size: tuple[int, int]) -> InputImage:
    fitted, letterbox = fit_image(image, *size)
    return InputImage(item, name, frame, image, fitted, letterbox)


def _frames(item: Input, size: tuple[int, int], every: int) -> Iterator[Read]:
    """Yield a function for each frame: decoding is sequential and happens here, threads only fit the frames."""
    try:
        video = open_video(item.file)
    except SynthError as error:
        unreadable = Unreadable(item.file, reason_of(error))
        yield lambda: unreadable
        return
    frame = 0
    try:
        while video.grab():
            if frame % every == 0:
                good, image = video.retrieve()
                if good:
                    yield partial(_fit_frame, item, frame, image, size)
            frame += 1
    finally:
        video.release()
    if not frame:
        yield lambda: Unreadable(item.file, "no frame of the video can be decoded")


def _fit_frame(item: Input, frame: int, image: ImageArray, size: tuple[int, int]) -> InputImage:
    # OpenCV decodes to BGR.
    name = f"{item.name}_{frame:0{FRAME_DIGITS}d}"
    return _input_image(item, name, frame, np.ascontiguousarray(image[..., ::-1]), size)


def _frames_told(file: Path, every: int) -> int:
    import cv2

    try:
        video = open_video(file)
    except SynthError:
        return 1  # the Unreadable result
    told = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    return max(1, -(-told // every))
