"""How well products are recognised by their embedding: against the size of the gallery, and on real photographs.

    python benchmarks/recognition.py catalogue --out runs/recognition --skus 1000,10000,170000 --weights FILE
    python benchmarks/recognition.py photos --data ../shared/data --out runs/recognition --embedder trained=runs/a

`catalogue` invents a catalogue, renders views of every SKU (96 px; as many as the most of --views), embeds them, and
asks for the SKUs of crops out of crowded tabletop scenes: other light, other cameras, partly hidden. The queries are
always those of the first --queries SKUs; a larger gallery adds more SKUs they may be taken for. The trained embedder
has learned on scenes and views of the last --train-skus SKUs, which are in no gallery and no query: nothing is
retrained for a catalogue. With --list-skus smaller galleries can be asked first and larger ones of the same list later.
The softmax classifier has learned the very SKUs of the queries, from other scenes and their views.
`photos` asks for crops of photographs in galleries of rendered scans. Every stage (views, scenes, vectors, trainings)
goes on where it was stopped: call the same command again. Numbers go to OUT/catalogue.json, OUT/softmax.json and
OUT/photos.json.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from recognition_views import Shelf, embed_views, load_vectors, make_views, missing_views
from rich.console import Console
from rich.table import Table

from assets.files.atomic import write_atomic
from assets.progress import StepProgress
from detectors.data.class_match import rename_classes
from detectors.data.image_set import Classes, ImageSet
from detectors.data.prepare import read_one
from detectors.data.settings import DataSettings
from detectors.recognition.embedder.checkpoint import load_embedder_checkpoint
from detectors.recognition.embedder.evaluate import classify_boxes, embed_boxes
from detectors.recognition.embedder.load import Embedder, load_embedder, new_embedder
from detectors.recognition.embedder.metrics import MAIN, RETRIEVAL_METRICS, RetrievalEvidence, measure_retrieval
from detectors.recognition.embedder.retrieval import UNKNOWN, Ranking, rank_skus
from detectors.recognition.embedder.settings import CropChoice, EmbedSettings
from detectors.recognition.embedder.train import train_embedder

# Of a view; small, since every millisecond comes 170,000 times. Crops of 96 px are what a 640 x 480 scene has.
SIDE = 96
CHOICE = CropChoice(least_side=24, least_visible=0.4)
SCENE_SIZE = "640x480"
SEEDS = {"queries": 1, "train": 2, "softmax": 3}
CONSOLE = Console(width=120)


@dataclass(frozen=True)
class Line:
    """One line of the tables. but_size: share of queries named rightly but for the size of the pack: sizes of one
    article bear the same print, and a crop has no scale.
    """

    embedder: str
    gallery: str
    skus: int
    views: int
    numbers: dict[str, Any]
    but_size: float | None = None


def numbers_of(text: str) -> tuple[int, ...]:
    """1000,10000"""
    return tuple(int(part) for part in text.split(","))


embedder_options = (
    click.option("--out", type=click.Path(path_type=Path), required=True),
    click.option("--embedder", "runs", multiple=True, help="NAME=RUN of further embedders."),
    click.option("--weights", default="imagenet", show_default=True, help="Of the backbone: a file, imagenet, none."),
    click.option("--backbone", default="tf_efficientnet_lite0", show_default=True),
    click.option("--dim", default=512, show_default=True),
    click.option("--views", default="1,2,4,8", show_default=True, help="Views of a SKU in the gallery, 1 to 8."),
    click.option("--workers", default=1, show_default=True, help="Processes that render."),
    click.option("--bfloat16", is_flag=True, help="Vectors in half precision: faster where a processor has it."),
)


def with_embedders(command: Callable[..., None]) -> Callable[..., None]:
    """Options of both commands."""
    for option in reversed(embedder_options):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """Accuracy of recognition."""


@main.command()
@with_embedders
@click.option("--skus", default="1000,10000", show_default=True, help="Sizes of the gallery.")
@click.option("--list-skus", type=int, help="Of the invented catalogue.  [default: the largest gallery + --train-skus]")
@click.option("--pretrained-skus", default=10_000, show_default=True, help="Largest gallery of pretrained features.")
@click.option("--queries", default=1000, show_default=True, help="SKUs that are asked for.")
@click.option("--query-scenes", default=400, show_default=True)
@click.option("--train-skus", default=2000, show_default=True, help="Further SKUs to train on; 0: no training.")
@click.option("--train-scenes", default=2000, show_default=True)
@click.option("--epochs", default=20, show_default=True)
@click.option("--softmax/--no-softmax", default=True, show_default=True, help="The classifier of the queried SKUs.")
def catalogue(out: Path, skus: str, **options: Any) -> None:
    """Accuracy against the size of the gallery, on an invented catalogue."""
    sizes = numbers_of(skus)
    out.mkdir(parents=True, exist_ok=True)
    needed = max(sizes) + options["train_skus"]
    keys = make_catalogue(out / "skus.csv", options["list_skus"] or needed)
    if len(keys) < needed:
        raise click.UsageError(f"--list-skus {len(keys)}: {needed} are needed")
    asked = min(options["queries"], min(sizes))
    known, further = keys[:asked], keys[len(keys) - options["train_skus"] :]
    cut_list(out / "skus.csv", out / "asked.csv", known)
    scenes = render_scenes(out / "asked.csv", out / "scenes-queries", options["query_scenes"], "queries", options)
    embedders = open_embedders(out, options)
    if further:
        cut_list(out / "skus.csv", out / "further.csv", further)
        data = render_scenes(out / "further.csv", out / "scenes-train", options["train_scenes"], "train", options)
        views = render_views(out / "further.csv", out / "views-train", options)
        embedders["trained"] = train_on({"scenes": data, "views": views}, out / "embedder", "arcface", options)
    shelf = Shelf(out / "skus.csv", out / "views", keys[: len(keys) - len(further)], most_views(options), SIDE)
    queries = read_queries(scenes)
    articles = articles_of(out / "skus.csv")
    lines = []
    for name, embedder in embedders.items():
        own = [size for size in sizes if name != "pretrained" or size <= options["pretrained_skus"]]
        fill(shelf, max(own, default=0), {name: embedder}, out, options)
        vectors, truth = embed_queries(embedder, queries, known, options)
        for size in own:
            for few in numbers_of(options["views"]):
                gallery, labels = load_vectors(shelf, out / "vectors" / name, skus=size, views=few)
                ranking = rank_skus(gallery, labels, vectors, truth)
                found = numbers_for(ranking, skus=size, views=len(labels))
                same = articles[ranking.skus[:, 0]] == articles[ranking.truth]
                lines.append(Line(name, "catalogue", size, few, found, float(same[ranking.known].mean())))
    report(lines, out / "catalogue.json")
    if options["softmax"]:
        report_softmax(out, known, queries, options)


@main.command()
@with_embedders
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="With hope/, hope_real/ ...")
def photos(out: Path, data: Path, **options: Any) -> None:
    """Real photographs against galleries of rendered scans."""
    out.mkdir(parents=True, exist_ok=True)
    embedders = open_embedders(out, options)
    shelves = {}
    for name in ("hope", "ycb", "groceries"):
        keys = keys_of(data / name / "skus.csv")
        shelves[name] = Shelf(data / name / "skus.csv", out / f"views-{name}", keys, most_views(options), 2 * SIDE)
        fill(shelves[name], len(keys), embedders, out, options, folder=f"vectors-{name}")
    queries = read_one(
        data / "hope_real" / "test_all28.json", "photos", DataSettings(), splits=("test",), print_line=quiet
    )
    lines = []
    for name, embedder in embedders.items():
        vectors, truth = embed_queries(embedder, queries, shelves["hope"].keys, options)
        for views in numbers_of(options["views"]):
            gallery, labels = joined(shelves, out, name, views)
            few = labels < len(shelves["hope"].keys)
            for title, kept in (("hope", few), ("hope + ycb + groceries", np.ones_like(few))):
                ranking = rank_skus(gallery[kept], labels[kept], vectors, truth)
                count = len(np.unique(labels[kept]))
                found = numbers_for(ranking, skus=count, views=int(kept.sum()))
                lines.append(Line(name, title, count, views, found))
    report(lines, out / "photos.json")


def joined(shelves: dict[str, Shelf], out: Path, embedder: str, views: int) -> tuple[NDArray, NDArray]:
    """The vectors of all shelves, numbered one after another."""
    parts, labels, first = [], [], 0
    for name, shelf in shelves.items():
        vectors, own = load_vectors(shelf, out / f"vectors-{name}" / embedder, skus=len(shelf.keys), views=views)
        parts.append(vectors)
        labels.append(own + first)
        first += len(shelf.keys)
    return np.concatenate(parts), np.concatenate(labels)


def most_views(options: dict[str, Any]) -> int:
    """Views of a SKU that are rendered: smaller galleries take the first of them."""
    return max(numbers_of(options["views"]))


def make_catalogue(file: Path, count: int) -> tuple[str, ...]:
    """An invented list, and its keys in order. A list of another length is refused: shards would no longer fit."""
    if not file.exists():
        run("catalog", "generate", "--count", count, "--seed", 0, file)
    keys = keys_of(file)
    if len(keys) != count:
        raise click.UsageError(f"{file} has {len(keys)} SKUs, {count} are asked for: give another --out")
    return keys


def keys_of(file: Path) -> tuple[str, ...]:
    """The SKUs of a list."""
    with file.open(newline="", encoding="utf-8") as stream:
        return tuple(row["sku"] for row in csv.DictReader(stream))


def articles_of(file: Path) -> NDArray:
    """(N,) a number for each row of an invented list, the same for the sizes of one article."""
    with file.open(newline="", encoding="utf-8") as stream:
        prints = [(row["brand"], row["category"], row["colors"], row["package"]) for row in csv.DictReader(stream)]
    return np.unique(np.array(["\0".join(one) for one in prints]), return_inverse=True)[1]


def cut_list(source: Path, target: Path, keys: Sequence[str]) -> None:
    """The rows of some SKUs as a list of its own."""
    if target.exists():
        return
    wanted = set(keys)
    with source.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        rows = [row for row in reader if row["sku"] in wanted]
        names = reader.fieldnames or []
    with target.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)


def render_scenes(sku_list: Path, out: Path, scenes: int, purpose: str, options: dict[str, Any]) -> Path:
    """Tabletop scenes of a list; those that are there are kept."""
    settings = ["--scenes", scenes, "--size", SCENE_SIZE, "--seed", SEEDS[purpose], "--workers", options["workers"]]
    run("render", "--sku-list", sku_list, *settings, "--out", out)
    return out


def render_views(sku_list: Path, out: Path, options: dict[str, Any]) -> Path:
    """Each product alone, as galleries know it: what a gallery is made of is to be learned as well."""
    run(
        "gallery",
        "views",
        sku_list,
        "--size",
        SIDE,
        "--views",
        most_views(options),
        "--workers",
        options["workers"],
        "--out",
        out,
    )
    return out


def run(*arguments: Any) -> None:
    """A command of synth, in a process of its own."""
    subprocess.run([sys.executable, "-m", "pipeline", *map(str, arguments)], check=True)


def open_embedders(out: Path, options: dict[str, Any]) -> dict[str, Embedder]:
    """The pretrained features, and the embedders that were given."""
    weights, backbone = options["weights"], options["backbone"]
    found = {"pretrained": new_embedder(backbone, dim=options["dim"], side=SIDE, weights=weights)}
    for text in options["runs"]:
        name, equals, path = text.partition("=")
        if not equals:
            raise click.UsageError(f"--embedder {text}: expected NAME=RUN")
        found[name] = load_embedder(Path(path))
    return found


def train_on(data: dict[str, Path], out: Path, loss: str, options: dict[str, Any]) -> Embedder:
    """An embedder trained on rendered data sets, or the one that an earlier call trained."""
    settings = EmbedSettings(
        data=DataSettings(synthetic=tuple(data.items()), hold_out=0.05),
        out=out,
        choice=CHOICE,
        backbone=options["backbone"],
        weights=options["weights"],
        dim=options["dim"],
        side=SIDE,
        loss=loss,
        epochs=options["epochs"],
        patience=max(options["epochs"], 1),
    )
    train_embedder(settings, CONSOLE)
    return load_embedder(out)


def fill(
    shelf: Shelf,
    skus: int,
    embedders: dict[str, Embedder],
    out: Path,
    options: dict[str, Any],
    *,
    folder: str = "vectors",
) -> None:
    """Views and vectors of the first SKUs of a shelf."""
    count = len(shelf.shards(skus))
    missing = missing_views(shelf, skus)
    done, title = count - len(missing), f"views of {shelf.sku_list.parent.name}"
    with StepProgress(CONSOLE, title, total=count, done=done, unit="shards") as progress:
        make_views(shelf, missing, cache=out / "cache", workers=options["workers"], progress=progress)
    for name, embedder in embedders.items():
        progress = StepProgress(CONSOLE, f"vectors of {name}", total=count, unit="shards")
        with progress, arithmetic(embedder, options):
            embed_views(shelf, skus, embedder, out / folder / name, progress=progress)


def read_queries(scenes: Path) -> ImageSet:
    """The rendered scenes as a set of crops."""
    return read_one(scenes, "queries", DataSettings(), splits=("train",), print_line=quiet)


def quiet(line: str) -> None:
    """Nothing is said."""


def arithmetic(embedder: Embedder, options: dict[str, Any]) -> torch.autocast:
    """The precision that vectors are computed in."""
    return torch.autocast(embedder.device.type, torch.bfloat16, enabled=options["bfloat16"])


def embed_queries(
    embedder: Embedder, queries: ImageSet, keys: Sequence[str], options: dict[str, Any]
) -> tuple[NDArray, NDArray]:
    """(Q, dim) vectors of the crops and (Q,) their places among the keys; UNKNOWN for other products."""
    rows = CHOICE.rows(queries, seed=0)
    with arithmetic(embedder, options):
        return embed_boxes(embedder, queries, rows), places_of(queries, rows, keys)


def places_of(queries: ImageSet, rows: NDArray, keys: Sequence[str]) -> NDArray:
    """(Q,) where the SKU of each crop stands among `keys`, matched by key, else by name."""
    named = rename_classes(queries, Classes(tuple(keys), tuple(keys)))
    place = {key: number for number, key in enumerate(keys)}
    table = np.array([place.get(key, UNKNOWN) for key in named.keys])
    return table[queries.labels[rows]]


def numbers_for(ranking: Ranking, *, skus: int, views: int) -> dict[str, Any]:
    """Counts and retrieval metrics, each query for itself."""
    queries = np.arange(len(ranking.truth), dtype=np.int32)
    evidence = RetrievalEvidence(ranking)
    found = measure_retrieval(evidence, RETRIEVAL_METRICS, queries, skus=skus, views=views, seed=0)
    return found.parts()[MAIN] or {}


def report(lines: Sequence[Line], file: Path) -> None:
    """The lines as a table and as a file."""
    heads = [name for name, kind in RETRIEVAL_METRICS.items() if kind.head and "." not in name]
    table = Table("embedder", "gallery", "SKUs", "views", "crops", *heads, "top1 but size")
    for line in lines:
        found = line.numbers
        but_size = "" if line.but_size is None else f"{line.but_size:.1%}"
        counts = [str(line.skus), str(line.views), f"{found['queries']} + {found['unknown']}"]
        table.add_row(line.embedder, line.gallery, *counts, *(f"{found[name]:.3f}" for name in heads), but_size)
    CONSOLE.print(table)
    write_atomic(file, (json.dumps([asdict(line) for line in lines], indent=1) + "\n").encode())


def report_softmax(out: Path, known: Sequence[str], queries: ImageSet, options: dict[str, Any]) -> None:
    """Top-1 of a classifier that has learned the SKUs it is asked for."""
    scenes = options["train_scenes"]
    data = render_scenes(out / "asked.csv", out / "scenes-softmax", scenes, "softmax", options)
    views = render_views(out / "asked.csv", out / "views-softmax", options)
    embedder = train_on({"scenes": data, "views": views}, out / "softmax", "softmax", options)
    checkpoint = load_embedder_checkpoint(out / "softmax")
    rows = CHOICE.rows(queries, seed=0)
    place = {key: number for number, key in enumerate(known)}
    classes = np.array([place[key] for key in checkpoint.keys])
    named = classes[classify_boxes(embedder, queries, rows, checkpoint.head)]
    right = named == places_of(queries, rows, known)
    numbers = {"skus": len(known), "crops": len(rows), "top1": float(right.mean())}
    CONSOLE.print(f"softmax over {len(known)} SKUs: top-1 {right.mean():.1%} of {len(rows)} crops", highlight=False)
    write_atomic(out / "softmax.json", (json.dumps(numbers, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
