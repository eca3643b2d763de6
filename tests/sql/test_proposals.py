"""ops_propose: what is let in, what is not, and what is written about it."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from tests.support.clock import Clock
from tests.support.proposals import Proposed, approve, decision, propose, set_policy, steps_of
from tests.support.sessions import Session, at_once

pytestmark = pytest.mark.sql


def value(sql: Session, query: str, *parameters: object) -> Any:
    row = sql.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def refused(sql: Session, state: str, message: str, **asked: Any) -> None:
    with pytest.raises(psycopg.Error, match=message) as refusal:
        propose(sql, **asked)
    assert refusal.value.sqlstate == state


def test_kinds_that_need_nobody_become_a_mission_at_once(sql: Session) -> None:
    steps = '[{"kind": "research", "payload": {"topic": "tea"}}, {"kind": "review", "agent_id": "observer", "priority": 9}]'
    told = propose(sql, "  Tea  ", steps, description="because")
    assert told == Proposed(told.id, "accepted", told.mission_id, None)
    assert sql.execute(
        "select title, description, created_by, proposal_id, status from ops_missions where id = %s",
        (told.mission_id,),
    ).fetchone() == ("Tea", "because", "quill", told.id, "approved")
    assert sql.execute(
        "select seq, kind, agent_id, payload, priority, status from ops_mission_steps order by seq"
    ).fetchall() == [
        (1, "research", "quill", {"topic": "tea"}, 5, "queued"),
        (2, "review", "observer", {}, 9, "waiting"),
    ]
    assert value(sql, "select decided_by from ops_mission_proposals") == "auto_approve"
    assert decision(sql, told.id)["policy_version"] == 1


@pytest.mark.parametrize("kind", ["noop", "webhook", "crawl", "post_it"])
def test_other_kinds_wait_for_a_person_and_say_which(sql: Session, kind: str) -> None:
    sql.execute(
        "insert into ops_step_kinds (kind, external) values ('webhook', true), ('crawl', false), ('post_it', true)"
        " on conflict do nothing"
    )
    set_policy(sql, "auto_approve", {"allowed_step_kinds": ["research", "webhook", "post_it", "crawl"]})
    told = propose(sql, "A", steps_of("research", kind), source="human")
    assert told == Proposed(told.id, "pending", None, None)
    assert decision(sql, told.id)["to_approve"] == [kind]
    assert sql.execute("select id, to_approve from v_pending_proposals").fetchall() == [(told.id, [kind])]
    assert value(sql, "select count(*) from ops_missions") == 0
    mission_id = approve(sql, told.id)
    assert sql.execute("select id, proposal_id, steps_total from v_active_missions").fetchall() == [
        (mission_id, told.id, 2)
    ]
    assert value(sql, "select array_agg(kind order by id) from ops_agent_events")[:2] == [
        "proposal_created",
        "proposal_accepted",
    ]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://news.example/a?b", "accepted"),
        ("HTTPS://News.Example", "accepted"),
        ("https://news.example:8443/", "pending"),
        ("https://news.example.evil.test/", "pending"),
        ("https://evil.test\\@news.example/", "pending"),
        ("https://news.example\\@evil.test/", "pending"),
        ("https://news.example@evil.test/", "pending"),
        ("https://{{steps.1.result.host}}/", "pending"),
        ("file://news.example/", "pending"),
        (None, "pending"),
    ],
)
def test_pages_are_fetched_unasked_only_from_the_known_sources(
    sql: Session, url: str | None, status: str
) -> None:
    sql.execute("insert into ops_step_kinds (kind) values ('crawl') on conflict do nothing")
    sql.execute(
        "insert into ops_policy (key, value) values ('sources', '[{\"url\": \"https://news.example/feed\"}]')"
        " on conflict (key) do update set value = excluded.value"
    )
    told = sql.execute(
        "select status from ops_propose('scout', 'A',"
        " jsonb_build_array(jsonb_build_object('kind', 'crawl', 'payload', jsonb_build_object('url', %s::text))))",
        (url,),
    ).fetchone()
    assert told == (status,)


def test_a_dedupe_key_met_again_returns_the_first_proposal_unchanged(sql: Session) -> None:
    first = propose(sql, key="k:1")
    assert propose(sql, "Something else", steps_of("noop"), key="k:1") == first
    assert value(sql, "select count(*) from ops_mission_proposals") == 1
    assert value(sql, "select title from ops_mission_proposals") == "Look into it"


def test_one_dedupe_key_from_many_sessions_is_one_proposal(database: str, sql: Session) -> None:
    answers = at_once(database, [lambda session: propose(session, key="k:1")] * 12)
    assert len(set(answers)) == 1
    assert value(sql, "select count(*) from ops_missions") == 1


@pytest.mark.parametrize("source", ["human", "agent"])
def test_of_32_who_propose_at_once_exactly_as_many_as_the_gate_allows_are_let_in(
    database: str, sql: Session, source: str
) -> None:
    set_policy(sql, "mission_limits", {"active": 100})

    def tweet(number: int) -> Any:
        return lambda session: propose(session, f"Tweet {number}", steps_of("draft_tweet"), source=source)

    answers = at_once(database, [tweet(number) for number in range(32)])
    assert sorted(answer.status for answer in answers) == ["accepted"] * 8 + ["rejected"] * 24
    assert value(sql, "select count(*) from ops_mission_steps where kind = 'draft_tweet'") == 8
    for answer in answers:
        if answer.status == "rejected":
            assert decision(sql, answer.id) == {
                "gate": "step_gates.draft_tweet",
                "policy": "step_gates",
                "policy_version": 1,
                "limit": 8,
                "count": 8,
                "asked": 1,
            }
            assert "8 of 8 steps of kind draft_tweet" in (answer.reason or "")


def test_counts_are_exact_at_the_stricter_isolation_levels_too(database: str, sql: Session) -> None:
    set_policy(sql, "step_gates", {"draft_tweet": 3})

    def tweet(number: int) -> Any:
        def deed(session: Session) -> str:
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            while True:
                try:
                    return propose(session, f"Tweet {number}", steps_of("draft_tweet"), source="human").status
                except psycopg.errors.SerializationFailure:
                    continue

        return deed

    answers = at_once(database, [tweet(number) for number in range(12)])
    assert sorted(answers) == ["accepted"] * 3 + ["rejected"] * 9


@pytest.mark.parametrize(
    ("policy", "patch", "gate", "limit", "count"),
    [
        ("proposal_limits", {"per_agent_day": 2}, "proposal_limits.per_agent_day", 2, 2),
        ("mission_limits", {"active": 2}, "mission_limits.active", 2, 2),
        ("mission_limits", {"steps_per_agent_day": 5}, "mission_limits.steps_per_agent_day", 5, 4),
        (
            "mission_limits",
            {"steps_per_proposal_by_agent": 1},
            "mission_limits.steps_per_proposal_by_agent",
            1,
            2,
        ),
    ],
)
def test_a_limit_binds_agents_and_never_people_and_is_written_down(
    sql: Session, policy: str, patch: dict[str, int], gate: str, limit: int, count: int
) -> None:
    for number in range(2):
        assert propose(sql, f"Work {number}", steps_of("research", "analyze")).status == "accepted"
    set_policy(sql, policy, patch)
    told = propose(sql, "More work", steps_of("research", "analyze"))
    assert told.status == "rejected"
    written = decision(sql, told.id)
    assert (written["gate"], written["limit"], written["count"]) == (gate, limit, count)
    assert (written["policy"], written["policy_version"]) == (policy, 2)
    event = sql.execute(
        "select agent_id, metadata -> 'decision' from ops_agent_events where kind = 'proposal_rejected'"
    ).fetchone()
    assert event == ("quill", written)
    assert value(sql, "select count(*) from ops_missions") == 2
    assert (
        propose(sql, "A person's work", steps_of("research", "analyze"), source="human").status == "accepted"
    )


def test_what_was_turned_away_counts_for_no_limit(sql: Session) -> None:
    set_policy(sql, "proposal_limits", {"per_agent_day": 3})
    set_policy(sql, "mission_limits", {"steps_per_proposal_by_agent": 1})
    for number in range(5):
        assert propose(sql, f"Big {number}", steps_of("plan", "plan")).status == "rejected"
    for number in range(3):
        assert propose(sql, f"Small {number}", steps_of("plan")).status == "accepted"
    assert propose(sql, "One more", steps_of("plan")).status == "rejected"
    assert propose(sql, "Mine", steps_of("plan"), agent="sage").status == "accepted"


def test_what_people_propose_for_an_agent_takes_none_of_its_places(sql: Session) -> None:
    set_policy(sql, "proposal_limits", {"per_agent_day": 1})
    set_policy(sql, "mission_limits", {"steps_per_agent_day": 1})
    for number in range(3):
        assert propose(sql, f"Asked for {number}", steps_of("plan"), source="human").status == "accepted"
    assert propose(sql, "Its own", steps_of("plan")).status == "accepted"
    assert propose(sql, "And another", steps_of("plan")).status == "rejected"


def test_limits_begin_anew_with_the_company_s_day(sql: Session) -> None:
    clock = Clock(sql)
    set_policy(sql, "company", {"timezone": "America/New_York"})
    set_policy(sql, "step_gates", {"draft_tweet": 1})
    clock.set(datetime(2030, 6, 2, 3, 59, tzinfo=UTC))  # a minute before midnight in New York
    assert propose(sql, "One", steps_of("draft_tweet")).status == "accepted"
    assert propose(sql, "Two", steps_of("draft_tweet")).status == "rejected"
    clock.step(120)
    assert propose(sql, "Three", steps_of("draft_tweet")).status == "accepted"


def test_a_time_zone_nobody_knows_leaves_the_server_s_day(sql: Session) -> None:
    set_policy(sql, "company", {"timezone": "Mars/Olympus"})
    sql.execute("set timezone = 'Asia/Tokyo'")
    assert value(sql, "select ops_company_timezone()") == "UTC"
    assert value(sql, "show timezone") == "Asia/Tokyo"


@pytest.mark.parametrize("title", ["Look into it", "  LOOK, into... it!", "look\tinto\nit"])
def test_the_same_title_and_kinds_again_is_refused_and_names_the_earlier_one(
    sql: Session, title: str
) -> None:
    first = propose(sql)
    again = propose(sql, title)
    assert again.status == "rejected"
    assert f"proposal {first.id}, accepted" in (again.reason or "")
    assert decision(sql, again.id)["gate"] == "duplicate"
    assert decision(sql, again.id)["earlier_proposal"] == first.id
    assert propose(sql, title, steps_of("analyze")).status == "accepted"
    assert propose(sql, title, agent="sage").status == "accepted"


@pytest.mark.parametrize("titles", [("朝の仕事", "夜の仕事"), ("!!!", "???"), ("Über", "Ober")])
def test_titles_in_any_script_are_told_apart(sql: Session, titles: tuple[str, str]) -> None:
    assert [propose(sql, title).status for title in titles] == ["accepted", "accepted"]


def test_after_a_week_or_after_a_full_gate_the_same_may_come_again_but_not_after_a_no(sql: Session) -> None:
    clock = Clock(sql)
    propose(sql)
    clock.step(7 * 86400 + 1)
    assert propose(sql).status == "accepted"
    set_policy(sql, "step_gates", {"plan": 0})
    assert propose(sql, "Plan", steps_of("plan")).status == "rejected"
    set_policy(sql, "step_gates", {"plan": 5})
    assert propose(sql, "Plan", steps_of("plan")).status == "accepted"
    told = propose(sql, "Idle", steps_of("noop"))
    sql.execute("select ops_reject(%s, 'ann', 'we are busy')", (told.id,))
    assert "rejected" in (propose(sql, "Idle", steps_of("noop")).reason or "")


@pytest.mark.parametrize("key", ["step_gates", "proposal_limits", "mission_limits", "auto_approve"])
def test_without_its_policy_nothing_is_let_in(sql: Session, key: str) -> None:
    sql.execute("delete from ops_policy where key = %s", (key,))
    told = propose(sql)
    assert told.status == ("pending" if key == "auto_approve" else "rejected")
    assert value(sql, "select count(*) from ops_missions") == 0
    if told.status == "rejected":
        assert decision(sql, told.id) == {"gate": key, "policy": key}


def test_without_its_door_nothing_is_let_in(sql: Session) -> None:
    sql.execute("delete from ops_proposal_door")
    refused(sql, "OP007", "brings it back")


@pytest.mark.parametrize(
    ("asked", "state", "message"),
    [
        ({"agent": "bob"}, "OP003", "unknown or inactive agent 'bob'; active are minion, observer"),
        ({"agent": None}, "OP003", "agent null"),
        ({"agent": "xalt"}, "OP003", "active are minion, observer, quill, sage, scout\n"),
        ({"title": "  "}, "OP004", "title of 1 to 500"),
        ({"title": "x" * 501}, "OP004", "title of 1 to 500"),
        ({"source": "robot"}, "OP004", "known are human, agent, trigger"),
        ({"source": None}, "OP004", "source null"),
        ({"description": "x" * 10001}, "OP004", "10000"),
        ({"key": ""}, "OP004", "dedupe_key"),
        ({"steps": "[]"}, "OP005", "1 to 20 elements"),
        ({"steps": steps_of(*["plan"] * 21)}, "OP005", "1 to 20 elements, not 21"),
        ({"steps": "{}"}, "OP005", "must be a JSON array"),
        ({"steps": "null"}, "OP005", "must be a JSON array"),
        ({"steps": steps_of("fly")}, "OP003", "unknown kind fly; known are"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    sql: Session, asked: dict[str, Any], state: str, message: str
) -> None:
    sql.execute("update ops_agents set active = false where id = 'xalt'")
    refused(sql, state, message, **asked)
    assert value(sql, "select count(*) from ops_mission_proposals") == 0
    assert value(sql, "select count(*) from ops_agent_events where kind like 'proposal%%'") == 0


def test_what_the_mock_proposes_counts_for_no_real_limit(sql: Session) -> None:
    set_policy(sql, "step_gates", {"draft_tweet": 1})
    set_policy(sql, "mission_limits", {"active": 1})
    with sql.transaction():
        sql.execute("set local ops.simulated = 'on'")
        played = propose(sql, "Play", steps_of("draft_tweet"))
        assert propose(sql, "Play on", steps_of("draft_tweet")).status == "rejected"
    assert sql.execute(
        "select mission.simulated, step.simulated from ops_missions as mission"
        " join ops_mission_steps as step on step.mission_id = mission.id where mission.id = %s",
        (played.mission_id,),
    ).fetchone() == (True, True)
    assert propose(sql, "Play", steps_of("draft_tweet")).status == "accepted"
    sql.execute("select ops_cancel('mission', %s)", (played.mission_id,))
    sql.execute("select ops_retry('mission', %s)", (played.mission_id,))
    simulated = "select simulated from ops_mission_steps where mission_id = %s"
    assert value(sql, simulated, played.mission_id) is True


def test_a_hostile_title_is_only_text(sql: Session) -> None:
    nasty = "'); drop table ops_missions; -- <script>alert(1)</script> {{steps.1.result}} %s"
    told = propose(sql, nasty, steps_of("noop"), description=nasty)
    sql.execute("select ops_reject(%s, %s, %s)", (told.id, nasty, nasty))
    assert value(sql, "select title from ops_mission_proposals") == nasty
    assert value(sql, "select count(*) from ops_missions") == 0


def test_a_stranger_neither_proposes_nor_sees(sql: Session) -> None:
    propose(sql, "Idle", steps_of("noop"))
    with sql.transaction(force_rollback=True):
        sql.execute("create role stranger")
        sql.execute("grant select on ops_mission_proposals, v_pending_proposals, ops_agents to stranger")
        sql.execute("set local role stranger")
        assert value(sql, "select count(*) from v_pending_proposals") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege), sql.transaction():
            propose(sql)
