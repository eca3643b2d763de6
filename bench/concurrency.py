"""A thousand handlers of one process wait for a language model at once; each answer takes a second, over real sockets."""

import sys
import time
from contextlib import ExitStack

from bench.contestants import Ours
from bench.process import contender, wait_until
from bench.slow_model import ANSWER_S
from bench.stage import Server, Stage

ROUNDS = 3
HANDLERS = 1_000
WITHIN_S = 60.0
LOOK_S = 0.02
SDK, ALONE, WHOLE = "bench_ask_sdk", "bench_ask", "summarize"
NOTES = {
    SDK: "calls by the provider's SDK",
    ALONE: "calls by hand, without an SDK",
    WHOLE: "steps as they are: prompt, books, breaker, SDK, the answer's shape",
}
# For whole steps: nothing but the model is to be waited for.
UNLIMITED = (
    """select ops_set_policy('llm_limits', '{"concurrency": 1000, "requests_per_minute": 100000}')""",
    """select ops_set_policy('llm_budget', '{"per_day_usd": 1000, "per_month_usd": 1000}')""",
)


def run(stage: Stage) -> None:
    rounds = stage.rounds(ROUNDS)
    handlers = stage.amount(HANDLERS, 50)
    seen: dict[str, list[tuple[float, float]]] = {kind: [] for kind in NOTES}
    with stage.server() as server, stage.progress("concurrency", len(seen) * rounds) as part:
        for _ in range(rounds):
            for kind, taken in seen.items():
                part(kind)
                taken.append(all_at_once(server, kind, handlers))
    for kind, note in NOTES.items():
        what = f"{handlers:,} handlers, wall ÷ one answer"
        stage.run.add(
            "concurrency",
            what,
            "",
            [wall for wall, _ in seen[kind]],
            better="less",
            bar=None if kind == WHOLE else 1.5,
            note=note,
        )
        peaks = [peak_mb for _, peak_mb in seen[kind]]
        stage.run.add("concurrency", "most memory", "MB", peaks, better="less", bar=300, note=note)


def all_at_once(server: Server, kind: str, handlers: int) -> tuple[float, float]:
    """Wall time from the insert call to the last row succeeded, in answers; the process's peak memory in MB."""
    with contender("slow model", [sys.executable, "-m", "bench.slow_model"], {}) as model:
        model.await_ready()
        port = model.said().split()[1]
        ours = Ours(
            settings={
                "OPS_MISSION_CONCURRENCY": str(handlers),
                "BENCH_MODEL_PORT": port,
                "VOXYZ_LLM": "anthropic",
                "ANTHROPIC_API_KEY": "sk-bench",
                "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
            }
        )
        with server.database(ours.install) as database, server.sql(database) as sql, ExitStack() as stack:
            for policy in UNLIMITED:
                sql.execute(policy)
            running = stack.enter_context(ours.works(server, database))
            running.await_ready()

            def ask(times: int) -> float:
                began = time.monotonic()
                sql.execute(
                    "insert into ops_mission_steps (kind) select %s from generate_series(1, %s)",
                    (kind, times),
                )
                wait_until(
                    lambda: sql.execute(ours.sql.unfinished, (0,)).fetchone() == (0,),
                    f"{times} handlers",
                    within_s=WITHIN_S,
                    gap_s=LOOK_S,
                )
                return time.monotonic() - began

            ask(1)  # imports the SDK, which builds its classes at the first answer
            return ask(handlers) / ANSWER_S, running.peak_mb()
