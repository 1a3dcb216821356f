"""Diagnosis of this machine for `synth doctor`: what works, and how to repair what does not."""

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
from rich.table import Table
from rich.text import Text

from assets.errors import SynthError
from assets.machine import cache_folder
from pipeline.run.probe import ask_process, probe_backend

Verdict = Literal["ok", "missing", "broken", "note"]
STYLES = {"ok": "green", "missing": "yellow", "broken": "red", "note": "dim"}
SECONDS = 120
PROBE_TORCH = "import torch; print(torch.__version__, 'with GPU' if torch.cuda.is_available() else 'CPU only')"


@dataclass(frozen=True)
class Check:
    """Result of one check. renders: it is a backend that works. repair: what to do if it fails."""

    name: str
    verdict: Verdict
    found: str
    repair: str = ""
    renders: bool = False


def diagnose() -> list[Check]:
    """Run all checks, the most important first."""
    from render.backends import backend_names

    backends = map(_check_backend, backend_names())
    return [_check_python(), *backends, _check_gpu(), _check_torch(), _check_machine(), _check_disk(), _check_cache()]


def _check_python() -> Check:
    version = platform.python_version()
    works = (3, 11) <= sys.version_info[:2] < (3, 13)
    found = f"{version}, synth {_installed_version('synth') or 'from a checkout'}"
    return Check(
        "python", "ok" if works else "broken", found, "" if works else "use Python 3.11 (3.12 without Blender)"
    )


def _installed_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _check_backend(name: str) -> Check:
    try:
        found = probe_backend(name)
    except SynthError as error:  # an installed package provides a backend that cannot be imported
        return Check(name, "broken", error.what, error.hint or "")
    return Check(name, found.verdict, found.found, found.repair, renders=found.verdict == "ok")


def _check_gpu() -> Check:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Check("gpu", "note", "no NVIDIA driver found; everything works on the CPU, only slower")
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=SECONDS, check=False)
    works = done.returncode == 0
    found = "; ".join((done.stdout if works else done.stderr).split("\n")).strip("; ")
    return Check("gpu", "ok" if works else "broken", found, "" if works else "reinstall the NVIDIA driver")


def _check_torch() -> Check:
    if not _installed_version("torch"):
        return Check(
            "torch", "missing", "not installed; needed for training, not for rendering", "pip install 'synth[train]'"
        )
    works, text = ask_process(PROBE_TORCH)
    return Check(
        "torch", "ok" if works else "broken", text, "" if works else "pip install --upgrade 'torch>=2.14' torchvision"
    )


def _check_machine() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{os.cpu_count()} cores, {memory.total / 2**30:.0f} GiB memory, {memory.available / 2**30:.0f} GiB free"
    small = memory.available < 3 * 2**30
    return Check(
        "machine", "note" if small else "ok", found, "use --workers 1: a worker takes 1 to 3 GiB" if small else ""
    )


def _check_disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    repair = "" if free >= 2 else "10,000 images of 640x480 take about 2 GiB"
    return Check("disk", "ok" if free >= 2 else "note", f"{free:.0f} GiB free here", repair)


def _check_cache() -> Check:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Check("cache", "broken", f"{folder}: {error}", "set XDG_CACHE_HOME, or give --cache DIR")
    return Check("cache", "ok", str(folder))


def print_checks(console: Console, checks: list[Check]) -> None:
    """Print a line per check, followed by the repair if one is needed."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        table.add_row(check.name, Text(check.verdict, STYLES[check.verdict]), check.found)
        if check.repair:
            table.add_row("", "", f"repair: {check.repair}", style="yellow")
    console.print(table, highlight=False)
    if not any(check.renders for check in checks):
        console.print("no backend works here: repair one of them", style="red")
