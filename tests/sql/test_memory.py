"""What agents remember: sameness, the cap, promotion."""

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.support.clock import Clock
from tests.support.memories import active, fill, remember, value
from tests.support.sessions import at_once

Session = psycopg.Connection[tuple[Any, ...]]
DAY_S = 86400.0


def row(sql: Session, id: int) -> dict[str, Any]:
    cursor = sql.execute("select * from ops_agent_memory where id = %s", (id,))
    assert cursor.description is not None
    found = cursor.fetchone()
    assert found is not None
    return dict(zip([column.name for column in cursor.description], found, strict=True))


def test_a_memory_is_kept_as_it_was_told_tidied(sql: Session) -> None:
    id = remember(
        sql,
        "  Short posts \n work ",
        type="pattern",
        confidence=0.8,
        tags=["Posts", " posts ", "Week  end", ""],
        trace="roundtable:3:1",
        trust="human",
    )
    found = row(sql, id)
    assert found["content"] == "Short posts work"
    assert found["tags"] == ["posts", "week end"]
    assert (found["type"], found["confidence"], found["trust"]) == ("pattern", Decimal("0.800"), "human")
    assert (found["used_count"], found["simulated"], found["superseded_by"]) == (0, False, None)
    event = sql.execute(
        "select agent_id, summary, metadata ->> 'memory_id' from ops_agent_events where kind = 'memory_formed'"
    ).fetchall()
    assert event == [("sage", "Short posts work", str(id))]


def test_content_over_500_characters_is_cut_at_a_word(sql: Session) -> None:
    found = row(sql, remember(sql, "seven77 " * 100))
    assert len(found["content"]) <= 500
    assert found["content"].endswith("seven77…")


@pytest.mark.parametrize(
    "again",
    [
        "Short posts work best on Saturday mornings",
        "SHORT posts work best, on Saturday mornings!",
        "on saturday mornings short posts work best",
        "Short posts really work best on Saturday mornings",
    ],
)
def test_what_is_known_already_raises_the_use_count_instead(sql: Session, again: str) -> None:
    id = remember(sql, "Short posts work best on Saturday mornings", trace="roundtable:1:1")
    assert remember(sql, again, trace="roundtable:2:1", confidence=0.9) == id
    assert remember(sql, again, trace="roundtable:2:1") == id
    found = row(sql, id)
    assert found["used_count"] == 1
    assert found["confidence"] == Decimal("0.700")
    assert value(sql, "select count(*) from ops_agent_memory") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Short posts work best on Saturday mornings here",
            "Short posts do not work best on Saturday mornings here",
        ),
        (
            "Opens rose by 30 percent after the third mail in the series we sent",
            "Opens rose by 60 percent after the third mail in the series we sent",
        ),
        ("Short posts work", "Long walks help"),
    ],
)
def test_one_figure_or_one_not_apart_is_another_matter(sql: Session, one: str, other: str) -> None:
    assert remember(sql, one) != remember(sql, other)


def test_another_agent_or_type_or_the_mock_remembers_apart(sql: Session) -> None:
    told = "Short posts work best on Saturday mornings"
    ids = {
        remember(sql, told),
        remember(sql, told, agent="quill"),
        remember(sql, told, type="lesson"),
        remember(sql, told, simulated=True),
    }
    assert len(ids) == 4


def test_a_trace_teaches_an_agent_once(sql: Session) -> None:
    id = remember(sql, "Short posts work", trace="roundtable:1:1")
    assert remember(sql, "Something else entirely", trace="roundtable:1:1") == id
    assert remember(sql, "Something else entirely", agent="quill", trace="roundtable:1:1") != id
    assert row(sql, id)["used_count"] == 0


def test_a_transaction_of_the_mock_remembers_simulated_things(sql: Session) -> None:
    with sql.transaction():
        sql.execute("set local ops.simulated = 'on'")
        id = remember(sql, "The mock said so")
    assert row(sql, id)["simulated"]
    assert not row(sql, remember(sql, "A person said this"))["simulated"]


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ({"agent": "nobody"}, "OP003", "known are minion"),
        ({"agent": None}, "OP003", "unknown agent null"),
        ({"type": "hunch"}, "OP004", "known are insight"),
        ({"type": None}, "OP004", "known are insight"),
        ({"content": "  \n"}, "OP004", "needs content"),
        ({"confidence": 1.01}, "OP004", "from 0 to 1"),
        ({"confidence": float("nan")}, "OP004", "from 0 to 1"),
        ({"confidence": None}, "OP004", "from 0 to 1"),
        ({"trace": ""}, "OP004", "roundtable:7:1"),
        ({"trace": "x" * 201}, "OP004", "roundtable:7:1"),
        ({"trust": "blind"}, "OP004", "known are human"),
    ],
)
def test_what_cannot_be_remembered_is_refused_with_what_to_do(
    sql: Session, given: dict[str, Any], code: str, says: str
) -> None:
    with pytest.raises(psycopg.Error, match=says) as caught:
        remember(sql, **{"content": "Short posts work", **given})
    assert caught.value.sqlstate == code
    assert value(sql, "select count(*) from ops_agent_memory") == 0


