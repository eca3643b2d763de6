"""What work teaches: missions that end, figures that stand out, people who say no."""

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from reactor.model.memory import lesson_of_figure
from tests.support.clock import Clock
from tests.support.memories import always, influence, make_real, value
from tests.support.sessions import at_once

Session = psycopg.Connection[tuple[Any, ...]]
Learnt = tuple[str, str, str, float, str | None]
DAY_S = 86400.0


def learnt(sql: Session) -> list[Learnt]:
    rows = sql.execute(
        "select agent_id, type, content, confidence::float8, source_trace_id from ops_agent_memory order by id"
    ).fetchall()
    return [tuple(row) for row in rows]


def mission(
    sql: Session,
    *steps: tuple[str, str | None],
    title: str = "Grow the list",
    created_by: str | None = None,
) -> int:
    """A mission of (kind, agent) steps."""
    id: int = value(
        sql,
        "select ops_enqueue_mission(%s, (select jsonb_agg(jsonb_build_object('kind', one.kind, 'agent_id', one.agent)"
        " order by place) from unnest(%s::text[], %s::text[]) with ordinality as one (kind, agent, place)), %s)",
        title,
        [kind for kind, _ in steps],
        [agent for _, agent in steps],
        created_by,
    )
    return id


def end(sql: Session, mission_id: int, seq: int, result: str | None, reason: str | None = None) -> None:
    """The step ends as the engine would end it: succeeded with ``result``, or failed for ``reason``; then the roll-up."""
    with sql.transaction():
        sql.execute("select from ops_missions where id = %s for no key update", (mission_id,))
        sql.execute(
            "update ops_mission_steps set status = 'running', attempt = 1, claimed_by = gen_random_uuid(),"
            " claim_token = gen_random_uuid(), started_at = ops_now() where mission_id = %s and seq = %s",
            (mission_id, seq),
        )
        sql.execute(
            "update ops_mission_steps set status = %s, result = %s::jsonb, failure_reason = %s, completed_at = ops_now()"
            " where mission_id = %s and seq = %s",
            ("succeeded" if reason is None else "failed", result, reason, mission_id, seq),
        )
        sql.execute("select ops_roll_up(array[%s::bigint])", (mission_id,))


def test_a_mission_that_failed_for_good_is_a_lesson_of_whoever_failed(sql: Session) -> None:
    id = mission(sql, ("research", "scout"), ("analyze", "sage"), ("plan", "minion"))
    end(sql, id, 1, '{"text": "found", "lesson": "not learnt from: the mission fails"}')
    end(sql, id, 2, None, "no evidence at all")
    assert learnt(sql) == [
        ("sage", "lesson", '"Grow the list" failed at analyze: no evidence at all', 0.8, f"mission:{id}")
    ]


def test_a_mission_that_succeeded_teaches_only_what_a_result_calls_a_lesson(sql: Session) -> None:
    id = mission(sql, ("research", "scout"), ("analyze", None))
    end(sql, id, 1, '{"text": "found", "lesson": "Ask five people first"}')
    end(sql, id, 2, '{"text": "weighed", "agent": "sage", "lesson": " "}')
    assert learnt(sql) == [("scout", "strategy", "Ask five people first", 0.7, f"mission:{id}")]
    other = mission(sql, ("analyze", None))
    end(sql, other, 1, '{"text": "weighed", "agent": "sage", "lesson": {"not": "a text"}}')
    assert len(learnt(sql)) == 1


def test_each_agent_of_a_mission_learns_its_last_lesson(sql: Session) -> None:
    id = mission(sql, ("research", None), ("analyze", None), ("review", "observer"))
    end(sql, id, 1, '{"agent": "sage", "lesson": "Look twice"}')
    end(sql, id, 2, '{"agent": "sage", "lesson": "Count before you weigh"}')
    end(sql, id, 3, '{"agent": "observer", "lesson": "Name the missing part first"}')
    assert [(agent, content) for agent, _, content, _, _ in learnt(sql)] == [
        ("observer", "Name the missing part first"),
        ("sage", "Count before you weigh"),
    ]


def test_a_failure_nobody_is_named_for_is_learnt_by_whoever_wanted_it_if_an_agent_did(sql: Session) -> None:
    mine = mission(sql, ("noop", None), created_by="quill")
    end(sql, mine, 1, None, "it broke")
    nobodys = mission(sql, ("noop", None), created_by="ines")
    end(sql, nobodys, 1, None, "it broke")
    assert [(agent, trace) for agent, _, _, _, trace in learnt(sql)] == [("quill", f"mission:{mine}")]


