"""Giving work, following it, taking it back, steering, on a real reactor where one is needed."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from tests.cli.conftest import COMMAND, Voxyz, environment

Sql = psycopg.Connection[tuple[Any, ...]]
Process = subprocess.Popen[str]


def test_enqueue_prints_the_id_and_the_row_is_as_asked(voxyz: Voxyz, sql: Sql) -> None:
    answer = voxyz(
        "enqueue", "step", "analyze", '{"topic": "ü"}', "--agent", "sage", "--priority", "9", "--in", "1h",
        "--max-attempts", "2",
    )  # fmt: skip
    assert (answer.code, answer.err) == (0, "")
    row = sql.execute(
        "select kind, payload, agent_id, priority, max_attempts, status, run_at > now() + interval '59 minutes'"
        " from ops_mission_steps where id = %s",
        (int(answer.out),),
    ).fetchone()
    assert row == ("analyze", {"topic": "ü"}, "sage", 9, 2, "queued", True)


def test_enqueue_takes_conversations_by_both_names_and_initiatives(voxyz: Voxyz, sql: Sql) -> None:
    assert voxyz("enqueue", "roundtable", "standup", "What blocks us?").code == 0
    assert voxyz("enqueue", "conversation", "debate", "--with", "sage, xalt").code == 0
    assert voxyz("enqueue", "initiative", "quill", "--reason", "a quiet day").code == 0
    talks = sql.execute("select format, topic, participants from ops_roundtable_queue order by id").fetchall()
    assert talks == [("standup", "What blocks us?", None), ("debate", None, ["sage", "xalt"])]
    ideas = sql.execute("select agent_id, trigger_reason from ops_initiative_queue").fetchall()
    assert ideas == [("quill", "a quiet day")]


def test_a_step_is_followed_to_its_result(voxyz: Voxyz, reactor: Process) -> None:
    answer = voxyz("enqueue", "step", "analyze", '{"topic": "weekend engagement"}', "--wait")
    assert (answer.code, answer.err) == (0, "")
    id, _, result = answer.out.partition("\n")
    assert int(id) > 0
    assert "weekend engagement" in result
    shown = voxyz("show", "step", id, "--json").json
    assert (shown["status"], shown["simulated"]) == ("succeeded", True)
    assert "weekend engagement" in voxyz("show", "step", id).out


def test_a_failed_step_is_exit_1_with_its_reason(voxyz: Voxyz, reactor: Process) -> None:
    answer = voxyz("enqueue", "step", "noop", '{"fail": "no luck"}', "--max-attempts", "1", "--wait")
    assert answer.code == 1
    assert "failed: " in answer.err
    assert "no luck" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_mission_is_followed_to_its_end_and_shown_whole(voxyz: Voxyz, reactor: Process) -> None:
    answer = voxyz("enqueue", "mission", "Two steps", '[{"kind": "noop"}, {"kind": "research"}]', "--wait")
    assert (answer.code, answer.err) == (0, "")
    id = answer.out.splitlines()[0]
    shown = voxyz("show", "mission", id, "--json").json
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "succeeded"]
    assert "mission_succeeded" in [event["kind"] for event in shown["events"]]
    assert (shown["cost"]["calls"], shown["cost"]["cost_usd"], shown["chain"]) == (1, 0, [])
    assert shown["cost"]["would_cost_usd"] > 0
    told = voxyz("show", "mission", id).out
    assert "Two steps" in told
    assert "1 call, $0.00000 (would be $" in told


def test_waiting_without_a_live_reactor_says_so_at_once(voxyz: Voxyz, sql: Sql) -> None:
    answer = voxyz("enqueue", "step", "noop", "--wait")
    assert answer.code == 1
    assert answer.out == "1\n"
    assert answer.err.count("\n") == 1
    assert "no live reactor takes step 1, which stays queued" in answer.err
    assert sql.execute("select status from ops_mission_steps").fetchall() == [("queued",)]


def test_a_killed_reactor_counts_as_gone_at_once(voxyz: Voxyz, reactor: Process) -> None:
    assert [one["live"] for one in voxyz("workers", "--json").json] == [True]
    reactor.kill()
    reactor.wait(timeout=10)
    assert "no live reactor" in voxyz("enqueue", "step", "noop", "--wait").err
    assert "gone" in voxyz("workers").out


def test_waiting_ends_with_its_deadline(voxyz: Voxyz, reactor: Process) -> None:
    answer = voxyz("enqueue", "step", "noop", '{"sleep_s": 30}', "--wait", "--timeout", "300ms")
    assert answer.code == 1
    assert "is still" in answer.err
    id = answer.out.strip()
    assert voxyz("cancel", "step", id).out == f"step {id} is cancelled\n"


def test_ctrl_c_while_waiting_is_one_line(here: Path, database: str, reactor: Process) -> None:
    with subprocess.Popen(
        [*COMMAND, "enqueue", "step", "noop", '{"sleep_s": 30}', "--wait"],
        cwd=here,
        env=environment(DATABASE_URL=database),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 1
        assert process.stderr.read() == "voxyz-reactor: interrupted\n"
    with psycopg.connect(database) as look:
        look.execute("select ops_cancel('step', 1)")


def test_retry_and_cancel_say_what_changed(voxyz: Voxyz, sql: Sql) -> None:
    id = voxyz("enqueue", "mission", "m", '[{"kind": "noop"}, {"kind": "noop"}]').out.strip()
    assert voxyz("cancel", "mission", id).out == f"mission {id} is cancelled\n"
    again = voxyz("cancel", "mission", id)
    assert (again.code, again.out) == (0, f"mission {id} is cancelled: nothing to cancel\n")
    assert voxyz("retry", "mission", id).code == 0
    states = sql.execute("select status from ops_mission_steps order by id").fetchall()
    assert states == [("queued",), ("waiting",)]


def test_everything_that_failed_lately_is_retried_at_once(voxyz: Voxyz, sql: Sql) -> None:
    sql.execute(
        "insert into ops_mission_steps (kind, status, completed_at, failure_reason)"
        " values ('noop', 'failed', now() - interval '3 hours', 'old'), ('noop', 'failed', now(), 'new')"
    )
    sql.execute(
        "insert into ops_roundtable_queue (format, status, completed_at) values ('standup', 'failed', now())"
    )
    assert voxyz("retry", "--failed", "--since", "2h").out == "2 rows are queued again\n"
    assert sql.execute("select status from ops_mission_steps order by id").fetchall() == [
        ("failed",),
        ("queued",),
    ]
    assert voxyz("retry", "--failed").out == "1 row is queued again\n"


def test_pausing_is_shown_and_lifted(voxyz: Voxyz, sql: Sql) -> None:
    assert "all queues are paused" in voxyz("pause", "--reason", "lunch").out
    assert "lunch" in voxyz("status").out
    assert [pause["queue"] for pause in voxyz("status", "--json").json["pauses"]] == [
        "initiative",
        "mission",
        "roundtable",
    ]
    assert "still paused: initiative, roundtable" in voxyz("resume", "mission").out
    voxyz("resume")
    assert sql.execute("select count(*) from ops_pauses").fetchone() == (0,)


def test_a_policy_is_listed_read_and_merged(voxyz: Voxyz) -> None:
    assert "company" in [one["key"] for one in voxyz("policy", "--json").json]
    assert voxyz("policy", "company", '{"name": "Acme", "goals": ["sell"]}').code == 0
    assert voxyz("policy", "company", "-", stdin='{"tone": "dry"}').json["name"] == "Acme"
    read = voxyz("policy", "company", "--json").json
    assert read["value"] == {"name": "Acme", "goals": ["sell"], "tone": "dry"}
    assert read["version"] == 3


def test_a_breaker_is_shown_and_reset(voxyz: Voxyz, sql: Sql) -> None:
    for _ in range(5):
        sql.execute("select ops_breaker_record('anthropic', false)")
    assert "open" in voxyz("breaker").out
    assert [one["state"] for one in voxyz("breaker", "--json").json] == ["open"]
    assert voxyz("breaker", "reset", "anthropic").out == "breaker anthropic is closed\n"
    assert [one["state"] for one in voxyz("breaker", "--json").json] == ["closed"]


def test_a_thing_is_shown_with_what_led_to_it(voxyz: Voxyz, sql: Sql) -> None:
    row = sql.execute(
        "with event as (insert into ops_agent_events (kind, title) values ('shop_opened', 'in the harbour') returning id)"
        " select event.id from event"
    ).fetchone()
    assert row is not None
    sql.execute(
        "insert into ops_missions (title, status, root_id, depth) values ('Say hello', 'approved', %s, 1)",
        row,
    )
    assert [link["kind"] for link in voxyz("show", "mission", "1", "--json").json["chain"]] == ["shop_opened"]
    assert "shop_opened: in the harbour" in voxyz("show", "mission", "1").out
