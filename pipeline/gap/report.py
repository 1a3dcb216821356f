"""What the gap meter prints and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.gap.advice import KeyAdvice
from pipeline.gap.calibration import Calibration
from pipeline.gap.classifier import DomainClassifier
from pipeline.gap.distance import FactorDistance
from pipeline.gap.kernel import KernelDistance
from pipeline.gap.page import NO_CLAIM, factor_line, shown_number
from pipeline.gap.proxy import ProxyScore
from pipeline.gap.run import GapReport


@dataclass(frozen=True)
class FactorNumbers:
    """One factor in numbers, on the scale of its distances: octaves where `log`, else its unit."""

    name: str
    unit: str
    log: bool
    distance: float
    low: float
    high: float
    among: float
    ratio: float
    real: float
    rendered: float


@dataclass(frozen=True)
class GapSummary:
    """What `synth gap --json` prints. measures: each as one number, larger for farther."""

    out: Path
    photographs: int
    renders: int
    size: Sequence[int]
    factors: Sequence[FactorNumbers]
    advice: Sequence[KeyAdvice]
    classifier: DomainClassifier | None
    kernels: Sequence[KernelDistance]
    proxy: ProxyScore | None
    measures: Mapping[str, float]
    calibration: Calibration | None
    notes: Sequence[str]


def summarize_gap(report: GapReport) -> GapSummary:
    """Return all numbers of a comparison."""
    return GapSummary(
        out=report.settings.out,
        photographs=len(report.real.pictures),
        renders=len(report.rendered.pictures),
        size=report.size,
        factors=[factor_numbers(one) for one in report.factors],
        advice=report.advice,
        classifier=report.classifier,
        kernels=report.kernels,
        proxy=report.proxy,
        measures=report.measures(),
        calibration=report.calibration,
        notes=report.notes,
    )


def factor_numbers(one: FactorDistance) -> FactorNumbers:
    """Return a factor in numbers."""
    statistic = one.factor.statistic
    return FactorNumbers(
        statistic.name,
        statistic.unit,
        statistic.log,
        *(one.distance.value, one.distance.low, one.distance.high),
        *(one.among, one.ratio, one.real, one.rendered),
    )


def print_gap(console: Console, report: GapReport) -> None:
    """Print the comparison: factors, worst first, with the first key to change, then what holds for all."""
    table = Table(box=None)
    for title in ("factor", "photographs", "renders", "distance", "interval", "among photos", "times"):
        table.add_column(title, justify="left" if title == "factor" else "right")
    table.add_column("change")
    for one in report.factors:
        line = factor_line(report, one)
        keys = [f"{advice.change} {advice.key} {advice.tried or advice.current}" for advice in line.advice[:1]]
        name = f"{line.statistic.name} {line.statistic.unit}".strip()
        shown = (line.real, line.rendered, line.distance, line.interval, line.among, f"{one.ratio:.1f}")
        table.add_row(name, *shown, *keys)
    console.print(table, highlight=False)
    for text in (*_whole_numbers(report), *report.notes):
        console.print(text, highlight=False, markup=False)
    print_calibration(console, report.calibration)
    console.print(f"wrote {report.settings.out}", highlight=False, markup=False)


def _whole_numbers(report: GapReport) -> list[str]:
    lines = [f"mean of factors: {report.total:.2f} times what photographs differ among themselves"]
    if (one := report.classifier) is not None:
        what = "objects" if one.of_boxes else "random crops"
        lines.append(
            f"classifier of {what}: AUC {one.auc.value:.3f} ({one.auc.low:.3f} to {one.auc.high:.3f}); "
            "0.5 = cannot tell them apart"
        )
    for kernel in report.kernels:
        ends = f"{shown_number(kernel.distance.low, 1)} to {shown_number(kernel.distance.high, 1)}"
        value, among = shown_number(kernel.distance.value, 1), shown_number(kernel.among, 1)
        lines.append(f"kernel distance of {kernel.what}, x 1000: {value} ({ends}), halves of the photographs {among}")
    if (proxy := report.proxy) is not None:
        ends = f"{shown_number(proxy.ap.low, 3)} to {shown_number(proxy.ap.high, 3)}"
        lines.append(f"proxy AP of {proxy.steps} steps: {proxy.ap.value:.3f} ({ends}), in {proxy.seconds:.0f} s")
    return lines


def print_calibration(console: Console, calibration: Calibration | None) -> None:
    """Print what gaps are worth as forecasts of AP."""
    for one in calibration.correlations if calibration else ():
        ends = f"{shown_number(one.low)} to {shown_number(one.high)}"
        text = f"  {one.measure}: rank correlation {shown_number(one.rho)} ({ends} with one recipe left out)"
        console.print(text, highlight=False, markup=False)
    console.print(calibration.claim if calibration else NO_CLAIM, highlight=False, markup=False)
