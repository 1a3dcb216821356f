"""Jobs whose files were damaged: `job status` and `job resume` read them or tell the file, and nothing else happens."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.errors import SynthError
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.jobs.lease import read_heartbeat
from pipeline.jobs.settings import read_settings
from pipeline.jobs.status import job_status
from support.errors import raises
from support.fuzzing.files import changed_json
from support.job_stubs import job_at, run, skus, write_list

GENERATION, VERSION = "plan/generation-0000", "plan/version-0000"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    run(job_at(folder / "set", write_list(folder / "skus.csv", skus(3)), times=2, shard_scenes=2, rounds=0))
    return folder / "set"


@pytest.fixture
def copy(job: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(job, tmp_path / "set"))


def look(folder: Path) -> None:
    """What `job status` and `job resume` do before anything is rendered."""
    with suppress(FileNotFoundError):
        job_status(read_settings(StoragePath(str(folder)), folder.parent / "recipe.yaml"))


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **values}))


def rewrite(file: Path, name: str, make: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(file) as stored:
        arrays = dict(stored)
    arrays[name] = make(arrays[name])
    np.savez(file, **arrays)


@pytest.mark.parametrize(
    ("file", "values", "code", "told"),
    [
        ("job.json", {"views": -1}, "content-invalid", "views: Input should be greater"),
        ("job.json", {"splits": [["train"]]}, "content-invalid", "splits"),
        ("job.json", {"splits": [["../../out", 1.0]]}, "content-invalid", "splits: Value error"),
        ("job.json", {"splits": [["/tmp/out", 0.5], ["val", 0.5]]}, "content-invalid", "splits: Value error"),
        ("job.json", {"splits": [["a", 0.5], ["a", 0.5]]}, "content-invalid", "splits: Value error"),
        ("job.json", {"extras": ["depth", "../../x"]}, "content-invalid", "extras: Value error"),
        ("job.json", {"recipe": 7}, "content-invalid", "recipe: Input should be a valid string"),
        ("job.json", {"format": 2}, "content-invalid", "format"),
        ("how.json", {"workers": "4"}, "content-invalid", "workers: Input should be a valid integer"),
        ("how.json", {"device": "tpu"}, "content-invalid", "device"),
        ("how.json", {"sku_list": None}, "content-invalid", "sku_list"),
        (f"{VERSION}.json", {"times": 1e308}, "content-invalid", "times"),
        (f"{VERSION}.json", {"more": 1}, "content-invalid", "more: Extra inputs"),
        (f"{GENERATION}.json", {"version": 3}, "job-damaged", "version 3, first scene 0, but there are 1 versions"),
        (f"{GENERATION}.json", {"scenes": 99}, "job-damaged", "expected 100 int64"),
        (f"{GENERATION}.json", {"share": -0.5}, "content-invalid", "share: Input should be greater"),
    ],
)
def test_values_of_job_files_are_checked(
    copy: Path, file: str, values: dict[str, object], code: str, told: str
) -> None:
    change(copy / file, **values)
    with raises(code, text=told) as error:
        look(copy)
    assert Path(file).stem in str(error.value)


@pytest.mark.parametrize(
    ("stem", "name", "make", "code", "told"),
    [
        (GENERATION, "cards", lambda a: a.astype(float), "job-damaged", "float64, expected"),
        (GENERATION, "cards", lambda a: a[:-1], "job-damaged", "expected"),
        (GENERATION, "cards", lambda a: a + 1000, "job-damaged", "ids from 100"),
        (GENERATION, "cards", lambda a: -a, "job-damaged", "ids from -"),
        (GENERATION, "starts", lambda a: a[::-1], "job-damaged", "do not partition the appearances"),
        (GENERATION, "starts", lambda a: a[None], "job-damaged", "expected"),
        (GENERATION, "numbers", lambda a: a.astype("U5"), "job-damaged", "expected"),
        (VERSION, "ids", lambda a: np.array([None, "x"], object), "arrays-unreadable", "an array of object"),
        (VERSION, "digests", lambda a: a[:, :3], "job-damaged", "expected"),
    ],
)
def test_arrays_of_a_plan_are_checked(
    copy: Path, stem: str, name: str, make: Callable[[np.ndarray], np.ndarray], code: str, told: str
) -> None:
    rewrite(copy / f"{stem}.npz", name, make)
    with raises(code, found=told):
        look(copy)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04" * 9, b"\x93NUMPY\x01\x00" * 4])
def test_files_that_are_no_arrays_are_told(copy: Path, data: bytes) -> None:
    (copy / f"{GENERATION}.npz").write_bytes(data)
    with raises("arrays-unreadable", what="the job's plan"):
        look(copy)


def test_an_array_that_claims_more_than_there_is_reserves_nothing(copy: Path) -> None:
    """A header of 10^15 numbers in a file of a hundred bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(copy / f"{GENERATION}.npz", "w") as archive:
        archive.writestr("cards.npy", header.getvalue())
    with raises("arrays-unreadable", found="0 bytes for"):
        look(copy)


