"""Hard mining: failures, where they concentrate beyond chance, and a mix that cannot collapse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli.main import main
from pipeline.tune.concentrations import Concentration, concentrations_in, concentrations_of_skus
from pipeline.tune.conditions import CONDITIONS, conditions_of
from pipeline.tune.failures import NamedBoxes, find_failures
from pipeline.tune.mining import LEAST_ORIGINAL, MOST_OF_ONE, MOST_VARIANTS, Miner, Mining, hard_mix, mine_failures
from pipeline.tune.settings import TuneSettings
from render.recipes import load_recipe, recipe_from_yaml
from render.recipes.mix import RecipeMix
from render.recipes.parts import SceneRecipe
from render.sample import sample_scene
from support.console import quiet
from support.errors import raises
from support.sets.painter import LIBRARY, Painter, find_red

SCATTER = """
recipe: scatter
products: {count: [2, 4], size: [0.25, 0.5]}
distractors: {count: 0}
background: {environment: 0, texture: 1}
sensor: {exposure_ev: [-1.5, 0.5], shaken: 0, crosstalk: 0}
"""


def recipe_of(text: str) -> SceneRecipe:
    made = recipe_from_yaml(text, where="test")
    assert isinstance(made, SceneRecipe)
    return made


def product(sku: str, *box: float, ignore: bool = False) -> Any:
    return SimpleNamespace(sku=sku, box=box, ignore=ignore)


def found(*boxes: tuple[str | None, float, tuple[float, ...]]) -> NamedBoxes:
    array = np.array([box for *_, box in boxes], float).reshape(-1, 4)
    return NamedBoxes(array, [name for name, *_ in boxes], np.array([score for _, score, _ in boxes]))


KNOWN = frozenset("abc")
A, B = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)


@pytest.mark.parametrize(
    ("products", "detections", "missed", "made_up"),
    [
        ([product("a", *A)], [("a", 0.9, A)], [False], []),
        ([product("a", *A)], [], [True], []),
        ([product("a", *A)], [("b", 0.9, A)], [True], [0]),
        ([product("a", *A)], [(None, 0.9, A)], [False], []),
        ([product("a", *A)], [("a", 0.5, A), ("a", 0.9, A)], [False], [0]),
        ([product("a", *A)], [("a", 0.9, (6.0, 0.0, 16.0, 10.0))], [True], [0]),
        ([product("a", *A, ignore=True)], [("b", 0.9, A)], [], []),
        ([product("z", *A)], [("b", 0.9, A)], [], []),
        ([product("a", *A, ignore=True), product("a", *A)], [("a", 0.9, A)], [False], []),
        ([product("a", *A), product("b", *B)], [("b", 0.9, B)], [True, False], []),
    ],
)
def test_failures_by_hand(
    products: list[Any],
    detections: list[tuple[str | None, float, tuple[float, ...]]],
    missed: list[bool],
    made_up: list[int],
) -> None:
    failures = find_failures(products, found(*detections), KNOWN)
    assert (list(failures.missed), list(failures.made_up)) == (missed, made_up)
    assert failures.count == sum(missed) + len(made_up)


def chance(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thirds, failures and products of scenes in which chance alone decides."""
    rng = np.random.default_rng(seed)
    products = rng.integers(3, 9, count).astype(float)
    return rng.integers(0, 3, (count, 12)), rng.binomial(products.astype(int), 0.3).astype(float), products


def test_chance_is_not_taken_for_a_concentration() -> None:
    names = [f"key{i}" for i in range(12)]
    alarms = sum(
        any(one.significant for one in concentrations_in(names, *chance(90, seed), seed=0)) for seed in range(30)
    )
    assert alarms <= 5  # 1.5 expected of 30 tests at 0.05 that are right for all 36 parts together


def test_a_concentration_is_found_in_its_third() -> None:
    thirds, failures, products = chance(90, 1)
    failures = failures + 2.0 * (thirds[:, 4] == 2)
    (first, *others) = concentrations_in([f"key{i}" for i in range(12)], thirds, failures, products, seed=0)
    assert (first.name, first.part, first.significant) == ("key4", 2, True)
    assert first.rate - first.elsewhere == pytest.approx(2 / products.mean(), abs=0.12)
    assert not any(one.significant for one in others if one.name != "key4")
    missing = np.where(thirds == 2, -1, thirds)
    assert all(
        one.part < 2 for one in concentrations_in([f"key{i}" for i in range(12)], missing, failures, products, seed=0)
    )


