"""The table of export formats: one file and one line each.

The module of a format defines

SUFFIX: of its files. PACKAGES: the packages that it needs beside torch.
export(detector, spec, path): writes the detector (restored, on the CPU; it may be changed) to the file `path`.
load(path): a function from an (H, W, 3) uint8 image of the network's size to what the file says: boxes (D, 4) xyxy
pixels, labels (D,) from 0, scores (D,) falling, and masks (D, M, M) or keypoints (D, 8, 3) where the detector has them.

It may define FACTS, what readers of the JSON file beside should know of the format, and embed(path, description),
which puts the text of that file into the exported one.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from assets.errors import SynthError
from assets.plugins import PluginTable

TABLE = PluginTable(
    "export format",
    {"onnx": "detectors.export.onnx"},
    "synth.exporters",
    ("SUFFIX", "PACKAGES", "export", "load"),
    files=True,
)
EXPORTERS = TABLE.modules


def exporter_module(name: str) -> Any:
    """The module of an export format, by its name or the path of a Python file.

    Raises SynthError for an unknown name, a module that is no exporter, and where packages that it needs are missing.
    """
    module = TABLE.load(name)
    missing = [package for package in module.PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise SynthError(
            f"the export format {name!r} needs packages that are not installed",
            code="dependency-missing",
            found=f"no {' and no '.join(missing)}",
            hint="pip install " + ("'synth[export]'" if name in EXPORTERS else " ".join(missing)),
        )
    return module