# -- the cap


def test_beyond_200_the_lowest_ranked_are_superseded_and_none_deleted(sql: Session) -> None:
    weak = remember(sql, "A weak suspicion about something", confidence=0.2)
    fill(sql, "sage", 199)
    assert active(sql) == 200
    assert row(sql, weak)["superseded_by"] is None
    new = remember(sql, "Entirely new matter", confidence=0.9)
    assert active(sql) == 200
    assert row(sql, weak)["superseded_by"] == new
    assert value(sql, "select count(*) from ops_agent_memory") == 201


def test_a_newcomer_of_the_lowest_rank_does_not_stay(sql: Session) -> None:
    fill(sql, "sage", 200, confidence=0.8)
    late = remember(sql, "A weak suspicion about something", confidence=0.1)
    assert active(sql) == 200
    assert row(sql, late)["superseded_by"] is not None


def test_age_lowers_and_being_met_again_raises_the_rank(sql: Session) -> None:
    clock = Clock(sql)
    old = remember(sql, "Known for a year and a half", confidence=0.75)
    clock.step(400 * DAY_S)
    often = remember(sql, "Heard again and again from everybody", confidence=0.6)
    for place in range(9):
        remember(sql, "heard again and again from everybody", trace=f"roundtable:{place}:1")
    plain = remember(sql, "Heard once", confidence=0.65)
    ranks: dict[int, float] = dict(
        sql.execute("select memory_id, rank from ops_ranked_memories('sage')").fetchall()
    )
    assert ranks[often] > ranks[plain] > ranks[old]
    assert ranks[old] == pytest.approx(0.45)
    assert ranks[often] == pytest.approx(0.78)


def test_pinned_memories_stand_aside(sql: Session) -> None:
    pinned = remember(sql, "A weak suspicion about something", confidence=0.1)
    sql.execute("update ops_agent_memory set pinned = true where id = %s", (pinned,))
    fill(sql, "sage", 201)
    assert active(sql) == 200
    assert row(sql, pinned)["superseded_by"] is None
    sql.execute("update ops_agent_memory set pinned = false where id = %s", (pinned,))
    assert active(sql) == 200
    assert row(sql, pinned)["superseded_by"] is not None


def test_a_hand_in_psql_keeps_the_cap_too(sql: Session) -> None:
    sql.execute(
        "insert into ops_agent_memory (agent_id, type, content, confidence)"
        " select 'sage', 'insight', 'by hand, number ' || n, (n % 90) / 100.0 from generate_series(1, 230) as n"
    )
    assert active(sql) == 200
    sql.execute("update ops_agent_memory set superseded_by = null")
    assert active(sql) == 200


@pytest.mark.properties
def test_the_cap_holds_whoever_remembers_at_once(sql: Session, database: str) -> None:
    fill(sql, "sage", 195)

    def many(place: int) -> Any:
        def deed(session: Session) -> None:
            for number in range(6):
                remember(session, f"s{place}n{number} o{place}n{number} t{place}n{number}", confidence=0.9)

        return deed

    at_once(database, [many(place) for place in range(16)])
    assert active(sql) == 200
    assert value(sql, "select count(*) from ops_agent_memory") == 195 + 16 * 6


@pytest.mark.properties
@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_an_old_snapshot_is_refused_rather_than_miscounted(
    sql: Session, database: str, isolation: str
) -> None:
    fill(sql, "sage", 200)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(f"begin isolation level {isolation}".encode())
        other.execute("select count(*) from ops_agent_memory")
        remember(sql, "Somebody else was quicker", confidence=0.9)
        with pytest.raises(psycopg.errors.SerializationFailure):
            remember(other, "Counted from an old picture", confidence=0.9)
        other.execute("rollback")
    assert active(sql) == 200


