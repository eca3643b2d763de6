"""What an operator who brings OpenTelemetry's SDK sees: one trace from the event to the calls it led to."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reactor import tracing
from tests.support.queue_rows import scalar

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import json, sys
import trio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)

from reactor.handlers.heartbeat import apply_rules
from reactor.handlers.mission import MissionWork
from reactor.handlers.runner import StepRunner
from reactor.model.outcomes import Done
from tests.engine.support import reactor_on, until_none_unfinished
from tests.handlers.house import house
import psycopg


class Works:
    def __init__(self, work):
        self.work = work
        self.known = tuple(work.kinds(()))
        self.kinds, self.timeout_s, self.perform = work.kinds, work.timeout_s, work.perform

    def began(self, row): pass

    def ended(self, row, outcome, seconds): pass


async def main(dsn):
    context = house(dsn)
    works = Works(MissionWork(context.registry, StepRunner(context)))
    with psycopg.connect(dsn, autocommit=True) as sql:
        async with reactor_on(dsn, works, asleep=False) as reactor:
            await apply_rules(reactor.pool)
            await until_none_unfinished(sql, within_s=30)
    await context.pool.aclose()
    print(json.dumps([
        {
            "name": span.name,
            "trace": span.context.trace_id,
            "id": span.context.span_id,
            "parent": span.parent.span_id if span.parent else None,
            "attributes": dict(span.attributes),
        }
        for span in kept.get_finished_spans()
    ]))


trio.run(main, sys.argv[1])
"""


@pytest.fixture
def spans(database: str, sql: psycopg.Connection[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """What was recorded while an event led to a mission, its step was done, and a step of nobody's beside it."""
    sql.execute(
        "update ops_trigger_rules set probability = 1, enabled = coalesce(event_kind = 'mission_failed', false)"
    )
    sql.execute(
        "insert into ops_agent_events (kind, agent_id, title) values ('mission_failed', 'scout', 'a thing')"
    )
    sql.execute(
        "insert into ops_mission_steps (kind, payload) values ('analyze', '{\"topic\": \"secret plans\"}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, database],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    recorded: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return recorded


def test_an_event_and_what_it_led_to_are_one_trace_down_to_the_calls(
    spans: list[dict[str, Any]], sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    event = next(one for one in spans if one["name"] == "event mission_failed")
    assert event["attributes"]["voxyz.proposals"] == 1
    step_id = int(
        scalar(sql, "select id from ops_mission_steps where root_id is not null order by id limit 1")
    )
    step = next(one for one in spans if one["attributes"].get("voxyz.id") == step_id)
    assert step["name"].startswith("step ")
    assert (step["trace"], step["parent"]) == (event["trace"], event["parent"])
    call = next(one for one in spans if one["parent"] == step["id"])
    assert call["name"].startswith("chat ")
    assert call["trace"] == event["trace"]
    assert call["attributes"]["voxyz.simulated"] is True
    assert call["attributes"]["gen_ai.usage.output_tokens"] > 0
    alone = next(one for one in spans if one["name"] == "step analyze" and one["parent"] is None)
    assert alone["trace"] != event["trace"]
    assert not [one for one in spans if "secret plans" in str(one)]


def test_without_an_sdk_nothing_is_recorded() -> None:
    assert tracing.enabled() is False
    with tracing.work("step noop", {"id": 1}, 7) as span:
        assert not span.is_recording()
    with tracing.model_call("m", "turn", provider="mock", most_tokens=1) as span:
        assert not span.is_recording()


def test_every_reactor_makes_the_same_trace_of_a_chain_and_another_database_another() -> None:
    from opentelemetry import trace

    def id_of(root: int) -> int:
        return trace.get_current_span(tracing.chain(root)).get_span_context().trace_id

    tracing.of_database("one")
    first = id_of(7)
    assert id_of(7) == first
    assert id_of(8) != first
    tracing.of_database("another")
    assert id_of(7) != first
    assert tracing.chain(None) is None
