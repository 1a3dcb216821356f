"""The gap meter end to end on small sets, and the advice that it gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from detectors.checkpoints.pretrained import packaged_file
from detectors.evaluate.metrics.bootstrap import Interval
from pipeline.cli.main import main
from pipeline.gap.advice import advise, change_of, value_text
from pipeline.gap.distance import FactorDistance
from pipeline.gap.factors import FACTORS, Effect, Factor
from pipeline.gap.measure import largest_cover
from pipeline.gap.page import write_page
from pipeline.gap.pictures import Picture, read_set
from pipeline.gap.run import GapReport, measure_gap
from pipeline.gap.settings import GapSettings
from pipeline.run.settings import RunSettings
from render.recipes import load_recipe, recipe_from_yaml
from render.recipes.mix import RecipeMix, RecipePart
from render.recipes.parts import SceneRecipe
from support.console import quiet
from support.errors import raises
from support.sets.shapes import HEIGHT, WIDTH, write_shapes


def factor(name: str) -> Factor:
    return next(one for one in FACTORS if one.name == name)


def apart(name: str, real: float, rendered: float, spreads: tuple[float, float] = (1.0, 1.0)) -> FactorDistance:
    distance = Interval(abs(rendered - real) or 0.8, 0.1, 3.0)
    return FactorDistance(factor(name), distance, 0.1, real, rendered, spreads, (20, 20))


def recipe(text: str) -> SceneRecipe:
    made = recipe_from_yaml(text, where="test")
    assert isinstance(made, SceneRecipe)
    return made


def darken(folder: Path, codes: int) -> None:
    for file in (folder / "images").glob("*.png"):
        Image.fromarray(np.clip(np.array(Image.open(file)).astype(int) - codes, 0, 255).astype(np.uint8)).save(file)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two sets of one kind, and a darker one."""
    folder = tmp_path_factory.mktemp("sets")
    files = tuple(write_shapes(folder / name, 12, seed=i, groups=6) for i, name in enumerate(("a", "b", "dark")))
    darken(folder / "dark", 40)
    return files  # type: ignore[return-value]


def compare(synth: Path, real: Path, out: Path, **fields: object) -> GapReport:
    settings = GapSettings(synth, real, out, resamples=40, **{"weights": "none", **fields})  # type: ignore[arg-type]
    return measure_gap(settings, quiet())


def test_the_factor_that_differs_is_the_farthest(sets: tuple[Path, Path, Path], tmp_path: Path) -> None:
    first, second, dark = sets
    same, other = (compare(one, first, tmp_path / "gap.html") for one in (second, dark))
    assert same.total < 1.2 < other.total
    bright = next(one for one in other.factors if one.factor.name == "brightness")
    assert bright.ratio > 5 and bright.shift < -1 and bright.distance.low > 0.8
    assert same.classifier is not None and other.classifier is not None
    assert same.classifier.auc.value < 0.75 and other.classifier.auc.value > 0.95
    assert other.classifier.giveaways[0][1] < 0
    assert compare(dark, first, tmp_path / "gap.html").measures() == other.measures()


def test_images_without_labels_are_compared_without_objects(sets: tuple[Path, Path, Path], tmp_path: Path) -> None:
    report = compare(sets[2], sets[0].parent / "images", tmp_path / "gap.html")
    assert report.classifier is not None and not report.classifier.of_boxes
    assert {"brightness", "size of detail"} <= {one.factor.name for one in report.factors}
    assert not {"objects", "object size"} & {one.factor.name for one in report.factors}
    assert any("--detector RUN" in note for note in report.notes)


def test_a_detector_finds_objects_on_both_sides(
    sets: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pipeline.gap.run.open_detector",
        lambda run, device: lambda images: [np.array([[1.0, 2.0, 41.0, 42.0]]) for _ in images],
    )
    report = compare(sets[1], sets[0].parent / "images", tmp_path / "gap.html", detector=tmp_path)
    sizes = next(one for one in report.factors if one.factor.name == "object size")
    assert sizes.distance.value == 0 and 2**sizes.real == pytest.approx(40, rel=0.1)


def test_the_page_of_a_rendered_set_names_keys(
    rendered: RunSettings, sets: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "gap.html"
    report = compare(rendered.out, sets[0], out, pictures=8)
    write_page(replace(report, notes=["<script>"]), out)
    page = out.read_text()
    assert report.rendered.recipe is not None and report.advice
    assert page.count("<polyline") == len(report.factors)
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert all(f"<code>{one.key}</code>" in page for one in report.advice)
    assert "No claim about AP" in page and "synth recipe fit tabletop" in page


@pytest.mark.skipif(packaged_file() is None, reason="the packaged weights are not installed")
def test_features_tell_sets_apart_and_find_neighbours(sets: tuple[Path, Path, Path], tmp_path: Path) -> None:
    report = compare(sets[2], sets[0], tmp_path / "gap.html", weights="packaged", pictures=5)
    assert [one.what for one in report.kernels] == ["pictures", "crops"]
    assert all(one.distance.value > one.among for one in report.kernels)
    assert report.of_photos is not None and {pair[0] for pair in report.of_photos.pairs} == set(range(5))
    write_page(report, tmp_path / "gap.html")
    assert (tmp_path / "gap.html").read_text().count("<figure>") >= 6


def test_the_command_prints_all_numbers(sets: tuple[Path, Path, Path], tmp_path: Path) -> None:
    words = ["gap", str(sets[1]), str(sets[0]), "--weights", "none", "--resamples", "20", "--json"]
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "gap.html")])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["measures"]["mean of factors"] > 0 and found["factors"][0]["name"] in found["measures"]
    assert found["classifier"]["auc"]["value"] <= 1 and found["calibration"] is None


