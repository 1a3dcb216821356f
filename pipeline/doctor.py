"""`synth doctor`: what works on this machine, and how to repair what does not."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.run.settings import default_cache

Verdict = Literal["ok", "missing", "broken", "note"]
STYLES = {"ok": "green", "missing": "yellow", "broken": "red", "note": "dim"}
SECONDS = 120
# Probes run in processes of their own: a driver that crashes takes nothing else down.
PROBE_BPY = "import bpy; print(bpy.app.version_string)"
PROBE_GL = "from render.backends.raster.gl import open_context; print(open_context('auto').name())"
PROBE_TORCH = "import torch; print(torch.__version__, 'with GPU' if torch.cuda.is_available() else 'CPU only')"


@dataclass(frozen=True)
class Check:
    """One thing looked at. renders: it is a backend that works. repair: what to do where it does not."""

    name: str
    verdict: Verdict
    found: str
    repair: str = ""
    renders: bool = False


def diagnose() -> list[Check]:
    """Every check, in the order in which people would ask."""
    return [_python(), _cycles(), _raster(), _gpu(), _torch(), _machine(), _disk(), _cache()]


def _python() -> Check:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    found = f"{version}, synth {_version('synth') or 'from a checkout'}"
    return Check("python", "ok" if good else "broken", found, "" if good else "use Python 3.11 (3.12 without Blender)")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cycles() -> Check:
    if not _version("bpy"):
        return Check("cycles", "missing", "bpy is not installed", "Python 3.11 and: pip install 'bpy>=4.5,<4.6'")
    good, text = _probe(PROBE_BPY)
    if good:
        return Check("cycles", "ok", f"Blender {text}", renders=True)
    repair = "apt-get install libgl1 libsm6 libx11-6 libxext6 libxfixes3 libxi6 libxkbcommon0 libxrender1"
    return Check("cycles", "broken", text, repair)


def _raster() -> Check:
    good, text = _probe(PROBE_GL)
    if good:
        return Check("raster", "ok", text, renders=True)
    return Check(
        "raster", "broken", text, "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri, or the GPU's driver with EGL"
    )


def _gpu() -> Check:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check("gpu", "note", "no NVIDIA driver found; everything works on the CPU, only slower")
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=SECONDS, check=False)
    good = done.returncode == 0
    found = "; ".join((done.stdout if good else done.stderr).split("\n")).strip("; ")
    return Check("gpu", "ok" if good else "broken", found, "" if good else "reinstall the NVIDIA driver")


def _torch() -> Check:
    if not _version("torch"):
        return Check(
            "torch", "missing", "not installed; rendering needs none, training does", "pip install 'synth[train]'"
        )
    good, text = _probe(PROBE_TORCH)
    return Check(
        "torch", "ok" if good else "broken", text, "" if good else "pip install --upgrade 'torch>=2.14' torchvision"
    )


def _probe(code: str) -> tuple[bool, str]:
    """Whether the code runs in a new process, and its last words."""
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {SECONDS} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip().splitlines()
    last = lines[-1] if lines else f"the process died (exit code {done.returncode})"
    return done.returncode == 0, last


def _machine() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{os.cpu_count()} cores, {memory.total / 2**30:.0f} GiB memory, {memory.available / 2**30:.0f} GiB free"
    small = memory.available < 3 * 2**30
    return Check(
        "machine", "note" if small else "ok", found, "use --workers 1: a worker takes 1 to 3 GiB" if small else ""
    )


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    repair = "" if free >= 2 else "10,000 pictures of 640x480 take about 2 GiB"
    return Check("disk", "ok" if free >= 2 else "note", f"{free:.0f} GiB free here", repair)


def _cache() -> Check:
    folder = default_cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Check("cache", "broken", f"{folder}: {error}", "set XDG_CACHE_HOME, or give --cache DIR")
    return Check("cache", "ok", str(folder))


def print_checks(console: Console, checks: list[Check]) -> None:
    """A line for each, with the repair under what needs one."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        table.add_row(check.name, f"[{STYLES[check.verdict]}]{check.verdict}", escape(check.found))
        if check.repair:
            table.add_row("", "", escape(f"repair: {check.repair}"), style="yellow")
    console.print(table, highlight=False)
    if not any(check.renders for check in checks):
        console.print("neither backend works here: repair one of the two", style="red")
