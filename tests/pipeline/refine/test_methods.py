"""Methods of refinement: one contract for all of the table, and what each of them is to reach by its paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dataset.images import read_image
from dataset.masks import compressed_mask, decode_mask
from dataset.store import StoredImage
from detectors.translate.crops import ImagePool
from detectors.translate.run import train_translator
from detectors.translate.settings import TranslatorRun
from pipeline.refine.light import LightMeter, match_light
from pipeline.refine.methods import METHOD_TABLE, SourcePicture
from pipeline.refine.methods.fda import exchange_amplitudes
from pipeline.refine.methods.paste import annotate, cut_outs, place_all
from pipeline.refine.methods.statistics import match_covariance, match_deviations
from pipeline.refine.photos import cover
from pipeline.refine.run import open_source
from pipeline.refine.settings import PasteSettings, RefineSettings, StatisticsSettings, TranslateSettings
from pipeline.run.settings import RunSettings


@pytest.fixture(scope="module")
def stored(rendered: RunSettings) -> list[StoredImage]:
    return list(open_source(rendered.out).parts[0].stored_images())


@pytest.fixture(scope="module")
def picture(stored: list[StoredImage]) -> SourcePicture:
    return SourcePicture(pixels_of(stored[-1]), stored[-1].labels, tuple(stored[:-1][-2:]))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 200, (9, 12, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8)) // 2 + np.array([90, 60, 10], np.uint8)


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory, stored: list[StoredImage], photo: np.ndarray) -> Path:
    """A network that two large steps have changed, so that it changes pictures."""
    settings = TranslateSettings(steps=2, batch=1, crop=32, width=4, blocks=1, learning_rate=0.05)
    run = TranslatorRun(tmp_path_factory.mktemp("translator"), settings, (), device="cpu")
    rendered = ImagePool(1, lambda _: pixels_of(stored[0]))
    assert train_translator(run, rendered, ImagePool(1, lambda _: photo), Console(quiet=True))
    return run.out


def pixels_of(stored: StoredImage) -> np.ndarray:
    size = stored.labels.image.size
    assert size is not None and isinstance(stored.data, Path)
    return read_image(stored.data, *size)


@pytest.mark.trains
@pytest.mark.parametrize("name", METHOD_TABLE.names())
def test_every_method_keeps_the_contract(
    name: str, picture: SourcePicture, photo: np.ndarray, translator: Path
) -> None:
    module = METHOD_TABLE.load(name)
    assert module.LABELS in ("kept", "new") and module.DONORS >= 0
    assert module.__doc__ and module.__doc__.splitlines()[0].endswith(".")
    settings = RefineSettings(
        Path(), Path(), Path(), method=name, translate=TranslateSettings(network=translator), device="cpu"
    )
    refine = module.open_method(settings)
    unchanged = picture.pixels.copy()
    one, same, weak = (refine(picture, photo, strength, np.random.default_rng(5)) for strength in (1.0, 1.0, 0.0))
    assert one.pixels.dtype == np.uint8 and one.pixels.shape == one.before.shape == picture.pixels.shape
    assert np.array_equal(one.pixels, same.pixels) and one.annotations == same.annotations
    assert not np.array_equal(one.pixels, one.before), "the full strength changes something"
    assert np.array_equal(picture.pixels, unchanged), "the picture that was given is not written to"
    assert (one.annotations is None) == (module.LABELS == "kept")
    assert np.array_equal(weak.pixels, weak.before), "no strength, no change"


def test_deviations_and_covariances_become_those_of_the_photograph() -> None:
    rng = np.random.default_rng(0)
    source = (rng.normal(0, 1, (5000, 3)) @ rng.normal(0, 0.1, (3, 3)) + [0.2, 0.5, 0.6]).astype(np.float32)
    wanted = (1.3 * source + [0.1, -0.1, 0.05]).astype(np.float32)
    matched = match_deviations(source, wanted)
    np.testing.assert_allclose(matched, wanted, atol=1e-4)
    mixing = np.array([[1.2, 0.2, 0], [0.2, 0.9, 0.1], [0, 0.1, 1.1]])
    other = (source @ mixing).astype(np.float32)
    matched = match_covariance(source, other)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(other.T), rtol=0.02, atol=1e-4)
    np.testing.assert_allclose(matched.mean(axis=0), other.mean(axis=0), atol=1e-4)


def test_a_constant_picture_stays_without_noise() -> None:
    constant = np.full((100, 3), 0.4, np.float32)
    wanted = np.random.default_rng(0).uniform(0, 1, (100, 3)).astype(np.float32)
    assert match_deviations(constant, wanted).std(axis=0).max() < 1e-6
    assert np.isfinite(match_covariance(constant, wanted)).all()


@pytest.mark.parametrize("space", ["lab", "linear"])
def test_statistics_reach_the_mean_of_the_photograph(space: str, picture: SourcePicture) -> None:
    photo = np.full((72, 96, 3), (150, 90, 60), np.uint8)
    settings = RefineSettings(Path(), Path(), Path(), statistics=StatisticsSettings("mean-std", space))  # type: ignore[arg-type]
    refined = METHOD_TABLE.load("statistics").open_method(settings)(picture, photo, 1.0, np.random.default_rng(0))
    before, after = (abs(one.mean(axis=(0, 1)) - photo[0, 0]).mean() for one in (picture.pixels, refined.pixels))
    assert after < 0.4 * before


def test_amplitudes_of_a_picture_with_itself_change_nothing(picture: SourcePicture, photo: np.ndarray) -> None:
    same = exchange_amplitudes(picture.pixels, picture.pixels, 0.05)
    np.testing.assert_allclose(same, picture.pixels, atol=1e-3)
    part = cover(photo, 96, 72, np.random.default_rng(0))
    mixed = exchange_amplitudes(picture.pixels, part, 0.02)
    np.testing.assert_allclose(mixed.mean(axis=(0, 1)), part.mean(axis=(0, 1)), atol=1e-2)
    fine = [np.diff(one, n=2, axis=1).std() for one in (mixed, picture.pixels.astype(np.float32))]
    assert fine[0] == pytest.approx(fine[1], rel=0.05), "detail stays"


def test_pasted_labels_are_what_is_seen(stored: list[StoredImage]) -> None:
    settings = PasteSettings(min_seen=0.5)
    cuts = [cut for one in stored for cut in cut_outs(pixels_of(one), one.labels, settings)]
    pasted = place_all(cuts, 96, 72, 0.9, np.random.default_rng(1))
    assert len(pasted) >= 2
    owner = np.zeros((72, 96), int)
    for number, one in enumerate(pasted, 1):
        owner[one.window(72, 96)][one.cut.mask] = number
    for record in annotate(pasted, 96, 72):
        assert record.instance is not None and record.bbox is not None
        mask = compressed_mask(record.segmentation, 72, 96)
        assert isinstance(mask, bytes)
        seen = decode_mask(mask, 72, 96).astype(bool)
        assert np.array_equal(seen, owner == record.instance)
        one = pasted[record.instance - 1]
        assert record.visibility == pytest.approx(seen.sum() / one.cut.mask.sum(), abs=1e-6)
        assert record.area == seen.sum() and record.sku == one.cut.record.sku
        assert one.y + len(one.cut.mask) == pytest.approx(min(one.cut.bottom * 72, 72), abs=1), "the row is kept"
        x, y, w, h = record.bbox
        assert seen[int(y) : int(y + h), int(x) : int(x + w)].sum() == seen.sum()


def test_little_of_a_product_is_hidden_where_that_is_asked(stored: list[StoredImage]) -> None:
    cuts = [cut for one in stored for cut in cut_outs(pixels_of(one), one.labels, PasteSettings(min_seen=0.5))] * 3
    pasted = place_all(cuts, 96, 72, 0.1, np.random.default_rng(2))
    assert all((record.visibility or 0) >= 0.9 for record in annotate(pasted, 96, 72))


def test_products_take_on_light_and_noise_of_a_place() -> None:
    rng = np.random.default_rng(0)
    bright = np.clip(rng.normal(180, 2, (80, 80, 3)), 0, 255).astype(np.uint8)
    dark = np.clip(rng.normal(60, 9, (80, 80, 3)), 0, 255).astype(np.uint8)
    product = np.full((20, 20, 3), 128, np.uint8)
    lights = [LightMeter(one).measure((30, 30, 50, 50)) for one in (bright, dark)]
    darker = match_light(product, lights[0], lights[1], 1.0, np.random.default_rng(1))
    brighter = match_light(product, lights[1], lights[0], 1.0, np.random.default_rng(1))
    assert darker.mean() < 115 and brighter.mean() > 140
    assert darker.std() > 3 and brighter.std(axis=(0, 1)).max() < 1, "noise is added where it is missing"
    same = match_light(product, lights[0], lights[0], 1.0, np.random.default_rng(1))
    np.testing.assert_allclose(same, product, atol=0.5)


def test_a_part_of_a_photograph_keeps_its_shape() -> None:
    rows, columns = np.mgrid[:120, :200]
    photo = np.stack([columns, rows, rows], axis=2).astype(np.uint8)
    part = cover(photo, 50, 60, np.random.default_rng(0))
    assert part.shape == (60, 50, 3)
    across, down = np.diff(part[30, 5:45, 0].astype(int)).mean(), np.diff(part[5:55, 20, 1].astype(int)).mean()
    assert across == pytest.approx(2, abs=0.1) and down == pytest.approx(2, abs=0.1)
    assert cover(photo, 400, 240, np.random.default_rng(0)).shape == (240, 400, 3)
