"""Whether a proxy between us and the database leaves us a session of our own.

A transaction-pooling proxy (pgbouncer, Supavisor) gives a backend to whoever has a transaction, and to somebody else after
it. There nothing that belongs to a session works: neither LISTEN, nor session locks, nor settings, nor prepared statements;
what is tried all the same stays behind on a backend that others use. So the look must leave nothing: it only asks who
answers. Two clients of one backend, or one client of two, are the proof of such a proxy; a proxy that shows neither may
still be one, which is why nobody trusts silence before a ring was heard.
"""

from collections.abc import Awaitable, Callable

from reactor.pg.connection import Connection

_PID = "select pg_backend_pid()"


async def keeps_sessions(first: Connection, open_another: Callable[[], Awaitable[Connection]]) -> bool:
    """Whether ``first`` seems to have a backend of its own; nothing is left behind on any.

    ``open_another``: a connection to the same address, closed again here; not called when no proxy stands between.
    Raises: DatabaseError: the answer could not be had.
    """
    if not first.shared:
        return True
    second = await open_another()
    try:
        # Twice in a row, for pools that hand out their backends in turn; then alternately, for those that hand out the last.
        asked = [first, first, second, first, second, second, first]
        answers = [(one is first, await one.fetch_value(_PID)) for one in asked]
    finally:
        await second.aclose()
    ours = {pid for of_first, pid in answers if of_first}
    theirs = {pid for of_first, pid in answers if not of_first}
    return len(ours) == len(theirs) == 1 and ours != theirs
