"""Interface of a backend. The table of backends is in render/backends/__init__.py."""

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
    """Settings that change how a scene is rendered, but none of its labels.

    samples: per pixel; their meaning depends on the backend. denoise: if the backend has a denoiser. threads: of a
    backend that starts its own threads, 0 = all cores.
    """

    backend: str
    preset: str = "draft"
    samples: int = 4
    denoise: bool = True
    device: Device = "auto"
    threads: int = 0


@dataclass(frozen=True)
class Preset:
    """Amount of work for an image."""

    samples: int
    denoise: bool = False


@dataclass(frozen=True)
class BackendInfo:
    """Description of a backend, known before it is opened.

    description: one line. presets: the settings of each preset. install: how to install what it needs. pilot_scenes:
    how many scenes a worker process renders to measure the cost of one.
    """

    description: str
    presets: Mapping[PresetName, Preset]
    install: str = ""
    pilot_scenes: int = 2


@dataclass(frozen=True)
class Probe:
    """Result of probing a backend on this machine. found: its versions and device. gpu: "" if it renders on the CPU."""

    found: str
    gpu: str = ""


class Backend(Protocol):
    """A renderer with its resources (GL context, Blender scene), which are kept between scenes; close() frees them."""

    def render(self, scene: SceneSpec) -> NDArray[np.float32]:
        """Render without background and sensor: (H, W, 4) float32, linear RGB premultiplied by coverage alpha."""

    def trace_ids(self, scene: SceneSpec) -> NDArray[np.int32]:
        """Render instance ids (H, W) int32 by the backend's own means, to prove that its framing matches the labels."""

    @property
    def device(self) -> str:
        """Name of the device as its driver reports it: equal names and versions give equal bytes."""

    def close(self) -> None: ...
