"""PostgreSQL, and the only package that knows the driver."""

from psycopg import Rollback
from psycopg.types.json import Jsonb

from reactor.pg.connection import QUIET_SESSION, WORK_SESSION, Connection, connect
from reactor.pg.dsn import redact
from reactor.pg.notifications import ListeningConnection, Notification, open_listener
from reactor.pg.pool import Pool

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
    "open_listener",
    "redact",
]
