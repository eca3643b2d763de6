"""Who wants a conversation: a person with a question, the schedule, a relationship."""

import psycopg
import pytest

from reactor.model.outcomes import Done
from tests.roundtables.conversing import Scripted, Sql, house_on, one, queue, turns


async def test_a_question_to_one_agent_is_answered_once_by_it(database: str, sql: Sql) -> None:
    id = one(sql, "select ops_ask('Where does the time go?', 'sage')")
    provider = Scripted()
    async with house_on(database, provider) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    said = turns(sql, id)
    assert [(number, speaker) for number, speaker, _ in said] == [(1, "human"), (2, "sage")]
    assert said[0][2] == "Where does the time go?"
    assert all(request.by_human for request in provider.asked)


async def test_the_room_answers_each_once(database: str, sql: Sql) -> None:
    id = one(sql, "select ops_ask('Where does the time go?')")
    async with house_on(database) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    speakers = [speaker for _, speaker, _ in turns(sql, id)]
    assert speakers[0] == "human"
    assert len(set(speakers[1:])) == len(speakers[1:]) == len(outcome.result["participants"])
    with pytest.raises(psycopg.Error) as refused:
        sql.execute("select ops_ask('x', 'ghost')")
    assert refused.value.sqlstate == "OP003"


async def test_a_conversation_nobody_asked_for_is_no_persons_call(database: str, sql: Sql) -> None:
    queue(sql, "watercooler", "x", "sage", "xalt", source="schedule")
    provider = Scripted()
    async with house_on(database, provider) as house:
        await house.hold()
    assert not any(request.by_human for request in provider.asked)


def test_strained_and_unequal_pairs_get_their_talk_and_not_again_for_days(sql: Sql) -> None:
    sql.execute(
        "update ops_agent_relationships set affinity = 0.2 where agent_a = 'minion' and agent_b = 'xalt'"
    )
    for number in range(25):
        sql.execute(
            "select ops_remember('sage', 'insight', %s, 0.7)",
            (f"thing{number} matters{number} much{number}",),
        )
    found = [row[0] for row in sql.execute("select ops_bring_pair_talks()").fetchall()]
    talks = sql.execute(
        "select id, format, participants, source from ops_roundtable_queue order by id"
    ).fetchall()
    assert [row[0] for row in talks] == found
    assert talks[0][1:] == ("conflict_resolution", ["minion", "xalt"], "heartbeat")
    assert talks[1][1] == "mentoring"
    assert talks[1][2][0] == "sage"
    assert talks[1][2][1] in ("minion", "observer")
    assert sql.execute("select ops_bring_pair_talks()").fetchall() == []
    sql.execute("update ops_roundtable_queue set created_at = now() - interval '73 hours'")
    assert len(sql.execute("select ops_bring_pair_talks()").fetchall()) == 2


@pytest.mark.parametrize(
    ("affinity", "memories", "format"),
    [
        (0.249, 0, "conflict_resolution"),
        (0.250, 0, None),
        (0.750, 20, "mentoring"),
        (0.749, 20, None),
        (0.750, 19, None),
    ],
)
def test_a_pair_gets_its_talk_below_25_and_from_75_with_20_memories_between_them(
    sql: Sql, affinity: float, memories: int, format: str | None
) -> None:
    sql.execute("update ops_agent_relationships set affinity = 0.5")
    sql.execute(
        "update ops_agent_relationships set affinity = %s where (agent_a, agent_b) = ('minion', 'xalt')",
        (affinity,),
    )
    for number in range(memories):
        sql.execute(
            "select ops_remember('xalt', 'insight', %s, 0.7)",
            (f"thing{number} matters{number} much{number}",),
        )
    sql.execute("select ops_bring_pair_talks()")
    talks = sql.execute("select format from ops_roundtable_queue").fetchall()
    assert talks == ([(format,)] if format else [])


def test_the_day_has_room_for_ten_that_nobody_asked_for(sql: Sql) -> None:
    left = "select ops_roundtables_left_today()"
    queue(sql)
    assert one(sql, left) == 10
    for _ in range(10):
        queue(sql, source="schedule")
    assert one(sql, left) == 0
    sql.execute("""select ops_set_policy('roundtable_policy', '{"max_per_day": 12}')""")
    assert one(sql, left) == 2


def test_once_calls_are_real_what_the_mock_did_takes_nobodys_place(sql: Sql) -> None:
    left = "select ops_roundtables_left_today()"
    for _ in range(9):
        queue(sql, source="schedule", simulated=True)
    queue(sql, "conflict_resolution", None, "minion", "xalt", source="heartbeat", simulated=True)
    sql.execute(
        "update ops_agent_relationships set affinity = seed_affinity - 0.2, seed_affinity = 0.2"
        " where (agent_a, agent_b) = ('minion', 'xalt')"
    )
    for number in range(25):
        sql.execute(
            "select ops_remember('sage', 'insight', %s, 0.7, simulated => true)",
            (f"thing{number} matters{number} much{number}",),
        )
    assert one(sql, left) == 0
    sql.execute("select ops_note_real_call()")
    assert one(sql, left) == 10
    sql.execute("select ops_bring_pair_talks()")
    talks = sql.execute(
        "select format, participants from ops_roundtable_queue where not simulated"
    ).fetchall()
    assert talks == [("conflict_resolution", ["minion", "xalt"])], "nobody has more to teach"