def test_skus_are_compared_inside_their_scenes() -> None:
    rng = np.random.default_rng(0)
    scenes = np.repeat(np.arange(80), 5)
    skus = np.array([f"s{i}" for i in rng.integers(0, 8, len(scenes))], "U8")
    hard_scene = scenes % 2 == 0
    missed = rng.random(len(scenes)) < np.where(hard_scene, 0.6, 0.1)
    # A SKU that is shown in hard scenes alone is not hard itself.
    skus[hard_scene & (rng.random(len(scenes)) < 0.3)] = "unlucky"
    plain = concentrations_of_skus(skus, scenes, missed, seed=0)
    assert not any(one.significant for one in plain)
    unlucky = next(one for one in plain if one.name == "unlucky")
    assert unlucky.rate > 1.4 * unlucky.elsewhere
    hard = concentrations_of_skus(skus, scenes, missed | (skus == "s3"), seed=0)
    assert [one.name for one in hard if one.significant] == ["s3"]
    assert concentrations_of_skus([], np.zeros(0, int), np.zeros(0, bool), seed=0) == []


def test_values_are_those_that_were_drawn() -> None:
    made = recipe_of(SCATTER)
    scenes = [sample_scene(LIBRARY, made, seed=3, index=index, view=0, width=64, height=48) for index in range(10)]
    for one in conditions_of(made):
        if one.seen or one.key.endswith("count"):
            continue
        low, high = one.knob(made).ends(made)
        values = [one.value_of(scene, ()) for scene in scenes]
        assert np.nanmin(values) >= low - 1e-6 and np.nanmax(values) <= high + 1e-6, one.key
        assert np.nanstd(values) > 0, one.key


def test_every_condition_is_a_range_of_some_recipe_and_can_be_narrowed() -> None:
    recipes = [load_recipe(name) for name in ("tabletop", "scatter", "shelf")]
    for one in CONDITIONS:
        having = [made for made in recipes if isinstance(made, SceneRecipe) and one.exists_in(made)]
        assert having, one.key
        for third in range(3):
            low, high = one.knob(having[0]).ends(having[0])
            inside = one.knob(having[0]).ends(one.narrowed(having[0], third))
            assert low <= inside[0] <= inside[1] <= high and inside != (low, high)


