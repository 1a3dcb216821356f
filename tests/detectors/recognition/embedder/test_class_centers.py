"""Where trainings begin: centers lie at the crops of their class, features are centred."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from detectors.recognition.embedder.class_centers import init_class_centers, spread_out
from detectors.recognition.embedder.crop_store import prepared_crops
from detectors.recognition.embedder.load import Embedder
from detectors.recognition.embedder.losses import ClassCenters, make_loss
from detectors.recognition.embedder.network import EmbeddingNet, make_spec
from detectors.recognition.embedder.softmax import Softmax
from detectors.recognition.embedder.train import start_net
from detectors.recognition.embedder.training_crops import TrainingCrops, open_crops
from support.patterns import settings_for, write_patterns
from support.sets.shapes import QUIET

CPU = torch.device("cpu")


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def directions(count: int, dim: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_centres_lie_in_the_middle_of_groups() -> None:
    groups = directions(3, 64)
    points = np.repeat(groups, [5, 2, 9], axis=0) + 0.02 * directions(16, 64, seed=1)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    made = spread_out(points.astype(np.float32), 3, rng=rng(), noise=0.0)
    assert np.allclose(sorted((made @ groups.T).max(axis=0)), 1, atol=1e-3)
    assert sorted((made @ groups.T).argmax(axis=1)) == [0, 1, 2]
    (middle,) = spread_out(points.astype(np.float32), 1, rng=rng(), noise=0.0)
    assert np.allclose(middle, functional.normalize(torch.from_numpy(points.mean(axis=0)), dim=0), atol=1e-5)


@given(st.integers(1, 9), st.integers(1, 4))
def test_any_number_of_crops_gives_the_centres_asked_for(crops: int, count: int) -> None:
    made = spread_out(directions(crops, 16), count, rng=rng())
    assert made.shape == (count, 16) and np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert len({row.tobytes() for row in made}) == count, "equal centers would stay equal"


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> TrainingCrops:
    folder = tmp_path_factory.mktemp("set_centers")
    write_patterns(folder / "synth", 24, seed=1)
    write_patterns(folder / "photos", 2, seed=2)
    (folder / "run").mkdir()
    return open_crops(settings_for(folder, folder / "run"), QUIET)


def begun(crops: TrainingCrops, name: str) -> tuple[EmbeddingNet, torch.nn.Module, Embedder]:
    spec = make_spec("mobilenetv3_small_050", dim=32, side=48)
    torch.manual_seed(0)
    net, loss = start_net(spec, "none")[0], make_loss(name, len(crops.classes), 32, share=1.0)
    init_class_centers(net, loss, spec, crops, device=CPU, seed=0, console=QUIET)
    return net, loss, Embedder(spec, net, CPU)


@pytest.mark.parametrize("name", ["arcface", "proxy"])
def test_crops_are_nearest_to_the_centre_of_their_class(name: str, crops: TrainingCrops) -> None:
    _, loss, embedder = begun(crops, name)
    assert isinstance(loss, ClassCenters)
    vectors = embedder.embed(prepared_crops(crops.source, range(len(crops.source.labels)), embedder.margin))
    with torch.no_grad():
        nearest = loss.cosines(torch.from_numpy(vectors), torch.arange(len(crops.classes))).argmax(dim=1).numpy()
    assert (nearest == crops.source.labels).mean() > 0.4, "random weights; chance is a sixth"
    assert torch.equal(loss.table, begun(crops, name)[1].table)


def test_features_are_centred_and_of_equal_spread(crops: TrainingCrops) -> None:
    _, _, embedder = begun(crops, "proxy")
    torch.manual_seed(0)
    fresh = Embedder(embedder.spec, start_net(embedder.spec, "none")[0], CPU)
    every = range(len(crops.source.labels))
    points, plain = (
        torch.cat([one.points(some) for some in one.squares(prepared_crops(crops.source, every, one.margin))])
        for one in (embedder, fresh)
    )
    norm = embedder.net.norm
    assert torch.allclose(plain.mean(dim=0), norm.running_mean, atol=1e-4)
    assert torch.allclose(plain.var(dim=0), norm.running_var, rtol=0.05)
    assert torch.allclose(points, (plain - norm.running_mean) / (norm.running_var + norm.eps).sqrt(), atol=0.01)


def test_what_was_learned_stays_and_a_classifier_begins_by_chance(crops: TrainingCrops) -> None:
    spec = make_spec("mobilenetv3_small_050", dim=32, side=48)
    net = EmbeddingNet(spec)
    net.norm.running_mean.fill_(0.5)
    net.norm.num_batches_tracked.fill_(7)
    loss = Softmax(len(crops.classes), 32)
    before = loss.classify.weight.clone()
    init_class_centers(net, loss, spec, crops, device=CPU, seed=0, console=QUIET)
    assert (net.norm.running_mean == 0.5).all() and torch.equal(loss.classify.weight, before)
