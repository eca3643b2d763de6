"""Wake, drain and writers as pictures, in one SVG."""

import importlib.util
from pathlib import Path
from typing import Any

from bench.figures import OURS, Figure, Run, shown

OUR_COLOUR, OTHERS = "#c2410c", "#94a3b8"


def draw(path: Path, run: Run) -> bool:
    """``path`` is the picture of the run's wake, drain and writers; False when there is nothing to draw, or to draw with."""
    panels = [
        (
            "wake: insert to handler, ms (p50; line to p99)",
            _bars(run, "wake", "p50", "ms"),
            _bars(run, "wake", "p99", "ms"),
        ),
        ("drain: rows/s, one process", _bars(run, "drain", "rate", "rows/s"), []),
        ("writers: inserts/s, 32 connections", _bars(run, "writers", "rate", "inserts/s"), []),
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels or importlib.util.find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    heights = [len(values) + 1.2 for _, values, _ in panels]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(8, sum(heights) * 0.36),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, (title, values, limits) in zip(axes[:, 0], panels, strict=True):
        _panel(axis, title, values, limits)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return True


def _bars(run: Run, bench: str, what: str, unit: str) -> list[Figure]:
    return [figure for figure in run.of(bench) if (figure.what, figure.unit) == (what, unit)]


def _panel(axis: Any, title: str, values: list[Figure], limits: list[Figure]) -> None:
    names = [figure.who for figure in values]
    colours = [OUR_COLOUR if figure.who in (OURS, "the doorbell") else OTHERS for figure in values]
    bars = axis.barh(names, [figure.value for figure in values], color=colours, height=0.7)
    ends = [limit.value for limit in limits] or [figure.value for figure in values]
    for bar, figure, end in zip(bars, values, ends, strict=True):
        middle = bar.get_y() + bar.get_height() / 2
        if limits:
            axis.plot([figure.value, end], [middle, middle], color="#334155", linewidth=1, marker="|")
        axis.annotate(
            shown(figure.value),
            (end, middle),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axis.set_title(title, loc="left", fontsize=9)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.spines[["top", "right"]].set_visible(False)
