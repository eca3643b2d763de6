"""``python -m bench``: all of it, or the benches named."""

import importlib
import json
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from bench import report
from bench.figures import Run
from bench.process import BenchError
from bench.stage import SETTINGS, Stage, machine
from bench.table import print_run
from reactor.errors import ReactorError
from reactor.pg.embedded.binaries import Binaries, binaries_at, wheel_binaries

BENCHES = (
    "wake",
    "drain",
    "writers",
    "idle",
    "history",
    "growth",
    "scale",
    "rescue",
    "listener",
    "concurrency",
    "web",
    "pause",
    "start",
    "tables",
)
PLACES = {"disk": "on disk", "memory": "in memory"}
MEMORY = "/dev/shm"
WIDTH = 150  # characters, where nobody says how wide it is
OWN_SERVER = ("start",)  # these measure the embedded server, whatever --pg says


@click.command()
@click.argument("names", nargs=-1, metavar="[BENCH]...")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--pg", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Use the PostgreSQL programs in this directory.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Small numbers, one round: to see that it works.")
@click.option("--data", "place", type=click.Choice(list(PLACES)), default="disk", show_default=True,
              help="Where the servers keep their data: a disk that is waited for, or memory, which answers at once"
              " as a disk with a cache of its own would.")  # fmt: skip
@click.option("--no-peers", is_flag=True, help="Measure ourselves only.")
@click.option("--report", "report_to", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the figures as a document, with plots beside it.")  # fmt: skip
@click.option("--from", "earlier", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True,
              help="Measure nothing: take the figures of earlier runs that were kept with --json.")  # fmt: skip
def main(
    names: tuple[str, ...],
    as_json: bool,
    pg: Path | None,
    quick: bool,
    place: str,
    no_peers: bool,
    report_to: Path | None,
    earlier: tuple[Path, ...],
) -> None:
    """Measure how fast it is: wake, drain, writers, idle, history, growth, scale, rescue, listener, concurrency, start.

    With --json the figures go to stdout; the progress always goes to stderr. Exits with 1 when a bench could not be
    carried out, never because of a figure.
    """
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise click.UsageError(f"there is no bench {unknown[0]!r}: there are {', '.join(BENCHES)}")
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True)
    failed: list[str] = []
    if earlier:
        runs = [Run.from_json(json.loads(path.read_text())) for path in earlier]
    else:
        runs = [_measure(console, names or BENCHES, pg, place, quick, not no_peers, failed)]
    for run in runs:
        eyes = Console(stderr=as_json)
        if not eyes.is_terminal:
            eyes.width = WIDTH
        print_run(eyes, run)
    if as_json:
        click.echo(
            json.dumps(runs[0].to_json() if len(runs) == 1 else [run.to_json() for run in runs], indent=1)
        )
    if report_to is not None:
        report.write(report_to, report.merged(runs))
    sys.exit(1 if failed else 0)


def _measure(
    console: Console,
    names: tuple[str, ...],
    pg: Path | None,
    place: str,
    quick: bool,
    peers: bool,
    failed: list[str],
) -> Run:
    binaries: Binaries = wheel_binaries() if pg is None else binaries_at(pg)
    run = Run(f"PostgreSQL {binaries.major}, data {PLACES[place]}", machine(), quick, settings=dict(SETTINGS))
    with tempfile.TemporaryDirectory(
        prefix="voxyz-bench-", dir=MEMORY if place == "memory" else None
    ) as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        stage = Stage(binaries, run, console, folder, quick, peers)
        for name in (one for one in BENCHES if one in names):
            if pg is not None and name in OWN_SERVER:
                run.missing[name] = "it measures the embedded server, not the one of --pg"
                continue
            try:
                importlib.import_module(f"bench.{name}").run(stage)
            except (BenchError, ReactorError) as error:
                console.print(f"[red]{name}: {error}", markup=True, highlight=False)
                run.missing[name] = str(error).strip().splitlines()[-1]
                failed.append(name)
    return run


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
