"""The server itself: version, clock, room, and who holds back vacuum."""

import shutil
import time

from reactor.cli.doctor.finding import Finding, session, since
from reactor.cli.output import clean, size, span
from reactor.cli.runtime import Database
from reactor.errors import AccessDenied, DatabaseError
from reactor.pg import Connection
from reactor.pg.migrations import OLDEST_SERVER
from reactor.store import doctor as questions

SKEW_S = 2.0
LITTLE_ROOM_BYTES = 1024**3
NO_ROOM_BYTES = 100 * 1024**2
OLD_TRANSACTIONS = 1_000_000_000  # of the 2.1 thousand million after which the server refuses writes
FULL = "53100"
NAMED = 3  # sessions and slots named in one finding


async def version(conn: Connection) -> Finding:
    """The server is one that we work on."""
    server = await questions.server(conn)
    if server.version_number < OLDEST_SERVER:
        return Finding("version", "broken", f"PostgreSQL {server.version} is too old", "use 15 or later")
    if server.in_recovery:
        return Finding(
            "version", "broken", "the server is a read-only replica", "use the address of the primary"
        )
    if server.read_only:
        return Finding(
            "version",
            "broken",
            "transactions of this role are read-only here",
            "set default_transaction_read_only to off for this role and database",
        )
    return Finding("version", "ok", f"PostgreSQL {server.version}")


async def clock(conn: Connection) -> Finding:
    """The database's clock, which rules everything that is due, agrees with this machine's."""
    asked_at = time.time()
    theirs = await questions.clock(conn)
    ours = (asked_at + time.time()) / 2
    skew_s = theirs - ours
    if abs(skew_s) <= SKEW_S + (time.time() - asked_at):
        return Finding("clock", "ok", f"the database's and this machine's agree to {span(abs(skew_s))}")
    return Finding(
        "clock",
        "warning",
        f"the database's clock is {span(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} this machine's",
        "set both by NTP; rows fall due by the database's",
    )


def full(error: DatabaseError) -> Finding:
    """There is no room left, says the database."""
    do = "make room there, or give it a larger one: until then no work can be written down"
    return Finding("size", "broken", f"the server's disk is full ({clean(str(error))})", do)


async def room(conn: Connection, place: Database) -> Finding:
    """There is room on the disk, as far as it can be seen, and in the numbering of transactions."""
    found = await questions.room(conn)
    if found.oldest_transaction_age > OLD_TRANSACTIONS:
        return Finding(
            "size",
            "broken",
            f"{found.oldest_transaction_age} transactions of database {clean(found.oldest_database)} were not frozen: at"
            " 2,100 million the server takes no more writes",
            "end what holds back vacuum, then run `vacuumdb --all --freeze`",
        )
    try:
        await questions.fill(conn)
    except DatabaseError as error:
        if error.sqlstate == FULL:
            return full(error)
        if not isinstance(error, AccessDenied):  # who may make no temporary table is not told of its disk
            raise
    told = f"the database has {size(found.database_bytes)}, {size(found.largest_bytes)} of it {found.largest}"
    if place.embedded is None:
        return Finding("size", "ok", told)
    free = shutil.disk_usage(place.embedded.path).free
    told = f"{told}; {size(free)} are free on its disk"
    if free < LITTLE_ROOM_BYTES:
        do = "make room; a full disk stops the server"
        return Finding("size", "broken" if free < NO_ROOM_BYTES else "warning", told, do)
    return Finding("size", "ok", told)


async def transactions(conn: Connection) -> Finding:
    """Nobody's open transaction holds back vacuum and the event stream."""
    old = await questions.old_transactions(conn)
    if not old:
        unseen = await questions.unseen_sessions(conn)
        if unseen:
            return Finding(
                "transactions",
                "warning",
                f"{unseen} sessions of other users cannot be seen",
                "`grant pg_read_all_stats` to this role to have them looked at",
            )
        return Finding("transactions", "ok", "none is open for over 10 s")
    named = "; ".join(
        f"{session(one.pid, one.application, one.user)} has one open {since(one.since, one.open_s)}"
        for one in old[:NAMED]
    )
    more = f"; and {len(old) - NAMED} more" if len(old) > NAMED else ""
    return Finding(
        "transactions",
        "warning",
        named + more,
        f"it holds back vacuum and the event stream; end it, or `select pg_terminate_backend({old[0].pid})`",
    )


async def prepared(conn: Connection) -> Finding:
    """No prepared transaction waits for its second phase."""
    waiting = await questions.prepared(conn)
    if not waiting:
        return Finding("prepared transactions", "ok", "none waits")
    one = waiting[0]
    more = f", and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return Finding(
        "prepared transactions",
        "warning",
        f"{clean(one.gid)!r} of user {clean(one.owner)} in database {clean(one.database)} waits"
        f" {since(one.since, one.open_s)}{more}",
        f"it holds back vacuum and keeps its locks; in that database `commit prepared '{clean(one.gid)}'` or"
        " `rollback prepared` it",
    )


async def slots(conn: Connection) -> Finding:
    """No replication slot, and no standby's query, holds back vacuum or keeps the log for nobody."""
    holders = await questions.slots(conn)
    if not holders:
        return Finding("replication", "ok", "no slot or standby holds anything back")
    named = "; ".join(_holder(one) for one in holders[:NAMED])
    first = next((one for one in holders if one.slot), None)
    do = (
        f"bring its reader back, or `select pg_drop_replication_slot('{clean(first.name)}')`"
        if first is not None
        else "turn off hot_standby_feedback there, or end the long query on it"
    )
    return Finding("replication", "warning", named, do)


def _holder(one: questions.Slot) -> str:
    what = "slot" if one.slot else "standby"
    who = f"read by {session(one.pid, one.application, one.user)}" if one.pid else "read by nobody"
    holds = f"holds back vacuum by {one.age} transactions" if one.age is not None else ""
    keeps = f"keeps {size(one.kept_bytes)} of log" if one.kept_bytes is not None else ""
    return f"{what} {clean(one.name)}, {who}, {' and '.join(filter(None, (holds, keeps))) or 'is there'}"
