"""Stand-ins for the real scene job, picklable so that worker processes can run them."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from dataset.layout import Layout, stem_of
from pipeline.run.settings import RunSettings

JPEG = bytes.fromhex("ffd8ffd9")


def write_scene(settings: RunSettings, index: int) -> tuple[int, int]:
    """All files of a scene without any image worth the name; every SKU named once."""
    layout = Layout(settings.out)
    for view in range(settings.views):
        stem = stem_of(index, view)
        write_atomic(layout.scene(stem), b"{}")
        write_atomic(layout.image(stem), JPEG)
        record = {"image": {"file_name": f"{stem}.jpg", "index": index}, "annotations": [{"sku": "demo-0001"}]}
        write_atomic(layout.labels(stem), json.dumps(record).encode())
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
        write_atomic(Layout(settings.out).scene(stem_of(1, 0)), b'{"recipe": "x"}')
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
        raise SynthError("the mesh has no triangles", code="mesh-empty", where="a.obj")
    return write_scene(settings, index)


def fails_everywhere(settings: RunSettings, index: int) -> tuple[int, int]:
    """No scene can be made."""
    raise SynthError("the mesh has no triangles", code="mesh-empty", where=f"scene {index}")


def cannot_start(settings: RunSettings) -> None:
    """There is no renderer."""
    raise SynthError("no OpenGL device", code="opengl-unavailable", hint="install one")


def fills_the_disk(settings: RunSettings, index: int) -> tuple[int, int]:
    """The disk is full from scene 2 on."""
    if index >= 2:
        raise OSError(errno.ENOSPC, "No space left on device")
    return write_scene(settings, index)


def slow(settings: RunSettings, index: int) -> tuple[int, int]:
    """A scene that a signal is likely to meet in the middle, with its files coming one by one."""
    layout, stem = Layout(settings.out), stem_of(index, 0)
    (settings.out / f".begun-{index}").touch()
    write_atomic(layout.scene(stem), b"{}" * 2000)
    time.sleep(0.05)
    write_atomic(layout.image(stem), JPEG * 5000)
    time.sleep(0.05)
    record = {"image": {"file_name": f"{stem}.jpg", "index": index}, "annotations": [{"sku": "demo-0001"}] * 20}
    write_atomic(layout.labels(stem), json.dumps(record).encode())
    return 1, 20


def stuck(settings: RunSettings, index: int) -> tuple[int, int]:
    """Every scene sleeps in native code that holds Python's lock, so no handler and no thread of Python's ever runs."""
    (settings.out / f".begun-{index}").write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(1000)
    return 0, 0


def stuck_once(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 does so the first time."""
    return stuck(settings, index) if index == 1 and _once(settings, index) else write_scene(settings, index)


def stuck_at_start(settings: RunSettings) -> None:
    """The first process never gets as far as its first scene."""
    if _once(settings, -1):
        ctypes.PyDLL(None).sleep(1000)


def dies_at_first_start(settings: RunSettings) -> None:
    """The first process dies before its first scene."""
    if _once(settings, -1):
        os.kill(os.getpid(), signal.SIGKILL)


def dies_at_start(settings: RunSettings) -> None:
    """Every process does."""
    os.kill(os.getpid(), signal.SIGSEGV)


def exits(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 ends its process as if all were well."""
    return os._exit(0) if index == 1 else write_scene(settings, index)


def raises_exit(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 leaves Python."""
    return sys.exit(3) if index == 1 else write_scene(settings, index)


def segfaults(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 reads where nothing is."""
    return len(ctypes.string_at(0)) if index == 1 else write_scene(settings, index)  # type: ignore[return-value]


def aborts(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 breaks an assertion of native code."""
    return os.abort() if index == 1 else write_scene(settings, index)


def raises_what_cannot_be_sent(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 raises an error that cannot be pickled."""

    class Local(Exception):
        pass

    if index == 1:
        raise Local(lambda: None)
    return write_scene(settings, index)


def short_of_memory(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 asks for more address space than its process may have, the first time."""
    if index == 1 and _once(settings, index):
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        bytearray(4 << 30)
    return write_scene(settings, index)


def killed_unless_alone(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scenes 1 to 3 are killed, as the kernel does where memory runs out, while any other is under way."""
    mine = settings.out / f".busy-{index}"
    mine.touch()
    time.sleep(0.1)
    others = [file for file in settings.out.glob(".busy-*") if file != mine]
    first = _once(settings, index)
    if index in (1, 2, 3) and (first or others):
        mine.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    counts = write_scene(settings, index)
    time.sleep(0.1)
    mine.unlink()
    return counts


def holds_the_lock(settings: RunSettings, index: int) -> tuple[int, int]:
    """Fails unless this process keeps the folder locked and goes first where memory runs out."""
    files = [file.path for file in psutil.Process().open_files()]
    if str(settings.out / ".lock") not in files:
        raise SynthError("the worker does not hold the lock", code="output-locked", found=str(files))
    if Path("/proc/self/oom_score_adj").read_text().strip() != "800":
        raise SynthError("the worker does not offer itself", code="worker-lost")
    return write_scene(settings, index)


def dies_while_drawing(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 1 takes its process down before the spec of its second view is there."""
    if index == 1:
        layout = Layout(settings.out)
        write_atomic(layout.scene(stem_of(1, 0)), b'{"recipe": "x"}')
        write_atomic(layout.labels(stem_of(1, 0)), b'{"image": {}, "annotations": []}')
        os._exit(9)
    return write_scene(settings, index)


def writes_too_much(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 2 and all after it write a file larger than the system lets them."""
    if index >= 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        write_atomic(Layout(settings.out).image(stem_of(index, 0)), JPEG * 1000)
    return write_scene(settings, index)


def loads_its_mesh(settings: RunSettings, index: int) -> tuple[int, int]:
    """Takes the product from a library opened anew; before scene 1 its mesh is moved away."""
    from pipeline.run.resources import open_library

    library = open_library(settings.sku_list, settings.backdrops, settings.cache)
    mesh = settings.sku_list.with_name("a.obj")
    if index == 1 and mesh.exists():
        mesh.rename(mesh.with_name("away.obj"))
    library.product("demo-0001")
    return write_scene(settings, index)


def deletes_labels(settings: RunSettings, index: int) -> tuple[int, int]:
    """Scene 2 takes away what scene 0 has written."""
    if index == 2:
        Layout(settings.out).labels(stem_of(0, 0)).unlink()
    return write_scene(settings, index)


def leaves_a_temporary_file(settings: RunSettings, index: int) -> tuple[int, int]:
    """As Blender does at every start."""
    tempfile.mkstemp(suffix=".left")
    return write_scene(settings, index)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a data set but the lock and the marks of stand-in jobs."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
