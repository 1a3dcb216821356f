"""Where the checkout lies, and what processes started by tests need to find it."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
# Both `pipeline` and `support` are found on it.
PYTHONPATH = os.pathsep.join([str(TESTS), str(ROOT)])
