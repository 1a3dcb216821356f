"""The commands of the learning half: mistakes end with 1 and words, never with a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli.main import main


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos of two groups with one box each, as a COCO file."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, 5):
        Image.new("RGB", (96, 64), (40 * number, 90, 90)).save(tmp_path / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 96, "height": 64, "group": number % 2})
        annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": [10, 10, 30, 30], "area": 900})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "soup"}]}
    (tmp_path / "photos.json").write_text(json.dumps(content))
    return tmp_path / "photos.json"


def told(*arguments: str | Path) -> str:
    """The message of a command that fails with 1 or 2."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code in (1, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def test_nothing_to_train_on(tmp_path: Path) -> None:
    assert "option-missing" in told("train", "--out", tmp_path / "run")


def test_mistakes_in_options(photos: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "run")
    assert "did you mean 'fcos'" in told("train", "--real", photos, "--detector", "fcoss", *out)
    assert "between 0 and 1" in told("train", "--real", photos, "--mix", "real:20", *out)
    assert "NAME:SHARE" in told("train", "--real", photos, "--mix", "0.2", *out)
    assert "unknown source" in told("train", "--real", photos, "--mix", "reel:0.2", "--weights", "none", *out)
    assert "does not exist" in told("train", "--synthetic", tmp_path / "gone", *out)
    assert "need names" in told("train", "--synthetic", photos, "--synthetic", photos, *out)
    assert "needs real photos" in told("train", "--synthetic", photos, "--schedule", "finetune", *out)
    assert "no such weights file" in told("train", "--real", photos, "--weights", "gone.pth", *out)


def test_bad_records_are_told_together_and_skipped_on_request(photos: Path, tmp_path: Path) -> None:
    content = json.loads(photos.read_text())
    content["annotations"][0]["bbox"] = [10, 10, -5, 30]
    content["annotations"][2]["category_id"] = 7
    (tmp_path / "2.jpg").unlink()
    photos.write_text(json.dumps(content))
    common = ("--real", photos, "--hold-out", "0", "--size", "96x64", "--count", "2", "--out", tmp_path / "b.png")
    output = told("preview-batch", *common)
    for words in ("without width or height", "unknown categor", "missing", "--skip-bad"):
        assert words in output, output
    result = CliRunner().invoke(main, ["preview-batch", "--skip-bad", *map(str, common)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "b.png").stat().st_size > 1000


def test_commands_on_what_is_no_run(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (
        ("evaluate", tmp_path / "empty", "--data", photos),
        ("predict", tmp_path / "empty", photos, "--out", tmp_path / "found"),
        ("export", tmp_path / "empty"),
        ("adapt", tmp_path / "empty", "--real", photos, "--out", tmp_path / "run"),
    ):
        assert "no trained detector" in told(*command)


def test_the_detectors_are_listed() -> None:
    result = CliRunner().invoke(main, ["train", "--list"])
    assert result.exit_code == 0
    assert all(name in result.output for name in ("fasterrcnn", "maskrcnn", "retinanet", "fcos", "ssd300", "ssdlite"))


def test_missing_packages_say_what_to_install(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*args: object, **kwargs: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("detectors.training.run.run_training", absent)
    output = told("train", "--real", photos, "--weights", "none", "--out", tmp_path / "run")
    assert "pip install 'synth[train]'" in output
