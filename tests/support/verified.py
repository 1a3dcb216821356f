"""Data sets verified as `synth verify` does it, with nothing printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from assets.interrupt import never
from dataset.storage.path import StoragePath
from pipeline.verify.report import VerifyReport
from pipeline.verify.run import verify_set
from pipeline.verify.settings import VerifySettings


def verified(place: Path | StoragePath, *, stop: Callable[[], bool] = never, **settings: Any) -> VerifyReport:
    """The report of a set; `settings` are those of the command."""
    url = place.url if isinstance(place, StoragePath) else str(place)
    return verify_set(url, VerifySettings(**settings), Console(quiet=True), stop=stop)
