"""Pictures of a folder that `synth render` wrote, finished or not, from the labels of single pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.files.json_input import read_json
from assets.limits import DATASET_JSON
from dataset.layout import Layout
from pipeline.preview.types import (
    PreviewPicture,
    PreviewSettings,
    PreviewSource,
    check_instances,
    check_skus,
    choose,
    kept_records,
    nothing_wanted,
    says_visibility,
)


def rendered_pictures(folder: Path, settings: PreviewSettings) -> PreviewSource:
    """The pictures to draw. With filters the labels of all pictures are read."""
    files = sorted((folder / "labels").glob("*.json"))
    wanted = _filtered(files, settings) if settings.filters else files
    pictures = [_picture(Layout(folder), file, settings) for file in choose(wanted, settings.count)]
    return PreviewSource(folder.resolve().name, pictures, len(files))


def _filtered(files: list[Path], settings: PreviewSettings) -> list[Path]:
    """The labels in which something is wanted. Raises SynthError where that is nowhere."""
    known: set[str] = set()
    wanted, told = [], False
    for file in files:
        records = _records(file)
        known.update(str(record.get("sku")) for record in records)
        told = told or says_visibility(records)
        if kept_records(records, {}, settings):
            wanted.append(file)
    check_skus(settings, known, str(files[0].parent))
    if not wanted:
        raise nothing_wanted(settings, str(files[0].parent), told)
    return wanted


def _picture(layout: Layout, file: Path, settings: PreviewSettings) -> PreviewPicture:
    records = kept_records(_records(file), {}, settings)
    path = layout.image(file.stem)
    return PreviewPicture(str(path), path, None, records, {}, exact=True)


def _records(file: Path) -> list[dict[str, Any]]:
    content = read_json(file, DATASET_JSON, "the labels")
    records = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        hint = "'synth verify' tells everything that is wrong with the data set"
        raise SynthError(
            "a picture cannot be drawn",
            code="records-invalid",
            where=str(file),
            found="no list of annotations",
            hint=hint,
        )
    check_instances(records, str(file))
    return records
