"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import assets as assets  # before numpy

# No deadlines: machines are shared and noisy. In CI the same examples every time, so that a red run can be repeated.
settings.register_profile("steady", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("steady")

# Shells start what they put into the background with Ctrl-C ignored; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The longest files come first: one of them begun last would keep one process busy while the others have nothing to do.
LONGEST = (
    "detectors/models/test_overfit.py",
    "pipeline/jobs/engines/test_ray.py",
    "test_readme.py",
    "detectors/recognition/embedder/test_train.py",
    "pipeline/jobs/test_run.py",
    "detectors/export/test_contract.py",
    "pipeline/run/test_unbreakable_runs.py",
    "pipeline/run/test_render.py",
    "detectors/training/test_after_training.py",
    "detectors/models/test_contract.py",
    "detectors/training/test_run.py",
    "pipeline/jobs/test_cli.py",
    "pipeline/workers/test_unbreakable.py",
    "pipeline/workers/test_pool.py",
    "pipeline/jobs/test_storage.py",
    "pipeline/verify/test_rendered.py",
    "pipeline/gallery/test_build.py",
)

# Tests in these train networks: `make quick` leaves them out.
TRAINING = (
    "detectors/adapt/",
    "detectors/bench/test_run.py",
    "detectors/explain/test_run.py",
    "detectors/export/",
    "detectors/models/test_overfit",
    "detectors/recognition/embedder/test_agnostic.py",
    "detectors/recognition/embedder/test_class_centers.py",
    "detectors/recognition/embedder/test_train.py",
    "detectors/training/",
    "pipeline/stream/test_training.py",
)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; within a file as it stands there. Tests that train are marked."""
    positions = {name: position for position, name in enumerate(LONGEST)}
    tests = Path(__file__).parent
    paths = {item: item.path.relative_to(tests).as_posix() for item in items}
    items.sort(key=lambda item: positions.get(paths[item], len(positions)))
    for item in items:
        if paths[item].startswith(TRAINING):
            item.add_marker("trains")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans and photographs; the test is skipped where it is absent."""
    if not (SHARED_DATA / "hope" / "skus.csv").exists():
        pytest.skip(f"the research data set is not here (looked for {SHARED_DATA}); it is not part of the project")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def _own_memory_of_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave no record of their files in the user's cache."""
    folder = tmp_path_factory.mktemp("file-identity")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.files.identity.cache_folder", lambda: folder)
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def _shared_caches_of_libraries(shared_folder: Path) -> Iterator[None]:
    """Compiled shaders and lists of fonts are kept where tests give their processes a cache of their own.

    Without them, every first image costs seconds.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MESA_SHADER_CACHE_DIR", str(shared_folder / "shaders"))
        patch.setenv("MPLCONFIGDIR", str(shared_folder / "matplotlib"))
        yield


@pytest.fixture
def here() -> Iterator[None]:
    """Scenes are made in this process, for tests of anything but worker processes."""
    from support.work_here import work_here

    with work_here():
        yield
