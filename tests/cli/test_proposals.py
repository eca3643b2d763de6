"""Proposing and deciding as a person does it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from tests.cli.conftest import Voxyz
from tests.support.proposals import finish, propose, steps_of

Sql = psycopg.Connection[tuple[Any, ...]]


def test_a_proposal_that_needs_nobody_begins_at_once(voxyz: Voxyz, sql: Sql) -> None:
    answer = voxyz("propose", "sage", "Tea", '[{"kind": "research"}]', "--description", "because")
    assert (answer.code, answer.out) == (0, "proposal 1 is accepted: mission 1\n")
    assert "research, queued" in voxyz("missions").out
    assert [one["title"] for one in voxyz("missions", "--json").json] == ["Tea"]
    assert "Tea" in voxyz("show", "proposal", "1").out
    assert voxyz("show", "conversation", "9").complained(1) == "there is no roundtable 9"


def test_one_that_needs_a_yes_is_listed_approved_and_gone_from_the_list(voxyz: Voxyz, sql: Sql) -> None:
    assert "approve 1" in voxyz("propose", "sage", "Idle", '[{"kind": "noop"}]', "--key", "k").out
    assert voxyz("propose", "xalt", "Other", '[{"kind": "plan"}]', "--key", "k", "--json").json == {
        "proposal_id": 1,
        "status": "pending",
        "mission_id": None,
        "reason": None,
    }
    assert "needs a yes for noop" in voxyz("proposals").out
    assert [one["id"] for one in voxyz("proposals", "--json").json["proposals"]] == [1]
    assert voxyz("approve", "1", "--by", "ann").out == "proposal 1 is accepted: mission 1\n"
    assert "already accepted by ann" in voxyz("approve", "1").complained(1)
    assert voxyz("proposals").out == "nothing waits for a decision\n"
    assert "mission 1, by ann" in voxyz("proposals", "--all").out
    shown = voxyz("show", "proposal", "1", "--json").json
    assert [event["kind"] for event in shown["events"]] == ["proposal_created", "proposal_accepted"]


def test_a_proposal_is_edited_and_approved_in_one_go(voxyz: Voxyz, sql: Sql, here: Path) -> None:
    for title in ("One", "Two", "Three"):
        propose(sql, title, steps_of("noop"))
    steps = '[{"kind": "noop", "payload": {"of": 2}}]'
    assert (
        voxyz("approve", "1", "--steps", steps, "--title", "Uno", "--by", "ann").out
        == "proposal 1 is accepted: mission 1\n"
    )
    assert "no JSON in" in voxyz("approve", "2", "--steps", "[").complained(2)
    assert "unknown kind fly" in voxyz("approve", "2", "--steps", '[{"kind": "fly"}]').complained(2)
    assert "say --edit, or" in voxyz("approve", "2", "--edit", "--title", "x").complained(2)
    editor = here / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/noop/research/; s/Two/Dos/' \"$1\"\n")
    editor.chmod(0o755)
    assert "mission 2" in voxyz("approve", "2", "--edit", "--by", "ann", EDITOR=str(editor)).out
    assert "already accepted by ann" in voxyz("approve", "2", "--edit", EDITOR=str(editor)).complained(1)
    assert "nothing was saved" in voxyz("approve", "3", "--edit", EDITOR="true").complained(2)
    rows = sql.execute(
        "select title, steps -> 0 ->> 'kind', status, edited_by, asked ->> 'title' from ops_mission_proposals order by id"
    ).fetchall()
    assert rows == [
        ("Uno", "noop", "accepted", "ann", "One"),
        ("Dos", "research", "accepted", "ann", "Two"),
        ("Three", "noop", "pending", None, None),
    ]
    shown = voxyz("show", "proposal", "1").out
    assert "changed by" in shown
    assert "as it was proposed" in shown


def test_a_no_wants_a_reason_and_is_kept(voxyz: Voxyz, sql: Sql) -> None:
    propose(sql, "Idle", steps_of("noop"))
    assert "say why" in voxyz("reject", "1").complained(2)
    assert "say why" in voxyz("reject", "1", "no", "--reason", "no").complained(2)
    assert "say who" in voxyz("reject", "1", "no", "--by", " ").complained(2)
    assert voxyz("reject", "1", "--reason", "too dear", "--by", "ann").out == "proposal 1 is rejected\n"
    assert "too dear" in voxyz("proposals", "--all").out
    assert "too dear" in voxyz("memories", "quill").out
    assert "there is no proposal 9" in voxyz("reject", "9", "no").complained(1)


def test_what_a_gate_refuses_is_exit_1_with_the_reason(voxyz: Voxyz) -> None:
    voxyz("policy", "step_gates", '{"plan": 0}')
    answer = voxyz("propose", "sage", "Plan", '[{"kind": "plan"}]')
    assert answer.code == 1
    assert "is rejected: 0 of 0 steps of kind plan are let in today" in answer.out
    assert "unknown or inactive agent 'bob'" in voxyz("propose", "bob", "x", '[{"kind": "plan"}]').complained(
        2
    )
    assert "unknown kind fly" in voxyz("propose", "sage", "x", '[{"kind": "fly"}]').complained(2)
    assert "no JSON in" in voxyz("propose", "sage", "x", "[").complained(2)


def test_a_pending_proposal_is_cancelled(voxyz: Voxyz, sql: Sql) -> None:
    propose(sql, "Idle", steps_of("noop"))
    assert voxyz("cancel", "proposal", "1").out == "proposal 1 is rejected\n"
    assert voxyz("cancel", "proposal", "1").out == "proposal 1 is rejected: nothing to cancel\n"
    assert "there is no proposal 7" in voxyz("cancel", "proposal", "7").complained(1)


def test_a_yes_to_what_leaves_the_house_names_the_step_that_waits_for_another(voxyz: Voxyz, sql: Sql) -> None:
    sql.execute("insert into ops_step_kinds (kind, external) values ('webhook', true) on conflict do nothing")
    steps = '[{"kind": "webhook", "payload": {"url": "https://example.com/x"}}]'
    assert "`voxyz-reactor approve 1` lets it begin" in voxyz("propose", "xalt", "Tell them", steps).out
    accepted, held = voxyz("approve", "1").out.splitlines()
    assert accepted == "proposal 1 is accepted: mission 1"
    assert held.startswith("step 1 is held: ")
    assert "`voxyz-reactor release 1` lets it" in held


def test_a_payload_given_by_hand_fits_its_kind_or_names_the_field(voxyz: Voxyz, sql: Sql) -> None:
    sql.execute(
        "insert into ops_step_kinds (kind, external, input_schema) values ('letter', true, %s)",
        (json.dumps({"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}),),
    )
    sql.execute("insert into ops_mission_steps (kind, payload) values ('letter', '{\"to\": \"ann\"}')")
    assert "kind letter: payload.to must be string" in voxyz("release", "1", '{"to": 7}').complained(1)
    assert voxyz("release", "1", '{"to": "bob"}').out == "step 1 is released and queued\n"
    propose_to = '[{"kind": "letter", "payload": {"to": %s}}]'
    refused = voxyz("propose", "xalt", "Write", propose_to % "7").complained(1)
    assert "step 1: kind letter: payload.to must be string" in refused
    assert "proposal 1 is pending" in voxyz("propose", "xalt", "Write", propose_to % '"ann"').out
    wrong = '[{"kind": "letter", "payload": {}}]'
    assert "step 1: kind letter: payload must contain" in voxyz("approve", "1", "--steps", wrong).complained(
        1
    )
    assert "mission 1" in voxyz("approve", "1", "--steps", wrong.replace("{}", '{"to": "bob"}')).out


def test_a_held_step_shows_its_exact_request_and_goes_or_not(voxyz: Voxyz, sql: Sql) -> None:
    sql.execute("insert into ops_step_kinds (kind, external) values ('webhook', true) on conflict do nothing")
    steps = [{"kind": "noop"}, {"kind": "webhook", "payload": {"body": "It is {{steps.1.result.text}}!"}}]
    sql.execute("select ops_enqueue_mission('Tell', %s::jsonb)", (json.dumps(steps),))
    sql.execute("insert into ops_mission_steps (kind) values ('webhook')")
    finish(sql, 1)
    listed = voxyz("proposals").out
    assert "Tell" in listed
    assert "release ID" in listed
    assert voxyz("show", "step", "2", "--json").json["request"] == {"body": "It is done!"}
    assert "It is done!" in voxyz("show", "step", "2").out
    assert "webhook, held" in voxyz("missions").out
    assert voxyz("release", "2", '{"body": "Hello"}', "--by", "ann").out == "step 2 is released and queued\n"
    assert "already decided" in voxyz("release", "2").complained(1)
    assert "must be a JSON object" in voxyz("release", "3", "[]").complained(2)
    assert voxyz("reject", "--step", "3", "no need").out == "step 3 is cancelled\n"
    rows = sql.execute(
        "select payload, payload_asked ->> 'body', status from ops_mission_steps where id > 1 order by id"
    ).fetchall()
    assert rows == [
        ({"body": "Hello"}, "It is {{steps.1.result.text}}!", "queued"),
        ({}, None, "cancelled"),
    ]


def test_an_approved_mission_runs_to_its_end(
    voxyz: Voxyz, sql: Sql, reactor: "subprocess.Popen[str]"
) -> None:
    propose(sql, "Idle", steps_of("noop", "noop"))
    voxyz("approve", "1")
    answer = voxyz("enqueue", "step", "noop", "--wait")
    assert answer.code == 0
    with psycopg.connect(sql.info.dsn, password=sql.info.password, autocommit=True) as look:
        look.execute("set statement_timeout = '20s'")
        look.execute(
            "do $$ begin while not exists (select from ops_missions where status = 'succeeded') loop"
            " perform pg_sleep(0.02); end loop; end $$"
        )
    assert "1  succeeded  2/2" in voxyz("missions", "--all").out
    rows = sql.execute(
        "select kind, depth, root_id = (select min(id) from ops_agent_events where kind = 'proposal_created')"
        " from ops_agent_events where kind = 'step_succeeded' and metadata ->> 'mission_id' = '1'"
    ).fetchall()
    assert rows == [("step_succeeded", 0, True)] * 2
