"""Settings of a stream of rendered training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from assets.errors import SynthError
from assets.options import Option
from pipeline.run.settings import RunSettings
from pipeline.stream.order import SlidingOrder

# The name of the stream in --mix.
STREAM = "stream"
# Fraction of the window that is rendered ahead of its use, and that is dropped later than necessary.
MARGIN = 1 / 8


@dataclass(frozen=True)
class StreamSettings:
    """A stream of rendered training images. render: how its scenes are rendered; its `scenes` mean nothing here.

    reuse: an image is used that often, mosaics and pasted products aside. A scene takes 0.3 to 1 s of a core and a
    network on a GPU a hundred images per second, so that one use each would leave the network waiting; a rendered
    data set is usually passed 20 times. window: images in memory, those rendered ahead included; 256 of 640x480 with
    their labels take about 40 MB, and after a resume they are rendered again.
    """

    render: RunSettings
    reuse: Annotated[
        int,
        Option(
            "Times that each image is used before it is dropped.", "Stream", "--stream-reuse", minimum=1, maximum=100
        ),
    ] = 8
    window: Annotated[
        int, Option("Images that are kept in memory.", "Stream", "--stream-window", minimum=4, maximum=1_000_000)
    ] = 256

    def __post_init__(self) -> None:
        if self.order.stride < 1:
            raise SynthError(
                "the window of the stream is too small for its reuse",
                code="setting-invalid",
                found=f"--stream-window {self.window} with --stream-reuse {self.reuse}",
                expected=f"a window of at least {2 * self.reuse}",
            )

    @property
    def order(self) -> SlidingOrder:
        """The order in which the images are used."""
        margin = max(int(self.window * MARGIN), 1)
        kept = self.window - 2 * margin
        return SlidingOrder(self.reuse, kept // self.reuse, kept, margin)
