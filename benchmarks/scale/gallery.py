"""A gallery at full size: how fast it is built, searched, added to, switched, and what memory that takes.

    python benchmarks/scale/gallery.py                                                       # a toy
    python benchmarks/scale/gallery.py --skus 170000 --dim 512 --kinds exact,hnsw,ivf,ivf8    # some 10 GB of disk
    python benchmarks/scale/gallery.py --embedder runs/embedder --sku-list skus.csv          # with the rate of building

Vectors for searching are drawn, not embedded: families of ten SKUs that look alike, views of one SKU closer still, and
queries as far from their SKU as photographs are from renders. Latency and memory depend on how many there are and how
long, recall also on how they lie. Each index is measured in a process of its own. Rates of building are of one core,
apart for making the product, rendering and embedding; and of the command with --workers. What was written is deleted.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.demo import demo_list
from assets.machine import cache_folder
from detectors.recognition.embedder.crops import prepare_crop
from detectors.recognition.embedder.load import load_embedder
from detectors.recognition.gallery.index import build_index, open_index
from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.parts import GallerySku
from detectors.recognition.gallery.search import find_skus
from detectors.recognition.gallery.versions import (
    EmbedderInfo,
    Precision,
    add_version,
    roll_back,
    use_version,
    verify_gallery,
)
from pipeline.gallery.build import build_gallery
from pipeline.gallery.settings import PART_SKUS, GalleryBuildSettings
from pipeline.gallery.version import Record, VectorSpec, make_manifest, write_parts
from render.views import open_studio, views_of

FAMILY = 10
# Lengths of what tells a SKU from its family, a view from its SKU, a photograph from the nearest view.
OWN, VIEW, PHOTO = 0.6, 0.4, 1.0
QUERIES = 512
BATCHES = (1, 32)
LATENCY_CALLS = 100
# Seconds after which slow searches have been asked often enough, and how often that is at least.
ENOUGH_S, ENOUGH_CALLS = 30.0, 20


@dataclass(frozen=True)
class Searched:
    """One kind of index. own_mib, mapped_mib: resident after opening and searching, over what was before it, in the
    process's own memory and of files that it has mapped, which the system may take back.

    latency: median and 99th percentile, milliseconds, by batch. top1: share of queries that find their SKU. found: the
    SKU of each query.
    """

    opened_s: float
    own_mib: float
    mapped_mib: float
    latency: dict[int, tuple[float, float]]
    top1: float
    found: NDArray[np.int64]


@click.command()
@click.option("--skus", default=2000, show_default=True)
@click.option("--views", default=8, show_default=True)
@click.option("--dim", default=128, show_default=True)
@click.option("--precision", type=click.Choice(["float32", "float16"]), default="float32", show_default=True)
@click.option("--kinds", default="exact,hnsw,ivf,ivf8", show_default=True)
@click.option("--embedder", type=click.Path(exists=True, path_type=Path), help="Also the rate of building with it.")
@click.option("--sku-list", type=click.Path(exists=True, path_type=Path), default=demo_list())
@click.option("--limit", default=50, show_default=True, help="SKUs of the list that rates are taken over.")
@click.option("--workers", default=2, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write; deleted afterwards.")
def main(
    skus: int,
    views: int,
    dim: int,
    precision: Precision,
    kinds: str,
    embedder: Path | None,
    sku_list: Path,
    limit: int,
    workers: int,
    folder: Path | None,
) -> None:
    """Measures and prints tables."""
    console = Console(width=140)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="scale-gallery-") as where:
        if embedder is not None:
            console.print(_rates(embedder, sku_list, Path(where) / "built", views, limit, workers))
        home = Path(where) / "drawn"
        console.print(_store(home, skus, views, dim, precision))
        console.print(_search(home, kinds.split(",")))


def _rates(run: Path, sku_list: Path, out: Path, views: int, limit: int, workers: int) -> Table:
    """SKUs a minute: of each step on one core, and of the command."""
    made = load_embedder(run, device="cpu")
    library, backend = open_studio(sku_list, cache_folder())
    side = round(made.side / (1 + 2 * made.margin))
    views_of(library, backend, library.catalog.keys[0], views, side=side)
    spent = {"product": 0.0, "views": 0.0, "embedding": 0.0}
    keys = list(islice(library.catalog.keys, 1, limit + 1))

    for key in keys:
        times = [time.perf_counter()]
        library.product(key)
        times.append(time.perf_counter())
        shown = views_of(library, backend, key, views, side=side)
        times.append(time.perf_counter())
        made.embed([prepare_crop(view.image, view.box, margin=made.margin) for view in shown])
        times.append(time.perf_counter())
        for name, seconds in zip(spent, np.diff(times), strict=True):
            spent[name] += float(seconds)
    backend.close()
    title = f"{len(keys)} SKUs of {sku_list.name}, {views} views of {side} px, {made.dim} numbers"
    table = Table("building", "ms a SKU", "SKUs a minute", title=title)
    for name, seconds in spent.items():
        table.add_row(name, f"{1000 * seconds / len(keys):.0f}", f"{60 * len(keys) / seconds:,.0f}")
    settings = GalleryBuildSettings(
        sku_list, out, run, views=views, workers=workers, device="cpu", cache=cache_folder()
    )
    summary = build_gallery(settings, Console(quiet=True))
    words = f"synth gallery build, {workers} workers, {summary.made} SKUs, with their start"
    pace = f"{60 * summary.made / summary.seconds:,.0f}"
    table.add_row(words, f"{1000 * summary.seconds / max(summary.made, 1):.0f}", pace)
    return table


def _store(home: Path, skus: int, views: int, dim: int, precision: Precision) -> Table:
    """Writing a gallery, opening it, adding a SKU, switching, going back, verifying."""
    kind = VectorSpec(EmbedderInfo(fingerprint="drawn", dim=dim, side=128, margin=0.05), views, precision)
    table = Table("store", "seconds", "MiB", title=f"{skus:,} SKUs x {views} views x {dim} numbers, {precision}")

    def timed(name: str, work: Callable[[], object]) -> None:
        before, begun = _bytes_of(home), time.perf_counter()
        work()
        table.add_row(name, f"{time.perf_counter() - begun:.3f}", f"{(_bytes_of(home) - before) / 2**20:.2f}")

    def write() -> None:
        parts = write_parts(home, _records(0, skus, views, dim), most=PART_SKUS, precision=precision)
        use_version(home, add_version(home, make_manifest(home, parts, kind, next_id=skus + 1, parent=None)))

    def add() -> None:
        parent = open_gallery(home)
        fresh = _records(skus, skus + 1, views, dim)
        parts = (*parent.manifest.parts, *write_parts(home, fresh, most=PART_SKUS, precision=precision))
        use_version(home, add_version(home, make_manifest(home, parts, kind, next_id=skus + 2, parent=parent)))

    timed("written, with drawing the vectors", write)
    timed("opened", lambda: open_gallery(home))
    timed("one SKU added (its vectors made before)", add)
    timed("rolled back", lambda: roll_back(home))
    timed("verified", lambda: verify_gallery(home))
    return table


def _search(home: Path, kinds: list[str]) -> Table:
    """Every kind of index on the same queries."""
    batches = [f"batch {batch}, ms p50 / p99" for batch in BATCHES]
    table = Table(
        "index", "built, s", "file, MiB", "opened, s", "own, MiB", "mapped, MiB", *batches, "top-1", "as exact"
    )
    exact: NDArray[np.int64] | None = None
    for kind in kinds:
        seconds, file_mib = _apart(_build, home, kind)
        done: Searched = _apart(_ask, home)  # without what building has left in memory
        exact = done.found if kind == "exact" else exact
        same = "" if exact is None else f"{float((done.found == exact).mean()):.3f}"
        latency = [f"{done.latency[batch][0]:.1f} / {done.latency[batch][1]:.1f}" for batch in BATCHES]
        numbers = (f"{seconds:.1f}", f"{file_mib:,.0f}", f"{done.opened_s:.1f}")
        memory = (f"{done.own_mib:,.0f}", f"{done.mapped_mib:,.0f}")
        table.add_row(kind, *numbers, *memory, *latency, f"{done.top1:.3f}", same)
    return table


def _apart(work: Callable[..., Any], *given: object) -> Any:
    """What `work` gives in a process that has done nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def _build(home: Path, kind: str) -> tuple[float, float]:
    """Seconds and MiB of an index."""
    begun = time.perf_counter()
    note = build_index(open_gallery(home), kind)
    return time.perf_counter() - begun, note.bytes / 2**20 if note else 0.0


