"""Photographs that people have named become views of a gallery, and stay with it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from dataset.review.table import NEEDED
from detectors.recognition.embedder.load import Embedder, load_embedder
from detectors.recognition.gallery.clean import clean_gallery
from detectors.recognition.gallery.embedders import embedder_info, keep_embedder
from detectors.recognition.gallery.index import open_index
from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.parts import GallerySku, read_skus, vectors_path, write_part
from detectors.recognition.gallery.photos import photo_path
from detectors.recognition.gallery.recognize import recognize
from detectors.recognition.gallery.search import find_skus
from detectors.recognition.gallery.versions import (
    Manifest,
    PartEntry,
    add_version,
    use_version,
    verify_gallery,
    write_gallery,
)
from detectors.recognition.settings import RecognizeSettings
from pipeline.cli.main import main
from pipeline.gallery.build import remove_from_gallery
from pipeline.gallery.photos import add_photos, with_photos
from support.errors import raises
from support.gallery import shop

VIEWS = 2
SKUS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200)}
# A packaging that no view shows.
NEW_LOOK = (90, 70, 60)


@pytest.fixture(scope="module")
def embedders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("embedders")
    return shop.write_embedder(folder / "a.ckpt"), shop.write_embedder(folder / "b.ckpt", dim=16)


def crop(color: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(-8, 8, (40, 30, 3))
    return np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def gallery(tmp_path: Path, embedders: tuple[Path, Path]) -> Gallery:
    """Three SKUs by their colours, as galleries were before there were photographs."""
    folder, look = tmp_path / "gallery", load_embedder(embedders[0], device="cpu")
    vectors = look.embed([crop(color, seed) for color in SKUS.values() for seed in range(VIEWS)])
    skus = [GallerySku(key, f"Plain {key}", number, f"digest {key}", VIEWS, 2) for number, key in enumerate(SKUS, 1)]
    part = write_part(folder, skus, vectors, b"abcdef")
    entry = PartEntry(digest=part.digest, skus=part.skus, rows=part.rows, bytes=part.bytes)
    fields: dict[str, Any] = {"views": VIEWS, "views_format": 1, "precision": "float32", "next_id": 4}
    made = Manifest(embedder=embedder_info(look), skus=3, rows=3 * VIEWS, parts=(entry,), **fields)
    keep_embedder(folder, embedders[0], look.fingerprint)
    use_version(folder, add_version(folder, made))
    return open_gallery(folder)


@pytest.fixture
def decisions(tmp_path: Path) -> Path:
    """A shelf on which people named the new look as green (twice), a red one, and left the rest."""
    shelf = np.full((60, 200, 3), 128, np.uint8)
    for place, color in enumerate((NEW_LOOK, NEW_LOOK, SKUS["red"], SKUS["blue"], (0, 0, 0))):
        shelf[10:50, 40 * place : 40 * place + 30] = crop(color, 10 + place)
    Image.fromarray(shelf).save(tmp_path / "shelf.png")
    made = [("other", "green"), ("other", "green"), ("accept", "red"), ("known", "blue"), ("unknown", "")]
    with (tmp_path / "decisions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(NEEDED)
        for place, (decision, sku) in enumerate(made):
            writer.writerow(["shelf.png", 200, 60, 40 * place, 10, 30, 40, decision, sku])
    return tmp_path / "decisions.csv"


def nearest(gallery: Gallery, look: Embedder, color: tuple[int, int, int]) -> list[str]:
    found = find_skus(gallery, open_index(gallery), look.embed([crop(color, 99)]), k=3)
    return [gallery.keys[sku] for sku in found.skus[0]]


def test_named_photographs_are_views(gallery: Gallery, decisions: Path, embedders: tuple[Path, Path]) -> None:
    look = load_embedder(embedders[0], device="cpu")
    before = nearest(gallery, look, NEW_LOOK)
    summary = add_photos(gallery.folder, decisions, device="cpu")
    made = open_gallery(gallery.folder)
    assert (summary.photos, summary.rows, summary.skus) == (3, 9, 3) and made.version != gallery.version
    assert before[0] != "green" and nearest(made, look, NEW_LOOK)[0] == "green"
    counts = {key: int(made.counts[place]) for key, place in made.positions.items()}
    assert counts == {"red": 3, "green": 4, "blue": 2}
    assert [len(made.photos_of(key)) for key in ("red", "green", "blue")] == [1, 2, 0]
    # The rendered views are what they were, ids and fronts too.
    for key in SKUS:
        new, old = made.positions[key], gallery.positions[key]
        np.testing.assert_array_equal(made.vectors(made.rows_of(new)[:VIEWS]), gallery.vectors(gallery.rows_of(old)))
        assert (made.front(new), made.category_ids[new]) == (gallery.front(old), gallery.category_ids[old])
    assert [made.photo_of_view(made.positions["green"], view) != "" for view in range(4)] == [False, False, True, True]
    assert not verify_gallery(gallery.folder) and not verify_gallery(gallery.folder, gallery.version)
    # Again: nothing is new.
    again = add_photos(gallery.folder, decisions, device="cpu")
    assert (again.photos, again.version) == (0, made.version)


def test_the_review_page_shows_named_photographs(
    gallery: Gallery, decisions: Path, embedders: tuple[Path, Path], tmp_path: Path
) -> None:
    add_photos(gallery.folder, decisions, device="cpu")
    Image.fromarray(crop(NEW_LOOK, 99)).save(tmp_path / "new.png")
    boxes = {"image_id": 1, "bbox": [1, 1, 28, 38]}
    image = {"id": 1, "file_name": "new.png", "width": 30, "height": 40}
    content = {"images": [image], "annotations": [{"id": 1, "category_id": 1, **boxes}]}
    (tmp_path / "new.json").write_text(json.dumps({**content, "categories": [{"id": 1, "name": "any"}]}))
    settings = RecognizeSettings(
        gallery.folder,
        (str(tmp_path / "new.json"),),
        tmp_path / "out",
        boxes=tmp_path / "new.json",
        margin=2.0,
        device="cpu",
    )
    recognize(settings, Console(quiet=True))
    page = (tmp_path / "out" / "review" / "index.html").read_text()
    made = open_gallery(gallery.folder)
    (shown,) = (tmp_path / "out" / "review" / "views").glob(f"{made.positions['green']:06d}-*.jpg")
    assert "named photograph<b>green</b>" in page
    assert shown.read_bytes() in [photo_path(made.folder, digest).read_bytes() for digest in made.photos_of("green")]


def test_many_photographs_of_one_sku_hide_no_other(
    gallery: Gallery, tmp_path: Path, embedders: tuple[Path, Path]
) -> None:
    with (tmp_path / "many.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(NEEDED)
        for number in range(20):
            Image.fromarray(crop(SKUS["red"], 200 + number)).save(tmp_path / f"{number}.png")
            writer.writerow([f"{number}.png", 30, 40, 0, 0, 30, 40, "accept", "red"])
    add_photos(gallery.folder, tmp_path / "many.csv", device="cpu")
    look = load_embedder(embedders[0], device="cpu")
    found = nearest(open_gallery(gallery.folder), look, SKUS["red"])
    assert found[0] == "red" and sorted(found) == ["blue", "green", "red"]


def test_photographs_stay_when_a_sku_is_rendered_again(
    gallery: Gallery, decisions: Path, embedders: tuple[Path, Path]
) -> None:
    add_photos(gallery.folder, decisions, device="cpu")
    parent = open_gallery(gallery.folder)
    fresh = [
        (GallerySku(key, key, number, "new digest", VIEWS, 0), np.eye(2, 32, dtype=np.float32), b"")
        for number, key in enumerate(("green", "blue"), 1)
    ]
    same = list(with_photos(fresh, parent, parent.manifest.embedder, device="cpu"))
    assert [(sku.rows, len(sku.photos)) for sku, _, _ in same] == [(4, 2), (2, 0)]
    held = parent.vectors(parent.rows_of(parent.positions["green"]))
    np.testing.assert_array_equal(same[0][1], np.concatenate([fresh[0][1], held[VIEWS:]]))
    # Another embedder looks at them again.
    other = load_embedder(embedders[1], device="cpu")
    keep_embedder(gallery.folder, embedders[1], other.fingerprint)
    small = [(sku, vectors[:, :16], front) for sku, vectors, front in fresh]
    seen = next(iter(with_photos(small, parent, embedder_info(other), device="cpu")))
    assert seen[1].shape == (4, 16) and np.abs(np.linalg.norm(seen[1], axis=1) - 1).max() < 1e-4


def test_decisions_that_do_not_fit_are_told(gallery: Gallery, decisions: Path, tmp_path: Path) -> None:
    text = decisions.read_text()
    decisions.write_text(text.replace(",green", ",grren"))
    with raises("unknown-sku", found="1 SKUs that the gallery does not have") as caught:
        add_photos(gallery.folder, decisions, device="cpu")
    assert "grren" in str(caught.value)
    decisions.write_text(text.replace("accept", "known").replace("other", "known"))
    with raises("review-undecided"):
        add_photos(gallery.folder, decisions, device="cpu")
    decisions.write_text(text)
    (tmp_path / "moved").mkdir()
    (tmp_path / "shelf.png").rename(tmp_path / "moved" / "shelf.png")
    with raises("images-missing"):
        add_photos(gallery.folder, decisions, device="cpu")
    assert open_gallery(gallery.folder).version == gallery.version
    assert add_photos(gallery.folder, decisions, images=tmp_path / "moved", device="cpu").photos == 3


def test_photographs_are_verified_and_cleaned_up(gallery: Gallery, decisions: Path) -> None:
    add_photos(gallery.folder, decisions, device="cpu")
    made = open_gallery(gallery.folder)
    red, green = made.photos_of("red")[0], made.photos_of("green")[0]
    remove_from_gallery(gallery.folder, ["red"])
    with write_gallery(gallery.folder):
        clean_gallery(gallery.folder, 0)
    assert not photo_path(gallery.folder, red).exists() and photo_path(gallery.folder, green).exists()
    photo_path(gallery.folder, green).write_bytes(b"another")
    assert any("changed since it was written" in problem for problem in verify_gallery(gallery.folder))


def test_galleries_without_photographs_are_as_before(gallery: Gallery) -> None:
    (part,) = gallery.manifest.parts
    lines = vectors_path(gallery.folder, part.digest).with_suffix(".jsonl").read_text().splitlines()
    assert list(json.loads(lines[0])) == ["sku", "name", "category_id", "digest", "rows", "front"]


@pytest.mark.parametrize("photos", [["../../secret"], ["a" * 63], [1], "a" * 64, ["a" * 64] * 9, None])
def test_digests_of_strangers_are_no_paths(gallery: Gallery, photos: object) -> None:
    (part,) = gallery.manifest.parts
    file = vectors_path(gallery.folder, part.digest).with_suffix(".jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0]["photos"] = photos
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with raises("gallery-damaged"):
        read_skus(gallery.folder, part.digest)


def test_command_takes_decisions_or_a_list(gallery: Gallery, decisions: Path) -> None:
    def run(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["gallery", "add", str(gallery.folder), *map(str, words)])
        return result.exit_code, result.output

    code, output = run("--reviewed", decisions, "--device", "cpu")
    assert code == 0 and "3 photographs added" in output, output
    assert run()[0] == 2
    assert run("--reviewed", decisions, "--prune")[0] == 2
