"""What a backend is: values that go in, and what comes out. The table of backends is in render/backends/__init__.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from render.scene import SceneSpec

Device = Literal["auto", "cpu", "gpu"]
PresetName = Literal["draft", "good", "best"]


@dataclass(frozen=True)
class RenderSettings:
    """How to render, as against what: none of it changes a label.

    samples: of each pixel; what one is, is the backend's own. denoise: where the backend has a denoiser. threads: of a
    backend that starts threads of its own, 0 = all cores.
    """

    backend: str
    preset: str = "draft"
    samples: int = 4
    denoise: bool = True
    device: Device = "auto"
    threads: int = 0


@dataclass(frozen=True)
class Preset:
    """How much work goes into a picture."""

    samples: int
    denoise: bool = False


@dataclass(frozen=True)
class BackendInfo:
    """What a backend says of itself before it is opened.

    description: one line. presets: the settings behind the names of presets. install: how to get what it needs.
    pilot_scenes: how many scenes a worker renders to measure what one costs.
    """

    description: str
    presets: Mapping[PresetName, Preset]
    install: str = ""
    pilot_scenes: int = 2


@dataclass(frozen=True)
class Probe:
    """What a backend finds on this machine. found: its versions and device. gpu: "" where it renders on no GPU."""

    found: str
    gpu: str = ""


class Backend(Protocol):
    """A renderer with its resources (GL context, Blender scene), kept from scene to scene; close() frees them."""

    def render(self, scene: SceneSpec) -> NDArray[np.float32]:
        """The scene without background and sensor: (H, W, 4) float32, linear RGB premultiplied by coverage alpha."""

    def trace_ids(self, scene: SceneSpec) -> NDArray[np.int32]:
        """(H, W) int32 instance ids by the backend's own means: the proof that its framing equals the labels'."""

    @property
    def device(self) -> str:
        """What renders, as its driver calls itself: equal names and versions give equal bytes."""

    def close(self) -> None: ...
