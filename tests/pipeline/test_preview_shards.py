"""Contact sheets of sharded sets, our own and anybody's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from test_data_pack import NAMES, foreign_set

from assets.errors import SynthError
from assets.places import Place
from assets.shards import write_index
from pipeline.data_pack import pack_data
from pipeline.preview import preview_dataset
from pipeline.preview_shards import preview_shards
from pipeline.run_settings import RunSettings

QUIET = Console(quiet=True)


def test_the_sheet_is_that_of_the_set_it_came_from(rendered: RunSettings, tmp_path: Path) -> None:
    place = Place(str(tmp_path / "shards"))
    pack_data(rendered.out, place, QUIET, shard_images=3)
    ours = np.array(Image.open(preview_shards(place, tmp_path / "a.png", count=8)))
    theirs = np.array(Image.open(preview_dataset(rendered.out, tmp_path / "b.png", count=8)))
    assert ours.shape == theirs.shape
    # The shards of train come before those of val: the same tiles, elsewhere; the title differs.
    assert np.array_equal(np.bincount(ours[40:].ravel()), np.bincount(theirs[40:].ravel()))


def test_anybodys_set_can_be_looked_at(tmp_path: Path) -> None:
    place = Place(f"memory://{tmp_path.name}/set")
    pack_data(foreign_set(tmp_path / "theirs", NAMES), place, QUIET, shard_images=2, spool=tmp_path / "spool")
    with Image.open(preview_shards(place, tmp_path / "a.png", count=3)) as sheet:
        assert sheet.width > 3 * 600
    place.delete("shards/train-000000.tar")
    with pytest.raises(SynthError, match="missing"):
        preview_shards(place, tmp_path / "b.png")
    write_index(place, [])
    with pytest.raises(SynthError, match="no labelled pictures"):
        preview_shards(place, tmp_path / "b.png")
