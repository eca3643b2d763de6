"""Reactors, writers, and a hand that kills, pauses, cuts and restarts; all of it by one seed."""

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psycopg
import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.cli.conftest import COMMAND, environment
from tests.engine.proxy import Proxy, proxy_to
from tests.support.server import PrivateServer

REACTORS = 3
WRITERS = 3
UNFINISHED = "select count(*) from ops_mission_steps where status in ('waiting', 'queued', 'running')"


class Process:
    """One place of the fleet: a reactor behind a proxy of its own, started again whenever it has ended."""

    def __init__(self, number: int, proxy: Proxy, database: str, here: Path, errors: IO[bytes]) -> None:
        self.proxy = proxy
        self.errors = errors
        self._number = number
        self._here = here
        self._dsn = make_conninfo(host="127.0.0.1", port=proxy.port, user="voxyz", dbname=_name(database))
        self._effects = database
        self._popen: subprocess.Popen[bytes] | None = None
        self.frozen = False

    @property
    def pid(self) -> int:
        """Of the reactor that was started last."""
        assert self._popen is not None
        return self._popen.pid

    def start(self) -> None:
        """It runs, unless it does already."""
        if self._popen is None or self._popen.poll() is not None:
            self.frozen = False
            self._popen = subprocess.Popen(
                [*COMMAND, "run", "mission"],
                cwd=self._here,
                env=environment(
                    DATABASE_URL=self._dsn,
                    CHAOS_DSN=self._effects,
                    VOXYZ_KINDS="tests.chaos.kinds",
                    VOXYZ_LOG="json",
                    OPS_PORT="0",
                    OPS_MISSION_CONCURRENCY="8",
                    OPS_GRACE_S="5",
                ),
                stdout=subprocess.DEVNULL,
                stderr=self.errors,
            )

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(number)
            self.frozen = number == signal.SIGSTOP

    def end(self, within_s: float) -> int:
        """It has been told to stop, and has; returns its exit code."""
        assert self._popen is not None
        self.tell(signal.SIGTERM)
        try:
            return self._popen.wait(within_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(10)
            raise

    def kill(self) -> None:
        """It is gone."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait(10)


@asynccontextmanager
async def fleet(server: PrivateServer, database: str, here: Path) -> AsyncIterator[list[Process]]:
    """Three reactors, each behind a proxy of its own and brought back by a keeper; all gone at the end."""
    socket = server.cluster.sockets / f".s.PGSQL.{server.port}"
    processes: list[Process] = []
    async with trio.open_nursery() as nursery:

        async def behind_a_proxy(
            number: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
        ) -> None:
            with tempfile.TemporaryFile() as errors:
                async with proxy_to(socket) as proxy:
                    processes.append(Process(number, proxy, database, here, errors))
                    task_status.started()
                    await trio.sleep_forever()

        for number in range(REACTORS):
            await nursery.start(behind_a_proxy, number)
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()
            nursery.cancel_scope.cancel()


async def keep_running(processes: Sequence[Process]) -> None:
    """Whoever has ended is started again, as a service manager does; for ever."""
    while True:
        for process in processes:
            process.start()
        await trio.sleep(0.3)


class Hand:
    """What fate does, one thing after another. ``did`` counts it."""

    def __init__(self, dice: random.Random, server: PrivateServer, processes: Sequence[Process]) -> None:
        self.did: Counter[str] = Counter()
        self._dice = dice
        self._server = server
        self._processes = processes

    async def meddle(self, nursery: trio.Nursery) -> None:
        """Do harm for ever; what lasts a while goes on beside the next one."""
        while True:
            await trio.sleep(self._dice.uniform(0.3, 1.5))
            deed = self._dice.choices(
                ["kill", "pause", "cut", "swallow", "refuse", "terminate", "restart", "crash"],
                [6, 4, 6, 3, 2, 8, 1.5, 1],
            )[0]
            victim = self._dice.choice(self._processes)
            lasts_s = self._dice.uniform(0.2, 8.0)
            self.did[deed] += 1
            match deed:
                case "kill":
                    victim.tell(signal.SIGKILL)
                case "pause":
                    nursery.start_soon(self._pause, victim, lasts_s)
                case "cut":
                    await victim.proxy.cut()
                case "swallow":
                    victim.proxy.swallow()
                case "refuse":
                    nursery.start_soon(self._refuse, victim, lasts_s)
                case "terminate":
                    await trio.to_thread.run_sync(self._terminate, self._dice.randint(1, 4))
                case _:
                    await trio.to_thread.run_sync(self._restart, deed == "crash", lasts_s / 4)

    async def _pause(self, victim: Process, lasts_s: float) -> None:
        victim.tell(signal.SIGSTOP)
        try:
            await trio.sleep(lasts_s)
        finally:
            victim.tell(signal.SIGCONT)

    async def _refuse(self, victim: Process, lasts_s: float) -> None:
        victim.proxy.refusing = True
        await victim.proxy.cut()
        try:
            await trio.sleep(lasts_s)
        finally:
            victim.proxy.refusing = False

    def _terminate(self, count: int) -> None:
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(self._server.dsn, autocommit=True) as onlooker,
        ):
            pids = [
                row[0]
                for row in onlooker.execute(
                    "select pid from pg_stat_activity where application_name like 'voxyz-reactor%' order by pid"
                )
            ]
            for pid in self._dice.sample(pids, min(count, len(pids))):
                onlooker.execute("select pg_terminate_backend(%s)", (pid,))

    def _restart(self, at_once: bool, away_s: float) -> None:
        if at_once:
            os.kill(
                self._server.pid, signal.SIGQUIT
            )  # nobody is told, nothing is flushed: recovery from the log
        self._server.stop()
        time.sleep(away_s)
        self._server.start()


class Writer:
    """Inserts, and knows of each piece of work whether it was acknowledged. ``tokens``: by token, how many steps."""

    def __init__(self, seed: int, dsn: str) -> None:
        self.tokens: dict[str, int] = {}
        self.in_doubt: set[str] = set()
        self.cancels = 0
        self._dice = random.Random(seed)
        self._name = f"w{seed}"
        self._dsn = dsn
        self.told_to_stop = False

    def write(self) -> None:
        """Until told to stop."""
        while not self.told_to_stop:
            with (
                suppress(psycopg.Error),
                psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as sql,
            ):
                while not self.told_to_stop:
                    self._one(sql)
                    time.sleep(self._dice.uniform(0.0, 0.12))
            time.sleep(0.1)

    def _one(self, sql: psycopg.Connection[tuple[Any, ...]]) -> None:
        token = f"{self._name}-{len(self.tokens)}"
        habit = self._dice.choices(["step", "steps", "mission", "failing", "cancel"], [5, 2, 3, 0.5, 0.7])[0]
        count = {"steps": 4, "mission": 3}.get(habit, 1)
        if habit == "cancel":
            self.cancels += 1
            sql.execute(
                "select ops_cancel('step', id) from ops_mission_steps where status = 'queued' order by id desc limit 1"
            )
            return
        self.tokens[token] = count
        self.in_doubt.add(token)  # until the server has said that it is kept
        if habit == "mission":
            steps = [
                {"kind": self._kind(), "payload": self._payload(token), "max_attempts": 9} for _ in range(3)
            ]
            sql.execute("select ops_enqueue_mission(%s, %s::jsonb)", (token, json.dumps(steps)))
        else:
            payload = self._payload(token) | ({"fail": True} if habit == "failing" else {})
            kind = "pay" if habit == "failing" else self._kind()
            sql.execute(
                "insert into ops_mission_steps (kind, payload, max_attempts)"
                " select %s, %s::jsonb, 9 from generate_series(1, %s)",
                (kind, json.dumps(payload), count),
            )
        self.in_doubt.discard(token)

    def _kind(self) -> str:
        return self._dice.choice(["pay", "ship"])

    def _payload(self, token: str) -> dict[str, Any]:
        return {"token": token, "s": self._dice.choice([0.0, 0.01, 0.05, 0.3, 1.0])}


def _name(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])
