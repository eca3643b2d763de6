"""Fixtures for everybody: a private server for the session, a fresh database for each test."""

import itertools
import os
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import trio
from hypothesis import settings

from tests.support.server import PrivateServer, chosen_binaries, private_server

# Properties prove behaviour; how long one example takes is the machine's affair.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# A suite that a shell runs in the background was given a Ctrl-C that is ignored, and would pass that on to all it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_names = itertools.count(1)


def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto``: one process more than there are cores, as most tests wait for others; each has a server of its own."""
    return min(len(os.sched_getaffinity(0)) + 1, 4)


@pytest.fixture(scope="session")
def server() -> Iterator[PrivateServer]:
    """A PostgreSQL of this session's own, by REACTOR_TEST_PG; a test that stops it starts it again."""
    with private_server(chosen_binaries()) as running:
        yield running


@pytest.fixture(scope="session")
def template(server: PrivateServer) -> str:
    """The name of a database that holds the whole schema, its seeds, and nothing else.

    The hour brings no conversation about: a suite that runs past eleven o'clock must not do what one at ten does not.
    """
    name = "template_voxyz"
    server.run(f"create database {name}")
    dsn = server.dsn_of(name)
    _migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("update ops_conversation_slots set enabled = false")
    return name


def _migrate(dsn: str) -> None:
    from reactor.pg.migrations import migrate

    trio.run(migrate, dsn)


@pytest.fixture
def empty_database(server: PrivateServer) -> Iterator[str]:
    """The DSN of a fresh database without any schema, dropped afterwards."""
    yield from _fresh(server, "template0")


@pytest.fixture
def database(server: PrivateServer, template: str) -> Iterator[str]:
    """The DSN of a fresh database with the whole schema, dropped afterwards."""
    yield from _fresh(server, template)


def _fresh(server: PrivateServer, template: str) -> Iterator[str]:
    name = f"test_{next(_names)}"
    server.run(f"create database {name} template {template} strategy file_copy")
    yield server.dsn_of(name)
    if server.cluster.look() is None:
        server.start()
    server.run(f"drop database {name} with (force)")


@pytest.fixture
def sql(database: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A blocking connection in autocommit to ``database``, for arranging and looking at rows."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def the_week(sql: psycopg.Connection[tuple[Any, ...]]) -> None:
    """The seeded conversations come about at their hours, as they do in a company's database."""
    sql.execute("update ops_conversation_slots set enabled = true")
