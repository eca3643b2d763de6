"""Why a row is where it is: every answer there is, each for the reason it gives."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.support.queue_rows import new_step, scalar

pytestmark = pytest.mark.sql

Session = psycopg.Connection[tuple[Any, ...]]
FUNCTIONS = Path(__file__).resolve().parents[2] / "sql" / "functions"
LIVENESS_KEY = 4711
reached: set[str] = set()


def why(sql: Session, what: str, id: int) -> tuple[str, dict[str, Any]]:
    row = sql.execute("select sentence, facts from ops_why(%s, %s)", (what, id)).fetchone()
    assert row is not None
    sentence, facts = row
    reached.add(facts["because"])
    assert sentence
    assert "\n" not in sentence
    assert sentence == sentence.strip()
    return sentence, facts


def because(sql: Session, what: str, id: int, wanted: str, *words: str) -> dict[str, Any]:
    """The facts, once the answer is of that kind and its sentence has the words."""
    sentence, facts = why(sql, what, id)
    assert facts["because"] == wanted, sentence
    assert all(word in sentence for word in words), sentence
    return facts


@contextmanager
def reactor(
    database: str, sql: Session, *, kinds: str = "noop", agent: str | None = None, slots: int = 5
) -> Iterator[str]:
    """A reactor as the fleet sees it: a row that beats, and a session that holds its lock; its id."""
    id = str(uuid4())
    with psycopg.connect(database, autocommit=True) as session:
        session.execute("select pg_advisory_lock_shared(1987014778, %s)", (LIVENESS_KEY,))
        sql.execute(
            "insert into ops_workers (id, hostname, pid, version, parts, kinds, agent_id, liveness_key, slots, state)"
            " values (%s, 'attic', 7, '1', '{mission,roundtable,initiative}', %s::text[], %s, %s, %s::jsonb, 'ready')",
            (
                id,
                "{" + kinds + "}",
                agent,
                LIVENESS_KEY,
                f'{{"mission": {slots}, "roundtable": 2, "initiative": 2}}',
            ),
        )
        yield id
        session.execute("select pg_advisory_unlock_shared(1987014778, %s)", (LIVENESS_KEY,))


def new_roundtable(sql: Session) -> int:
    query = "insert into ops_roundtable_queue (format, topic) values ('standup', 'x') returning id"
    return int(scalar(sql, query))


def new_initiative(sql: Session) -> int:
    return int(scalar(sql, "insert into ops_initiative_queue (agent_id) values ('sage') returning id"))


def mission(sql: Session, steps: str = '[{"kind": "noop"}, {"kind": "noop"}]') -> int:
    return int(scalar(sql, "select ops_enqueue_mission('a mission', %s::jsonb)", steps))


def first_step(sql: Session, id: int) -> int:
    return int(scalar(sql, "select id from ops_mission_steps where mission_id = %s order by seq limit 1", id))


def propose(sql: Session, kind: str, title: str = "a thing", source: str = "human") -> int:
    steps = f'[{{"kind": "{kind}", "payload": {{"topic": "x"}}}}]'
    query = "select proposal_id from ops_propose('sage', %s, %s::jsonb, %s)"
    return int(scalar(sql, query, title, steps, source))


def run(sql: Session, table: str, id: int, worker: str) -> None:
    sql.execute(
        f"update {table} set status = 'running', attempt = 1, claimed_by = %s, claim_token = gen_random_uuid(),"
        " started_at = now() where id = %s".encode(),
        (worker, id),
    )


@pytest.mark.parametrize(
    ("what", "make", "queue"),
    [
        ("step", new_step, "mission"),
        ("roundtable", new_roundtable, "roundtable"),
        ("initiative", new_initiative, "initiative"),
    ],
)
def test_a_paused_queue_says_who_paused_it_when_and_why(
    sql: Session, what: str, make: Any, queue: str
) -> None:
    id = make(sql)
    with sql.transaction():
        sql.execute("set local ops.by = 'ann'")
        sql.execute("select ops_pause(%s, 'a look around')", (queue,))
    facts = because(sql, what, id, "paused", queue, "by ann", "a look around")
    assert (facts["by"], facts["reason"], facts["queue"]) == ("ann", "a look around", queue)


def test_a_row_due_later_says_when(sql: Session) -> None:
    id = new_step(sql, run_at="2090-01-02 03:04:05+00")
    assert because(sql, "step", id, "not_due", "2090-01-02")["until"].startswith("2090-01-02")


def test_a_row_that_failed_and_waits_says_why_and_which_try_is_next(sql: Session) -> None:
    id = new_step(sql)
    sql.execute(
        "update ops_mission_steps set attempt = 2, failure_reason = 'no answer', run_at = now() + interval '1 hour'"
    )
    facts = because(sql, "step", id, "retry", "attempt 2 of 3", "no answer")
    assert (facts["attempt"], facts["max_attempts"]) == (2, 3)


def test_a_row_out_of_budget_says_until_when(sql: Session) -> None:
    id = new_roundtable(sql)
    sql.execute(
        "update ops_roundtable_queue set failure_reason = 'out of budget: the day is spent',"
        " run_at = now() + interval '5 hours'"
    )
    facts = because(sql, "roundtable", id, "budget", "out of budget", "llm_budget")
    assert facts["until"]


def test_without_a_reactor_it_says_that_none_lives(database: str, sql: Session) -> None:
    id = new_step(sql)
    because(sql, "step", id, "no_reactor", "voxyz-reactor run")
    with reactor(database, sql):
        because(sql, "step", id, "in_line")
    because(sql, "step", id, "no_reactor")  # its session is gone, whatever its row says


def test_a_kind_or_an_agent_that_nobody_takes_is_named(database: str, sql: Session) -> None:
    sql.execute("insert into ops_step_kinds (kind) values ('paint')")
    with reactor(database, sql, agent="scout"):
        because(sql, "step", new_step(sql, "paint"), "no_reactor_for_kind", "paint", "after a minute")
        because(sql, "step", new_step(sql, "sing"), "no_reactor_for_kind", "sing", "ever")
        because(sql, "step", new_step(sql, agent_id="sage"), "no_reactor_for_agent", "AGENT_ID=sage")
        because(sql, "step", new_step(sql, agent_id="scout"), "in_line")


def test_full_slots_are_counted(database: str, sql: Session) -> None:
    with reactor(database, sql, slots=1) as worker:
        run(sql, "ops_mission_steps", new_step(sql), worker)
        facts = because(sql, "step", new_step(sql), "slots_full", "all 1 slots")
        assert (facts["slots"], facts["reactors"]) == (1, 1)


def test_a_row_in_line_says_how_many_are_before_it(database: str, sql: Session) -> None:
    with reactor(database, sql):
        first, second = new_step(sql), new_step(sql)
        urgent = new_step(sql, priority=9)
        assert because(sql, "step", urgent, "in_line", "about to be taken")["ahead"] == 0
        assert because(sql, "step", first, "in_line")["ahead"] == 1
        assert because(sql, "step", second, "in_line", "2 rows before it")["ahead"] == 2


def test_a_refused_claim_is_told_of_the_row_it_meets_first(database: str, sql: Session) -> None:
    with reactor(database, sql) as worker:
        first, second = new_step(sql), new_step(sql)
        refused = '{"refused": {"mission": "never this one"}}'
        sql.execute("update ops_workers set vitals = %s where id = %s", (refused, worker))
        facts = because(
            sql, "step", first, "refused", "the database refuses to have it claimed: never this one"
        )
        assert facts["reason"] == "never this one"
        because(sql, "step", second, "in_line")
        sql.execute("update ops_workers set vitals = '{\"refused\": {}}' where id = %s", (worker,))
        because(sql, "step", first, "in_line")


def test_an_open_breaker_says_until_when_and_only_who_needs_it_waits(database: str, sql: Session) -> None:
    sql.execute("insert into ops_step_kinds (kind, services) values ('think', '{anthropic}')")
    sql.execute("select ops_breaker_record('anthropic', false) from generate_series(1, 5)")
    with reactor(database, sql, kinds="noop,think"):
        for what, id in (
            ("step", new_step(sql, "think")),
            ("roundtable", new_roundtable(sql)),
            ("initiative", new_initiative(sql)),
        ):
            facts = because(sql, what, id, "breaker", "anthropic is open until", "5 failures")
            assert (facts["service"], facts["state"]) == ("anthropic", "open")
            assert facts["until"]
        because(sql, "step", new_step(sql, "noop"), "in_line")
        sql.execute("update ops_circuit_breaker set opened_at = now() - interval '1 hour'")
        because(sql, "roundtable", 1, "in_line")  # it may be tried
        sql.execute("select ops_breaker_allow('anthropic') from generate_series(1, 3)")
        because(sql, "roundtable", 1, "breaker", "half open")


@pytest.mark.parametrize(("reason", "words"), [("rate_limited", "fewer calls"), ("key_refused", "API key")])
def test_a_key_that_must_wait_is_told(database: str, sql: Session, reason: str, words: str) -> None:
    sql.execute(
        "insert into ops_llm_keys (service, key_print, paused_until, reason)"
        " values ('anthropic', 'abc', now() + interval '1 minute', %s)",
        (reason,),
    )
    with reactor(database, sql):
        because(sql, "initiative", new_initiative(sql), reason, words)


def test_a_budget_that_is_closed_says_of_what_and_until_when(database: str, sql: Session) -> None:
    sql.execute("insert into ops_llm_keys (service, key_print) values ('anthropic', 'abc')")
    sql.execute(
        "insert into ops_llm_spending (scope, since, usd, closed_at)"
        " values ('day', (ops_now() at time zone ops_company_timezone())::date, 9, now())"
    )
    with reactor(database, sql):
        facts = because(sql, "roundtable", new_roundtable(sql), "budget", "budget of the day", "llm_budget")
        assert facts["scope"] == "day"
        assert facts["until"]


@pytest.mark.parametrize(
    ("what", "make", "table"),
    [
        ("step", new_step, "ops_mission_steps"),
        ("roundtable", new_roundtable, "ops_roundtable_queue"),
        ("initiative", new_initiative, "ops_initiative_queue"),
    ],
)
def test_what_runs_says_where_and_what_ended_how(
    database: str, sql: Session, what: str, make: Any, table: str
) -> None:
    id = make(sql)
    with reactor(database, sql) as worker:
        run(sql, table, id, worker)
        facts = because(sql, what, id, "running", "attic pid 7", "attempt 1")
        assert (facts["worker"], facts["pid"]) == (worker, 7)
    because(sql, what, id, "reactor_gone", "attic pid 7", "given back")
    end = f"update {table} set status = %s, completed_at = now(), failure_reason = %s, crashes = %s where id = %s"
    for status, reason, crashes, wanted, said in (
        ("succeeded", None, 0, "succeeded", "in attempt 1"),
        ("failed", "no answer", 0, "failed", "in attempt 1 (retry brings it back): no answer"),
        ("failed", "crashed thrice", 3, "poison", "(retry brings it back): crashed thrice"),
        ("cancelled", "by hand", 0, "cancelled", ": by hand"),
    ):
        other = make(sql)
        run(sql, table, other, str(uuid4()))
        sql.execute(end.encode(), (status, reason, crashes, other))
        assert because(sql, what, other, wanted, said).get("reason") == reason


def test_a_step_behind_another_names_it_and_one_of_an_ended_mission_what_ended_it(sql: Session) -> None:
    id = mission(sql)
    first = first_step(sql, id)
    facts = because(sql, "step", first + 1, "predecessor", f"step {first}", "queued")
    assert facts["step_id"] == first
    sql.execute("select ops_cancel('step', %s)", (first,))
    assert because(sql, "step", first + 1, "mission_ended", f"step {first}")["mission_id"] == id
    because(sql, "step", first, "cancelled", "by hand")


def test_a_held_step_says_for_whom_it_waits_by_which_policy_and_who_turned_it_down(sql: Session) -> None:
    id = new_step(sql, "webhook")
    facts = because(sql, "step", id, "held", "approval", "webhook", "hold_step_kinds", "version 1")
    assert facts["expires_at"] > facts["since"]
    sql.execute("select ops_reject_step(%s, 'ann', 'too loud')", (id,))
    assert because(sql, "step", id, "rejected", "too loud")["by"] == "ann"


def test_a_mission_tells_of_the_step_it_is_at_who_wanted_it_and_how_it_ended(sql: Session) -> None:
    id = mission(sql)
    facts = because(sql, "mission", id, "no_reactor", "it is at step", "no live reactor")
    assert facts["step_id"] == first_step(sql, id)
    sql.execute("select ops_cancel('mission', %s)", (id,))
    because(sql, "mission", id, "cancelled", "by hand")
    empty = int(scalar(sql, "insert into ops_missions (title) values ('empty') returning id"))
    because(sql, "mission", empty, "no_steps")
    for status, reason in (("succeeded", None), ("failed", "step 1: no answer")):
        ended = int(
            scalar(
                sql,
                "insert into ops_missions (title, status, failure_reason, completed_at)"
                " values ('x', %s, %s, now()) returning id",
                status,
                reason,
            )
        )
        because(sql, "mission", ended, status, reason or "all its steps")


def test_a_proposal_says_who_or_what_decided(sql: Session) -> None:
    pending = propose(sql, "webhook")
    facts = because(sql, "proposal", pending, "pending_approval", "webhook", "auto_approve", "version 1")
    assert facts["to_approve"] == ["webhook"]
    sql.execute("select ops_approve(%s, 'ann')", (pending,))
    approved = because(sql, "proposal", pending, "approved", "ann approved it")
    assert because(sql, "mission", approved["mission_id"], "held")["approved_by"] == "ann"
    because(
        sql, "proposal", propose(sql, "research", "look"), "approved_by_policy", "auto_approve", "version 1"
    )
    twice = propose(sql, "research", "look")
    facts = because(sql, "proposal", twice, "gate", "duplicate", "proposal_limits")
    assert facts["policy_version"] == 1
    rejected = propose(sql, "webhook", "shout")
    sql.execute("select ops_reject(%s, 'ann', 'too loud')", (rejected,))
    assert because(sql, "proposal", rejected, "rejected", "ann rejected it", "too loud")["by"] == "ann"
    withdrawn = propose(sql, "webhook", "whisper")
    sql.execute("select ops_cancel('proposal', %s)", (withdrawn,))
    because(sql, "proposal", withdrawn, "cancelled", "withdrew")
    late = propose(sql, "webhook", "late")
    sql.execute(
        "update ops_mission_proposals set expires_at = now() - interval '1 day' where id = %s", (late,)
    )
    sql.execute("select ops_expire_approvals()")
    because(sql, "proposal", late, "expired", "nobody decided")


@pytest.mark.parametrize("what", ["step", "mission", "roundtable", "initiative", "proposal"])
def test_what_is_not_there_is_said_to_be_not_there(sql: Session, what: str) -> None:
    with pytest.raises(psycopg.Error, match=f"there is no {what} 99") as raised:
        why(sql, what, 99)
    assert raised.value.sqlstate == "OP001"
    with pytest.raises(psycopg.Error, match="known are step") as raised:
        why(sql, "dream", 1)
    assert raised.value.sqlstate == "OP002"


def test_asking_why_changes_nothing(sql: Session) -> None:
    id = new_step(sql, "webhook")
    with sql.transaction():
        sql.execute("set transaction read only")
        why(sql, "step", id)


def test_the_tests_above_reached_every_answer() -> None:
    """Runs last: the answers are the words that the functions give as the reason."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(FUNCTIONS.glob("why*.sql")))
    said = set(re.findall(r"ops_why_because\(\s*'([a-z_]+)'", text))
    chosen = set(re.findall(r"^      when .* then '([a-z_]+)'$", text, re.MULTILINE))
    passed_on = {
        "rate_limited",
        "key_refused",
        "succeeded",
        "failed",
        "cancelled",
        "expired",
        "poison",
        "gate",
    }
    assert len(said) > 10
    assert said | chosen | passed_on <= reached, sorted((said | chosen | passed_on) - reached)