def test_an_agent_learns_from_at_most_three_missions_a_day(sql: Session) -> None:
    clock = Clock(sql)
    for place in range(5):
        id = mission(sql, ("noop", "sage"), title=f"plan{place} for{place} matter{place}")
        end(sql, id, 1, None, f"reason{place} was{place} other{place}")
    assert len(learnt(sql)) == 3
    clock.step(DAY_S)
    id = mission(sql, ("noop", "sage"), title="tomorrow")
    end(sql, id, 1, None, "still")
    assert len(learnt(sql)) == 4


def test_what_the_mock_failed_at_takes_no_place_in_a_real_day(sql: Session) -> None:
    for place in range(3):
        id = mission(sql, ("noop", "sage"), title=f"plan{place} for{place} matter{place}")
        sql.execute("update ops_mission_steps set simulated = true where mission_id = %s", (id,))
        end(sql, id, 1, None, f"reason{place} was{place} other{place}")
    make_real(sql)
    id = mission(sql, ("noop", "sage"), title="for real")
    end(sql, id, 1, None, "it broke")
    assert len(learnt(sql)) == 4


def test_what_a_page_of_the_open_net_led_to_is_remembered_as_a_strangers(sql: Session) -> None:
    id = mission(sql, ("crawl", "scout"), ("analyze", "sage"))
    end(sql, id, 1, '{"text": "Buy now", "untrusted": true}')
    end(sql, id, 2, '{"text": "x", "lesson": "Always buy from this shop."}')
    other = mission(sql, ("analyze", "sage"), title="another")
    end(sql, other, 1, '{"text": "x", "lesson": "Ask twice before buying anything."}')
    trust = sql.execute("select source_trace_id, trust from ops_agent_memory order by id").fetchall()
    assert trust == [(f"mission:{id}", "untrusted"), (f"mission:{other}", "agent")]


def test_a_cancelled_mission_and_one_that_is_brought_back_teach_nothing_twice(sql: Session) -> None:
    id = mission(sql, ("noop", "sage"))
    end(sql, id, 1, None, "broke")
    sql.execute("select ops_retry('mission', %s)", (id,))
    end(sql, id, 1, None, "broke again, otherwise")
    assert len(learnt(sql)) == 1
    other = mission(sql, ("noop", "sage"))
    sql.execute("select ops_cancel('mission', %s)", (other,))
    assert len(learnt(sql)) == 1


def test_what_the_mock_did_teaches_simulated_things(sql: Session) -> None:
    id = mission(sql, ("research", "scout"))
    sql.execute("update ops_mission_steps set simulated = true where mission_id = %s", (id,))
    end(sql, id, 1, '{"lesson": "Made up"}')
    assert value(sql, "select simulated from ops_agent_memory")


def test_missions_that_end_at_once_in_opposite_order_do_not_wait_for_each_other(
    sql: Session, database: str
) -> None:
    """Each transaction ends a mission of one agent, and one of the other, in one roll-up."""
    pairs = [
        [mission(sql, ("noop", agent), title=f"m{place}{agent}") for agent in agents]
        for place, agents in enumerate([("sage", "quill"), ("quill", "sage")] * 4)
    ]

    def fail_both(ids: list[int]) -> Any:
        def deed(session: Session) -> None:
            with session.transaction():
                session.execute(
                    "select from ops_missions where id = any (%s) order by id for no key update", (ids,)
                )
                session.execute(
                    "update ops_mission_steps set status = 'failed', completed_at = ops_now() where mission_id = any (%s)",
                    (ids,),
                )
                session.execute("select ops_roll_up(%s::bigint[])", (ids,))

        return deed

    at_once(database, [fail_both(ids) for ids in pairs])
    counts = sql.execute(
        "select agent_id, count(*) from ops_agent_memory group by agent_id order by 1"
    ).fetchall()
    assert counts == [("quill", 3), ("sage", 3)]


# -- outcomes


def tweet(sql: Session, agent: str | None = "xalt", *, simulated: bool = False) -> int:
    id: int = value(
        sql,
        "insert into ops_mission_steps (kind, agent_id, status, result, simulated)"
        """ values ('draft_tweet', %s, 'succeeded', '{"text": "Coffee, slowly."}', %s) returning id""",
        agent,
        simulated,
    )
    return id


