"""Every kind of input broken at random: it is read or its mistake is told; `benchmarks/fuzz.py` goes on for longer."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from render.recipes import load_recipe
from support.fuzzing.files import Files, sandbox
from support.fuzzing.kinds import KINDS
from support.fuzzing.recipes import laughs

# Commands take ten times as long as readers.
EXAMPLES = {"list": 120, "list-command": 25, "mesh": 120, "recipe": 60, "recipe-command": 15, "picture": 120}
EXAMPLES |= {"photograph": 60, "shards": 40, "coco": 40, "planogram": 40, "own-file": 80}
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@pytest.mark.filterwarnings("ignore")  # of what decoders warn
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_broken_input_is_read_or_told(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    strategy, check = KINDS[kind]

    @settings(max_examples=EXAMPLES[kind], suppress_health_check=SLOW)
    @given(files=strategy())
    def run(files: Files) -> None:
        with tempfile.TemporaryDirectory() as root, sandbox(Path(root) / "box") as box:
            check(files, box)

    run()


def test_the_checks_would_notice(tmp_path: Path) -> None:
    """Good input of each kind passes as read, not as told: what is broken elsewhere was whole before."""
    from assets.backdrops.collection import Backdrops
    from assets.catalog.load import load_catalog
    from support.fuzzing.backdrops import good_images
    from support.fuzzing.lists import CSV, JSON_ROW, PARQUET
    from support.fuzzing.own_files import OWN

    for name, data in {"a.csv": CSV, "a.jsonl": JSON_ROW, "a.parquet": PARQUET}.items():
        (tmp_path / name).write_bytes(data)
        assert load_catalog(tmp_path / name)[0].name == "Tomatensoße"
    for name, data in good_images().items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(data)
        if name.endswith(("hdr", "exr")):
            assert Backdrops.open(hdri_dir=folder).hdri(name).shape == (8, 16, 3)
        else:
            assert Backdrops.open(photo_dir=folder).photo(name).shape == (8, 16, 3)
    (tmp_path / "r.yaml").write_bytes(laughs(1).replace(b"l0: &l0", b"# "))
    assert load_recipe(str(tmp_path / "r.yaml")).model_dump()["recipe"] == "tabletop"
    for number, (name, (good, check)) in enumerate(OWN.items()):
        with sandbox(tmp_path / f"own{number}") as box:
            check({name: good()}, box)
