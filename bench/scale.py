"""Many reactors on one database: rows a second, rows done twice, and how evenly a backlog is shared; steps take 10 ms."""

import time
from collections import Counter
from contextlib import ExitStack

from bench.contestants import Ours
from bench.process import wait_until
from bench.stage import Server, Stage

ROUNDS = 3
PROCESSES = (1, 2, 4, 8)
ROWS = 40_000
WITHIN_S = 120.0


def run(stage: Stage) -> None:
    rounds = stage.rounds(ROUNDS)
    rows = stage.amount(ROWS, 3_000)
    sizes = PROCESSES if not stage.quick else (1, 2)
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    shares: dict[int, list[float]] = {size: [] for size in sizes}
    twice = 0
    with stage.server() as server, stage.progress("scale", rounds * len(sizes)) as part:
        for _ in range(rounds):
            for size in sizes:
                part(f"{size} processes")
                rate, least, again = together(server, size, rows)
                rates[size].append(rate)
                shares[size].append(least)
                twice += again
    for size, values in rates.items():
        stage.run.add("scale", f"rate of {size}", "rows/s", values)
    for size in sizes[1:]:
        kept = [rate / one for rate, one in zip(rates[size], rates[1], strict=True)]
        stage.run.add("scale", f"{size} processes ÷ one", "", kept, bar=1.0)
        stage.run.add("scale", f"least busy of {size} ÷ fair share", "", shares[size], bar=0.5)
    stage.run.add("scale", "rows done twice", "", [twice], better="less", bar=0)


def together(server: Server, size: int, rows: int) -> tuple[float, float, int]:
    """Rows a second; the least busy process's rows as a part of a fair share; rows that were begun more than once."""
    ours = Ours()
    with (
        server.database(ours.install) as database,
        server.sql(database) as sql,
        ExitStack() as stack,
    ):
        sql.execute("select ops_pause('mission', 'until all are here')")
        sql.execute(
            "insert into ops_mission_steps (kind) select 'bench_sleep' from generate_series(1, %s)", (rows,)
        )
        sql.execute("vacuum analyze")
        sql.execute("checkpoint")
        reactors = [stack.enter_context(ours.works(server, database)) for _ in range(size)]
        for reactor in reactors:
            reactor.await_ready()
        [(newest,)] = sql.execute("select max(id) from ops_mission_steps").fetchall()
        began = time.monotonic()
        sql.execute("select ops_resume('mission')")

        def ended() -> bool:
            done = sql.execute(ours.sql.ended, (newest,)).fetchone()
            return done == (True,) and sql.execute(ours.sql.unfinished, (newest - rows,)).fetchone() == (0,)

        wait_until(ended, f"{size} reactors: {rows} rows", within_s=WITHIN_S)
        rate = rows / (time.monotonic() - began)
        begun = [Counter(step for _, step in reactor.marks()) for reactor in reactors]
    total = sum(begun, Counter[int]())
    least = min(sum(counts.values()) for counts in begun) / (sum(total.values()) / size)
    return rate, least, sum(count - 1 for count in total.values())
