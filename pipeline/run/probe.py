"""Probes of backends in separate processes, so that a driver that crashes ends only its probe."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

SECONDS = 300
QUESTION = """
import json
from assets.errors import SynthError
from render.backends import backend_module
try:
    found = backend_module({name!r}).probe({device!r})
    answer = {{"verdict": "ok", "found": found.found, "gpu": found.gpu}}
except SynthError as error:
    answer = {{"verdict": "missing", "found": error.found or error.what, "repair": error.hint or ""}}
print("ANSWER " + json.dumps(answer))
"""


@dataclass(frozen=True)
class BackendProbe:
    """Result of a probe. missing: something that it needs is not installed; broken: it fails unexpectedly.

    found: versions and device, or the error. gpu: name of the GPU that it renders on, "" for none. repair: what to do.
    """

    verdict: Literal["ok", "missing", "broken"]
    found: str
    gpu: str = ""
    repair: str = ""


def probe_backend(name: str, device: str = "auto") -> BackendProbe:
    """Start the backend of that name on `device` (auto, cpu or gpu) in a new process."""
    succeeded, text = ask_process(QUESTION.format(name=name, device=device))
    if succeeded and text.startswith("ANSWER "):
        return BackendProbe(**json.loads(text.removeprefix("ANSWER ")))
    from render.backends import backend_module

    return BackendProbe("broken", text, repair=backend_module(name).INFO.install)


def ask_process(code: str) -> tuple[bool, str]:
    """Run code in a new process; return whether it succeeded and the last line that it prints."""
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {SECONDS} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip().splitlines()
    last = lines[-1] if lines else f"the process died (exit code {done.returncode})"
    return done.returncode == 0, last