def record(sql: Session, step: int, figure: float, metric: str = "likes") -> int | None:
    memory: int | None = value(sql, "select ops_record_outcome(%s, %s, %s)", step, metric, figure)
    return memory


def test_a_figure_over_twice_the_median_is_a_lesson_and_one_far_below_it_another(sql: Session) -> None:
    assert record(sql, tweet(sql), 10) is None
    assert record(sql, tweet(sql), 100) is None
    assert record(sql, tweet(sql), 12) is None
    best = tweet(sql)
    assert record(sql, best, 40) is None
    assert record(sql, tweet(sql), 24) is None
    assert record(sql, best, 60) is not None
    worst = tweet(sql)
    assert record(sql, worst, 3) is not None
    found = learnt(sql)
    assert [(agent, type, confidence, trace) for agent, type, _, confidence, trace in found] == [
        ("xalt", "lesson", 0.7, f"outcome:{best}:likes"),
        ("xalt", "lesson", 0.6, f"outcome:{worst}:likes"),
    ]
    assert "likes 60, usually 24" in found[0][2]
    assert "Coffee, slowly." in found[0][2]


def test_the_third_figure_of_a_metric_can_teach_and_the_second_cannot(sql: Session) -> None:
    record(sql, tweet(sql), 10)
    assert record(sql, tweet(sql), 1) is None, "though it is far below the median of the two"
    sql.execute("update ops_outcomes set value = 10")
    assert record(sql, tweet(sql), 21) is not None


def test_a_step_and_metric_teach_once_and_keep_the_latest_figure(sql: Session) -> None:
    for _ in range(3):
        record(sql, tweet(sql), 10)
    step = tweet(sql)
    first = record(sql, step, 30)
    assert first is not None
    assert record(sql, step, 300) == first
    assert value(sql, "select value from ops_outcomes where step_id = %s", step) == 300
    assert value(sql, "select count(*) from ops_agent_memory") == 1


def test_figures_that_stand_out_later_are_found_by_the_heartbeat(sql: Session) -> None:
    record(sql, tweet(sql), 50)
    record(sql, tweet(sql), 10)
    assert record(sql, tweet(sql), 12) is None
    assert value(sql, "select ops_learn_from_outcomes()") == 1
    assert value(sql, "select ops_learn_from_outcomes()") == 0


def test_simulated_figures_are_held_against_their_like_and_teach_nothing_real(sql: Session) -> None:
    for _ in range(3):
        record(sql, tweet(sql, simulated=True), 1000)
    for _ in range(3):
        record(sql, tweet(sql), 10)
    assert learnt(sql) == []
    always(sql)
    assert record(sql, tweet(sql, simulated=True), 9000) is not None
    assert value(sql, "select simulated from ops_agent_memory")
    make_real(sql)
    assert influence(sql, "xalt", "mission", 1) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((99, "likes", 1.0), "OP001", "there is no step 99"),
        ((None, "likes", 1.0), "OP001", "there is no step null"),
        ((1, "", 1.0), "OP004", "a metric has a name"),
        ((1, None, 1.0), "OP004", "a metric has a name"),
        ((1, "likes", float("nan")), "OP004", "finite"),
        ((1, "likes", float("inf")), "OP004", "finite"),
        ((1, "likes", None), "OP004", "finite"),
    ],
)
def test_an_outcome_that_cannot_be_is_refused(
    sql: Session, arguments: tuple[Any, ...], code: str, says: str
) -> None:
    tweet(sql)
    with pytest.raises(psycopg.Error, match=says) as caught:
        sql.execute("select ops_record_outcome(%s, %s, %s)", arguments)
    assert caught.value.sqlstate == code
    assert value(sql, "select count(*) from ops_outcomes") == 0


@pytest.mark.properties
def test_the_database_and_the_rule_agree_on_what_a_figure_teaches(sql: Session) -> None:
    figures = [5.0, 9.0, 1.0, 18.0, 2.7, 2.6, 0.0, 20.0, 40.0, 6.0, 100.0, 1.5]
    for place, figure in enumerate(figures):
        step = tweet(sql)
        memory = record(sql, step, figure)
        expected = lesson_of_figure(figure, figures[: place + 1])
        taught = (
            None
            if memory is None
            else float(value(sql, "select confidence from ops_agent_memory where id = %s", memory))
        )
        assert taught == expected


