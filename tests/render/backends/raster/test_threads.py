"""Software rendering without threads of the renderer's own, which overwrite memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOOK = """
from pathlib import Path
from render.backends import open_backend
from render.backends.protocol import RenderSettings

backend = open_backend(None, RenderSettings("raster", device="cpu", threads=2))
print(sum("llvmpipe" in file.read_text() for file in Path("/proc/self/task").glob("*/comm")))
"""


@pytest.mark.parametrize(("wanted", "threads"), [(None, 0), ("2", 2)], ids=["by itself", "as the user says"])
def test_software_draws_in_the_thread_that_asks(wanted: str | None, threads: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "LP_NUM_THREADS"}
    if wanted is not None:
        environment["LP_NUM_THREADS"] = wanted
    done = subprocess.run([sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=False)
    if "no OpenGL device" in done.stderr:
        pytest.skip("there is no software OpenGL here")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == threads
