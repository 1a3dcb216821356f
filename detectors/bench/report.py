"""The report of a comparison: a page with plots, a table on the console, CSV and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from assets.plurals import count_of, counts_of
from detectors.bench.plots import Value, plot_sizes, plot_speed, plot_variation
from detectors.bench.published import PUBLISHED
from detectors.bench.rows import RowRecord, RowSettings
from detectors.bench.run import ROWS, BenchResult
from detectors.bench.settings import STEPS
from detectors.bench.table import columns_of, pareto_front, setting_text, short_names, sort_rows, table_csv
from detectors.bench.work import PAGE as ROW_PAGE
from detectors.evaluate.report import json_text

PAGE, TABLE, CONTENT = "index.html", "bench.csv", "bench.json"
SPEED, SIZES = "speed.png", "sizes.png"


def _area(settings: RowSettings) -> str:
    return f"{settings.width}x{settings.height}"


# Name of the setting, heading, file, value of a row.
VARIATIONS: tuple[tuple[str, str, str, Value], ...] = (
    ("backbones", "By backbone", "backbones.png", lambda settings: settings.backbone or "its own"),
    ("sizes", "By input size", "input_sizes.png", _area),
    ("proposals", "By number of proposals", "proposals.png", lambda settings: settings.proposals),
)


@dataclass(frozen=True)
class BenchSummary:
    """What `synth bench --json` prints. best: names of the rows on the Pareto front, the fastest first."""

    out: Path
    page: Path
    planned: int
    done: int
    failed: int
    skipped: int
    finished: bool
    best: tuple[str, ...]
    rows: tuple[RowRecord, ...]


def summarize_bench(result: BenchResult) -> BenchSummary:
    """Return the summary of a comparison."""
    count = {status: sum(row.status == status for row in result.rows) for status in ("done", "failed", "skipped")}
    return BenchSummary(
        out=result.settings.out,
        page=result.settings.out / PAGE,
        planned=result.planned,
        **count,
        finished=result.finished,
        best=tuple(row.name for row in pareto_front(result.rows)),
        rows=tuple(sort_rows(result.rows)),
    )


def write_bench(result: BenchResult) -> Path:
    """Write page, plots, CSV and JSON into the folder of the comparison, and return the page."""
    out, rows = result.settings.out, sort_rows(result.rows)
    write_atomic(out / TABLE, table_csv(rows))
    content = {"planned": result.planned, "rows": [row.model_dump() for row in rows]}
    write_atomic(out / CONTENT, json_text(content).encode())
    write_atomic(out / SPEED, plot_speed(rows))
    write_atomic(out / SIZES, plot_sizes(rows))
    varied = [variation for variation in VARIATIONS if len(getattr(result.settings, variation[0])) > 1]
    for name, _, file, value in varied:
        others = [other for another, _, _, other in varied if another != name]
        write_atomic(out / file, plot_variation(rows, value, others))
    variations = [(heading, file) for _, heading, file, _ in varied]
    write_atomic(out / PAGE, _render(result, rows, variations).encode())
    return out / PAGE


def _render(result: BenchResult, rows: Sequence[RowRecord], variations: Sequence[tuple[str, str]]) -> str:
    done = [row for row in rows if row.status == "done"]
    page: str = (
        open_templates(__package__)
        .get_template("page.html.j2")
        .render(
            title=f"{count_of(len(done), 'row')} of speed and accuracy",
            how=budget_text(result),
            planned=result.planned,
            left=result.planned - len(rows),
            columns=columns_of(rows),
            done=done,
            others=[row for row in rows if row.status != "done"],
            front={row.name for row in pareto_front(rows)},
            names=short_names(rows),
            links={row.name: quote(f"{ROWS}/{row.name}/{ROW_PAGE}/index.html") for row in done},
            setting_text=setting_text,
            speed=SPEED,
            sizes=SIZES,
            variations=variations,
            published=PUBLISHED,
            notes=notes_of(result, done),
        )
    )
    return page


def budget_text(result: BenchResult) -> str:
    """Return the budget that all rows have in common."""
    one = result.settings
    budget = f"{one.minutes:g} minutes" if one.minutes is not None else count_of(one.steps or STEPS, "step")
    return (
        f"Each detector was trained for {budget} of {count_of(one.batch, 'image')} on {one.data}, augmentation "
        f"{one.augment}, initial weights {one.weights}, seed {one.seed}."
    )


def notes_of(result: BenchResult, done: Sequence[RowRecord]) -> list[str]:
    """Return how the numbers came about."""
    notes = []
    for text in dict.fromkeys(_data_text(row) for row in done):
        notes.append(text)
    notes += [f"Hardware: {text}." for text in dict.fromkeys(row.hardware for row in done)]
    notes += [
        "Nothing is chosen by the images that judge: the averaged weights of the last step are judged, once.",
        "Latency is of one image in memory after three to warm up: fitting it to the network, the network, "
        "suppression and boxes in its own pixels. Throughput is of "
        f"{count_of(result.settings.together, 'image')} at once.",
        "Operations are those of convolutions and matrix products of one call of the detector.",
        "Memory is the most that a fresh process takes beyond the start for weights and one image "
        "(on a GPU: memory of tensors).",
        "Detectors of one input size have that one; all others have the same.",
    ]
    return [*notes, *(f"Versions: {text}." for text in dict.fromkeys(_version_text(row) for row in done))]


def _data_text(row: RowRecord) -> str:
    if row.data is None:
        return ""
    one = row.data
    judges = counts_of(image=one.judged_images, group=one.judged_groups, box=one.judged_boxes)
    return f"{count_of(one.images, 'image')} of {count_of(one.classes, 'class')} teach; {judges} of others judge."


def _version_text(row: RowRecord) -> str:
    return ", ".join(f"{name} {version}" for name, version in row.versions.items())


def print_bench(console: Console, result: BenchResult, page: Path) -> None:
    """Print the table, what happened to the other rows, and where the files are."""
    rows, front = sort_rows(result.rows), {row.name for row in pareto_front(result.rows)}
    names = short_names(rows)
    columns = columns_of(rows)
    table = Table(title=budget_text(result), title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("row", no_wrap=True)
    for column in columns:
        table.add_column(f"{column.name}\n{column.unit}", justify="right", no_wrap=True)
    for row in rows:
        if row.status == "done":
            name = f"{'* ' if row.name in front else '  '}{names[row.name]}"
            table.add_row(name, *(column.shown(row) for column in columns))
    if table.row_count:
        console.print(table, highlight=False)
        console.print("* no other row is both as fast and as accurate", highlight=False)
    for row in rows:
        if row.status != "done":
            console.print(f"{names[row.name]}: {row.status}: {row.reason}", highlight=False, markup=False)
    if not result.finished:
        left = f"left: {result.planned - len(rows)} of {count_of(result.planned, 'row')}; the same command goes on"
        console.print(left, highlight=False)
    for file in (page, result.settings.out / TABLE, result.settings.out / CONTENT):
        console.print(f"wrote {file}", highlight=False, markup=False)
