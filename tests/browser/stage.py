"""Rows for the page to show."""

import itertools
import json
import time
from typing import Any

from tests.browser.conftest import Sql, one

_letters = itertools.count(1)

REQUEST = {"url": "https://hooks.example.com/T1", "body": {"text": "Weekend hours are up"}}


def proposal(sql: Sql, title: str = "", agent: str = "quill", **step: Any) -> int:
    """A proposal that waits for a person; without a title it has one of its own, for nobody proposes the same twice."""
    steps = json.dumps([{"kind": "webhook", "payload": step or REQUEST}])
    found: int = one(
        sql,
        "select proposal_id from ops_propose(agent_id => %s, title => %s, steps => %s::jsonb, source => 'agent')",
        agent,
        title or f"Tell the customers, letter {next(_letters)}",
        steps,
    )
    return found


def held_step(sql: Sql) -> int:
    """A step that stands still before it leaves the house."""
    found: int = one(
        sql,
        "insert into ops_mission_steps (kind, agent_id, payload) values ('webhook', 'xalt', %s::jsonb) returning id",
        json.dumps(REQUEST),
    )
    return found


def conversation(sql: Sql, topic: str, format: str = "watercooler") -> int:
    """A conversation, queued."""
    found: int = one(
        sql,
        "insert into ops_roundtable_queue (format, topic, participants)"
        " values (%s, %s, array['quill', 'xalt']) returning id",
        format,
        topic,
    )
    return found


def mission(sql: Sql, title: str, *kinds: str) -> int:
    """A mission of steps that do nothing."""
    steps = json.dumps([{"kind": kind, "payload": {}} for kind in kinds])
    found: int = one(sql, "select ops_enqueue_mission(%s, %s::jsonb)", title, steps)
    return found


def event(sql: Sql, title: str) -> int:
    """Something happened."""
    found: int = one(
        sql, "insert into ops_agent_events (kind, title) values ('step_succeeded', %s) returning id", title
    )
    return found


def ended(sql: Sql, conversation: int) -> None:
    """The conversation is over."""
    _until_succeeded(sql, "select status from ops_roundtable_queue where id = %s", conversation)


def done(sql: Sql, step: int) -> None:
    """The step is done."""
    _until_succeeded(sql, "select status from ops_mission_steps where id = %s", step)


def _until_succeeded(sql: Sql, status: str, id: int, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while (found := one(sql, status, id)) != "succeeded":
        assert time.monotonic() < deadline, f"{id} is still {found}"
        time.sleep(0.05)
