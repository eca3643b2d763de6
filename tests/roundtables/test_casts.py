"""Who takes part, who opens, what about, in which voice: how a conversation is cast, on a real database."""

import pytest

from reactor.model.outcomes import Done
from tests.roundtables.conversing import Scripted, Sql, house_on, one, queue, turns
from tests.support.clock import Clock


async def test_a_voice_comes_from_what_was_learnt_and_is_kept_for_the_conversation(
    database: str, sql: Sql
) -> None:
    for number in range(6):
        sql.execute(
            "insert into ops_agent_memory (agent_id, type, content, tags) values ('sage', 'pattern', %s, '{pricing}')",
            (f"pattern {number}",),
        )
    id = queue(sql, "watercooler", "x", "sage", "xalt")
    provider = Scripted()
    async with house_on(database, provider) as house:
        await house.hold()
    plan = one(sql, "select plan from ops_roundtable_queue where id = %s", id)
    [sentence] = plan["voices"]["sage"]
    assert "pricing" in sentence
    assert plan["voices"]["xalt"] == []
    for request in provider.asked[:-1]:
        assert (sentence in request.messages[0].text) == (request.agent_id == "sage")


async def test_a_topic_comes_from_what_failed_then_from_insights_then_from_goals_and_not_twice_in_a_week(
    database: str, sql: Sql
) -> None:
    sql.execute("""select ops_set_policy('company', '{"name": "Acme", "goals": ["more tea"]}')""")
    sql.execute("insert into ops_missions (title, status, completed_at) values ('Launch', 'failed', now())")
    sql.execute("select ops_remember('quill', 'insight', 'Cold tea sells in June.', 0.8)")
    topics = []
    async with house_on(database, Scripted()) as house:
        for _ in range(4):
            queue(sql, "watercooler", None, "sage", "xalt", topics=["the slot's own"])
            outcome = await house.hold()
            assert isinstance(outcome, Done)
            topics.append(outcome.result["topic"])
    assert "Launch" in topics[0]
    assert "Cold tea" in topics[1]
    assert "more tea" in topics[2]
    assert topics[3] == "the slot's own"


async def test_who_takes_part_goes_by_the_hour_of_the_companys_clock(database: str, sql: Sql) -> None:
    Clock(sql)  # noon in UTC, nine in the evening in Tokyo
    sql.execute("""select ops_set_policy('company', '{"timezone": "Asia/Tokyo"}')""")
    sql.execute(
        "update ops_agent_schedules set activity_weight = 0 where hour = 21 and agent_id not in ('sage', 'xalt')"
    )
    queue(sql, "watercooler", "tea")
    async with house_on(database, Scripted()) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert set(outcome.result["participants"]) == {"sage", "xalt"}
    assert outcome.result["topic"] == "tea"


async def test_the_coordinator_opens_what_is_formal_and_nothing_else(database: str, sql: Sql) -> None:
    who = ("sage", "minion", "xalt", "quill")
    formal = [queue(sql, "standup", "tea", *who) for _ in range(4)]
    informal = [queue(sql, "strategy", "tea", *who) for _ in range(12)]
    async with house_on(database, Scripted(turns=lambda request: "-")) as house:
        for _ in formal + informal:
            await house.hold()
    assert {turns(sql, id)[0][1] for id in formal} == {"minion"}
    assert {turns(sql, id)[0][1] for id in informal} != {"minion"}


async def test_what_the_mock_failed_at_is_no_topic_once_calls_are_real(database: str, sql: Sql) -> None:
    sql.execute("insert into ops_missions (title, simulated) values ('Made-up tea', true)")
    sql.execute("update ops_missions set status = 'failed', completed_at = now()")
    sql.execute("select ops_note_real_call()")
    queue(sql, "watercooler", None, "sage", "xalt")
    async with house_on(database) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert "Made-up tea" not in outcome.result["topic"]


@pytest.mark.parametrize(
    ("affinity", "tones"), [(0.1, {"challenge", "critical"}), (0.95, {"supportive", "agreement"})]
)
async def test_two_answer_each_other_as_they_like_each_other(
    database: str, sql: Sql, affinity: float, tones: set[str]
) -> None:
    sql.execute(
        "update ops_agent_relationships set affinity = %s where (agent_a, agent_b) = ('sage', 'xalt')",
        (affinity,),
    )
    id = queue(sql, "mentoring", "tea", "sage", "xalt")
    async with house_on(database, Scripted()) as house:
        await house.hold()
    found = sql.execute(
        "select tone from ops_roundtable_turns where conversation_id = %s order by turn", (id,)
    ).fetchall()
    assert found[0] == ("neutral",), "there is nobody to answer yet"
    assert {tone for (tone,) in found[1:]} <= tones


async def test_a_turn_is_asked_of_the_agents_own_model_as_loosely_as_the_format_is(
    database: str, sql: Sql
) -> None:
    sql.execute("update ops_agents set model = 'claude-sonnet-5' where id = 'sage'")
    queue(sql, "brainstorm", "tea", "sage", "xalt")
    provider = Scripted()
    async with house_on(database, provider) as house:
        await house.hold()
    asked = {(one.agent_id, one.model, one.temperature) for one in provider.asked if one.purpose == "turn"}
    assert asked == {("sage", "claude-sonnet-5", 0.9), ("xalt", None, 0.9)}


async def test_a_debate_gives_each_a_side(database: str, sql: Sql) -> None:
    queue(sql, "debate", "Tea or coffee?", "sage", "xalt", "quill")
    provider = Scripted()
    async with house_on(database, provider) as house:
        await house.hold()
    sides = {
        request.agent_id: request.messages[0].text for request in provider.asked if request.purpose == "turn"
    }
    assert "FOR" in sides["sage"]
    assert "AGAINST" in sides["xalt"]
    assert "NEITHER" in sides["quill"]