def test_versions_and_ids_that_are_missing_are_told(copy: Path) -> None:
    (copy / "ids.csv").unlink()
    with raises("job-damaged", where=r"ids\.csv"):
        look(copy)


def test_jobs_of_the_first_version_are_read(copy: Path) -> None:
    """They said neither how scenes are drawn nor which streams are used, nor of mesh roots."""
    older = json.loads((copy / "job.json").read_bytes())
    for name in ("drawing", "streams"):
        older.pop(name, None)
    (copy / "job.json").write_text(json.dumps(older))
    assert read_settings(StoragePath(str(copy)), copy.parent / "recipe.yaml").render.streams == 1


@pytest.mark.parametrize("words", [b"[]", b"{}", b'{"host": "x", "process": 0}', b"[" * 9999, b"NaN"])
def test_words_of_a_driver_that_make_no_sense_are_none(copy: Path, words: bytes) -> None:
    (copy / "driver.json").write_bytes(words)
    assert read_heartbeat(StoragePath(str(copy))) is None
    result = CliRunner().invoke(main, ["job", "status", str(copy)])
    assert result.exit_code == 0, result.output


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_value_of_any_file_is_read_or_told(job: Path, copy: Path, data: st.DataObject) -> None:
    files = sorted(file for file in job.rglob("*.json") if file.parent.name not in ("annotations", "shards"))
    file = data.draw(st.sampled_from(files))
    target = copy / file.relative_to(job)
    target.write_bytes(data.draw(changed_json(file.read_bytes())))
    try:
        with suppress(SynthError):
            look(copy)
    finally:
        target.write_bytes(file.read_bytes())


# What stands in files of a job and could be taken for a path, or makes one.
HOSTILE = ("../../outside", "/outside", "..", "a/b", "a\x00b")
PLACES: dict[str, Callable[[str], tuple[str, dict[str, object]]]] = {
    "splits": lambda name: ("job.json", {"splits": [[name, 1.0]]}),
    "extras": lambda name: ("job.json", {"extras": [name]}),
    "backend": lambda name: ("job.json", {"backend": f"{name}/evil.py"}),
    "preset": lambda name: ("job.json", {"preset": name}),
    "recipe": lambda name: ("job.json", {"recipe": f"recipe: {name}/evil.py\n"}),
    "plugins": lambda name: ("job.json", {"plugins": {f"recipe {name}/evil.py": "sha256:0"}}),
    "cache": lambda name: ("how.json", {"cache": name.replace("/outside", "OUTSIDE/cache")}),
    "engine": lambda name: ("how.json", {"engine": name}),
    "address": lambda name: ("how.json", {"address": name}),
    "receipt": lambda name: ("receipts/*", {"shard": name}),
    "entry": lambda name: ("receipts/*", {"entry": {"name": name, "split": name}}),
    "catalogue": lambda name: (f"{VERSION}.json", {"catalog_hash": name}),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_a_job_says_is_a_place_to_write(
    place: str, name: str, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`job resume` in a folder whose surroundings are watched, with Python files where the names lead to."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy, outside = tmp_path / "a" / "b" / "set", tmp_path / "a" / "outside"
    shutil.copytree(job, copy)
    for folder in (outside, copy.parent / "outside", tmp_path / "outside"):
        folder.mkdir()
        (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    pattern, values = PLACES[place](name)
    for file in copy.glob(pattern):
        content = json.loads(file.read_bytes())
        for key, value in values.items():
            value = value.replace("OUTSIDE", str(outside)) if isinstance(value, str) else value
            content[key] = {**content[key], **value} if isinstance(value, dict) and key in content else value
        file.write_text(json.dumps(content))
    (tmp_path / "recipe").mkdir()
    # One shard is to be made again.
    sorted((copy / "receipts").iterdir())[0].unlink()
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(copy)}
    with suppress(SynthError, ValueError):
        run(read_settings(StoragePath(str(copy)), tmp_path / "recipe" / "recipe.yaml"))
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(copy)}
    new = [path for path in after - before if path.relative_to(tmp_path).parts[0] not in ("cache", "recipe")]
    assert new == [] and not Path("/outside").exists()
