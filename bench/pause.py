"""How long after everything was paused a reactor still began a call to the language model.

Three reactors ask without a break, through the SDK, over real sockets; the model marks each request it has read. A pause is
reckoned from the moment its call returned: by then it is committed.
"""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from bench.contestants import Ours
from bench.process import Contender, contender, wait_until
from bench.stage import Server, Sql, Stage

PAUSES = 10
REACTORS = 3
ANSWER_S = 0.05
STEPS = 30_000
BUSY_S = 1.0  # of asking before each pause
QUIET_S = 1.0  # of listening after it
WITHIN_S = 30.0
SETTINGS = {
    "VOXYZ_LLM": "anthropic",
    "ANTHROPIC_API_KEY": "sk-bench",
    "VOXYZ_KINDS": "",
    "OPS_MISSION_CONCURRENCY": "20",
}
LIMITS = """{"requests_per_minute": 100000, "concurrency": 20}"""
BUDGET = """{"per_day_usd": null, "per_month_usd": null}"""


def run(stage: Stage) -> None:
    pauses = stage.rounds(PAUSES)
    with stage.server() as server, stage.progress("pause", pauses) as part:
        late_ms, rates = paused_again_and_again(server, pauses, part)
    stage.run.add(
        "pause",
        f"pause all → last call begun, {REACTORS} reactors",
        "ms",
        late_ms,
        better="less",
        bar=100,
        note=f"the worst of {pauses}: {max(late_ms):.1f} ms",
    )
    stage.run.add("pause", "calls begun before it", "/s", rates, better="more")


def paused_again_and_again(
    server: Server, pauses: int, part: Callable[[str], None]
) -> tuple[list[float], list[float]]:
    """By pause: milliseconds from its commit to the last request, 0 when there was none; requests a second before it."""
    late_ms: list[float] = []
    rates: list[float] = []
    with ExitStack() as stack:
        command = [sys.executable, "-m", "bench.slow_model", str(ANSWER_S)]
        model = stack.enter_context(contender("slow model", command, {}))
        model.await_ready()
        settings = {**SETTINGS, "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{model.said().split()[1]}"}
        ours = Ours(settings=settings)
        database = stack.enter_context(server.database(ours.install))
        sql = stack.enter_context(server.sql(database))
        sql.execute("select ops_set_policy('llm_limits', %s::jsonb)", (LIMITS,))
        sql.execute("select ops_set_policy('llm_budget', %s::jsonb)", (BUDGET,))
        sql.execute(
            "insert into ops_mission_steps (kind, payload, max_attempts)"
            """ select 'summarize', '{"text": "Much was said."}', 1 from generate_series(1, %s)""",
            (STEPS,),
        )
        for one in [stack.enter_context(ours.works(server, database)) for _ in range(REACTORS)]:
            one.await_ready()
        for number in range(pauses):
            part(f"pause {number + 1}")
            late, rate = _pause(sql, model)
            late_ms.append(late)
            rates.append(rate)
    return late_ms, rates


def _pause(sql: Sql, model: Contender) -> tuple[float, float]:
    already = len(model.marks())
    wait_until(lambda: len(model.marks()) > already, "a call", within_s=WITHIN_S)
    time.sleep(BUSY_S)
    sql.execute("select ops_pause('all')")
    paused_ns = time.monotonic_ns()
    time.sleep(QUIET_S)
    begun = [mark[0] for mark in model.marks()[already:]]
    sql.execute("select ops_resume('all')")
    before = sum(paused_ns - BUSY_S * 1e9 <= at < paused_ns for at in begun)
    return max(0.0, (max(begun) - paused_ns) / 1e6), before / BUSY_S
