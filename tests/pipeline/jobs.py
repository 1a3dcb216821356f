"""Stand-ins for the real scene job, picklable so that worker processes can run them."""

from __future__ import annotations

import errno
import json
import os
import time

from assets.atomic import write_whole
from assets.errors import SynthError
from pipeline.layout import Layout, stem_of
from pipeline.run_settings import RunSettings

JPEG = bytes.fromhex("ffd8ffd9")


def write_scene(settings: RunSettings, index: int) -> tuple[int, int]:
    """All files of a scene without any picture worth the name; every SKU named once."""
    layout = Layout(settings.out)
    for view in range(settings.views):
        stem = stem_of(index, view)
        write_whole(layout.scene(stem), b"{}")
        write_whole(layout.image(stem), JPEG)
        record = {"image": {"file_name": f"{stem}.jpg", "index": index}, "annotations": [{"sku": "demo-0001"}]}
        write_whole(layout.labels(stem), json.dumps(record).encode())
    return settings.views, settings.views


def _once(settings: RunSettings, index: int) -> bool:
    """True the first time it is asked for a scene, in whatever process."""
    marker = settings.out / f".asked-{index}"
    if marker.exists():
        return False
    marker.touch()
    return True


def dies_once(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 takes its process down the first time."""
    if index == 1 and _once(settings, index):
        os._exit(9)
    return write_scene(settings, index)


def dies_always(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 takes its process down every time, after its spec was written."""
    if index == 1:
        write_whole(Layout(settings.out).scene(stem_of(1, 0)), b'{"recipe": "x"}')
        os._exit(9)
    return write_scene(settings, index)


def hangs(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 never ends."""
    while index == 1:
        time.sleep(0.1)
    return write_scene(settings, index)


def notes_process(settings: RunSettings, index: int) -> tuple[int, int]:
    """Each scene leaves the number of its process."""
    (settings.out / f".process-{index}-{os.getpid()}").touch()
    return write_scene(settings, index)


def fails(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 has a broken mesh."""
    if index == 1:
        raise SynthError("the mesh has no triangles", where="a.obj")
    return write_scene(settings, index)


def fails_everywhere(settings: RunSettings, index: int) -> tuple[int, int]:
    """No scene can be made."""
    raise SynthError("the mesh has no triangles", where=f"scene {index}")


def cannot_start(settings: RunSettings) -> None:
    """There is no renderer."""
    raise SynthError("no OpenGL device", hint="install one")


def fills_the_disk(settings: RunSettings, index: int) -> tuple[int, int]:
    """The disk is full from scene 2 on."""
    if index >= 2:
        raise OSError(errno.ENOSPC, "No space left on device")
    return write_scene(settings, index)
