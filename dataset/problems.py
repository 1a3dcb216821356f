"""Problems of a data set, collected and reported together."""

from __future__ import annotations

from dataclasses import dataclass, field

from assets.errors import SynthError

# Examples listed of each kind, beside its count.
EXAMPLES = 4


@dataclass
class DataProblem:
    """One kind of problem: its count and the first examples."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def text(self, kind: str) -> str:
        more = f" and {self.count - len(self.examples)} more" if self.count > len(self.examples) else ""
        return f"{kind}: {self.count} ({'; '.join(self.examples)}{more})" if self.examples else f"{kind}: {self.count}"


@dataclass
class Problems:
    """Problems of one data set. bad: records that cannot be used. notes: what was repaired or is worth knowing."""

    where: str
    bad: dict[str, DataProblem] = field(default_factory=dict)
    notes: dict[str, DataProblem] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)

    def spoil(self, kind: str, example: str) -> None:
        """Add a record that cannot be used."""
        self.bad.setdefault(kind, DataProblem()).add(example)

    def note(self, kind: str, example: str = "") -> None:
        """Add something that was repaired or is worth knowing."""
        finding = self.notes.setdefault(kind, DataProblem())
        if example:
            finding.add(example)
        else:
            finding.count += 1

    @property
    def bad_count(self) -> int:
        return sum(finding.count for finding in self.bad.values())

    def lines(self) -> list[str]:
        """Return all problems, those of unusable records first."""
        bad = [f"{finding.text(kind)} [cannot be used]" for kind, finding in self.bad.items()]
        return bad + [finding.text(kind) for kind, finding in self.notes.items()]


def check_usable(sets: list[Problems], *, skip_bad: bool) -> None:
    """Raise SynthError with every problem of every set, unless there are none or bad records may be skipped."""
    broken = [problems for problems in sets if problems.bad]
    if not broken or skip_bad:
        return
    lines = [f"{problems.where}: {line}" for problems in broken for line in problems.lines()]
    hints = [hint for problems in broken for hint in problems.hints]
    count = sum(problems.bad_count for problems in broken)
    hints.append("repair the data, or leave the bad records out with --skip-bad")
    raise SynthError(
        f"{count} record{'s' if count > 1 else ''} of the data are invalid",
        code="records-invalid",
        problems=lines,
        hint="; ".join(hints),
    )
