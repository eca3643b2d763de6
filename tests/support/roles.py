"""Login roles of a test's own, and the addresses at which they come in."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo

from tests.support.server import PrivateServer


@contextmanager
def role(server: PrivateServer, name: str, *, rights: str = "") -> Iterator[str]:
    """A login role of the cluster, gone at the end with everything it was granted."""
    server.run(f"create role {name} login password 'x' {rights}")
    try:
        yield name
    finally:
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            for (database,) in admin.execute("select datname from pg_database where datallowconn").fetchall():
                server.run(f"drop owned by {name}", database=database)
        server.run(f"drop role {name}")


def dsn_as(server: PrivateServer, database: str, name: str) -> str:
    """The address of ``database`` for the role ``name``, over TCP with its password."""
    return make_conninfo(
        server.tcp_dsn, dbname=database, user=name, password="x", sslmode="disable", gssencmode="disable"
    )
