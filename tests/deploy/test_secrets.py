"""Secrets are in no log, argument, error or page: everything is started with marked ones, made to fail, and searched."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from reactor.pg.embedded.account import server_account
from reactor.pg.embedded.places import establish
from tests.cli.conftest import environment
from tests.support.embedded import kill_everything_on, older_cluster
from tests.support.queue_rows import scalar
from tests.support.scratch import scratch_directory
from tests.support.server import PrivateServer, free_port
from tests.support.sessions import Session
from tests.support.waiting import wait_until
from tests.support.web_server import Answer, Came, web_server

pytestmark = pytest.mark.chaos

COMMAND = [sys.executable, "-m", "reactor.cli"]
PASSWORD = "mark-Pa55word/of:the@database"
KEY = "sk-ant-mark-key-of-the-model-0123456789"
API_TOKEN = "mark-token-that-may-do-everything"
READ_TOKEN = "mark-token-that-may-look"
SLACK = "T0MARK/B0MARK/mark-of-the-hook"
MARKS = ("mark-Pa55word", "Pa55word", "mark-key-of", "mark-token-that", "mark-of-the-hook")
PAGES = (
    *("/", "/ops", "/ops/login", "/ops/policy/notify", "/ops/nothing", "/healthz", "/readyz", "/metrics"),
    *(f"/api/ops/{name}" for name in (
        "status", "agents", "proposals", "missions", "steps", "steps/1", "steps/999", "events", "memory", "roundtable",
        "initiative", "circuit-breaker", "heartbeat", "costs", "workers", "why/step/1", "control", "session", "voice",
        "triggers", "relationships", "schedule", "policy", "policy/notify", "policy/notify/history", "nothing",
        "openapi.json", "steps?limit=no", "session?token=mark",
    )),
)  # fmt: skip


@dataclass
class House:
    """Everything that was said, by who said it."""

    here: Path
    env: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str, **changed: str) -> str:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.here,
            env={**self.env, **changed},
            input="",
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.said[f"{' '.join(words)} {sorted(changed)}"] = done.stdout + done.stderr
        return done.stdout + done.stderr

    def ask(self, path: str, **headers: str) -> int:
        """Ask our reactor for ``path``; what came back is kept, head and body."""
        link = http.client.HTTPConnection("127.0.0.1", int(self.env["OPS_PORT"]), timeout=30)
        try:
            link.request("GET", path, headers=headers)
            answer = link.getresponse()
            body = answer.read().decode(errors="replace")
            self.said[f"GET {path} {sorted(headers)}"] = f"{answer.headers}\n{body}"
            return answer.status
        finally:
            link.close()

    def processes(self, root: int) -> None:
        """The arguments of ``root`` and of everything below it are kept."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(path.parent.name)] = int(path.read_text().rpartition(") ")[2].split()[1])
            except OSError:
                continue
        family = {root}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        for pid in family:
            self.said[f"arguments of {pid}"] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")

    def give_away(self, marks: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(who, mark) for who, words in self.said.items() for mark in marks if mark in words]


def repeats_the_key(came: Came) -> Answer:
    """A provider, or somebody in between, whose error repeats what it was sent."""
    key = came.headers.get("x-api-key", "none")
    error = {
        "type": "error",
        "error": {"type": "authentication_error", "message": f"invalid x-api-key: {key}"},
    }
    return Answer(401, json.dumps(error).encode(), (("content-type", "application/json"),))


