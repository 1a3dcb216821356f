"""Parts of jobs that one can work out on paper: what counts, from which side, what it costs, which list is taken."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dataset.records import AnnotationRecord, ImageRecord, parse_all
from dataset.shards.index import ShardSample
from pipeline.jobs import scene as job_scene
from pipeline.jobs.estimate.cost import LIBRARY_BYTES, Cost
from pipeline.jobs.pilot import _summarize
from pipeline.jobs.receipts import area_of, counts, side_of, size_of, tallies
from pipeline.jobs.report import bytes_text, shares_text
from pipeline.jobs.shard import counted_images
from pipeline.jobs.tasks import CATALOG, SceneTask
from pipeline.run.settings import RunSettings
from support.errors import raises
from support.scenes import camera_at


@pytest.mark.parametrize(
    ("eye", "side"),
    [
        ((0.1, -1, 0.3), "front"),
        ((0.1, 1, 0.3), "back"),
        ((1, 0.2, 0.3), "right"),
        ((-1, 0.2, 0.3), "left"),
        ((0.1, 0.2, 1), "top"),
        ((0.1, 0.2, -1), "bottom"),
    ],
)
def test_the_side_is_the_one_that_faces_the_camera(eye: tuple, side: str) -> None:
    camera = camera_at(eye, (0, 0, 0), width=32, height=24, focal=30)
    assert side_of(np.linalg.inv(camera.world_from_camera)) == side


@pytest.mark.parametrize(
    ("visibility", "truncation", "width", "height", "good"),
    [
        (1.0, 0.0, 24, 24, True),  # just large enough
        (1.0, 0.0, 23, 90, False),  # too narrow
        (0.49, 0.0, 90, 90, False),  # hidden
        (0.9, 0.5, 90, 90, False),  # cut by the border
    ],
)
def test_an_appearance_counts_that_is_seen_well_and_large(
    visibility: float, truncation: float, width: float, height: float, good: bool
) -> None:
    record = AnnotationRecord(visibility=visibility, truncation=truncation, bbox=[0, 0, width, height])
    assert counts(record, 0.5, 24) is good


def test_annotations_are_told_by_size() -> None:
    pose = np.eye(4).tolist()
    records = [
        AnnotationRecord(bbox=[0, 0, w, 300], area=a, camera_from_object=pose)
        for w, a in ((15, 900), (32, 1024), (999, 9216))
    ]
    assert [size_of(record) for record in records] == ["0-16", "32-48", "256-"]
    assert [area_of(record) for record in records] == ["small", "medium", "large"]
    assert tallies(records)["areas"] == {"large": 1, "medium": 1, "small": 1}


def cost(**changes: float) -> Cost:
    plain = {"start_s": 4.0, "scene_s": 0.5, "load_s": 0.01, "build_s": 0.2, "products": 10.0}
    sizes = {"mesh_bytes": 1e6, "image_bytes": 1.0, "label_bytes": 1.0}
    return Cost(workers=2, threads=1, **{**plain, **sizes, **changes})  # type: ignore[arg-type]


def test_products_that_stay_in_memory_are_loaded_once_and_others_each_time() -> None:
    assert cost().loads(1e6, 100) == pytest.approx(100)
    huge = cost(mesh_bytes=float(LIBRARY_BYTES))
    assert huge.loads(1e5, 1000) == pytest.approx(1e5, rel=0.02)
    assert cost().loads(0, 100) == 0


def test_the_cost_is_the_sum_of_its_parts() -> None:
    # 2 starts, 100 scenes of half a second, 20 products made once and loaded by both workers.
    assert cost().worker_seconds(100, 1000, 20, 2) == pytest.approx(2 * 4 + 50 + 40 * 0.01 + 20 * 0.2, rel=1e-3)
    assert cost().worker_seconds(100, 1000, 20, 2, built=True) == pytest.approx(58.4, rel=1e-3)
    assert cost().worker_seconds(0, 0, 0, 2) == 0


def test_a_worker_that_finds_another_list_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = SimpleNamespace(hash="new", source="skus.csv")
    monkeypatch.setattr(job_scene, "opened_worker", lambda _: SimpleNamespace(library=SimpleNamespace(catalog=catalog)))
    settings = RunSettings(Path("skus.csv"), tmp_path, 0)
    (tmp_path / CATALOG).write_text("new")
    job_scene.start_worker(settings)
    (tmp_path / CATALOG).write_text("old")
    with raises("list-changed"):
        job_scene.start_worker(settings)


def test_scenes_of_other_products_wait_under_other_names() -> None:
    first = SceneTask(7, ("a", "b"), (1, 2), (0, 0))
    assert first.stem != SceneTask(7, ("a", "c"), (1, 3), (0, 0)).stem
    assert first.stem != SceneTask(7, ("a", "b"), (1, 2), (0, 1)).stem
    assert first.products.skus == ("a", "b") and len(set(first.products.orientations)) == 2


def test_numbers_in_words() -> None:
    assert [bytes_text(number) for number in (12, 1500, 2.5e6, 3.21e11)] == ["12 B", "1.5 kB", "2.5 MB", "321 GB"]
    assert shares_text({"front": 3, "back": 1}, ["front", "back", "top"]) == "front 75%, back 25%, top 0%"


def test_several_facings_of_a_product_count_once_for_an_image() -> None:
    def seen(category: int, width: float = 50) -> dict:
        return {"category_id": category, "visibility": 1.0, "truncation": 0.0, "bbox": [0, 0, width, 50]}

    views = [[seen(1), seen(1), seen(2, width=5)], [seen(1), seen(2), seen(2, width=5)]]
    samples = [
        ShardSample(f"{number}", {}, ImageRecord(), parse_all(AnnotationRecord, records))
        for number, records in enumerate(views)
    ]
    work: Any = SimpleNamespace(visible=0.5, pixels=24)
    assert counted_images(work, SceneTask(0, ("a", "b", "c"), (1, 2, 3), (0, 0, 0)), samples) == [2, 1, 0]


def test_a_pilot_counts_several_facings_of_a_product_once_too(tmp_path: Path) -> None:
    """Otherwise its share of products that count may be above 1."""
    task = SceneTask(0, ("a", "b"), (1, 2), (0, 0))
    fields = {"visibility": 1.0, "truncation": 0.0, "camera_from_object": np.eye(4).tolist()}
    seen = [
        {"image_id": view, "sku": sku, "bbox": [0, 0, 50, 50], **fields} for view, sku in ((0, "a"), (0, "a"), (1, "a"))
    ]
    (tmp_path / f"{task.stem}.pilot").write_text(json.dumps(seen))
    settings = RunSettings(Path("list.csv"), tmp_path, scenes=0, views=2)
    work: Any = SimpleNamespace(settings=settings, visible=0.5, pixels=24)
    pilot = _summarize(work, [task], {})
    assert (pilot.products, pilot.share, pilot.annotations) == (4, 0.5, 1.5)