def test_an_ap_joins_the_table(sets: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.4, 0.1])
    monkeypatch.setattr(
        "pipeline.gap.run.score_run", lambda *_, **__: (Interval(next(scores), float("nan"), float("nan")), 0.5)
    )
    table = tmp_path / "gaps.jsonl"
    fields = {"run": tmp_path, "calibration": table}
    reports = [
        compare(one, sets[0], tmp_path / "gap.html", name=name, **fields)
        for name, one in zip("ab", sets[1:], strict=True)
    ]
    assert reports[1].calibration is not None and "2 recipes" in reports[1].calibration.claim
    assert [json.loads(line)["ap"] for line in table.read_text().splitlines()] == [0.4, 0.1]
    done = CliRunner().invoke(main, ["gap-calibrate", str(table), "--out", str(tmp_path / "page.html")])
    assert done.exit_code == 0 and "No claim about AP" in done.output, done.output
    assert "No claim about AP" in (tmp_path / "page.html").read_text()


def test_mistakes(sets: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with raises("option-missing", hint="--calibration"):
        GapSettings(sets[0], sets[1], run=tmp_path)
    (tmp_path / "empty").mkdir()
    with raises("images-missing"):
        compare(sets[0], tmp_path / "empty", tmp_path / "gap.html")
    with raises("option-missing"):
        compare(
            sets[1],
            sets[0].parent / "images",
            tmp_path / "gap.html",
            run=tmp_path,
            calibration=tmp_path / "t.jsonl",
        )


def test_boxes_shrink_with_their_picture(sets: tuple[Path, Path, Path]) -> None:
    found = read_set(sets[0], most=5, seed=0, area=1e6, reporter=quiet())
    assert found.labelled and len(found.pictures) == 5 and found.recipe is None
    one = found.pictures[0]
    small = one.shrunk(WIDTH * HEIGHT / 4)
    assert small.pixels.shape == (HEIGHT // 2, WIDTH // 2, 3)
    assert one.boxes is not None and small.boxes is not None
    assert small.boxes == pytest.approx(one.boxes / 2)


def test_covers_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 5, 5], [50, 50, 60, 60]], float)
    assert largest_cover(boxes) == pytest.approx([0.5, 0.5, 1.0, 0.0])
    assert largest_cover(boxes[:1]).tolist() == [0.0]


def test_advice_names_the_direction_and_a_range() -> None:
    tabletop = recipe("recipe: tabletop\ncamera: {distance: [1.0, 1.2]}")
    (small, bright) = advise(tabletop, [apart("object size", 5.0, 4.0), apart("brightness", 0.0, 0.5)])[:2]
    assert (small.key, small.change, small.tried) == ("camera.distance", "lower", "[0.5, 0.6]")
    assert bright.key == "sensor.exposure_ev" and bright.change == "lower"
    low, high = json.loads(bright.tried)
    assert (low, high) == pytest.approx((-0.7, 0.4))
    assert advise(tabletop, [apart("object size", 5.0, 5.05)]) == []


def test_distributions_of_another_width_are_widened_or_narrowed() -> None:
    effect = Effect("camera.distance", -1)
    assert change_of(apart("object size", 5.0, 5.0, (2.0, 1.0)), effect) == "widen"
    assert change_of(apart("object size", 5.0, 5.0, (1.0, 2.0)), effect) == "narrow"


def test_keys_of_a_mix_are_those_of_its_largest_part() -> None:
    parts = (RecipePart(share=1, of=recipe("recipe: tabletop")), RecipePart(share=3, of=recipe("recipe: scatter")))
    (first, *_) = advise(RecipeMix(parts=parts), [apart("object size", 5.0, 4.0)])
    assert first.key == "products.size" and first.change == "raise"


def test_every_effect_is_a_key_of_some_recipe() -> None:
    recipes = [load_recipe(name) for name in ("tabletop", "scatter", "shelf", "fridge", "checkout", "bin", "endcap")]
    for one in FACTORS:
        for effect in one.effects:
            assert any(value_text(made, effect.key) for made in recipes if isinstance(made, SceneRecipe)), effect


def test_a_picture_without_objects_has_no_object_values() -> None:
    plain = Picture("a", np.full((40, 60, 3), 128, np.uint8), 0, boxes=np.zeros((0, 4)), visibility=np.zeros(0))
    from pipeline.gap.measure import collect, measure_factors

    found = collect([measure_factors(plain, side=50.0, detail=True)])
    assert found.of(factor("objects"))[0].tolist() == [0.0]
    assert len(found.of(factor("object size"))[0]) == 0
