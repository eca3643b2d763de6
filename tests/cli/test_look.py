"""Looking: nothing is cut, nothing in the data steers the terminal, and following misses nothing."""

import json
import os
import pty
import select
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from tests.cli.conftest import COMMAND, Voxyz, environment

Sql = psycopg.Connection[tuple[Any, ...]]


def test_status_tells_counts_reactors_breakers_and_what_failed(voxyz: Voxyz, sql: Sql) -> None:
    sql.execute("insert into ops_mission_steps (kind) values ('noop'), ('noop')")
    sql.execute(
        "insert into ops_mission_steps (kind, status, completed_at, failure_reason)"
        " values ('plan', 'failed', now(), 'it was raining')"
    )
    out = voxyz("status").out
    assert "nobody has said yet what the company is" in out
    assert "none running" in out
    assert "it was raining" in out
    assert "anthropic" in out
    told = voxyz("status", "--json").json
    assert told["queues"][0]["queued"] == 2
    assert told["dead_letters"][0]["failure_reason"] == "it was raining"
    assert told["company_known"] is False
    assert "scanning is off" in out
    assert told["sources"] == 0


def test_what_a_reactor_says_of_itself_is_shown_by_workers_and_top(voxyz: Voxyz, sql: Sql) -> None:
    vitals = {
        "listener": "deaf",
        "wakes": {"mission": {"times": 7, "half_s": 0.0005, "almost_all_s": 0.004}},
        "missed_wakes": {"mission": 2, "roundtable": 1},
        "slow_claims": [{"at": "2020-01-01T00:00:00+00:00", "queue": "mission", "took_s": 1.5, "rows": 3}],
    }
    sql.execute(
        "insert into ops_workers (id, hostname, pid, version, parts, liveness_key, state, heartbeat_at, vitals)"
        " values (gen_random_uuid(), 'here', 1, '0', '{mission}', 0, 'ready', now() + interval '1 hour', %s::jsonb)",
        (json.dumps(vitals),),
    )
    out = voxyz("workers").out
    for words in ("mission 0.5 ms / 4 ms", "3", "1.5 s"):
        assert words in out
    assert voxyz("workers", "--json").json[0]["vitals"] == vitals
    screen = voxyz("top").out
    for words in ("4 ms", "hears nothing", "missed 3 wakes"):
        assert words in screen
    assert "a claim of mission took" not in screen  # that was years ago


def test_relationships_are_those_of_the_database(voxyz: Voxyz, sql: Sql) -> None:
    told = voxyz("relationships", "--json").json
    assert len(told) == 15
    assert (told[0]["affinity"], told[0]["label"]) == (0.8, "strong")
    sql.execute("select ops_apply_drift('sage', 'xalt', -0.01, 'a quarrel')")
    line = next(line for line in voxyz("relationships").out.splitlines() if line.startswith("sage – xalt"))
    assert "0.290" in line
    assert "a quarrel" in line


def test_text_from_the_database_cannot_steer_the_terminal(voxyz: Voxyz, sql: Sql) -> None:
    nasty = "\x1b]0;pwned\x07\x1b[2J[bold]x[/bold]\r\nnext \u202e"
    sql.execute("insert into ops_agent_events (kind, title, summary) values ('x', %s, %s)", (nasty, nasty))
    sql.execute("insert into ops_missions (title) values (%s)", (nasty,))
    for words in (("events",), ("show", "mission", "1")):
        out = voxyz(*words).out
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(out)
        assert "[bold]x[/bold]" in out
    assert nasty in [event["title"] for event in voxyz("events", "--json").json]


def test_a_pipe_closed_early_is_no_error(here: Path, database: str, sql: Sql) -> None:
    sql.execute(
        "insert into ops_agent_events (kind, title) select 'x', repeat('y', 400) from generate_series(1, 5000)"
    )
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" events -n 5000 | head -1', "bash", *COMMAND],
        cwd=here,
        env=environment(DATABASE_URL=database),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


