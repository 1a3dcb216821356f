"""Console output about a gallery: versions, contents, results."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assets.plurals import count_of, counts_of
from assets.progress import duration_text
from detectors.recognition.gallery.clean import clean_gallery
from detectors.recognition.gallery.decision import settle_decision
from detectors.recognition.gallery.index import build_index, check_index, open_index, read_note
from detectors.recognition.gallery.open import open_gallery
from detectors.recognition.gallery.versions import (
    current_version,
    read_manifest,
    roll_back,
    use_version,
    verify_gallery,
    version_ids,
    write_gallery,
)
from pipeline.gallery.build import FAILURES
from pipeline.gallery.summary import GallerySummary

MAX_LISTED = 10
# Share of rows outside the index above which a rebuild is suggested.
STALE = 0.1


def print_info(folder: Path, console: Console) -> None:
    """Print the contents of the current version. Raises SynthError if the folder is no gallery."""
    gallery = open_gallery(folder)
    manifest, index_info, decision = gallery.manifest, read_note(gallery), settle_decision(gallery)
    bytes_used = sum(part.bytes for part in manifest.parts)
    table = _plain_table()
    table.add_row("version", gallery.version + (f", made from {manifest.parent}" if manifest.parent else ""))
    table.add_row("SKUs", f"{len(gallery):,} with {count_of(manifest.rows, 'view', spec=',')}")
    table.add_row("vectors", f"{manifest.embedder.dim} numbers, {manifest.precision}, {bytes_used / 2**20:,.1f} MiB")
    table.add_row("embedder", f"{manifest.embedder.fingerprint[:16]}, crops of {manifest.embedder.side} px")
    if index_info is None:
        table.add_row("index", "exact")
    else:
        found = f"finds {index_info.recall1:.1%} of the nearest views, {index_info.recall10:.1%} of the ten nearest"
        table.add_row("index", f"{index_info.kind}, {index_info.bytes / 2**20:,.1f} MiB; {found}")
        unindexed = open_index(gallery).beside
        if unindexed > STALE:
            table.add_row("", f"{unindexed:.0%} of the views are not indexed: rebuild it with 'synth gallery index'")
    table.add_row("known from", f"score {decision.threshold:.3f}; for review under a lead of {decision.margin:.3f}")
    table.add_row("", f"chosen on {decision.chosen_on}")
    console.print(table, highlight=False)


def print_versions(folder: Path, console: Console) -> None:
    """Print one line for each version. Raises SynthError if the folder is no gallery."""
    now = current_version(folder)
    table = Table("", "version", "SKUs", "views", "parts", "made from", box=None, pad_edge=False)
    for version in version_ids(folder):
        manifest = read_manifest(folder, version)
        numbers = (f"{manifest.skus:,}", f"{manifest.rows:,}", f"{len(manifest.parts)}")
        table.add_row("*" if version == now else "", version, *numbers, manifest.parent or "")
    console.print(table, highlight=False)


def switch(folder: Path, version: str | None) -> str:
    """Use a version, or the previous one for None; return a message."""
    with write_gallery(folder):
        if version is None:
            version = roll_back(folder)
        else:
            use_version(folder, version)
    return f"{folder}: version {version} is in use ({count_of(read_manifest(folder, version).skus, 'SKU', spec=',')})"


def verify_version(folder: Path, version: str | None) -> list[str]:
    """Return all problems of the files of a version."""
    problems = verify_gallery(folder, version)
    return problems or check_index(open_gallery(folder, version))


def clean_folder(folder: Path, keep: int) -> str:
    """Delete versions older than the `keep` versions before the current one; return a message."""
    with write_gallery(folder):
        versions, freed = clean_gallery(folder, keep)
    return f"{count_of(versions, 'version')} deleted, {freed / 2**20:,.1f} MiB freed"


def make_index(folder: Path, kind: str, console: Console) -> None:
    """Build an index for the current version and print its quality."""
    started = time.monotonic()
    with write_gallery(folder):
        index_info = build_index(open_gallery(folder), kind)
    took = duration_text(time.monotonic() - started)
    if index_info is None:
        console.print("exact search from now on", highlight=False)
    else:
        found = f"finds {index_info.recall1:.1%} of the nearest views, {index_info.recall10:.1%} of the ten nearest"
        console.print(f"{kind}: {index_info.bytes / 2**20:,.1f} MiB in {took}; {found}", highlight=False)


def print_summary(console: Console, summary: GallerySummary) -> None:
    """Print the result of a command on a gallery, and the SKUs that were skipped."""
    table = _plain_table()
    table.add_row("gallery", str(summary.out))
    if summary.version:
        same = " (unchanged)" if summary.version == summary.before else ""
        table.add_row(
            "version",
            f"{summary.version}{same}: {counts_of(SKU=summary.skus, view=summary.rows, spec=',')}",
        )
    pace = f", {summary.made / summary.seconds * 60:,.0f} SKUs/min" if summary.made and summary.seconds else ""
    dropped = f", {summary.dropped:,} dropped" if summary.dropped else ""
    made = (
        f"{count_of(summary.photos, 'photograph', spec=',')} added" if summary.photos else f"{summary.made:,} rendered"
    )
    table.add_row("this run", f"{made}{dropped} in {duration_text(summary.seconds)}{pace}")
    console.print(table, highlight=False)
    for key, reason in summary.failed[:MAX_LISTED]:
        console.print(f"  - {key}: {reason}", style="red", highlight=False, markup=False)
    if summary.failed:
        words = f"{count_of(len(summary.failed), 'SKU')} could not be rendered and are not in the gallery"
        console.print(f"{words}; all are in {summary.out / FAILURES}", highlight=False, markup=False)
    if summary.interrupted:
        console.print("stopped; finished work is kept: the same command resumes there", highlight=False)


def _plain_table() -> Table:
    return Table(show_header=False, box=None, padding=(0, 2, 0, 0))