@contextmanager
def running(house: House) -> Iterator[subprocess.Popen[str]]:
    """The reactor, at its most talkative; what it said is kept when it has left."""
    with subprocess.Popen(
        [*COMMAND, "run"],
        cwd=house.here,
        env=house.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        words: dict[str, list[str]] = {"stdout": [], "stderr": []}
        readers = [
            threading.Thread(target=lambda n=name, s=stream: words[n].extend(s))
            for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        for reader in readers:
            reader.start()
        try:
            wait_until(lambda: any(line.startswith("ready") for line in words["stdout"]))
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            for reader in readers:
                reader.join(10)
            house.said["the log"] = "".join(words["stderr"])
            house.said["the output"] = "".join(words["stdout"])


@pytest.fixture
def house(server: PrivateServer, sql: Session) -> Iterator[House]:
    server.run(f"create role marked superuser login password '{PASSWORD}'")
    quoted = PASSWORD.replace("/", "%2F").replace(":", "%3A").replace("@", "%40")
    try:
        with scratch_directory(executable=True) as here, web_server(repeats_the_key) as provider:
            yield House(
                here,
                environment(
                    DATABASE_URL=f"postgresql://marked:{quoted}@127.0.0.1:{server.port}/{sql.info.dbname}",
                    ANTHROPIC_API_KEY=KEY,
                    ANTHROPIC_BASE_URL=provider.url.replace("://", "://me:mark-token-that-is-in-an-address@"),
                    OPS_API_TOKEN=API_TOKEN,
                    OPS_READ_TOKEN=READ_TOKEN,
                    OPS_PORT=str(free_port()),
                    VOXYZ_LOG_LEVEL="debug",
                    VOXYZ_LOG="json",
                ),
            )
    finally:
        server.run("drop role marked")


def test_no_secret_is_in_any_log_argument_error_or_page(
    house: House, server: PrivateServer, sql: Session
) -> None:
    webhook_key = scalar(sql, "select secret from ops_webhook_key")
    with running(house) as process:
        house.processes(process.pid)
        notify = {
            "url": f"https://hooks.example.invalid/services/{SLACK}",
            "format": "slack",
            "events": ["mission_failed"],
        }
        sql.execute("select ops_set_policy('notify', %s)", (json.dumps(notify),))
        # A key refused by somebody who repeats it, a notice that cannot be delivered, a mission that fails.
        sql.execute(
            """insert into ops_mission_steps (kind, payload) values ('analyze', '{"topic": "rain"}')"""
        )
        sql.execute(
            """select ops_enqueue_mission('fails', '[{"kind": "noop", "payload": {"fail": "on purpose"}}]')"""
        )
        sql.execute("insert into ops_initiative_queue (agent_id) values ('sage')")
        wait_until(lambda: scalar(sql, "select count(*) from ops_missions where status = 'failed'") == 1)
        wait_until(lambda: scalar(sql, "select count(*) from ops_llm_calls where outcome <> 'reserved'") >= 1)
        for path in PAGES:
            house.ask(path, Authorization=f"Bearer {READ_TOKEN}")
        for path in ("/ops", "/ops/policy/notify", "/api/ops/policy/notify"):
            assert house.ask(path, Authorization=f"Bearer {API_TOKEN}") == 200
            assert "hooks.example.invalid" in next(
                words for asked, words in house.said.items() if asked.startswith(f"GET {path} ")
            )
        for path in PAGES[:5]:
            assert house.ask(path, Authorization=f"Bearer {API_TOKEN}-wrong") != 500
        assert house.ask("/api/ops/status", Authorization=f"Bearer {API_TOKEN}") == 200
        house.ask(f"/ops?token={API_TOKEN}")
        sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'marked'")
        for words in (
            ["status"], ["doctor"], ["workers"], ["events"], ["costs"], ["show", "step", "1"], ["why", "step", "1"],
            ["missions"], ["psql", "-c", "select no_such_column"], ["migrate"], ["service", "print"], ["run", "--help"],
            ["--debug", "status"], ["run"], ["why", "mission", "1"], ["agents"], ["memories", "sage"], ["relationships"],
            ["schedule"], ["breaker"], ["proposals"], ["top", "--once"], ["open", "--print"], ["notify"],
            ["service", "print", "--split"], ["service", "print", "--user"], ["status", "--json"], ["doctor", "--json"],
            ["costs", "--json"], ["export", "out"], ["import", "out"],
        ):  # fmt: skip
            house.command(*words)
        house.command("copy", COPY_TO=house.env["DATABASE_URL"].replace("Pa55word", "Pa55word-wrong"))
        house.command("copy", COPY_TO=house.env["DATABASE_URL"])
        assert "Pa55word" in house.said.pop("url []", "") + house.command(
            "url"
        )  # what it is for, and on stdout
        house.said.pop("url []")
        wait_until(lambda: house.ask("/readyz") == 200)
    assert not house.give_away((*MARKS, webhook_key))
    assert len(house.said["the log"].splitlines()) > 20, "it was talkative"


def test_no_secret_is_in_what_is_said_of_a_setting_that_does_not_do(house: House) -> None:
    url = house.env["DATABASE_URL"]
    house.command("status", DATABASE_URL=url.replace("Pa55word", "Pa55word-wrong"))
    house.command("status", DATABASE_URL=url.replace("127.0.0.1:", "127.0.0.1:1"))
    house.command("status", DATABASE_URL=url.replace("%40", "@").replace("%2F", "/"))
    house.command("--debug", "status", DATABASE_URL=url.replace("postgresql://", "mysql://"))
    house.command("status", DATABASE_URL=f"host=127.0.0.1 port=1 user=me password='{PASSWORD}'")
    house.command("run", DATABASE_URL=url, DATABASE_URL_FILE=str(house.here / "none"))
    house.command("run", OPS_PORT="no port", ANTHROPIC_API_KEY=KEY)
    house.command("run", VOXYZ_LLM="anthropic", ANTHROPIC_BASE_URL=f"https://me:{PASSWORD} of it")
    (house.here / ".env").write_text(f"DATABASE_URL='{url}\n")
    broken = {name: value for name, value in house.env.items() if name != "DATABASE_URL"}
    house.env = broken
    assert "line 1" in house.command("status")
    assert not house.give_away(MARKS)


def test_no_process_that_moves_a_database_names_a_secret_in_its_arguments(
    house: House, server: PrivateServer, sql: Session
) -> None:
    """Each waits for a lock while its arguments, and those of all it has started, are read."""
    working = "select count(*) from pg_stat_activity where usename = 'marked'"
    with sql.transaction(), psycopg.connect(server.dsn, autocommit=True) as watcher:
        sql.execute("lock table ops_missions in access exclusive mode")
        for words, more in ((["export", "out"], {}), (["copy"], {"COPY_TO": house.env["DATABASE_URL"]})):
            with subprocess.Popen(
                [*COMMAND, *words],
                cwd=house.here,
                env={**house.env, **more},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                try:
                    wait_until(lambda: process.poll() is not None or scalar(watcher, working) > 0)
                    if process.poll() is None:
                        house.processes(process.pid)
                finally:
                    process.kill()
    assert any(who.startswith("arguments") for who in house.said)
    assert not house.give_away(MARKS)


class Watch(threading.Thread):
    """Keeps the arguments of every process there is, as often as it can look, until ``stop``."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house, self.over = house, threading.Event()
        self.programs: set[str] = set()
        self.start()

    def run(self) -> None:
        while not self.over.wait(0.001):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):  # it may have ended
                    words = path.read_text(errors="replace").replace("\0", " ")
                    self.house.said[f"arguments of {path.parent.name}: {words[:200]}"] = words
                    self.programs.add(words.split(" ")[0].rpartition("/")[2])

    def stop(self) -> None:
        self.over.set()
        self.join(30)


@pytest.fixture
def old() -> Iterator[Path]:
    """A home whose embedded database was made by PostgreSQL 16 and has a role with a password."""
    with scratch_directory(executable=True) as directory:
        cluster = older_cluster(establish(directory / ".voxyz", server_account(), lambda line: None))
        try:
            cluster.initialise()
            with psycopg.connect(cluster.start().dsn(), autocommit=True) as session:
                session.execute(f"create role marked login password '{PASSWORD}'")
                # Who comes to read it out waits a second, long enough to be seen at it.
                session.execute("alter system set post_auth_delay = 1")
            cluster.stop()
            yield directory / ".voxyz"
        finally:
            kill_everything_on(cluster.base / "data")


def test_no_process_names_a_secret_while_an_embedded_server_is_carried_over(old: Path) -> None:
    """A role's password comes along, and keys are in the environment: initdb, two servers, dump and psql name none."""
    house = House(
        old.parent,
        environment(
            ANTHROPIC_API_KEY=KEY,
            OPS_API_TOKEN=API_TOKEN,
            OPS_READ_TOKEN=READ_TOKEN,
            OPS_PORT="0",
            VOXYZ_LLM="mock",
            VOXYZ_LOG_LEVEL="debug",
            PGPASSWORD=PASSWORD,
        ),
    )
    watch = Watch(house)
    try:
        with running(house):
            ask = ["psql", "-Atc", "select rolpassword from pg_authid where rolname = 'marked'"]
            verifier = house.command(*ask).strip()
            house.said.pop(f"{' '.join(ask)} []")  # what it is for
            house.command("export", "out")
    finally:
        watch.stop()
    assert verifier.startswith("SCRAM-SHA-256$")
    assert "carrying the database over from PostgreSQL 16 to 18" in house.said["the log"]
    assert {"initdb", "postgres", "pg_dump", "pg_dumpall", "psql"} <= watch.programs
    assert not house.give_away((*MARKS, verifier))


def test_psql_gets_the_password_in_a_way_that_nobody_can_watch(house: House) -> None:
    with subprocess.Popen(
        [*COMMAND, "psql", "-c", "select pg_sleep(20)"],
        cwd=house.here,
        env=house.env,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            arguments = Path(f"/proc/{process.pid}/cmdline")
            wait_until(
                lambda: b"pg_sleep" in arguments.read_bytes() and b"reactor.cli" not in arguments.read_bytes()
            )
            house.processes(process.pid)
        finally:
            process.kill()
    assert any("pg_sleep" in words for words in house.said.values())
    assert not house.give_away(MARKS)
    assert os.environ.get("PGPASSWORD") is None