def _ask(home: Path) -> Searched:
    """The index that is there, opened and asked."""
    gallery = open_gallery(home)
    before, begun = _resident(), time.perf_counter()
    index = open_index(gallery)
    opened_s = time.perf_counter() - begun
    queries, truth = _queries(gallery)
    latency = {}
    for batch in BATCHES:
        spent = []
        for call in range(LATENCY_CALLS):
            rows = np.arange(call * batch, (call + 1) * batch) % len(queries)
            begun = time.perf_counter()
            find_skus(gallery, index, queries[rows])
            spent.append(1000 * (time.perf_counter() - begun))
            if call >= ENOUGH_CALLS and sum(spent) > 1000 * ENOUGH_S:
                break
        low, high = np.percentile(spent, [50, 99])
        latency[batch] = float(low), float(high)
    own_mib, mapped_mib = _resident() - before
    found = find_skus(gallery, index, queries).skus[:, 0].astype(np.int64)
    return Searched(opened_s, own_mib, mapped_mib, latency, float((found == truth).mean()), found)


def _resident() -> NDArray[np.float64]:
    """(2,) MiB of the process's own memory and of mapped files."""
    memory = psutil.Process().memory_info()
    return np.array([memory.rss - memory.shared, memory.shared]) / 2**20


def _queries(gallery: Gallery) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors beside views of some SKUs, and whose they are."""
    rng = np.random.default_rng(1)
    skus = np.sort(rng.choice(len(gallery), QUERIES))
    rows = gallery.first[skus] + rng.integers(gallery.counts[skus])
    order = rng.permutation(QUERIES)  # neighbours in the list are no neighbours in time
    drawn = gallery.vectors(rows) + PHOTO * _unit(rng.standard_normal((QUERIES, gallery.dim)))
    return _unit(drawn)[order], skus[order]


def _records(start: int, stop: int, views: int, dim: int) -> Iterator[Record]:
    """SKUs with drawn vectors: those of one ten share most of theirs."""
    for number in range(start, stop):
        family = _unit(np.random.default_rng([2, number // FAMILY]).standard_normal(dim))
        rng = np.random.default_rng([3, number])
        own = family + OWN * _unit(rng.standard_normal(dim))
        vectors = _unit(own + VIEW * _unit(rng.standard_normal((views, dim))))
        yield (
            GallerySku(f"{4_000_000_000_000 + number}", f"Product {number}", number + 1, "0" * 64, views),
            vectors,
            b"",
        )


def _unit(vectors: NDArray) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


if __name__ == "__main__":
    main()
