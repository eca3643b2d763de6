"""From the insert call to the handler's first line: one insert every 20 ms into an idle reactor, one commit each."""

import time

from bench.contestants import Contestant, Ours
from bench.figures import OURS, percentile
from bench.floor import NAME as FLOOR
from bench.floor import Floor
from bench.peers import DEFAULTS, present
from bench.process import wait_until
from bench.stage import Server, Stage

ROUNDS = 3
INSERTS = 500
GAP_S = 0.020
WARM_UP = 25
LAST_WITHIN_S = 30.0


def run(stage: Stage) -> None:
    inserts = stage.amount(INSERTS, 50)
    rounds = stage.rounds(ROUNDS)
    contestants: list[Contestant] = [Ours(), *present(stage, *DEFAULTS), Floor()]
    seen: dict[str, list[list[float]]] = {one.name: [] for one in contestants}
    with stage.server() as server, stage.progress("wake", rounds * len(contestants)) as part:
        for _ in range(rounds):
            for one in contestants:
                part(one.name)
                seen[one.name].append(latencies_ms(server, one, inserts))
    for name, per_round in seen.items():
        ours = name == OURS
        for what, share, bar, beyond in (("p50", 0.5, 1.0, 0.6), ("p99", 0.99, 4.0, None)):
            stage.run.add(
                "wake",
                what,
                "ms",
                [percentile(values, share) for values in per_round],
                who=name,
                better="less",
                bar=bar if ours else None,
                beyond=beyond if ours else None,
            )
        worst = max(max(values) for values in per_round)
        stage.run.add("wake", "max", "ms", [worst], who=name, better="less", note="of all rounds")
    _against_the_best(stage)


def latencies_ms(server: Server, contestant: Contestant, inserts: int) -> list[float]:
    """Insert call to handler entered, for each of ``inserts``, in milliseconds, after a warm-up."""
    with (
        server.database(contestant.install) as database,
        contestant.works(server, database) as running,
        server.sql(database) as sql,
    ):
        running.await_ready()
        insert = contestant.sql.insert
        sql.execute(insert, (0,))
        wait_until(lambda: bool(running.marks()), f"{contestant.name}: its first job", within_s=LAST_WITHIN_S)
        next_at = time.monotonic()
        for _ in range(WARM_UP + inserts):
            next_at += GAP_S
            time.sleep(max(0.0, next_at - time.monotonic()))
            sql.execute(insert, (time.monotonic_ns(),), prepare=True)
        total = 1 + WARM_UP + inserts
        wait_until(
            lambda: len(running.marks()) >= total, f"{contestant.name}: its last job", within_s=LAST_WITHIN_S
        )
        by_insert = sorted((at, entered) for entered, at in running.marks())
    return [(entered - at) / 1e6 for at, entered in by_insert[1 + WARM_UP :]]


def _against_the_best(stage: Stage) -> None:
    medians = {f.who: f.value for f in stage.run.of("wake") if f.what == "p50"}
    peers = {name: value for name, value in medians.items() if name not in (OURS, FLOOR)}
    if peers:
        best = min(peers, key=lambda name: peers[name])
        stage.run.add(
            "wake",
            "p50 ÷ best peer",
            "",
            [medians[OURS] / peers[best]],
            better="less",
            bar=0.5,
            note=f"the best peer here is {best}",
        )
    stage.run.add("wake", f"p50 ÷ {FLOOR}", "", [medians[OURS] / medians[FLOOR]], better="less")
