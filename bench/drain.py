"""How fast a backlog of steps that do nothing is worked off, results, events and all, by one process.

The backlog is there before the process starts; the clock runs from the first handler entered to the last row finished.
"""

import time

from bench import pgbench
from bench.contestants import Contestant, Ours
from bench.figures import OURS
from bench.peers import DEFAULTS, TUNED, present
from bench.process import wait_until
from bench.stage import Server, Sql, Stage

ROUNDS = 5
ROWS = 50_000
PEER_S = 8.0  # slow peers are given so many seconds' worth of rows
WITHIN_S = 300.0
LOOK_S = 0.005


def run(stage: Stage) -> None:
    rows = stage.amount(ROWS, 3_000)
    rounds = stage.rounds(ROUNDS)
    contestants = [Ours(), *present(stage, *DEFAULTS, *TUNED)]
    rates: dict[str, list[float]] = {one.name: [] for one in contestants}
    cpu_us: list[float] = []
    limits: list[float] = []
    with stage.server() as server, stage.progress("drain", rounds * (len(contestants) + 1)) as part:
        for _ in range(rounds):
            for one in contestants:
                part(one.name)
                count = rows if one.name == OURS else min(rows, int(one.rows_s * PEER_S))
                rate, cost_us = fresh_rate(server, one, count)
                rates[one.name].append(rate)
                if one.name == OURS:
                    cpu_us.append(cost_us)
            part("pgbench")
            limits.append(pgbench.claim_and_complete(server, rows))
    for name, values in rates.items():
        stage.run.add("drain", "rate", "rows/s", values, who=name)
    stage.run.add(
        "drain", "rate", "rows/s", limits, who="pgbench, same SQL", note="no reactor: the SQL alone"
    )
    stage.run.add("drain", "processor time of the reactor", "µs/row", cpu_us, better="less")
    _against(stage, rates, limits)


def _against(stage: Stage, rates: dict[str, list[float]], limits: list[float]) -> None:
    def ratios(others: list[float]) -> list[float]:
        return [ours / other for ours, other in zip(rates[OURS], others, strict=True)]

    stage.run.add("drain", "÷ pgbench, same SQL", "", ratios(limits), beyond=0.7)
    for peer, bar, beyond in (("pgqueuer", 2.0, None), ("graphile-worker", None, 1.0)):
        names = [name for name in rates if name.startswith(peer)]
        if names:
            best = max(names, key=lambda name: sorted(rates[name])[len(rates[name]) // 2])
            stage.run.add("drain", f"÷ {best}", "", ratios(rates[best]), bar=bar, beyond=beyond)


def fresh_rate(server: Server, contestant: Contestant, rows: int) -> tuple[float, float]:
    """Rows a second, and microseconds of the process's processor time a row, on a fresh database."""
    with server.database(contestant.install) as database, server.sql(database) as sql:
        fill(sql, contestant, rows)
        return drained(server, contestant, database, sql, rows)


def fill(sql: Sql, contestant: Contestant, rows: int) -> None:
    """So many jobs that do nothing lie in the queue, and nothing of making them is still going on."""
    sql.execute(contestant.sql.fill, (rows,))
    sql.execute("vacuum analyze")
    sql.execute("checkpoint")


def drained(
    server: Server, contestant: Contestant, database: str, sql: Sql, rows: int
) -> tuple[float, float]:
    """The backlog, the newest ``rows`` jobs, is worked off by one process.

    Returns: rows a second, and microseconds of the process's processor time a row.
    """
    asked = contestant.sql
    [(newest,)] = sql.execute(asked.last).fetchall()
    looked_ns = 0

    def ended() -> bool:
        # The newest row first, and then only the rows of this backlog: looking must not disturb, nor take time that counts.
        nonlocal looked_ns
        looked_ns = time.monotonic_ns()
        [(done,)] = sql.execute(asked.ended, (newest,), prepare=True).fetchall()
        return bool(done) and sql.execute(asked.unfinished, (newest - rows,)).fetchall() == [(0,)]

    with contestant.works(server, database) as running:
        wait_until(lambda: bool(running.marks()), f"{contestant.name}: its first job", within_s=60)
        cpu_before_s = running.cpu_s()
        wait_until(ended, f"{contestant.name}: {rows} rows", within_s=WITHIN_S, gap_s=LOOK_S)
        cpu_s = running.cpu_s() - cpu_before_s
        began_ns = running.marks()[0][0]
    return rows / ((looked_ns - began_ns) / 1e9), cpu_s / rows * 1e6
