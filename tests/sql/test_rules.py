"""Trigger rules and the reaction matrix: what an event leads to, once, and what it does not."""

from typing import Any

import psycopg
import pytest

from tests.support.clock import Clock
from tests.support.memories import value
from tests.support.rules import drain, finish_everything, finished_step, happens, only_rule, proposals, rule
from tests.support.sessions import at_once

Session = psycopg.Connection[tuple[Any, ...]]
MINUTE_S = 60.0


def outcomes(sql: Session) -> list[str]:
    return [row[0] for row in sql.execute("select outcome from ops_trigger_firings order by id").fetchall()]


def fired(sql: Session, name: str) -> tuple[int, bool]:
    row = sql.execute(
        "select fire_count, last_fired_at is not null from ops_trigger_rules where name = %s", (name,)
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_failed_mission_is_diagnosed_by_sage_and_its_diagnosis_never(sql: Session) -> None:
    sql.execute("""select ops_enqueue_mission('The shop', '[{"kind": "noop"}]')""")
    finish_everything(sql, well=False)
    [(event, made, problem)] = drain(sql)
    assert (made, problem) == (1, None)
    row = sql.execute(
        "select agent_id, title, source, root_id, depth, steps -> 0 -> 'payload' ->> 'reason' from ops_mission_proposals"
    ).fetchone()
    assert row == ("sage", "Why mission 1 failed: The shop", "trigger", event, 1, "no paper")
    sql.execute("update ops_trigger_rules set cooldown_s = 0")
    finish_everything(sql, well=False)
    drain(sql)
    assert [(kinds, status) for _, _, status, kinds in proposals(sql)] == [
        (["diagnose"], "accepted"),
        (["diagnose"], "rejected"),
    ]
    assert value(sql, "select decision ->> 'gate' from ops_mission_proposals where id = 2") == "chain.repeat"
    assert outcomes(sql) == ["proposed", "refused"]
    assert fired(sql, "diagnose_failed_missions") == (1, True)


def test_what_was_written_is_reviewed_and_a_bad_review_brings_a_rewrite(sql: Session) -> None:
    finished_step(sql, "write_content", {"text": "The piece"})
    drain(sql, 0.99)
    assert proposals(sql) == [("observer", "trigger", "accepted", ["review"])]
    assert value(sql, "select payload ->> 'text' from ops_mission_steps where kind = 'review'") == "The piece"
    finish_everything(sql)
    drain(sql, 0.99)
    assert proposals(sql)[1:] == [("quill", "reaction", "accepted", ["summarize", "write_content"])]
    asked = sql.execute(
        "select payload ->> 'text', payload ->> 'piece' from ops_mission_steps where kind = 'summarize'"
    )
    assert asked.fetchone() == ("words", "The piece")
    # The rewrite is not reviewed again: the chain has had its review.
    finish_everything(sql)
    drain(sql, 0.99)
    assert [status for _, _, status, _ in proposals(sql)[2:]] in ([], ["rejected"])


def test_a_good_review_brings_nothing(sql: Session) -> None:
    finished_step(sql, "review", {"text": "Fine", "verdict": "approve"})
    drain(sql, 0.0)
    assert proposals(sql) == []


def test_a_promoted_insight_is_planned_by_minion_and_sometimes_posted_by_xalt(sql: Session) -> None:
    happens(
        sql, "memory_promoted", "memory", "insight", "strategy", agent="scout", summary="Short posts work"
    )
    drain(sql, 0.3999)
    assert proposals(sql) == [
        ("minion", "trigger", "accepted", ["plan"]),
        ("xalt", "reaction", "accepted", ["draft_tweet"]),
    ]
    title = "What to do with what scout learnt: Short posts work"
    assert value(sql, "select title from ops_mission_proposals where agent_id = 'minion'") == title


@pytest.mark.parametrize(("roll", "outcome"), [(0.2999, "proposed"), (0.3, "skipped")])
def test_a_drafted_post_is_weighed_by_scout_three_times_in_ten(
    sql: Session, roll: float, outcome: str
) -> None:
    finished_step(sql, "draft_tweet", {"text": "Hello", "agent": "xalt"})
    drain(sql, roll)
    row = sql.execute("select reaction, agent_id, rolled, outcome from ops_agent_reactions").fetchone()
    assert row == ("scout_weighs_a_post", "scout", roll, outcome)


def test_nobody_reacts_to_oneself(sql: Session) -> None:
    finished_step(sql, "draft_tweet", {"text": "Hello", "agent": "scout"})
    drain(sql, 0.0)
    assert value(sql, "select count(*) from ops_agent_reactions") == 0


def test_no_reaction_does_what_a_rule_does(sql: Session) -> None:
    assert (
        value(
            sql,
            "select count(*) from ops_policy as policy"
            " cross join lateral jsonb_array_elements(policy.value) as reaction (value)"
            " join ops_trigger_rules as rule on rule.event_kind = reaction.value ->> 'event'"
            " and rule.steps -> 0 ->> 'kind' = reaction.value -> 'kinds' ->> 0"
            " where policy.key = 'reaction_matrix'",
        )
        == 0
    )


def test_a_rule_rests_after_a_proposal_but_not_after_anything_else(sql: Session) -> None:
    clock = Clock(sql)
    only_rule(sql, "resting", event_kind="shop_opened", cooldown_s=3600, probability=0.5)
    happens(sql, "shop_opened")
    drain(sql, 0.5)
    assert fired(sql, "resting") == (0, False)
    happens(sql, "shop_opened")
    drain(sql, 0.0)
    assert fired(sql, "resting") == (1, True)
    clock.step(59 * MINUTE_S)
    happens(sql, "shop_opened")
    drain(sql, 0.0)
    clock.step(2 * MINUTE_S)
    happens(sql, "shop_opened")
    drain(sql, 0.0)
    assert outcomes(sql) == ["skipped", "proposed", "cooling", "proposed"]
    assert fired(sql, "resting") == (2, True)


def test_a_refusal_at_the_door_neither_counts_nor_makes_a_rule_rest(sql: Session) -> None:
    only_rule(sql, "eager", event_kind="shop_opened", cooldown_s=3600)
    sql.execute("""select ops_set_policy('mission_limits', '{"active": 0}')""")
    happens(sql, "shop_opened")
    drain(sql)
    assert outcomes(sql) == ["refused"]
    assert fired(sql, "eager") == (0, False)
    sql.execute("""select ops_set_policy('mission_limits', '{"active": 10}')""")
    happens(sql, "shop_opened")
    drain(sql)
    assert outcomes(sql) == ["refused", "proposed"]


def test_of_eight_reactors_one_looks_at_an_event(database: str, sql: Session) -> None:
    only_rule(sql, "once", event_kind="shop_opened")
    for _ in range(5):
        happens(sql, "shop_opened")
    taken = at_once(database, [drain] * 8)
    assert sorted(event for one in taken for event, _, _ in one) == [
        row[0]
        for row in sql.execute("select id from ops_agent_events where kind = 'shop_opened' order by id")
    ]
    assert outcomes(sql) == ["proposed"] * 5


def test_two_events_at_once_make_one_proposal_of_a_rule_that_rests(database: str, sql: Session) -> None:
    only_rule(sql, "resting", event_kind="shop_opened", cooldown_s=3600)
    for _ in range(8):
        happens(sql, "shop_opened")
    at_once(database, [drain] * 8)
    assert sorted(outcomes(sql)) == ["cooling"] * 7 + ["proposed"]


def test_a_rule_may_wait_for_the_third_of_its_kind(sql: Session) -> None:
    clock = Clock(sql)
    only_rule(sql, "third", event_kind="shop_opened", min_count=3, window_s=600)
    for pause_s in (0, 400, 400, 100, 1):
        clock.step(pause_s)
        happens(sql, "shop_opened")
        drain(sql)
    assert outcomes(sql) == ["seen", "seen", "seen", "proposed", "seen"]


def test_tags_decide_all_of_these_and_one_of_those(sql: Session) -> None:
    only_rule(
        sql, "picky", event_kind="shop_opened", tags_all=["early", "sunny"], tags_any=["monday", "friday"]
    )
    for tags in (
        ["early"],
        ["early", "sunny"],
        ["early", "sunny", "tuesday"],
        ["sunny", "friday", "early", "x"],
    ):
        happens(sql, "shop_opened", *tags)
    drain(sql)
    assert outcomes(sql) == ["proposed"]


def test_events_nobody_waits_for_leave_nothing_behind(sql: Session) -> None:
    finished_step(sql, "noop", {})
    finished_step(sql, "research", {})
    happens(sql, "shop_opened")
    happens(sql, "memory_promoted", "memory")
    assert value(sql, "select count(*) from ops_trigger_inbox") == 0
    rule(sql, "new", event_kind="shop_opened")
    happens(sql, "shop_opened")
    assert value(sql, "select count(*) from ops_trigger_inbox") == 1
    sql.execute("update ops_trigger_rules set enabled = false where name = 'new'")
    happens(sql, "shop_opened")
    assert value(sql, "select count(*) from ops_trigger_inbox") == 1


def test_a_rule_whose_agent_is_gone_says_so_and_leaves_the_others(sql: Session) -> None:
    only_rule(sql, "orphaned", event_kind="shop_opened", agent_id="nobody")
    rule(sql, "healthy", event_kind="shop_opened")
    happens(sql, "shop_opened")
    [(_, made, problem)] = drain(sql)
    assert (made, problem) == (1, None)
    assert outcomes(sql) == ["failed", "proposed"]
    assert "nobody" in value(sql, "select reason from ops_trigger_firings where outcome = 'failed'")


def test_an_event_that_breaks_a_rule_is_tried_three_times(sql: Session) -> None:
    clock = Clock(sql)
    only_rule(sql, "broken", event_kind="shop_opened")
    sql.execute(
        "create or replace function ops_event_facts(event ops_agent_events) returns jsonb language sql stable"
        " as 'select to_jsonb(1 / (event.depth - event.depth))'"
    )
    happens(sql, "shop_opened")
    for _ in range(3):
        [(_, made, problem)] = drain(sql)
        assert made == 0
        assert problem == "division by zero"
        clock.step(5 * MINUTE_S)
    assert drain(sql) == []
    assert outcomes(sql) == []


def test_while_paused_or_quiet_events_wait_and_after_a_day_lead_to_nothing(sql: Session) -> None:
    clock = Clock(sql)
    only_rule(sql, "patient", event_kind="shop_opened")
    sql.execute("select ops_pause('all')")
    happens(sql, "shop_opened")
    assert drain(sql) == []
    sql.execute("select ops_resume('all')")
    assert [made for _, made, _ in drain(sql)] == [1]
    sql.execute("""select ops_set_policy('quiet_hours', '{"from": "11:00", "to": "13:00"}')""")
    happens(sql, "shop_opened")
    assert drain(sql) == []
    clock.step(25 * 3600)
    sql.execute("select ops_set_policy('quiet_hours', '{\"from\": \"\"}')")
    assert [made for _, made, _ in drain(sql)] == [0]


def test_words_of_an_event_are_never_a_template(sql: Session) -> None:
    only_rule(sql, "careful", event_kind="shop_opened", title="{title} {nonsense}")
    happens(sql, "shop_opened", title="{summary} {{steps.1.result.text}} {{{kind}}}", summary="secret")
    drain(sql)
    title, topic = sql.execute(
        "select title, steps -> 0 -> 'payload' ->> 'topic' from ops_mission_proposals"
    ).fetchone() or ("", "")
    assert "secret" not in title + topic
    assert "{{" not in topic
    assert title.endswith("{nonsense}")


def test_what_the_mock_did_leads_to_simulated_work(sql: Session) -> None:
    only_rule(sql, "watching", event_kind="shop_opened")
    happens(sql, "shop_opened", simulated=True)
    drain(sql)
    assert value(sql, "select simulated from ops_mission_proposals")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"event_kind": None}, "rule_waits_for_an_event"),
        ({"event_kind": "x", "every_s": 60}, "rule_has_its_interval"),
        ({"mode": "timed"}, "rule_has_its_interval"),
        ({"mode": "sometimes", "event_kind": "x", "every_s": 60}, "rule_mode_is_known"),
        ({"event_kind": "x", "probability": 2}, "rule_probability_is_0_to_1"),
        ({"event_kind": "x", "steps": "{}"}, "rule_steps_are_an_array"),
        ({"event_kind": "x", "cooldown_s": -1}, "rule_cooldown_is_sane"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_name(sql: Session, columns: dict[str, Any], says: str) -> None:
    with pytest.raises(psycopg.Error, match=says):
        rule(sql, "odd", **columns)
