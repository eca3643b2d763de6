"""The event stream: what happened, and with ``--follow`` what happens."""

import sys

import click
import trio

from reactor.cli.ears import ears
from reactor.cli.endings import complain
from reactor.cli.output import answer_json, clean, json_option, line_json
from reactor.cli.runtime import Database, database, run
from reactor.errors import ConnectionLost, DatabaseUnavailable
from reactor.pg import Connection
from reactor.settings import Settings
from reactor.store import events as event_store
from reactor.store.events import Event, Place

BATCH = 1000
RECONNECT_CAP_S = 5.0
EMBEDDED_GONE_AFTER_S = 10.0  # an embedded server that stays away was stopped with the last reactor
_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "paused": "yellow", "opened": "red"}


@click.command(short_help="what happened")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until interrupted.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    help="How many of the last ones.",
)
@click.option("--kind", help="Only events of this kind, such as step_succeeded.")
@json_option
def events(follow: bool, limit: int, kind: str | None, as_json: bool) -> None:
    """What happened last, oldest first; with --json --follow one JSON object a line.

    Following shows each event once, as soon as it is committed.
    """
    try:
        run(_events, Settings.load(), follow, limit, kind, as_json)
    except KeyboardInterrupt:
        if not follow:
            raise


async def _events(settings: Settings, follow: bool, limit: int, kind: str | None, as_json: bool) -> None:
    async with database(settings) as place:
        conn = await place.connect("events")
        try:
            found, behind = await event_store.recent(conn, limit, kind)
            if follow:
                _tell(found, as_json)
                conn = await _follow(place, conn, behind, {event.id: event for event in found}, kind, as_json)
            elif as_json:
                answer_json([event._asdict() for event in found])
            else:
                _tell(found, as_json)
        finally:
            await conn.aclose()


async def _follow(
    database: Database,
    conn: Connection,
    place: Place,
    shown: dict[int, Event],
    kind: str | None,
    as_json: bool,
) -> Connection:
    """Tell every event behind ``place`` once; ``shown`` holds those told already. Ends by cancellation only."""
    async with ears(database) as ours:
        while True:
            try:
                found, place = await event_store.after(conn, place, limit=BATCH, kind=kind)
            except ConnectionLost:
                await conn.aclose()
                conn = await _again(database)
                continue
            _tell([event for event in found if event.id not in shown], as_json)
            # What lies behind the place comes again next time; what lies before it never does.
            final_to = (int(place.xact), place.id)
            more = len(found) == BATCH and found[-1].id not in shown
            shown = {event.id: event for event in found if (int(event.xact), event.id) > final_to}
            if not more:
                await ours.wait()


async def _again(database: Database) -> Connection:
    """A new connection, however long it takes; an embedded server that was stopped is waited for briefly."""
    complain("the connection to the database broke: trying again")
    gap_s = 0.1
    began = trio.current_time()
    while True:
        try:
            return await database.connect("events")
        except (DatabaseUnavailable, ConnectionLost):
            if database.embedded and trio.current_time() - began > EMBEDDED_GONE_AFTER_S:
                raise
        await trio.sleep(gap_s)
        gap_s = min(gap_s * 2, RECONNECT_CAP_S)


def _tell(found: list[Event], as_json: bool) -> None:
    for event in found:
        if as_json:
            line_json(event._asdict())
        else:
            click.echo(line(event))
    sys.stdout.flush()


def line(event: Event) -> str:
    """An event on one line: time of day here, kind, who, what."""
    clock = event.created_at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    colour = _COLOURS.get(event.kind.rpartition("_")[2])
    about = " ".join(
        f"{key.removesuffix('_id')} {value}" for key, value in event.metadata.items() if _is_id(key, value)
    )
    words = [
        clean(part) for part in (event.agent_id, event.title, event.summary, f"({about})" if about else "")
    ]
    kind = click.style(clean(event.kind).ljust(20), fg=colour)
    return "  ".join([clock, kind, *(word for word in words if word)])


def _is_id(key: str, value: object) -> bool:
    return key.endswith("_id") and isinstance(value, int)
