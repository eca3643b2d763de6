"""``doctor``: everything that can be wrong, looked at one after another, each with what to do."""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Literal, NamedTuple

import click
import trio

from reactor.cli.output import Cell, answer_json, json_option, span, state, table
from reactor.cli.runtime import Database, database, run
from reactor.errors import DatabaseError, ReactorError
from reactor.model.queues import Queue
from reactor.pg import Connection, open_listener, redact
from reactor.pg.migrations import OLDEST_SERVER, check, load_migrations
from reactor.settings import Settings
from reactor.store import breakers as breaker_store
from reactor.store import doctor as questions
from reactor.store import fleet, overview

RING_HEARD_WITHIN_S = 2.0
_TRIGGER = re.compile(r"^create or replace trigger (\w+)", re.MULTILINE)

Verdict = Literal["ok", "warning", "broken"]


class Finding(NamedTuple):
    """What a look found; ``do`` says what to do about it and is empty when all is well."""

    check: str
    verdict: Verdict
    finding: str
    do: str = ""


@click.command(short_help="check everything")
@json_option
def doctor(as_json: bool) -> int:
    """Check everything, each finding with what to do. Exit 1 when something is broken; warnings are not."""

    async def examined() -> list[Finding]:
        return [finding async for finding in _examine()]

    found = run(examined)
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


async def _examine() -> AsyncIterator[Finding]:
    """Every finding in order; what cannot be looked at because of an earlier one is left out."""
    try:
        settings = Settings.load()
        settings.check_run()
    except ReactorError as error:
        yield Finding("settings", "broken", str(error))
        return
    model = settings.model if settings.provider() == "anthropic" else "the mock: answers are simulated"
    yield Finding("settings", "ok", f"the language model is {model}")
    try:
        async with database(settings) as place:
            async for finding in _examine_database(place):
                yield finding
    except ReactorError as error:
        yield Finding("database", "broken", str(error))


async def _examine_database(place: Database) -> AsyncIterator[Finding]:
    async with aclosing(await place.connect("doctor")) as conn:
        server = await questions.server(conn)
        where = f"embedded, {place.embedded.path}" if place.embedded else redact(place.dsn)
        yield Finding("database", "ok", f"{where} answers")
        yield _version(server)
        schema = await check(conn)
        if not schema.ok:
            yield Finding("schema", "broken", schema.problem or "it is not current")
            return
        yield Finding("schema", "ok", "current")
        yield await _rights(conn)
        yield await _security(conn)
        yield await _triggers(conn, server)
        yield await _ring(place, conn)
        yield await _transactions(conn)
        yield await _bells(conn)
        yield await _reactors(conn)
        async for finding in _holds(conn):
            yield finding


def _version(server: questions.Server) -> Finding:
    if server.version_number < OLDEST_SERVER:
        return Finding("version", "broken", f"PostgreSQL {server.version} is too old", "use 15 or later")
    if server.read_only:
        return Finding(
            "version", "broken", "the server is a read-only replica", "use the address of the primary"
        )
    return Finding("version", "ok", f"PostgreSQL {server.version}")


async def _rights(conn: Connection) -> Finding:
    missing = await questions.missing_rights(conn)
    if not missing:
        return Finding("rights", "ok", "this role may read and write every table")
    return Finding(
        "rights",
        "broken",
        f"this role may not read and write {', '.join(missing)}",
        "grant select, insert, update, delete on them, and a policy where row-level security is on",
    )


async def _security(conn: Connection) -> Finding:
    unlocked = await questions.open_tables(conn)
    if not unlocked:
        return Finding("row security", "ok", "on for every table")
    return Finding(
        "row security",
        "warning",
        f"off for {', '.join(unlocked)}",
        "`alter table … enable row level security`, else other roles of this database may see them",
    )


