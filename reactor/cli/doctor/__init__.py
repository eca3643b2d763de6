"""``doctor``: everything that can be wrong, looked at one after another, each with what to do.

* ``server``: the server itself: version, clock, room, and who holds back vacuum.
* ``schema``: what ``migrate`` made, what somebody changed by hand, triggers, rights.
* ``waking``: proxies, locks, rings, bells.
* ``work``: the language model's key, reactors, rows nobody has, what holds work back on purpose.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

import click

from reactor.cli.doctor import schema, server, waking, work
from reactor.cli.doctor.finding import Finding
from reactor.cli.output import Cell, answer_json, json_option, state, table
from reactor.cli.runtime import Database, database, run
from reactor.errors import DatabaseError, ReactorError
from reactor.pg import redact
from reactor.settings import Settings

__all__ = ["Finding", "doctor", "examine"]


@click.command(short_help="check everything")
@json_option
def doctor(as_json: bool) -> int:
    """Check everything, each finding with what to do. Exit 1 when something is broken; warnings are not."""
    found = run(_examined)
    if as_json:
        answer_json([finding._asdict() for finding in found])
    else:
        table(
            ("check", "verdict", "finding"),
            [(one.check, state(one.verdict), _sentence(one)) for one in found],
        )
    return 1 if any(one.verdict == "broken" for one in found) else 0


def _sentence(one: Finding) -> Cell:
    return Cell(f"{one.finding}: {one.do}" if one.do else one.finding)


async def _examined() -> list[Finding]:
    try:
        settings = Settings.load()
        settings.check_run()
    except ReactorError as error:
        return [Finding("settings", "broken", str(error), "`voxyz-reactor run --help` lists every setting")]
    return [finding async for finding in examine(settings)]


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Every finding in order; what cannot be looked at because of an earlier one is left out."""
    model = settings.model if settings.provider() == "anthropic" else "the mock: answers are simulated"
    yield Finding("settings", "ok", f"the language model is {model}")
    yield await work.key(settings)
    try:
        async with database(settings) as place:
            async for finding in _examine_database(place):
                yield finding
    except DatabaseError as error:
        if error.sqlstate == server.FULL:  # a look of any kind may want room, if only to sort
            yield server.full(error)
        else:
            yield Finding("database", "broken", str(error), "nothing more could be looked at")
    except ReactorError as error:
        yield Finding("database", "broken", str(error))


async def _examine_database(place: Database) -> AsyncIterator[Finding]:
    async with aclosing(await place.connect("doctor")) as conn:
        where = f"embedded, {place.embedded.path}" if place.embedded else redact(place.dsn)
        yield Finding("database", "ok", f"{where} answers")
        kind = await server.version(conn)
        yield kind
        if (
            kind.verdict == "broken"
        ):  # too old, or takes no writes: neither rings nor work can be looked at there
            return
        async for finding in waking.sessions_and_ring(place, conn):
            yield finding
        for look in (schema.rights, schema.current):
            found = await look(conn)
            yield found
            if found.verdict == "broken":
                return
        for look in (
            schema.drift,
            schema.triggers,
            schema.appliers,
            schema.security,
            server.clock,
        ):
            yield await look(conn)
        yield await server.room(conn, place)
        yield await server.transactions(conn)
        yield await server.prepared(conn)
        yield await server.slots(conn)
        yield await waking.bells(conn)
        yield await work.reactors(conn)
        yield await work.orphans(conn)
        async for finding in work.holds(conn):
            yield finding
