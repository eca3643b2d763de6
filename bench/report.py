"""The document: what was measured, as tables and plots, with how to repeat it and where others are better."""

import importlib
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import plots
from bench.figures import OURS, Figure, Run, shown

HEAD = """\
# Performance

Written by `python -m bench --report docs/performance.md`; every number below was measured, none typed in.

Machine: {machine}. Absolute times are for orientation only, and the machine was not ours alone; bars are ratios inside one
run wherever that is possible. All contestants of a run use the same server and take turns, round by round; a value is the
median of its rounds, and the column beside it says how far the rounds lay apart.

Server: private, made for each bench, with {settings}. *On disk* means that every commit waits for the disk; *in memory*
means that the disk answers at once, as one with a cache of its own does: then it is the programs that are compared.

Ours is a real reactor process throughout: `voxyz-reactor run mission` with its defaults ({ours}), given work by plain
`insert`s. Peers are real processes as well: {peers}.
"""

REPEAT = """\
## How to repeat it

<!-- run: quick -->
```console
pip install -e '.[bench]'              # the peers; graphile-worker is fetched by npm where there is node
python -m bench                        # everything; about half an hour
python -m bench wake drain             # some of it
python -m bench --quick                # small numbers: to see that it works
python -m bench --data memory --json > memory.json
python -m bench --pg /usr/lib/postgresql/15/bin wake drain writers --json > pg15.json
python -m bench --report docs/performance.md --from memory.json --from pg15.json
```

Leave the machine alone meanwhile. A row of the table is one figure; `--json` has the value of every round.
"""

WIDTH = 120
SETTINGS_SHOWN = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "max_connections",
)


def merged(runs: Sequence[Run]) -> list[Run]:
    """One run a server: benches of later runs take the place of the same ones of earlier runs."""
    by_server: dict[str, Run] = {}
    for run in runs:
        known = by_server.setdefault(run.server, run)
        if known is not run:
            kept = [figure for figure in known.figures if figure.bench not in run.benches()]
            known.figures = kept + run.figures
            known.versions |= run.versions
            known.missing = {**known.missing, **run.missing}
            known.quick = known.quick or run.quick
    return list(by_server.values())


def write(path: Path, runs: Sequence[Run]) -> None:
    """``path`` is the document of ``runs``, its plots beside it."""
    parts = [_head(runs[0]), _bars(runs), *(_plots(path, run) for run in runs[:1])]
    parts += [_bench(runs, bench) for bench in dict.fromkeys(name for run in runs for name in run.benches())]
    parts += [_others(runs), _missing(runs), REPEAT]
    path.write_text("\n".join(_filled(part) for part in parts if part), encoding="utf-8")


def _filled(part: str) -> str:
    """The part with its paragraphs broken into lines of equal length; tables, lists and code as they are."""
    code = False
    lines: list[str] = []
    for block in part.split("\n\n"):
        code ^= block.count("```") % 2 == 1
        plain = not code and "```" not in block and not block.lstrip().startswith(("|", "#", "*", "!"))
        lines.append(
            textwrap.fill(block, WIDTH, break_long_words=False, break_on_hyphens=False) if plain else block
        )
    return "\n\n".join(lines) + ("\n" if part.endswith("\n") else "")


def _head(run: Run) -> str:
    settings = ", ".join(
        f"`{name} = {run.settings[name]}`" for name in SETTINGS_SHOWN if name in run.settings
    )
    versions = [
        f"{name} {version}" for name, version in run.versions.items() if ", " not in name
    ]  # once each
    return HEAD.format(
        machine=run.machine,
        settings=settings,
        ours="50 steps at once, logging warnings only, as the peers do",
        peers=_listed(versions) or "none took part in this run",
    )


