"""Learning on the two cores of a test machine, several tests at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.sets.shapes import write_shapes

# Two processes of two threads each on two cores spin in each other's way: ten times slower than one thread each.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with synthetic/train.json, real/train.json (4 groups) and real/test.json."""
    folder = tmp_path_factory.mktemp("shapes")
    write_shapes(folder / "synthetic", 40, seed=1)
    write_shapes(folder / "real", 8, seed=2, groups=4)
    write_shapes(folder / "real", 6, seed=3, groups=2, split="test")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_proposals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Proposals of the images of tests are not kept in the user's cache."""
    folder = tmp_path_factory.mktemp("proposals")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detectors.data.proposals.cache_folder", lambda: folder)
        yield
