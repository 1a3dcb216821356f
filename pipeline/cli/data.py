"""The commands of sharded data sets: synth data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assets.plurals import count_of, counts_of
from pipeline.cli.choices import LABEL_FORMAT
from pipeline.cli.command import CommandGroup
from pipeline.cli.output import open_console, output_options, report
from pipeline.cli.types import ANY_PATH, EXISTING_FOLDER

EXISTING = click.Path(exists=True, path_type=Path)

if TYPE_CHECKING:
    from pipeline.shards.pack import DataSummary


@click.group(cls=CommandGroup)
def data() -> None:
    """Data sets in shards, of any size and on any storage: pack, unpack, merge, count.

    A PLACE is a folder or whatever fsspec takes, such as s3://bucket/set.
    """


@data.command("pack")
@click.argument("source", type=EXISTING)
@click.argument("place")
@click.option("--shard-images", type=click.IntRange(1, 100_000), default=200, help="Pictures in a shard.")
@click.option("--spool", type=ANY_PATH, help="Folder for labels on their way.  [default: in PLACE, or the system's]")
@output_options
def pack(source: Path, place: str, shard_images: int, spool: Path | None) -> None:
    """Write the COCO data set SOURCE (folder or JSON) as shards at PLACE; the same command again goes on."""
    from dataset.storage.retry import RetryingPath
    from pipeline.shards.pack import pack_data

    console = open_console()
    _run(lambda: pack_data(source, RetryingPath(place), console, shard_images=shard_images, spool=spool), "packed")


@data.command("unpack")
@click.argument("place")
@click.argument("folder", type=ANY_PATH)
@click.option("--split", help="Only this one, such as val.")
@output_options
def unpack(place: str, folder: Path, split: str | None) -> None:
    """Write the shards at PLACE as an ordinary COCO data set into FOLDER."""
    from dataset.storage.retry import RetryingPath
    from pipeline.shards.unpack import unpack_data

    console = open_console()
    _run(lambda: unpack_data(RetryingPath(place), folder, console, split=split), "unpacked")


@data.command("convert")
@click.argument("source")
@click.argument("out", type=ANY_PATH)
@click.option("--format", "name", type=LABEL_FORMAT, required=True, help="Label format of OUT.")
@click.option("--from", "source_format", type=LABEL_FORMAT, help="Label format of SOURCE.  [default: as found]")
@click.option("--images", type=EXISTING_FOLDER, help="Where pictures lie that are not beside their labels.")
@output_options
def convert(source: str, out: Path, name: str, source_format: str | None, images: Path | None) -> None:
    """Write the data set SOURCE into the new folder OUT in another label format, and count what it cannot carry."""
    from pipeline.shards.convert import convert_data, print_summary

    console = open_console()
    summary = convert_data(source, out, console, format=name, source_format=source_format, images=images)
    report(summary)
    print_summary(console, summary)


@data.command("merge")
@click.argument("places", nargs=-1, required=True)
@click.argument("out")
@output_options
def merge(places: tuple[str, ...], out: str) -> None:
    """Write the sharded sets at PLACES as one at OUT: one category for each SKU, no id twice."""
    from dataset.storage.retry import RetryingPath
    from pipeline.shards.merge import merge_data

    console = open_console()
    _run(lambda: merge_data([RetryingPath(place) for place in places], RetryingPath(out), console), "merged")


@data.command("stats")
@click.argument("source")
@click.option("--below", type=click.IntRange(1), default=10, help="SKUs with fewer boxes are counted.")
@click.option("--sku-table", type=ANY_PATH, help="A row for each SKU: a .csv or .parquet file.")
@output_options
def stats(source: str, below: int, sku_table: Path | None) -> None:
    """Count the data set SOURCE (a place of shards, a folder, a COCO file): splits, sizes, visibility, SKUs."""
    from pipeline.shards.stats import count_data, print_stats, stats_fields, write_sku_table

    console = open_console()
    counted = count_data(source, console)
    report(stats_fields(counted, below=below))
    print_stats(counted, console, below=below)
    if sku_table is not None:
        write_sku_table(counted, sku_table)
        click.echo(f"wrote {sku_table}")


def _run(call: Callable[[], DataSummary], word: str) -> None:
    summary = call()
    report(summary)
    for note in summary.notes:
        click.echo(note)
    there = f" ({summary.there} were there)" if summary.there else ""
    shards = summary.shards + summary.there
    click.echo(
        f"{word}: {count_of(shards, 'shard')}{there}, {counts_of(image=summary.images, annotation=summary.annotations)}"
    )


COMMANDS: tuple[click.Command, ...] = (data,)