def _bars(runs: Sequence[Run]) -> str:
    """One line a bar, one column a server."""
    keys = dict.fromkeys(
        (figure.bench, figure.what, figure.who)
        for run in runs
        for figure in run.figures
        if figure.bar is not None or figure.beyond is not None
    )
    lines = ["## The bars", "", "| bench | figure | bar | " + " | ".join(run.server for run in runs) + " |"]
    lines.append("| --- | --- | ---: |" + " ---: |" * len(runs))
    for key in keys:
        found = [_find(run, *key) for run in runs]
        one = next(figure for figure in found if figure is not None)
        name = one.what if one.who == OURS else f"{one.what} ({one.who})"
        lines.append(f"| {one.bench} | {name} | {_asked(one)} | " + " | ".join(map(_verdict, found)) + " |")
    lines += [
        "",
        "In brackets: not asked for, but wanted. ✓ reached, ✓✓ reached what was wanted, ✗ missed.",
        "",
    ]
    if any(run.quick for run in runs):
        lines += [
            "**These are the figures of a quick run: they show that the benchmark works, not how fast anything is.**",
            "",
        ]
    return "\n".join(lines)


def _find(run: Run, bench: str, what: str, who: str) -> Figure | None:
    return next((f for f in run.of(bench) if (f.what, f.who) == (what, who)), None)


def _asked(figure: Figure) -> str:
    sign = "≤" if figure.better == "less" else "≥"
    words = [] if figure.bar is None else [f"{sign} {figure.bar:g} {figure.unit}".strip()]
    words += [] if figure.beyond is None else [f"({sign} {figure.beyond:g} {figure.unit})".replace(" )", ")")]
    return " ".join(words)


def _verdict(figure: Figure | None) -> str:
    if figure is None:
        return ""
    value = f"{shown(figure.value)} {figure.unit}".strip()
    if figure.is_beyond:
        return f"{value} ✓✓"
    if figure.reached is None:
        return value
    return f"{value} {'✓' if figure.reached else '✗'}"


def _plots(path: Path, run: Run) -> str:
    picture = path.with_suffix(".svg")
    if not plots.draw(picture, run):
        return ""
    return f"![Wake, drain and writers, {run.server}]({picture.name})\n"


def _bench(runs: Sequence[Run], bench: str) -> str:
    """What it measures, in its module's own words, and all its figures."""
    words = (importlib.import_module(f"bench.{bench}").__doc__ or "").strip()
    lines = [f"## {bench.capitalize()}", "", words, ""]
    for run in runs:
        figures = run.of(bench)
        if not figures:
            continue
        lines += [f"**{run.server}**", "", "| figure | of | value | rounds |", "| --- | --- | ---: | --- |"]
        lines += [
            f"| {figure.what} | {figure.who} | {shown(figure.value)} {figure.unit} | {_spread(figure)} |".replace(
                "  ", " "
            )
            for figure in figures
        ]
        lines.append("")
    return "\n".join(lines)


def _spread(figure: Figure) -> str:
    words = []
    if len(figure.rounds) > 1:
        words.append(f"{len(figure.rounds)}: {shown(min(figure.rounds))} to {shown(max(figure.rounds))}")
    return "; ".join([*words, figure.note] if figure.note else words)


def _others(runs: Sequence[Run]) -> str:
    """Where a peer was better than we were, found by comparing."""
    lines = ["## Where a peer is better", ""]
    found = [line for run in runs for line in _wins(run)]
    return "\n".join([*lines, *(found or ["In these runs: nowhere."]), ""])


def _wins(run: Run) -> Iterable[str]:
    for ours in run.figures:
        if ours.who != OURS:
            continue
        for theirs in run.of(ours.bench):
            if theirs.who not in run.versions or (theirs.what, theirs.unit) != (ours.what, ours.unit):
                continue
            better = theirs.value < ours.value if ours.better == "less" else theirs.value > ours.value
            if better:
                yield (
                    f"* {run.server}: {theirs.who} in {ours.bench}, {ours.what}: {shown(theirs.value)} {ours.unit}"
                    f" against our {shown(ours.value)}."
                ).replace(" .", ".")


def _missing(runs: Sequence[Run]) -> str:
    lines = [f"* {run.server}: {name}, {why}" for run in runs for name, why in run.missing.items()]
    return "\n".join(["## Not measured", "", *lines, ""]) if lines else ""


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else ""
