"""A real browser before a real reactor on a real database.

The browser is the system's chromium (`apt-get install chromium`). Who asks for these tests and has none gets a failure, not
a skip: `.ci/run` says which of the two it is before it asks.
"""

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.cli.conftest import COMMAND, environment
from tests.support.scratch import scratch_directory
from tests.support.server import PrivateServer

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 20_000
DESKTOP = {"width": 1360, "height": 900}
PHONE = {"width": 390, "height": 844}
LATENCY_MS = "150"

_names = itertools.count(1)

Sql = psycopg.Connection[tuple[Any, ...]]


def chromium() -> str:
    """The path of the browser, by CHROMIUM or by its usual names."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail("the browser tests need chromium: `apt-get install chromium`, or name one in CHROMIUM")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, once for all tests."""
    expect.set_options(timeout=PATIENCE_MS)
    path = chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@dataclass
class House:
    """A reactor with its page, and the database behind it."""

    url: str
    dsn: str
    sql: Sql

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port


@contextmanager
def running(dsn: str, *parts: str, latency_ms: str = LATENCY_MS, **variables: str) -> Iterator[House]:
    """A reactor process on the database of ``dsn`` until the end."""
    with (
        scratch_directory(executable=True) as here,
        psycopg.connect(dsn, autocommit=True) as sql,
        subprocess.Popen(
            [*COMMAND, "run", *parts],
            cwd=here,
            env=environment(
                DATABASE_URL=dsn,
                OPS_PORT="0",
                VOXYZ_LLM="mock",
                VOXYZ_MOCK_LATENCY_MS=latency_ms,
                **variables,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready.startswith("ready"), ready
            yield House(ready.rsplit(" ", 1)[1].strip(), dsn, sql)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def house(server: PrivateServer, template: str) -> Iterator[House]:
    """A reactor that works, for all tests of a file, each of which leaves it taking work; nothing is due by itself."""
    name = f"browsed_{next(_names)}"
    server.run(f"create database {name} template {template} strategy file_copy")
    with running(server.dsn_of(name), "mission", "roundtable", "initiative", "web") as house:
        yield house
    server.run(f"drop database {name} with (force)")


@pytest.fixture(autouse=True)
def takes_work(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test has paused goes on after it."""
    yield
    if "house" in request.fixturenames:
        request.getfixturevalue("house").sql.execute("select ops_resume()")


@dataclass
class Viewer:
    """A browser's tab, and what it complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def live(self) -> "Viewer":
        """The page hears the stream."""
        expect(self.page.locator("#live")).to_have_text("live")
        return self


Look = Callable[..., Viewer]


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Opens an address in a tab of its own; at the end no tab has complained of more than was ``forgiven``."""
    opened: list[tuple[BrowserContext, Viewer]] = []

    def at(url: str, *, forgiven: str = "\0", **options: Any) -> Viewer:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(PATIENCE_MS)
        viewer = Viewer(context.new_page())
        opened.append((context, viewer))
        viewer.page.on("console", lambda said: _note(viewer, said.type, said.text, forgiven))
        viewer.page.on("pageerror", lambda error: viewer.complaints.append(str(error)))
        viewer.page.on("dialog", lambda dialog: viewer.complaints.append(dialog.message))
        viewer.page.goto(url)
        return viewer

    yield at
    for context, viewer in opened:
        context.close()
        assert viewer.complaints == []


def _note(viewer: Viewer, kind: str, text: str, forgiven: str) -> None:
    if kind in ("error", "warning") and not re.search(forgiven, text):
        viewer.complaints.append(text)


def one(sql: Sql, statement: str, *values: object) -> Any:
    """The single value that the statement answers."""
    row = sql.execute(statement.encode(), values or None).fetchone()
    return row[0] if row else None
