"""PostgreSQL, and the only package that knows the driver.

Two things to know before calling it. A task that is cancelled during a statement leaves the connection usable and
the statement cancelled on the server, or the connection closed, within two seconds. And every error is one of
`reactor.errors`, one line, made at one door: nobody outside handles psycopg's.

* ``seam``: psycopg's generators driven by trio, and the theory of it.
* ``connecting``: from an address to an open socket: hosts, addresses, time limits.
* ``connection``: `connect`, the session's settings, what a `Connection` answers.
* ``pool``: `Pool`, a few connections for many borrowers.
* ``sharing``: `keeps_sessions`, whether a proxy between leaves us a session of our own.
* ``notifications``: `ListeningConnection`, which hears NOTIFY beside its own statements.
* ``reconnecting``: having a connection again after each loss, for ever.
* ``errors``: the door; ``dsn``: addresses; ``adapters``: values that would otherwise fail a fetch.
* ``embedded``: a PostgreSQL of our own when there is none; ``migrations``: the schema brought to current.

Behind a proxy that may pool transactions a connection notices by itself that its backend is not its own
(`Connection.shared`) and leaves nothing there; whatever needs a session (LISTEN, locks) asks `keeps_sessions` first.
"""

from psycopg import Rollback
from psycopg.types.json import Jsonb

from reactor.pg.connection import QUIET_SESSION, WORK_SESSION, Connection, connect
from reactor.pg.dsn import redact
from reactor.pg.notifications import ListeningConnection, Notification, open_listener
from reactor.pg.pool import Pool
from reactor.pg.sharing import keeps_sessions

__all__ = [
    "QUIET_SESSION",
    "WORK_SESSION",
    "Connection",
    "Jsonb",
    "ListeningConnection",
    "Notification",
    "Pool",
    "Rollback",
    "connect",
    "keeps_sessions",
    "open_listener",
    "redact",
]
