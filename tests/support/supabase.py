"""A database set up like a Supabase project: its roles, its default privileges, and its two poolers.

There is no Supabase here. What of it matters to a schema and to a reactor is this: nobody is superuser, default privileges
give the API's roles everything on whatever is made in ``public``, and the addresses lead through poolers that want TLS and
a user name with the project in it (``postgres.<ref>``).
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql as compose

from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.binaries import Binaries
from tests.support.pgbouncer import Front, PgBouncer, pgbouncer
from tests.support.scratch import scratch_directory
from tests.support.server import PrivateServer, private_server

Session = psycopg.Connection[tuple[Any, ...]]

API_ROLES = ("authenticator", "anon", "authenticated", "service_role")
REF = "abcdefghijklmnopqrst"
PASSWORD = "pa55-of-the-project"


def roles(owner: str, password: str = "x") -> list[str]:
    """The statements that make the roles of a project, whose owner is no superuser."""
    return [
        "create role anon nologin noinherit",
        "create role authenticated nologin noinherit",
        "create role service_role nologin noinherit bypassrls",
        f"create role authenticator login noinherit password '{password}'",
        f"create role {owner} login createrole createdb bypassrls password '{password}'",
        "grant anon, authenticated, service_role to authenticator",
        f"grant anon, authenticated, service_role to {owner}",
    ]


def setup(owner: str) -> str:
    """What a project's database is given before anybody has it."""
    return f"""
    create schema extensions;
    grant usage on schema public, extensions to anon, authenticated, service_role;
    grant all on schema public to {owner};
    alter default privileges for role {owner} in schema public
      grant all on tables to {owner}, anon, authenticated, service_role;
    alter default privileges for role {owner} in schema public
      grant all on functions to {owner}, anon, authenticated, service_role;
    alter default privileges for role {owner} in schema public
      grant all on sequences to {owner}, anon, authenticated, service_role;
    """


def rpc(session: Session, function: str, **arguments: Any) -> list[tuple[Any, ...]]:
    """``supabase.rpc(function, arguments)``: a call by the names of the arguments, each given as JSON has it."""
    named = compose.SQL(", ").join(
        compose.SQL("{} := {}").format(compose.Identifier(name), compose.Literal(_json(value)))
        for name, value in arguments.items()
    )
    query = compose.SQL("select * from public.{}({})").format(compose.Identifier(function), named)
    return session.execute(query).fetchall()


def answer(session: Session, how: str, name: str, given: dict[str, Any]) -> None:
    """What PostgREST does when Supabase's client calls, inserts or selects."""
    if how == "rpc":
        rpc(session, name, **given)
    elif how == "insert":
        columns = compose.SQL(", ").join(map(compose.Identifier, given))
        values = compose.SQL(", ").join(compose.Literal(_json(value)) for value in given.values())
        statement = compose.SQL("insert into {} ({}) values ({})")
        session.execute(statement.format(compose.Identifier(name), columns, values))
    else:
        session.execute(compose.SQL("select * from {}").format(compose.Identifier(name)))


def _json(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


class Project:
    """A project called ``REF``: database and owner ``postgres``, behind a pooler of each kind."""

    def __init__(self, server: PrivateServer, sessions: PgBouncer, transactions: PgBouncer) -> None:
        self.server = server
        self.sessions = sessions
        self.transactions = transactions

    def url(self, pooler: PgBouncer) -> str:
        """An address in the shape that Supabase shows."""
        return f"postgresql://postgres.{REF}:{PASSWORD}@127.0.0.1:{pooler.port}/postgres?sslmode=require"

    def renew(self) -> None:
        """The project is as when it was made; whoever was connected is cut off."""
        # The server's own superuser is at home in another database.
        self.server.run("drop database if exists postgres with (force)", database="voxyz")
        self.server.run("create database postgres template template0", database="voxyz")
        self.server.run("grant all on database postgres to postgres", database="voxyz")
        with psycopg.connect(self.server.dsn_of("postgres"), autocommit=True) as admin:
            admin.execute(setup("postgres").encode())


@contextmanager
def project(binaries: Binaries) -> Iterator[Project]:
    """A new project on a server of its own; gone at the end."""
    with ExitStack() as stack:
        server = stack.enter_context(private_server(binaries))
        for statement in roles("postgres", PASSWORD):
            server.run(statement)
        folder = stack.enter_context(scratch_directory())
        front = Front(
            users={f"postgres.{REF}": PASSWORD}, backend=("postgres", PASSWORD), tls=certificate(folder)
        )
        sessions = stack.enter_context(pgbouncer(server, "session", front))
        transactions = stack.enter_context(pgbouncer(server, "transaction", front))
        made = Project(server, sessions, transactions)
        made.renew()
        yield made


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key, and a certificate nobody vouches for: as much as ``sslmode=require`` asks for."""
    key, shown = folder / "pooler.key", folder / "pooler.crt"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=pooler",
            "-keyout", key, "-out", shown,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    account = server_account()
    for path in (key, shown):
        account.own(path)
    return key, shown
