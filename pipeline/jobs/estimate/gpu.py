"""Whether there is a GPU for path tracing, asked in a process of its own: Blender never starts in this one."""

from __future__ import annotations

import subprocess
import sys

QUESTION = """
from render.backends.cycles.start import choose_device, start_blender
bpy = start_blender()
if choose_device(bpy, {device!r}) == "GPU":
    entries = bpy.context.preferences.addons["cycles"].preferences.devices
    print("GPU:" + ", ".join(sorted({{entry.name for entry in entries if entry.use and entry.type != "CPU"}})))
"""


def gpu_name(device: str) -> str:
    """The GPU that Cycles would use for `device` (auto, cpu or gpu); "" where there is none."""
    question = QUESTION.format(device=device)
    done = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False, timeout=300)
    found = [line.removeprefix("GPU:") for line in done.stdout.splitlines() if line.startswith("GPU:")]
    return found[0] or "a GPU" if found else ""
