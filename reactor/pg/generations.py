"""Rolling upgrades: reactors of several versions on one database, and what happens when they cannot live together.

A schema that is ahead of a program is no reason for it to stop, and what a newer version applied is never set back by an
older one. Only the *generation* decides. A schema file that older programs cannot live with begins with the line
``-- generation: N, the reason``. Before it is applied the database asks for that generation (`ops_generation`); older
reactors hear it on the control channel, or read it with their beat, drain and leave; the migration waits for them.
"""

import re
import time

import trio

from reactor.errors import SchemaError
from reactor.pg.connection import Connection

LEAVE_WITHIN_S = 120.0  # a reactor has OPS_GRACE_S, 20 s by default, for what it is at

_HEADER = re.compile(r"^-- generation: (\d+)(?:,? (.+))?$", re.MULTILINE)

_OLDER = """
select worker.hostname, worker.pid
from public.ops_workers as worker
where worker.generation < %s
  and worker.state in ('starting', 'ready', 'stopping')
  and worker.heartbeat_at > now() - interval '15 seconds'
order by worker.started_at
"""


def asked_by(text: str) -> tuple[int, str | None]:
    """The generation a schema file asks for, and why; 0 when every program can live with it."""
    found = _HEADER.search(text)
    return (int(found[1]), found[2]) if found else (0, None)


def order(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, to tell the newer of two."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


async def minimum(conn: Connection) -> int:
    """The least generation of the program that the database lets work on it; 0 from before there were any."""
    if await conn.fetch_value("select to_regclass('public.ops_generation')") is None:
        return 0
    return int(await conn.fetch_value("select coalesce(max(minimum), 0) from public.ops_generation"))


async def ask_for(conn: Connection, generation: int, reason: str | None) -> None:
    """The database asks for ``generation``, or a later one, from now on; every reactor hears it."""
    if await minimum(conn) < generation:
        await conn.run(
            "update public.ops_generation set minimum = %s, reason = %s, changed_at = now()",
            (generation, reason),
        )


async def see_older_off(
    conn: Connection, name: str, generation: int, reason: str | None, within_s: float
) -> None:
    """Reactors that cannot live with the file ``name`` were told to leave, and have.

    Raises: SchemaError: one is still there after ``within_s`` seconds; it stays told.
    """
    if await minimum(conn) == 0:
        return  # from before there were generations: nobody could be told
    await ask_for(conn, generation, reason)
    deadline = time.monotonic() + within_s
    while older := await conn.fetch_all(_OLDER, (generation,)):
        if time.monotonic() > deadline:
            hostname, pid = older[0]
            raise SchemaError(
                f"{name} needs generation {generation} everywhere, and process {pid} on {hostname}"
                f" has not left within {within_s:g} s: stop it, then migrate again"
            )
        await trio.sleep(0.1)
