"""Commands for sharded data sets: synth data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from assets.options import Option
from assets.plurals import count_of, counts_of
from pipeline.cli.command import CommandGroup
from pipeline.cli.options import Use
from pipeline.cli.output import open_console, report, say

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.shards.convert import ConvertSummary
    from pipeline.shards.pack import DataSummary
    from pipeline.shards.settings import (
        ConvertSettings,
        CroppingSettings,
        FilterSettings,
        MergeSettings,
        PackSettings,
        SampleSettings,
        SplitSettings,
    )


@click.group(cls=CommandGroup)
def data() -> None:
    """Convert, merge, choose from, compare and count data sets of any format and size, on any storage.

    SOURCE, OUT and PLACE are folders, or folders in an object storage, such as s3://bucket/set.
    """


@data.command("pack", uses={"settings": Use("pipeline.shards.settings:PackSettings")}, reports=True)
def pack(source: str, place: str, settings: PackSettings) -> None:
    """Write the COCO data set SOURCE (folder, JSON or URL) as shards at PLACE; the same command again resumes."""
    from dataset.storage.retry import RetryingPath
    from pipeline.shards.pack import pack_data

    console = open_console()
    _run(lambda: pack_data(source, RetryingPath(place), console, settings), "packed")


@data.command("unpack", reports=True)
def unpack(
    place: str, folder: Path, *, split: Annotated[str | None, Option("Only this split, such as val.", "Data")] = None
) -> None:
    """Write the shards at PLACE as an ordinary COCO data set into FOLDER."""
    from dataset.storage.retry import RetryingPath
    from pipeline.shards.unpack import unpack_data

    console = open_console()
    _run(lambda: unpack_data(RetryingPath(place), folder, console, split=split), "unpacked")


@data.command("convert", uses={"settings": Use("pipeline.shards.settings:ConvertSettings")}, reports=True)
def convert(source: str, out: str, settings: ConvertSettings) -> None:
    """Write the data set SOURCE to the new folder OUT in another label format, and count what that cannot store."""
    from pipeline.shards.convert import convert_data, print_summary

    console = open_console()
    summary = convert_data(source, out, settings, console)
    report(summary)
    print_summary(console, summary)


WRITE = Use("pipeline.shards.settings:ConvertSettings")


@data.command("filter", uses={"rule": Use("pipeline.shards.settings:FilterSettings"), "settings": WRITE}, reports=True)
def filter_(source: str, out: str, rule: FilterSettings, settings: ConvertSettings) -> None:
    """Write the images and products of the data set SOURCE that are wanted into the new folder OUT."""
    from pipeline.shards.choose import filter_data

    _chosen(lambda console: filter_data(source, out, rule, settings, console))


@data.command("sample", uses={"rule": Use("pipeline.shards.settings:SampleSettings"), "settings": WRITE}, reports=True)
def sample(source: str, out: str, rule: SampleSettings, settings: ConvertSettings) -> None:
    """Write some images of the data set SOURCE, drawn at random, into the new folder OUT."""
    from pipeline.shards.choose import sample_data

    _chosen(lambda console: sample_data(source, out, rule, settings, console))


@data.command("split", uses={"rule": Use("pipeline.shards.settings:SplitSettings"), "settings": WRITE}, reports=True)
def split(source: str, out: str, rule: SplitSettings, settings: ConvertSettings) -> None:
    """Write the data set SOURCE into the new folder OUT under new splits, each with its share of every SKU."""
    from pipeline.shards.choose import split_data

    _chosen(lambda console: split_data(source, out, rule, settings, console))


def _chosen(call: Callable[[Console], ConvertSummary]) -> None:
    from pipeline.shards.convert import print_summary

    console = open_console()
    summary = call(console)
    report(summary)
    print_summary(console, summary)
    for name, count in sorted(summary.splits.items()):
        say(f"{name}: {counts_of(image=count)}")


@data.command("crop", uses={"settings": Use("pipeline.shards.settings:CroppingSettings")}, reports=True)
def crop(source: str, out: str, settings: CroppingSettings) -> None:
    """Write an image for each product of the data set SOURCE into the new folder OUT, sorted by split and SKU."""
    from pipeline.shards.crop import crop_data

    summary = crop_data(source, out, settings, open_console())
    report(summary)
    crops, skus = counts_of(crop=summary.crops), count_of(summary.skus, "SKU")
    say(f"wrote {crops} of {skus} to {out}; left out: {summary.left_out:,}")


@data.command("diff", reports=True)
def diff(
    before: str,
    after: str,
    *,
    out: Annotated[Path | None, Option("Also write a row per difference to this .csv or .parquet file.")] = None,
) -> None:
    """Compare the data sets BEFORE and AFTER: images, boxes and classes added, removed, moved or changed."""
    from pipeline.shards.diff import diff_data, diff_table, print_diff

    console = open_console()
    with diff_table(out) as tell:
        summary = diff_data(before, after, console, tell)
    report(summary)
    print_diff(summary, console)
    if out is not None:
        say(f"wrote {out}")
    found = count_of(summary.differences, "difference", spec=",")
    say("the same images, boxes and classes" if summary.equal else found)


@data.command("merge", uses={"settings": Use("pipeline.shards.settings:MergeSettings")}, reports=True)
def merge(places: tuple[str, ...], out: str, settings: MergeSettings) -> None:
    """Merge the data sets at PLACES into one at OUT: one category per SKU, unique ids; shards stay shards."""
    from pipeline.shards.convert import print_summary
    from pipeline.shards.pack import DataSummary
    from pipeline.shards.unite import merge_sets

    console = open_console()
    found = merge_sets(places, out, settings, console)
    if isinstance(found, DataSummary):
        _run(lambda: found, "merged")
        return
    summary, notes = found
    report(summary)
    for note in notes:
        say(note)
    print_summary(console, summary)


@data.command("stats", reports=True)
def stats(
    source: str,
    *,
    below: Annotated[
        int, Option("Report SKUs with fewer boxes than this.", name="--min-boxes", minimum=1, old=("--below",))
    ] = 10,
    sku_table: Annotated[Path | None, Option("Also write a row per SKU to this .csv or .parquet file.")] = None,
) -> None:
    """Count images, boxes, sizes, visibility and SKUs of the data set SOURCE (shards, a folder or a COCO file)."""
    from pipeline.shards.stats import count_data, print_stats, summarize_stats, write_sku_table

    console = open_console()
    counted = count_data(source, console)
    report(summarize_stats(counted, below=below))
    print_stats(counted, console, below=below)
    if sku_table is not None:
        write_sku_table(counted, sku_table)
        say(f"wrote {sku_table}")


def _run(call: Callable[[], DataSummary], word: str) -> None:
    summary = call()
    report(summary)
    for note in summary.notes:
        say(note)
    there = f" ({summary.there} existed)" if summary.there else ""
    shards = summary.shards + summary.there
    say(
        f"{word}: {count_of(shards, 'shard')}{there}, {counts_of(image=summary.images, annotation=summary.annotations)}"
    )


COMMANDS: tuple[click.Command, ...] = (data,)