def test_larger_objects_are_nearer() -> None:
    table = recipe_of("recipe: tabletop\ncamera: {distance: [1.0, 1.3]}")
    distance = next(one for one in CONDITIONS if one.key == "camera.distance")
    assert distance.ends_of(table, 0) == pytest.approx((1.2, 1.3))
    assert distance.edges(table, np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx((2.0, 3.0))


def concentration(name: str, excess: float, part: int = 2, p: float = 0.001) -> Concentration:
    return Concentration(name, part, 20, 0.5, 0.2, excess, p)


@pytest.mark.parametrize("excesses", [[50.0], [50.0, 1.0], [5.0] * 7])
def test_the_original_keeps_half_and_no_variant_has_more_than_a_fifth(excesses: list[float]) -> None:
    made = recipe_of(SCATTER)
    settings = cast(TuneSettings, SimpleNamespace(width=0))
    miner = Miner(settings, made, quiet(), lambda image: found(), None, "")
    keys = [one.key for one in conditions_of(made) if one.key.startswith("sensor")][: len(excesses)]
    rows = [concentration(key, excess) for key, excess in zip(keys, excesses, strict=True)]
    variants = miner._variants([*rows, concentration("sensor.tone", 99.0, p=0.2), concentration(keys[0], -5.0, 0)])
    assert 0 < len(variants) <= MOST_VARIANTS and "sensor.tone" not in {one.condition.key for one in variants}
    mix = hard_mix(made, variants)
    assert mix.parts[0].of == made and mix.parts[0].share >= LEAST_ORIGINAL
    assert all(part.share <= MOST_OF_ONE for part in mix.parts[1:])
    assert sum(part.share for part in mix.parts) == pytest.approx(1)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TuneSettings:
    (tmp_path / "start.yaml").write_text(SCATTER)
    monkeypatch.setattr("pipeline.tune.mining.open_library", lambda *_: LIBRARY)
    monkeypatch.setattr("pipeline.tune.mining.open_backend", lambda *_: Painter())
    return TuneSettings(
        recipe=str(tmp_path / "start.yaml"),
        sku_list=cast(Any, Path("skus.csv")),
        out=tmp_path / "harder.yaml",
        hard_mining=tmp_path,
        scenes=45,
        width=64,
        height=48,
    )


def blind_in(dark: bool) -> Callable[..., Any]:
    """A detector of red patches that sees nothing in dark pictures."""

    def name_boxes(image: np.ndarray) -> NamedBoxes:
        seen = [] if dark and image.mean() < 75 else find_red([image])[0]
        boxes = np.array(seen, float).reshape(-1, 4)
        return NamedBoxes(boxes, [None] * len(boxes), np.ones(len(boxes)))

    return lambda run, device: (name_boxes, None, "digest")


def mine(settings: TuneSettings, stop: Callable[[], bool] = lambda: False) -> Mining:
    return mine_failures(settings, quiet(), stop=stop)


def test_dark_scenes_become_more_frequent_and_the_search_resumes(
    settings: TuneSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tune.mining.open_namer", blind_in(dark=True))
    calls = iter(range(14))
    first = mine(settings, lambda: next(calls, None) is None)
    assert first.interrupted and 0 < first.scenes < 45 and not settings.out.exists()
    mining = mine(settings)
    whole = mine(replace(settings, out=settings.out.with_name("whole.yaml")))
    assert mining.ranges == whole.ranges and mining.scenes == 45
    assert settings.out.read_bytes() == settings.out.with_name("whole.yaml").read_bytes()
    assert "sensor.exposure_ev" in {one.condition.key for one in mining.variants}
    dark = next(one for one in mining.variants if one.condition.key == "sensor.exposure_ev")
    assert dark.third == 0 and dark.after == pytest.approx((-1.5, -0.8333), abs=0.001)
    mix = load_recipe(str(settings.out))
    assert isinstance(mix, RecipeMix) and mix.parts[0].share >= 0.5 and mix.parts[0].of == recipe_of(SCATTER)
    with raises("settings-differ", found="seed"):
        mine(replace(settings, seed=1))


@pytest.mark.parametrize("change", [{"index": 10**6}, {"values": []}, {"missed": []}])
def test_scenes_that_no_search_has_looked_at_are_told(
    change: dict[str, object], settings: TuneSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tune.mining.open_namer", blind_in(dark=True))
    mine(replace(settings, scenes=2))
    file = settings.trials_folder / "failures.json"
    content = json.loads(file.read_text())
    content["scenes"][1] |= change
    file.write_text(json.dumps(content))
    with raises("content-invalid"):
        mine(replace(settings, scenes=2))


def test_nothing_is_written_where_nothing_is_beyond_chance(
    settings: TuneSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pipeline.tune.mining.open_namer", lambda run, device: (lambda image: found(), None, "digest"))
    (tmp_path / "skus.csv").touch()
    words = ["tune", "--recipe", settings.recipe, "--hard-mining", tmp_path, "--sku-list", tmp_path / "skus.csv"]
    words += ["--out", settings.out, "--scenes", 20, "--size", "64x48", "--json"]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["out"] is None and summary["missed"] == summary["products"] > 0 and summary["variants"] == []
    assert not settings.out.exists()
    page = settings.out.with_suffix(".html").read_text()
    assert "no mix was written" in page and page.count("data:image/jpeg") == 9


def test_a_mix_is_not_mined(settings: TuneSettings, tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("recipe: mix\nparts: [{of: tabletop}, {of: scatter}]")
    with raises("recipe-mix-invalid"):
        mine(replace(settings, recipe=str(tmp_path / "mix.yaml")))
