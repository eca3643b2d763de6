"""``top``: what the page shows, on a terminal, looked at anew every second."""

import sys
from typing import Any

import click
import trio

from reactor.cli.keys import pressed, single_keys
from reactor.cli.output import answer_json, clean, json_option
from reactor.cli.runtime import Database, database, run
from reactor.cli.screen import Look, screen
from reactor.errors import ConnectionLost, DatabaseUnavailable
from reactor.pg import Connection
from reactor.settings import Settings
from reactor.store import board, breakers, events, fleet, overview, proposals

MISSIONS = 12
EVENTS = 60
WAITING = 20
RECONNECT_S = 1.0


@click.command(short_help="all of it, live, on this terminal")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="One look, then end; so it is in a pipe.")
@json_option
def top(every_s: float, once: bool, as_json: bool) -> None:
    """Watch reactors, queues, the room, missions, what waits for you, and what happens; q or Ctrl-C ends it."""
    settings = Settings.load()
    if as_json:
        answer_json(_plain(run(_look_once, settings)))
    elif once or not sys.stdout.isatty():
        _print(run(_look_once, settings))
    else:
        try:
            run(_watch, settings, every_s)
        except KeyboardInterrupt:
            return


async def look(conn: Connection, llm: str) -> Look:
    """One look at everything."""
    return Look(
        await overview.facts(conn),
        llm,
        await board.budgets(conn),
        await overview.queues(conn),
        await board.rates(conn),
        await overview.pauses(conn),
        await fleet.fleet(conn, 8),
        await breakers.breakers(conn),
        await board.room(conn),
        await board.conversations(conn, 6),
        await proposals.missions(conn, MISSIONS, ended=True),
        await proposals.proposals(conn, "pending", WAITING),
        await proposals.held_steps(conn, WAITING),
        (await events.recent(conn, EVENTS))[0],
    )


async def _look_once(settings: Settings) -> Look:
    async with database(settings) as place:
        conn = await place.connect("top")
        try:
            return await look(conn, _llm(settings))
        finally:
            await conn.aclose()


async def _watch(settings: Settings, every_s: float) -> None:
    """The screen shows how things stand until somebody ends it; a lost database is waited for, and said."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=sys.stdout, highlight=False)
    async with database(settings) as place:
        conn = await place.connect("top")
        keys: str | None = ""
        try:
            with single_keys(), Live(console=console, screen=True, auto_refresh=False) as live:
                while keys is not None and "q" not in keys:
                    try:
                        seen = await look(conn, _llm(settings))
                    except ConnectionLost as error:
                        live.update(f"the database is away: {clean(error)}; trying again", refresh=True)
                        await conn.aclose()
                        conn = await _again(place)
                        continue
                    live.update(screen(seen, console.size.width, console.size.height), refresh=True)
                    keys = await pressed(every_s)
        finally:
            await conn.aclose()


async def _again(place: Database) -> Connection:
    while True:
        try:
            return await place.connect("top")
        except (DatabaseUnavailable, ConnectionLost):
            await trio.sleep(RECONNECT_S)


def _print(seen: Look) -> None:
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    console.print(screen(seen, console.size.width, None))


def _llm(settings: Settings) -> str:
    return "mock" if settings.provider() == "mock" else settings.model


def _plain(seen: Look) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in seen._asdict().items():
        if isinstance(value, list):
            told[name] = [one._asdict() for one in value]
        elif isinstance(value, dict):
            told[name] = {key: one._asdict() for key, one in value.items()}
        else:
            told[name] = value._asdict() if hasattr(value, "_asdict") else value
    return told
