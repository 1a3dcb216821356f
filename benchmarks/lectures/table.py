"""The rows of comparisons side by side as a Markdown table, one comparison after the other.

python -m benchmarks.lectures.table runs/demo/bench runs/hope/bench
"""

from __future__ import annotations

import sys
from pathlib import Path

from detectors.bench.rows import RowRecord, read_row

COLUMNS = ("detector", "network", "weights", "M", "GFLOP", "ms", "95 %", "images/s")


def main(folders: list[Path]) -> None:
    """Print the table; costs and times are those of the first comparison that has them."""
    found = [rows_of(folder) for folder in folders]
    names = sorted({name for rows in found for name in rows})
    print("|", " | ".join([*COLUMNS, *(f"{name_of(one)}: steps, AP (AP50)" for one in folders)]), "|")
    print("|" + "---|" * (len(COLUMNS) + len(folders)))
    for name in sorted(names, key=lambda one: -max(rows[one].ap for rows in found if one in rows)):
        mine = [rows.get(name) for rows in found]
        first = next(row for row in mine if row is not None)
        print("|", " | ".join([*described(first), *(scores(row) for row in mine)]), "|")


def name_of(folder: Path) -> str:
    """What a comparison is called: its folder, or that above it."""
    return folder.parent.name if folder.name == "bench" else folder.name


def rows_of(folder: Path) -> dict[str, RowRecord]:
    """The rows that ended, by name, without those that others replace."""
    rows = [read_row(file.parent) for file in sorted(folder.glob("rows/*/row.json"))]
    return {row.name: row for row in rows if row is not None and row.status != "skipped"}


def described(row: RowRecord) -> list[str]:
    """What a row cost and how fast it was."""
    if row.settings is None or row.costs is None or row.times is None:
        return [f"`{row.asked}`", row.reason, *[""] * (len(COLUMNS) - 2)]
    costs, times = row.costs, row.times
    return [
        f"`{row.asked}`",
        row.settings.backbone or "its own",
        row.settings.weights,
        f"{costs.parameters / 1e6:.1f}",
        "" if costs.flops is None else f"{costs.flops / 1e9:.2f}",
        f"{times.latency_ms:.0f}",
        f"{times.latency_p95_ms:.0f}",
        f"{times.images_per_second:.1f}",
    ]


def scores(row: RowRecord | None) -> str:
    """What a row learned."""
    if row is None or row.settings is None:
        return "" if row is None else row.status
    masks = row.metric("mIoU")
    return f"{row.settings.steps}, {row.ap:.3f} ({row.metric('AP50'):.3f})" + (
        "" if masks != masks else f", mIoU {masks:.3f}"
    )


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