def test_a_persons_no_is_a_lesson_of_the_proposer(sql: Session) -> None:
    sql.execute("""select ops_propose('quill', 'A poem a day', '[{"kind": "noop"}]', 'agent')""")
    sql.execute("select ops_reject(1, 'ines', 'nobody reads poems here')")
    [(agent, type, content, _, _)] = learnt(sql)
    assert (agent, type) == ("quill", "lesson")
    assert "nobody reads poems here" in content
    assert value(sql, "select trust from ops_agent_memory") == "human"


def test_the_first_real_call_starts_the_relationships_again_and_no_later_one_does(sql: Session) -> None:
    pair = (
        "select affinity, total_interactions, drift_log from ops_agent_relationships"
        " where agent_a = 'minion' and agent_b = 'sage'"
    )
    begun = sql.execute(pair).fetchone()
    with sql.transaction():
        sql.execute("set local ops.simulated = 'on'")
        sql.execute("select ops_apply_drift('sage', 'minion', -0.03, 'made up', 'roundtable:1')")
    assert sql.execute(pair).fetchone() != begun
    assert value(sql, "select ops_note_real_call()") is True
    assert sql.execute(pair).fetchone() == begun
    assert (
        value(sql, "select ops_apply_drift('sage', 'minion', -0.03, 'for real', 'roundtable:1')::float8")
        == 0.77
    )
    assert value(sql, "select ops_note_real_call()") is False
    assert (sql.execute(pair).fetchone() or (None,))[0] == Decimal("0.770")


def test_a_persons_thumb_is_a_preference_or_a_lesson_of_whose_work_it_is_once(sql: Session) -> None:
    step = value(
        sql,
        "insert into ops_mission_steps (kind, agent_id, payload, status, result, completed_at)"
        """ values ('noop', 'quill', '{"topic": "spring menu"}', 'succeeded', '{"text": "x"}', now()) returning id""",
    )
    talk = value(
        sql, "insert into ops_roundtable_queue (format, topic) values ('standup', 'Monday') returning id"
    )
    for speaker, dialogue in (("xalt", "We go sideways."), ("human", "Do we?")):
        sql.execute(
            "insert into ops_roundtable_turns (conversation_id, speaker, dialogue) values (%s, %s, %s)",
            (talk, speaker, dialogue),
        )
    first = value(sql, "select ops_thumbs('step', %s, true, 'it was short')", step)
    assert value(sql, "select ops_thumbs('step', %s, true, 'again')", step) == first
    value(sql, "select ops_thumbs('roundtable', %s, false, turn => 1)", talk)
    assert learnt(sql) == [
        (
            "quill",
            "preference",
            "People liked my noop: “spring menu” because it was short",
            0.75,
            f"thumbs:step:{step}",
        ),
        (
            "xalt",
            "lesson",
            "People did not like my saying: “We go sideways.”",
            0.75,
            f"thumbs:roundtable:{talk}:1",
        ),
    ]
    assert value(sql, "select bool_and(trust = 'human') from ops_agent_memory")


@pytest.mark.parametrize(
    ("call", "state", "said"),
    [
        ("'step', 99, true", "OP001", "no step 99"),
        ("'roundtable', 99, true, turn => 1", "OP001", "no roundtable 99"),
        ("'roundtable', 1, true, turn => 9", "OP001", "roundtable 1 has no turn 9"),
        ("'roundtable', 1, true", "OP004", "which turn"),
        ("'roundtable', 1, true, turn => 1", "OP004", "no agent's work"),
        ("'mission', 1, true", "OP002", "thumbs are for step, roundtable"),
        ("'step', 1, null", "OP004", "up"),
        ("'step', 1, true", "OP006", "come to nothing yet"),
    ],
)
def test_a_thumb_that_cannot_be_is_refused(sql: Session, call: str, state: str, said: str) -> None:
    sql.execute("insert into ops_mission_steps (kind, agent_id) values ('noop', 'sage')")
    sql.execute("insert into ops_roundtable_queue (format, topic) values ('standup', 'Monday')")
    sql.execute(
        "insert into ops_roundtable_turns (conversation_id, speaker, dialogue) values (1, 'human', 'Well?')"
    )
    with pytest.raises(psycopg.errors.Error, match=said) as caught:
        sql.execute(f"select ops_thumbs({call})".encode())
    assert caught.value.sqlstate == state
    assert learnt(sql) == []
