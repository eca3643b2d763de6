"""What systemd is told, over the socket it would listen on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import trio

from reactor.engine.service_manager import ServiceManager
from tests.support.service_manager import Manager, service_manager

ROOT = Path(__file__).parents[2]


@contextmanager
def started(database: str, manager: Manager, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The command itself, with such a manager; killed at the end if it is still there."""
    env = {
        **os.environ,
        "DATABASE_URL": database,
        "OPS_PORT": "0",
        "VOXYZ_LLM": "mock",
        "NOTIFY_SOCKET": manager.address,
        **variables,
    }
    command = [sys.executable, "-m", "reactor.cli", "run", "mission"]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_manager_hears_starting_ready_alive_and_stopping(database: str) -> None:
    with service_manager() as manager, started(database, manager, WATCHDOG_USEC="600000") as process:
        manager.hear("READY", "1")
        assert manager.values("EXTEND_TIMEOUT_USEC"), "a start that takes long is no failed start"
        assert "the schema is being brought to current" in manager.values("STATUS")
        assert manager.values("STATUS")[-1] == "0 running"
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        for _ in range(3):
            manager.hear("WATCHDOG", "1")
        process.send_signal(signal.SIGTERM)
        manager.hear("STOPPING", "1")
        assert process.wait(30) == 0


def test_its_status_says_what_runs_and_what_is_paused(database: str) -> None:
    with service_manager() as manager, started(database, manager, WATCHDOG_USEC="600000"):
        manager.hear("READY")
        with psycopg.connect(database, autocommit=True) as session:
            session.execute(
                """insert into ops_mission_steps (kind, payload) values ('noop', '{"sleep_s": 60}')"""
            )
            manager.hear("STATUS", "1 running")
            session.execute("select ops_pause('mission')")
            manager.hear("STATUS", "1 running · paused: mission")


def test_a_loop_that_does_not_turn_sends_no_word(database: str, tmp_path: Path) -> None:
    (tmp_path / "blocking.py").write_text(
        "import time\n"
        "from reactor.handlers import Step, step_kind\n"
        "@step_kind('block', description='Holds the loop', timeout_s=300)\n"
        "async def block(step: Step) -> dict[str, str]:\n"
        "    time.sleep(4)\n"
        "    return {'text': 'done'}\n"
    )
    variables = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "VOXYZ_KINDS": "blocking", "WATCHDOG_USEC": "300000"}
    with service_manager() as manager, started(database, manager, **variables):
        manager.hear("READY")
        with psycopg.connect(database, autocommit=True) as session:
            began = before = manager.hear("WATCHDOG").at
            session.execute("insert into ops_mission_steps (kind) values ('block')")
            while (now := manager.hear("WATCHDOG").at) - before < 3:
                before = now
                assert now - began < 60, "the loop was never seen to stand still"


@pytest.mark.parametrize("abstract", [False, True])
async def test_both_kinds_of_address_are_understood(abstract: bool) -> None:
    with service_manager(abstract=abstract) as manager:
        ServiceManager(manager.address).ready(lambda: "at  work\nand more")
        await trio.to_thread.run_sync(manager.hear, "READY")
        assert manager.values("STATUS") == ["at work and more"]


def test_its_variables_are_not_left_to_our_children() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1", "KEPT": "yes"}
    ServiceManager.of(environ)
    assert environ == {"KEPT": "yes"}


async def test_a_watchdog_meant_for_another_process_is_left_alone() -> None:
    with service_manager() as manager:
        environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}
        one = ServiceManager.of(environ)
        one.ready(lambda: "at work")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        manager.drain()
        assert manager.values("READY") == ["1"]
        assert manager.values("WATCHDOG") == []


async def test_a_manager_that_is_gone_or_does_not_read_hinders_nobody(tmp_path: Path) -> None:
    ServiceManager(str(tmp_path / "gone")).ready(lambda: "at work")
    with service_manager() as manager:
        one = ServiceManager(manager.address)
        for _ in range(2000):  # more than its socket takes
            one.stopping(lambda: "leaving")
