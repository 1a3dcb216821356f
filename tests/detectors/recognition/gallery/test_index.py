"""Finding SKUs in a gallery: the exact index against a slow loop, the others against the exact one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.recognition.embedder.retrieval import rank_skus
from detectors.recognition.gallery.clean import clean_gallery
from detectors.recognition.gallery.decision import ranking_of
from detectors.recognition.gallery.index import (
    INDEXES,
    INDEXES_FOLDER,
    build_index,
    check_index,
    inherit_index,
    measure_recall,
    nearest,
    open_index,
    read_note,
)
from detectors.recognition.gallery.open import MISSING, Gallery, open_gallery
from detectors.recognition.gallery.search import find_skus
from detectors.recognition.gallery.versions import add_version, roll_back, use_version, verify_gallery, version_ids
from support.errors import raises
from support.gallery import cases


def queries_near(numbers: range, noise: float = 0.2) -> NDArray[np.float32]:
    """One query beside each SKU."""
    vectors = cases.vectors_of(numbers)[:: cases.VIEWS]
    return cases.unit(vectors + noise * np.random.default_rng(0).standard_normal(vectors.shape))


def slow_skus(gallery: Gallery, query: NDArray, k: int, best: int) -> list[tuple[float, int]]:
    """Score and SKU of the best k, one SKU after the other."""
    scored = []
    for sku in range(len(gallery)):
        views = sorted(float(gallery.vectors(gallery.rows_of(sku))[row] @ query) for row in range(cases.VIEWS))
        scored.append((float(np.mean(views[::-1][:best])), sku))
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]


@pytest.mark.parametrize("best", [1, 2])
@pytest.mark.parametrize("gone", [(), (0, 7, 19)])
def test_the_exact_search_is_that_of_a_slow_loop(tmp_path: Path, best: int, gone: tuple[int, ...]) -> None:
    whole = cases.make_gallery(tmp_path, 45, part=20)
    first, *others = whole.manifest.parts
    use_version(tmp_path, add_version(tmp_path, cases.manifest_of([cases.without(first, *gone), *others])))
    gallery = open_gallery(tmp_path)
    queries = queries_near(range(0, 45, 4))
    found = find_skus(gallery, open_index(gallery), queries, k=4, best=best)
    for query, skus, scores in zip(queries, found.skus, found.scores, strict=True):
        right = slow_skus(gallery, query, 4, best)
        assert skus.tolist() == [sku for _, sku in right]
        assert np.allclose(scores, [score for score, _ in right], atol=1e-5)


def test_half_precision_moves_scores_by_little(tmp_path: Path) -> None:
    whole = cases.make_gallery(tmp_path / "whole", 60)
    half = cases.make_gallery(tmp_path / "half", 60, precision="float16")
    queries = queries_near(range(60))
    a, b = (find_skus(gallery, open_index(gallery), queries, k=3) for gallery in (whole, half))
    assert (a.skus[:, 0] == b.skus[:, 0]).mean() > 0.95
    assert np.abs(a.scores - b.scores).max() < 2e-3
    size = {gallery.folder.name: sum(part.bytes for part in gallery.manifest.parts) for gallery in (whole, half)}
    assert size["half"] < size["whole"]


def test_the_numbers_of_retrieval_are_those_of_the_embedder_s_own_measure(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 60)
    queries = queries_near(range(0, 80, 3), noise=0.9)
    truth = np.array([number if number < 60 else -1 for number in range(0, 80, 3)])
    slow = rank_skus(gallery.vectors(np.arange(180)), gallery.owners, queries, truth)
    fast = ranking_of(gallery, find_skus(gallery, open_index(gallery), queries, k=60), queries, truth)
    assert np.array_equal(slow.rank, fast.rank) and np.array_equal(slow.known, fast.known)
    assert np.array_equal(slow.skus[:, :5], fast.skus[:, :5])
    assert np.allclose(slow.scores[:, :5], fast.scores[:, :5], atol=1e-5)
    assert np.allclose(slow.own, fast.own, atol=1e-5, equal_nan=True) and np.allclose(slow.other, fast.other, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in INDEXES if kind not in ("exact", "ivfpq")])
def test_approximate_indexes_find_nearly_all_and_say_how_much(tmp_path: Path, kind: str) -> None:
    gallery = cases.make_gallery(tmp_path, 600, part=100)
    note = build_index(gallery, kind)
    assert note is not None and note == read_note(gallery)
    assert note.recall1 >= 0.9 and note.recall10 >= 0.9
    assert measure_recall(gallery, open_index(gallery), seed=0) == pytest.approx(
        (note.recall1, note.recall10), abs=1e-4
    )
    queries = queries_near(range(600))
    exact, found = (find_skus(gallery, open_index(gallery, which), queries, k=3) for which in ("exact", None))
    same = exact.skus[:, 0] == found.skus[:, 0]
    assert same.mean() > 0.95
    # Whatever the index stores, the scores are those of the gallery's own vectors.
    assert np.allclose(exact.scores[same, 0], found.scores[same, 0], atol=1e-5)


def test_an_index_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    notes = [build_index(cases.make_gallery(tmp_path / name, 300), "ivf8") for name in "ab"]
    assert notes[0] == notes[1]


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_what_an_index_does_not_cover_is_searched_beside_it(tmp_path: Path, kind: str) -> None:
    parent = cases.make_gallery(tmp_path, 300, part=100)
    build_index(parent, kind)
    # One part has gone, one SKU of another as well, five SKUs are new.
    parts = [
        cases.without(parent.manifest.parts[0], 4),
        parent.manifest.parts[2],
        cases.part_of(tmp_path, range(900, 905)),
    ]
    use_version(tmp_path, add_version(tmp_path, cases.manifest_of(parts)))
    gallery = open_gallery(tmp_path)
    inherit_index(gallery, parent)
    index = open_index(gallery)
    assert index.kind == kind and index.beside == pytest.approx(15 / 615)
    for number in (900, 904, 3, 250):
        (found,) = find_skus(gallery, index, cases.vectors_of([number])[:1], k=2).skus.tolist()
        assert gallery.keys[found[0]] == f"sku-{number:04d}"
    for number in (4, 150):
        (found,) = find_skus(gallery, index, cases.vectors_of([number])[:1], k=50).skus.tolist()
        assert f"sku-{number:04d}" not in {gallery.keys[sku] for sku in found if sku != MISSING}


def test_exact_takes_an_index_away_and_searches_past_it(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 200)
    build_index(gallery, "hnsw")
    assert open_index(gallery).kind == "hnsw" and open_index(gallery, "exact").kind == "exact"
    assert build_index(gallery, "exact") is None
    assert open_index(gallery).kind == "exact"


def test_a_damaged_index_is_told(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 100)
    build_index(gallery, "hnsw")
    (file,) = (tmp_path / INDEXES_FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with raises("gallery-damaged"):
        open_index(gallery)


def test_an_unknown_index_names_the_known_ones(tmp_path: Path) -> None:
    with raises("unknown-name", expected="hnsw"):
        build_index(cases.make_gallery(tmp_path, 20), "hsnw")


def test_fewer_skus_than_asked_for_end_in_nobody(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 2)
    found = find_skus(gallery, open_index(gallery), queries_near(range(1)), k=5)
    assert found.skus[0, 2:].tolist() == [MISSING] * 3 and found.skus[0, 0] == 0
    alone = cases.make_gallery(tmp_path / "alone", 1)
    assert find_skus(alone, open_index(alone), queries_near(range(1)), k=5).margins.tolist() == [2.0]


def test_no_queries_have_no_answers(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 5)
    found = find_skus(gallery, open_index(gallery), np.zeros((0, cases.DIM), np.float32), k=5)
    assert found.skus.shape == (0, 5) and found.margins.shape == (0,)


def test_two_searches_are_merged_by_score(tmp_path: Path) -> None:
    first = np.array([[0.9, 0.5, -np.inf]], np.float32), np.array([[4, 2, MISSING]])
    second = np.array([[0.9, 0.7, 0.1]], np.float32), np.array([[3, 9, 8]])
    scores, rows = nearest(first, second, 3)
    assert rows.tolist() == [[3, 4, 9]] and scores[0].tolist() == pytest.approx([0.9, 0.9, 0.7])


def test_faiss_and_torch_work_side_by_side(tmp_path: Path) -> None:
    # Both bring an OpenMP of their own; together they have crashed and hung elsewhere.
    import torch

    gallery = cases.make_gallery(tmp_path, 300)
    build_index(gallery, "ivf")
    index = open_index(gallery)
    for _ in range(5):
        product = torch.randn(256, 256) @ torch.randn(256, 256)
        assert bool(torch.isfinite(product).all())
        assert len(find_skus(gallery, index, queries_near(range(32)), k=3).skus) == 32


def test_a_kind_that_the_version_does_not_have_is_told(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 100)
    build_index(gallery, "hnsw")
    with raises("index-not-built"):
        open_index(gallery, "ivf")


def test_cleaning_leaves_what_the_kept_versions_need(tmp_path: Path) -> None:
    old = cases.make_gallery(tmp_path, 100, part=50)
    build_index(old, "hnsw")
    cases.make_gallery(tmp_path, 20)
    parts = [old.manifest.parts[1], cases.part_of(tmp_path, [200])]
    use_version(tmp_path, add_version(tmp_path, cases.manifest_of(parts)))
    now = open_gallery(tmp_path)
    inherit_index(now, old)
    before = find_skus(now, open_index(now), queries_near(range(100)), k=3)
    assert clean_gallery(tmp_path, 0)[0] == 2
    assert version_ids(tmp_path) == [now.version] and verify_gallery(tmp_path) == []
    # The first part stays as long as the index over it does; that of the version between has gone.
    assert len(list((tmp_path / "parts").glob("*.npy"))) == 3
    after = find_skus(open_gallery(tmp_path), open_index(open_gallery(tmp_path)), queries_near(range(100)), k=3)
    assert np.array_equal(before.skus, after.skus)
    build_index(open_gallery(tmp_path), "exact")
    assert clean_gallery(tmp_path, 0)[1] > 0
    assert len(list((tmp_path / "parts").glob("*.npy"))) == 2 and not list((tmp_path / "indexes").iterdir())
    with raises("version-missing"):
        roll_back(tmp_path)


def test_a_changed_index_is_found_by_verifying(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 100)
    build_index(gallery, "hnsw")
    assert check_index(gallery) == []
    (file,) = (tmp_path / INDEXES_FOLDER).iterdir()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert check_index(gallery) == [f"{file.name}: the content has changed since it was written"]
    with raises("gallery-damaged"):
        open_index(gallery)
    file.unlink()
    assert "does not exist" in check_index(gallery)[0]
