"""Numbers with a name, a unit and, where there is one, a bar."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

OURS = "voxyz-reactor"

Better = Literal["less", "more"]


@dataclass(frozen=True)
class Figure:
    """One measured number: ``value`` is the median of ``rounds`` unless ``note`` says otherwise.

    ``bar`` is what it must reach, ``beyond`` what we would like; None where nothing is asked.
    """

    bench: str
    what: str
    unit: str
    value: float
    rounds: tuple[float, ...] = ()
    who: str = OURS
    better: Better = "more"
    bar: float | None = None
    beyond: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None without a bar."""
        return None if self.bar is None else self._passes(self.bar)

    @property
    def is_beyond(self) -> bool | None:
        """Whether what we would like is reached; None where nothing is said."""
        return None if self.beyond is None else self._passes(self.beyond)

    def _passes(self, limit: float) -> bool:
        return self.value <= limit if self.better == "less" else self.value >= limit


@dataclass
class Run:
    """All figures of one run on one server. ``missing``: contestants that could not take part, and why."""

    server: str
    machine: str
    quick: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, bench: str, what: str, unit: str, rounds: Iterable[float], **more: Any) -> Figure:
        """A new figure, the median of ``rounds``."""
        values = tuple(rounds)
        figure = Figure(bench, what, unit, statistics.median(values), values, **more)
        self.figures.append(figure)
        return figure

    def of(self, bench: str) -> list[Figure]:
        """The figures of one bench, in the order they were taken."""
        return [figure for figure in self.figures if figure.bench == bench]

    def benches(self) -> list[str]:
        """The benches that have figures, in the order they were taken."""
        return list(dict.fromkeys(figure.bench for figure in self.figures))

    def to_json(self) -> dict[str, Any]:
        """For machines; ``from_json`` reads it back."""
        figures = [
            {**asdict(figure), "reached": figure.reached, "is_beyond": figure.is_beyond}
            for figure in self.figures
        ]
        return {**asdict(self), "figures": figures}

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> "Run":
        """What ``to_json`` wrote."""
        derived = {"reached", "is_beyond"}
        figures = []
        for one in said["figures"]:
            given: dict[str, Any] = {name: value for name, value in one.items() if name not in derived}
            figures.append(Figure(**{**given, "rounds": tuple(given["rounds"])}))
        return cls(**{**said, "figures": figures})


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that at least ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def shown(value: float) -> str:
    """Three significant digits, thousands in groups."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