async def _triggers(conn: Connection, server: questions.Server) -> Finding:
    wanted = {
        name
        for migration in load_migrations()
        if migration.name.startswith("triggers/")
        for name in _TRIGGER.findall(migration.text)
    }
    there = await questions.triggers(conn)
    gone = sorted(wanted - there.keys())
    off = sorted(name for name in wanted & there.keys() if not there[name].enabled)
    if gone:
        return Finding(
            "triggers",
            "broken",
            f"missing: {', '.join(gone)}",
            "make them again with the files in sql/triggers",
        )
    if off:
        name = off[0]
        return Finding(
            "triggers",
            "broken",
            f"disabled: {', '.join(off)}",
            f"`alter table {there[name].on_table} enable trigger {name}`; until then only the sweeps find new rows",
        )
    if server.replication_role == "replica":
        return Finding(
            "triggers",
            "broken",
            "session_replication_role is replica, which silences every trigger",
            "reset it for this role and database",
        )
    return Finding("triggers", "ok", f"{len(wanted)} there and enabled")


async def _ring(place: Database, conn: Connection) -> Finding:
    """Whether a NOTIFY of one session is heard by another, within 2 s and without a query in between."""
    word = secrets.token_hex(8)
    try:
        async with aclosing(await open_listener(place.direct_dsn, name="doctor ear")) as ear:
            await ear.listen("ops_doctor")
            began = trio.current_time()
            await conn.run("select pg_notify('ops_doctor', %s)", (word,))
            with trio.move_on_after(RING_HEARD_WITHIN_S):
                while not any(heard.payload == word for heard in await ear.next_batch()):
                    pass
                return Finding("ring", "ok", f"heard after {span(trio.current_time() - began)}")
    except DatabaseError as error:
        return Finding(
            "ring", "broken", f"nobody can listen ({error})", "set DIRECT_URL to an address without a pooler"
        )
    return Finding(
        "ring",
        "broken",
        f"a NOTIFY was not heard within {span(RING_HEARD_WITHIN_S)}",
        "set DIRECT_URL to an address without a transaction pooler; until then only the sweeps find new rows",
    )


async def _transactions(conn: Connection) -> Finding:
    oldest = await questions.oldest_transaction(conn)
    if oldest is None:
        return Finding("transactions", "ok", "none is open for over 10 s")
    return Finding(
        "transactions",
        "warning",
        f"session {oldest.pid} ({oldest.application or 'no name'}) has one open for {span(oldest.open_s)}",
        f"it holds back vacuum and the event stream; end it, or `select pg_terminate_backend({oldest.pid})`",
    )


async def _bells(conn: Connection) -> Finding:
    """Whether somebody's open transaction keeps reactors from sleeping."""
    keepers = await questions.bell_keepers(conn)
    if not keepers:
        return Finding("doorbell", "ok", "nobody keeps it")
    one = keepers[0]
    queue = next(queue for queue in Queue if queue.number == one.queue_number)
    return Finding(
        "doorbell",
        "warning",
        f"session {one.pid} ({one.application or 'no name'}) keeps that of queue {queue} for {span(one.open_s)}",
        "reactors look every second instead of sleeping until its transaction ends",
    )


async def _reactors(conn: Connection) -> Finding:
    live = [worker for worker in await fleet.fleet(conn) if worker.live]
    if not live:
        return Finding("reactors", "warning", "none is running", "start one with `voxyz-reactor run`")
    return Finding("reactors", "ok", f"{len(live)} running")


async def _holds(conn: Connection) -> AsyncIterator[Finding]:
    """What keeps work back on purpose."""
    for pause in await overview.pauses(conn):
        why = f" ({pause.reason})" if pause.reason else ""
        yield Finding(
            "pause",
            "warning",
            f"queue {pause.queue} is paused by {pause.paused_by}{why}",
            f"`voxyz-reactor resume {pause.queue}` goes on",
        )
    for one in await breaker_store.breakers(conn):
        if one.state != "closed":
            yield Finding(
                "breaker",
                "warning",
                f"{one.service} is {one.state} after {one.failure_count} failures",
                f"it tries again by itself; `voxyz-reactor breaker reset {one.service}` does at once",
            )
    if not (await overview.facts(conn)).company_known:
        yield Finding(
            "company", "warning", "nobody has said what the company is", "`voxyz-reactor init` asks"
        )