@pytest.mark.properties
def test_of_many_who_say_the_same_at_once_one_memory_remains(sql: Session, database: str) -> None:
    def say(place: int) -> Any:
        return lambda session: remember(
            session, "Saturdays are for short posts", trace=f"roundtable:{place}:1"
        )

    ids = at_once(database, [say(place) for place in range(16)])
    assert len(set(ids)) == 1
    assert row(sql, ids[0])["used_count"] == 15


# -- promotion


def test_a_confirmed_insight_becomes_a_strategy_a_little_surer(sql: Session) -> None:
    insight = remember(
        sql, "Short posts work", confidence=0.82, tags=["posts", "weekend", "reach"], trace="roundtable:1:1"
    )
    remember(
        sql, "People read on Saturdays", type="pattern", tags=["weekend", "posts"], trace="roundtable:2:1"
    )
    new = row(sql, insight)["superseded_by"]
    found = row(sql, new)
    assert (found["type"], found["confidence"]) == ("strategy", Decimal("0.870"))
    assert found["source_trace_id"] == f"promotion:{insight}"
    assert found["content"] == "Short posts work"
    events = sql.execute(
        "select agent_id, tags @> '{memory,strategy,posts}', metadata ->> 'promoted_from'"
        " from ops_agent_events where kind = 'memory_promoted'"
    ).fetchall()
    assert events == [("sage", True, str(insight))]
    assert value(sql, "select ops_promote_memories()") == 0


def test_a_lesson_that_confirms_makes_a_lesson_and_nothing_is_surer_than_95(sql: Session) -> None:
    remember(sql, "It failed twice like that", type="lesson", tags=["posts", "night"], trace="mission:1")
    insight = remember(
        sql, "Nobody reads at night", confidence=0.93, tags=["night", "posts"], trace="roundtable:1:1"
    )
    found = row(sql, row(sql, insight)["superseded_by"])
    assert (found["type"], found["confidence"]) == ("lesson", Decimal("0.950"))


@pytest.mark.parametrize(
    ("insight", "witness"),
    [
        ({"confidence": 0.79}, {}),
        ({}, {"tags": ["posts", "monday"]}),
        ({}, {"trace": "roundtable:1:1", "agent": "quill"}),
        ({"type": "pattern", "confidence": 0.9}, {}),
        ({"tags": ["posts"]}, {"tags": ["posts", "posts"]}),
    ],
)
def test_nothing_else_is_promoted(sql: Session, insight: dict[str, Any], witness: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"confidence": 0.85, "tags": ["posts", "weekend"], "trace": "roundtable:1:1"}
    remember(sql, "Short posts work", **{**usual, **insight})
    remember(
        sql,
        "People read on Saturdays",
        **{"type": "pattern", "tags": ["posts", "weekend"], "trace": "roundtable:2:1", **witness},
    )
    assert value(sql, "select ops_promote_memories()") == 0
    assert value(sql, "select count(*) from ops_agent_memory") == 2


def test_what_came_of_the_same_conversation_confirms_nothing(sql: Session) -> None:
    tags = ["posts", "weekend"]
    remember(sql, "People read on Saturdays", type="pattern", tags=tags, trace="roundtable:1:1")
    remember(sql, "Short posts work", confidence=0.9, tags=tags, trace="roundtable:1:2")
    assert value(sql, "select count(*) from ops_agent_memory where type = 'strategy'") == 0
    remember(sql, "Sundays are slow", type="pattern", tags=tags, trace="roundtable:11:1")
    assert value(sql, "select content from ops_agent_memory where type = 'strategy'") == "Short posts work"


def test_a_witness_that_is_no_longer_active_confirms_nothing(sql: Session) -> None:
    tags = ["posts", "weekend"]
    witness = remember(sql, "People read on Saturdays", type="pattern", tags=tags, trace="roundtable:2:1")
    other = remember(sql, "Something newer about it", type="pattern")
    sql.execute("update ops_agent_memory set superseded_by = %s where id = %s", (other, witness))
    remember(sql, "Short posts work", confidence=0.9, tags=tags, trace="roundtable:1:1")
    assert value(sql, "select count(*) from ops_agent_memory where type = 'strategy'") == 0


def test_two_insights_that_confirm_each_other_end(sql: Session) -> None:
    for place in range(6):
        remember(
            sql,
            f"insight{place} about{place} matter{place} number{place}",
            confidence=0.85,
            tags=["posts", "weekend"],
            trace=f"roundtable:{place}:1",
        )
    assert value(sql, "select count(*) from ops_agent_memory where superseded_by is null") == 6
    assert value(sql, "select count(*) from ops_agent_memory where type = 'strategy'") == 6
    assert value(sql, "select ops_promote_memories()") == 0
