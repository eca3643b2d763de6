"""The figures of a run, for eyes."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.figures import OURS, Figure, Run, shown


def print_run(console: Console, run: Run) -> None:
    """One table with everything, and below it who could not take part."""
    table = Table(title=f"{run.server} · {run.machine}", title_justify="left")
    for column, justify in (
        ("bench", "left"), ("figure", "left"), ("of", "left"), ("value", "right"), ("rounds", "left"), ("bar", "right"),
        ("reached", "left"),
    ):  # fmt: skip
        table.add_column(column, justify="right" if justify == "right" else "left")
    for bench in run.benches():
        for number, figure in enumerate(run.of(bench)):
            table.add_row(
                bench if number == 0 else "",
                escape(figure.what),
                escape("" if figure.who == OURS else figure.who),
                f"{shown(figure.value)} {escape(figure.unit)}".rstrip(),
                escape(spread(figure)),
                bar(figure),
                reached(figure),
            )
        table.add_section()
    console.print(table)
    for name, why in run.missing.items():
        console.print(f"not measured: {escape(name)} ({escape(why)})")
    if run.quick:
        console.print("[yellow]quick: this shows that the benchmark works, not how fast anything is")


def spread(figure: Figure) -> str:
    """Least to most of the rounds, and the note."""
    words = []
    if len(figure.rounds) > 1:
        words.append(f"{shown(min(figure.rounds))} to {shown(max(figure.rounds))}")
    if figure.note:
        words.append(figure.note)
    return "; ".join(words)


def bar(figure: Figure) -> str:
    """What is asked, and what we would like."""
    sign = "≤" if figure.better == "less" else "≥"
    words = [f"{sign} {figure.bar:g}"] if figure.bar is not None else []
    if figure.beyond is not None:
        words.append(f"({sign} {figure.beyond:g})")
    return " ".join(words)


def reached(figure: Figure) -> str:
    """Whether it is reached, in colour."""
    if figure.is_beyond:
        return "[green]beyond"
    if figure.reached is not None:
        return "[green]yes" if figure.reached else "[red]no"
    return "[yellow]not beyond" if figure.is_beyond is False else ""