class Follower:
    """``events --follow --json`` as a process; its lines are read in a thread."""

    def __init__(self, here: Path, database: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "events", "--follow", "--json", "-n", "100"],
            cwd=here,
            env=environment(DATABASE_URL=database),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.told: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.append(json.loads(line))

    @property
    def titles(self) -> list[str]:
        return [event["title"] for event in self.told]

    def until(self, title: str, within_s: float = 15.0) -> None:
        deadline = time.monotonic() + within_s
        while title not in self.titles:
            assert time.monotonic() < deadline, self.titles
            time.sleep(0.02)

    def interrupt(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=10)
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        self._reader.join(timeout=5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code, said


def event(sql: Sql, title: str) -> None:
    sql.execute("insert into ops_agent_events (kind, title) values ('said', %s)", (title,))


def test_following_tells_every_event_once_also_those_that_commit_late(
    here: Path, database: str, sql: Sql
) -> None:
    event(sql, "before")
    follower = Follower(here, database)
    try:
        follower.until("before")
        with psycopg.connect(database) as late:
            event(late, "late")  # its transaction is older than the next one's and commits after it
            event(sql, "early")
            follower.until("early")
            assert "late" not in follower.titles
            late.commit()
        follower.until("late")
        event(sql, "after")
        follower.until("after")
    finally:
        code, said = follower.interrupt()
    assert follower.titles == ["before", "early", "late", "after"]
    assert (code, said) == (0, "")


def test_who_follows_listens_and_what_a_reactor_writes_is_announced_to_him(
    here: Path, database: str, sql: Sql, reactor: "subprocess.Popen[str]"
) -> None:
    watching = (
        "select count(*) from pg_locks where locktype = 'advisory' and classid = 1987014781 and granted"
    )
    follower = Follower(here, database)
    try:
        with psycopg.connect(database, autocommit=True) as listener:
            listener.execute("listen ops_events")
            deadline = time.monotonic() + 20
            while sql.execute(watching).fetchone() != (1,):
                assert time.monotonic() < deadline, "it never listened"
                time.sleep(0.02)
            sql.execute("insert into ops_mission_steps (kind) values ('noop')")
            assert next(listener.notifies(timeout=20, stop_after=1)).channel == "ops_events"
        follower.until("noop")
    finally:
        follower.interrupt()
    deadline = time.monotonic() + 20
    while sql.execute(watching).fetchone() != (0,):
        assert time.monotonic() < deadline, "it still watches"
        time.sleep(0.02)


def test_following_goes_on_after_its_connection_was_cut(here: Path, database: str, sql: Sql) -> None:
    event(sql, "before")
    follower = Follower(here, database)
    try:
        follower.until("before")
        sql.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'voxyz-reactor events' and datname = current_database()"
        )
        event(sql, "meanwhile")
        follower.until("meanwhile")
    finally:
        code, said = follower.interrupt()
    assert follower.titles == ["before", "meanwhile"]
    assert code == 0
    assert "trying again" in said


def test_on_a_terminal_tables_are_drawn_and_init_asks(here: Path, database: str) -> None:
    shown = on_a_terminal(here, database, ["status"], [])
    assert "\x1b[" in shown
    answers = ["Acme", "", "", "sell; ship", "", "", "Nowhere/None", "Europe/Berlin"]
    asked = on_a_terminal(here, database, ["init"], answers)
    assert "What is the company called?" in asked
    assert "there is no time zone 'Nowhere/None'" in asked
    told = subprocess.run(
        [*COMMAND, "policy", "company"],
        env=environment(DATABASE_URL=database),
        capture_output=True,
        check=True,
        timeout=30,
    )
    company = json.loads(told.stdout)
    assert (company["name"], company["goals"], company["timezone"]) == (
        "Acme",
        ["sell", "ship"],
        "Europe/Berlin",
    )


def on_a_terminal(here: Path, database: str, words: list[str], answers: list[str]) -> str:
    """What the command shows on a terminal where somebody types ``answers``, each after a question."""
    master, slave = pty.openpty()
    env = environment(DATABASE_URL=database, TERM="xterm", COLUMNS="120")
    process = subprocess.Popen([*COMMAND, *words], cwd=here, env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = ""
    waiting = list(answers)
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.2)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                shown += os.read(master, 65536).decode()
            except OSError:  # the other end is closed
                break
            if waiting and shown.endswith("]: "):
                os.write(master, f"{waiting.pop(0)}\n".encode())
        assert process.wait(timeout=5) == 0, shown
    finally:
        os.close(master)
        process.kill()
        process.wait()
    return shown


def test_why_says_in_a_sentence_what_a_thing_waits_for_and_json_gives_the_facts(
    voxyz: Voxyz, sql: Sql
) -> None:
    sql.execute("insert into ops_mission_steps (kind, payload) values ('webhook', '{}')")
    out = voxyz("why", "step", "1").out.splitlines()
    assert out[0].startswith("step 1: it waits for a person's approval since ")
    assert any(line.startswith("policy version") for line in out[1:])
    told = voxyz("why", "step", "1", "--json").json
    assert (told["code"], told["facts"]["kind"]) == ("held", "webhook")
    assert "there is no step 7" in voxyz("why", "step", "7").complained(1)
