"""What conversations come to: all of it in one transaction, once; or the words kept as they were."""

import json
from typing import Any

import psycopg
import pytest

from reactor.errors import LLMReplyRefused
from reactor.model.outcomes import Done, Fail, GiveBack
from tests.roundtables.conversing import EMPTY, Scripted, Sql, house_on, one, queue
from tests.support.sessions import Deed, at_once


def learnt(agent: str, content: str, confidence: float = 0.8, **more: Any) -> dict[str, Any]:
    return {
        "agent_id": agent, "type": "insight", "content": content, "confidence": confidence, "tags": ["Tea"], **more,
    }  # fmt: skip


def moved(one: str, other: str, drift: float, reason: str = "they talked") -> dict[str, Any]:
    return {"agent_a": one, "agent_b": other, "drift": drift, "reason": reason}


def item(title: str, agent: str = "sage", kind: str = "research") -> dict[str, Any]:
    return {"title": title, "agent_id": agent, "kind": kind}


def distillate(**parts: Any) -> dict[str, Any]:
    return {**EMPTY, "summary": "It went well.", **parts}


async def hold(database: str, *distillates: Any, **named: Any) -> Any:
    async with house_on(database, Scripted(*distillates, **named)) as house:
        return await house.hold()


async def test_memories_drifts_and_items_land_with_their_sources(database: str, sql: Sql) -> None:
    id = queue(sql, "brainstorm", "tea", "sage", "xalt", "quill")
    outcome = await hold(
        database,
        distillate(
            memories=[learnt("xalt", "Tea sells at dawn."), learnt("sage", "Nobody reads long mails.", 0.9)],
            drifts=[moved("xalt", "sage", 0.02), moved("sage", "quill", -0.5, "a quarrel")],
            action_items=[item("Find out who drinks tea at dawn")],
        ),
    )
    assert isinstance(outcome, Done)
    memories = sql.execute(
        "select agent_id, content, confidence::float8, tags, source_trace_id, simulated from ops_agent_memory order by 1"
    ).fetchall()
    assert memories == [
        ("sage", "Nobody reads long mails.", 0.9, ["tea"], f"roundtable:{id}:1", False),
        ("xalt", "Tea sells at dawn.", 0.8, ["tea"], f"roundtable:{id}:2", False),
    ]
    drifts = sql.execute(
        "select agent_a, agent_b, affinity::float8, drift_log -> -1 ->> 'source', drift_log -> -1 ->> 'reason'"
        " from ops_agent_relationships where total_interactions > 0 order by 1, 2"
    ).fetchall()
    assert drifts == [
        ("quill", "sage", 0.47, f"roundtable:{id}:1", "a quarrel"),
        ("sage", "xalt", 0.32, f"roundtable:{id}:2", "they talked"),
    ]
    proposal = sql.execute(
        "select agent_id, title, source, status, dedupe_key, simulated from ops_mission_proposals"
    ).fetchall()
    assert proposal == [
        ("sage", "Find out who drinks tea at dawn", "conversation", "accepted", f"roundtable:{id}:1", False)
    ]
    assert outcome.result["memories"] == 2
    assert outcome.result["drifts"] == 2
    assert outcome.result["action_items"][0]["status"] == "accepted"
    assert one(sql, "select count(*) from ops_agent_events where kind = 'roundtable_distilled'") == 1


async def test_only_those_who_took_part_learn_and_only_what_is_sure(database: str, sql: Sql) -> None:
    queue(sql, "watercooler", "tea", "sage", "xalt")
    many = [
        learnt("sage", f"thing{number} alone{number} counts{number}", 0.6 + number / 100)
        for number in range(9)
    ]
    await hold(
        database,
        distillate(
            memories=[
                learnt("quill", "was not there"),
                learnt("sage", "unsure", 0.54),
                *many,
                learnt("human", "no agent"),
            ],
            drifts=[moved("sage", "quill", 0.03), moved("sage", "human", 0.03), moved("sage", "sage", 0.03)],
            action_items=[item("Watercoolers propose nothing")],
        ),
    )
    confidences = sql.execute(
        "select agent_id, confidence::float8 from ops_agent_memory order by 2"
    ).fetchall()
    assert confidences == [("sage", number / 100) for number in range(63, 69)]
    assert one(sql, "select count(*) from ops_relationship_sources") == 0
    assert one(sql, "select count(*) from ops_mission_proposals") == 0


async def test_those_who_took_part_are_known_by_what_they_are_called_too(database: str, sql: Sql) -> None:
    sql.execute("update ops_agents set display_name = 'Dr. Sage' where id = 'sage'")
    queue(sql, "brainstorm", "tea", "sage", "xalt")
    outcome = await hold(
        database,
        distillate(
            memories=[learnt("Dr. Sage", "Tea sells at dawn."), learnt("XALT", "Nobody reads long mails.")],
            drifts=[moved("Xalt", "dr. sage", 0.02)],
            action_items=[item("Find out who drinks tea at dawn", "Xalt")],
        ),
    )
    assert isinstance(outcome, Done)
    assert sql.execute("select agent_id from ops_agent_memory order by 1").fetchall() == [
        ("sage",),
        ("xalt",),
    ]
    assert one(sql, "select agent_a || agent_b from ops_relationship_sources") == "sagexalt"
    assert one(sql, "select agent_id from ops_mission_proposals") == "xalt"
    assert "left_out" not in outcome.result


async def test_what_names_nobody_who_took_part_is_counted(database: str, sql: Sql) -> None:
    id = queue(sql, "watercooler", "tea", "sage", "xalt")
    outcome = await hold(
        database,
        distillate(
            memories=[learnt("the writer", "Tea sells at dawn."), learnt("quill", "Not there.")],
            drifts=[moved("sage", "the team", 0.02)],
        ),
    )
    assert isinstance(outcome, Done)
    assert (outcome.result["memories"], outcome.result["drifts"], outcome.result["left_out"]) == (0, 0, 3)
    told = one(sql, "select metadata from ops_agent_events where kind = 'roundtable_distilled'")
    assert (told["roundtable_id"], told["left_out"]) == (id, 3)


async def test_nobody_remembers_what_is_less_than_55_percent_sure(database: str, sql: Sql) -> None:
    queue(sql, "watercooler", "tea", "sage", "xalt")
    memories = [learnt("sage", "Perhaps tea matters.", 0.549), learnt("xalt", "Tea sells at dawn.", 0.55)]
    await hold(database, distillate(memories=memories))
    assert sql.execute("select agent_id from ops_agent_memory").fetchall() == [("xalt",)]


async def test_where_it_lands_it_is_checked_again_who_took_part_and_what_was_formal(
    database: str, sql: Sql
) -> None:
    queue(sql, "watercooler", "tea", "sage", "xalt")
    async with house_on(database) as house:
        row = await house.claim()
    whole = distillate(
        memories=[learnt("quill", "Was not there."), learnt("sage", "Tea matters.")],
        drifts=[moved("sage", "quill", 0.01), moved("sage", "xalt", 0.01)],
        action_items=[item("Watercoolers propose nothing")],
    )
    land = "select ops_land_distillate(%s, %s, %s::jsonb, false)"
    landed = one(sql, land, row.id, row.token, json.dumps(whole))
    assert (landed["memories"], landed["drifts"], landed["action_items"]) == (1, 1, [])
    assert one(sql, "select agent_id from ops_agent_memory") == "sage"
    assert one(sql, "select count(*) from ops_mission_proposals") == 0


async def test_a_day_has_room_for_three_action_items(database: str, sql: Sql) -> None:
    for number in range(2):
        queue(sql, "brainstorm", f"tea {number}", "sage", "xalt")
    items = [item(f"Look into {word} at length") for word in ("leaves", "cups")]
    more = [item(f"Look into {word} at length") for word in ("water", "sugar")]
    async with house_on(
        database, Scripted(distillate(action_items=items), distillate(action_items=more))
    ) as house:
        await house.hold()
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert [one["status"] for one in outcome.result["action_items"]] == ["accepted", "left out"]
    assert one(sql, "select count(*) from ops_mission_proposals") == 3


async def test_an_item_the_door_refuses_leaves_the_rest(database: str, sql: Sql) -> None:
    sql.execute("delete from ops_step_kinds where kind = 'plan'")
    queue(sql, "brainstorm", "tea", "sage", "xalt")
    items = [item("Plan it", kind="plan"), item("Research it thoroughly")]
    outcome = await hold(database, distillate(action_items=items, memories=[learnt("sage", "Tea matters.")]))
    assert isinstance(outcome, Done)
    assert [one["status"] for one in outcome.result["action_items"]] == ["refused", "accepted"]
    assert outcome.result["memories"] == 1


async def test_what_cannot_land_whole_does_not_land_at_all(database: str, sql: Sql) -> None:
    sql.execute("alter table ops_agent_relationships add constraint stuck check (total_interactions = 0)")
    queue(sql, "brainstorm", "tea", "sage", "xalt")
    whole = distillate(
        memories=[learnt("sage", "Tea matters.")],
        drifts=[moved("sage", "xalt", 0.01)],
        action_items=[item("Research it thoroughly")],
    )
    async with house_on(database, Scripted(whole, whole)) as house:
        row = await house.claim()
        assert isinstance(await house.work.perform(row), Fail)
        for table in ("ops_agent_memory", "ops_mission_proposals", "ops_roundtable_distillates"):
            assert one(sql, f"select count(*) from {table}") == 0
        sql.execute("alter table ops_agent_relationships drop constraint stuck")
        assert isinstance(await house.work.perform(row), Done)
    for table in ("ops_agent_memory", "ops_mission_proposals", "ops_roundtable_distillates"):
        assert one(sql, f"select count(*) from {table}") == 1


async def test_a_crash_between_landing_and_finishing_lands_and_pays_nothing_twice(
    database: str, sql: Sql
) -> None:
    queue(sql, "brainstorm", "tea", "sage", "xalt")
    provider = Scripted(
        distillate(memories=[learnt("sage", "Tea matters.")], drifts=[moved("sage", "xalt", 0.01)])
    )
    async with house_on(database, provider) as house:
        row = await house.claim()
        first = await house.work.perform(row)
        paid = len(provider.asked)
        assert await house.work.perform(row) == first
    assert len(provider.asked) == paid
    assert one(sql, "select sum(total_interactions) from ops_agent_relationships") == 1


async def test_many_who_land_the_same_at_once_land_it_once(database: str, sql: Sql) -> None:
    id = queue(sql, "brainstorm", "tea", "sage", "xalt")
    async with house_on(database) as house:
        row = await house.claim()
    landing = '{"summary": "s", "memories": [{"agent_id": "sage", "type": "lesson", "content": "x", "confidence": 1}],'
    landing += ' "drifts": [{"agent_a": "sage", "agent_b": "xalt", "drift": 0.01, "reason": "r"}]}'
    found = at_once(
        database,
        [
            lambda session: session.execute(
                "select ops_land_distillate(%s, %s, %s::jsonb, false)", (id, row.token, landing)
            ).fetchone()
        ]
        * 8,
    )
    assert len({str(answer) for answer in found}) == 1
    assert found[0][0]["memories"] == 1
    assert one(sql, "select sum(total_interactions) from ops_agent_relationships") == 1
    assert one(sql, "select count(*) from ops_agent_memory") == 1


async def test_conversations_of_the_same_people_land_at_once_and_none_waits_for_ever(
    database: str, sql: Sql
) -> None:
    people = ["sage", "xalt", "quill", "minion"]
    landings = []
    async with house_on(database) as house:
        for number in range(6):
            id = queue(sql, "brainstorm", f"tea {number}", *people)
            row = await house.claim()
            sql.execute("update ops_roundtable_queue set participants = %s where id = %s", (people, id))
            order = people[number % 4 :] + people[: number % 4]
            whole = {
                "summary": "s",
                "memories": [learnt(who, f"lesson{number} of{number} {who}{number}") for who in order],
                "drifts": [moved(who, other, 0.01) for who in order for other in order if who != other],
                "action_items": [item(f"Look into number {number}", order[0])],
            }
            landings.append((id, row.token, json.dumps(whole)))

    def land(number: int) -> Deed:
        statement = "select ops_land_distillate(%s, %s, %s::jsonb, false)"
        return lambda session: session.execute(statement, landings[number]).fetchone()

    found = [answer[0] for answer in at_once(database, [land(number) for number in range(6)])]
    assert {(landed["memories"], landed["drifts"]) for landed in found} == {(4, 6)}
    assert one(sql, "select sum(total_interactions) from ops_agent_relationships") == 36
    states = sorted(landed["action_items"][0]["status"] for landed in found)
    assert states == ["accepted"] * 3 + ["left out"] * 3


async def test_who_lost_the_row_lands_nothing(database: str, sql: Sql) -> None:
    queue(sql, "watercooler", "tea", "sage", "xalt")
    provider = Scripted(distillate(memories=[learnt("sage", "Tea matters.")]))
    original = provider.answer

    async def answer(request: Any, model: Any, schema: Any) -> Any:
        if request.purpose == "distil":
            sql.execute("update ops_roundtable_queue set claim_token = gen_random_uuid()")
        return await original(request, model, schema)

    provider.answer = answer  # type: ignore[method-assign]  # stands in for it
    async with house_on(database, provider) as house:
        assert isinstance(await house.hold(), GiveBack)
    assert one(sql, "select count(*) from ops_agent_memory") == 0


async def test_a_wrong_shape_is_mended_by_one_call(database: str, sql: Sql) -> None:
    queue(sql, "watercooler", "tea", "sage", "xalt")
    provider = Scripted('{"summary": 5}', distillate(memories=[learnt("sage", "Tea matters.")]))
    async with house_on(database, provider) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert outcome.result["distilled"] is True
    assert provider.purposes().count("distil") == 2
    assert one(sql, "select count(*) from ops_agent_memory") == 1


@pytest.mark.parametrize(
    "words", ["We all \x00 agreed: <tea>!", '{"summary": "x", "memories": [{"agent_id": "sage"}]}']
)
async def test_what_cannot_be_read_is_kept_raw_and_distilled_again(
    database: str, sql: Sql, words: str
) -> None:
    id = queue(sql, "watercooler", "tea", "sage", "xalt")
    provider = Scripted("nonsense", words, distillate(memories=[learnt("sage", "Tea matters.")]))
    async with house_on(database, provider) as house:
        outcome = await house.hold()
        assert isinstance(outcome, Done)
        assert outcome.result["distilled"] is False
        assert "shape of Distillate" in outcome.result["problem"]
        kept = sql.execute("select status, raw from ops_roundtable_distillates").fetchone()
        assert kept == ("failed", words.replace("\x00", ""))
        tags = one(sql, "select tags from ops_agent_events where kind = 'distillation_failed'")
        assert "warning" in tags

        sql.execute("update ops_roundtable_queue set status = 'succeeded' where id = %s", (id,))
        again = one(sql, "select ops_redistill(%s)", id)
        assert one(sql, "select ops_redistill(%s)", id) == again != id
        second = await house.hold()
    assert isinstance(second, Done)
    assert second.result["distilled"] is True
    assert second.result["roundtable_id"] == id
    assert one(sql, "select source_trace_id from ops_agent_memory") == f"roundtable:{id}:1"
    assert one(sql, "select count(*) from ops_roundtable_turns where conversation_id = %s", again) == 0
    assert sql.execute("select status, raw, problem from ops_roundtable_distillates").fetchall() == [
        ("landed", None, None)
    ]


def test_only_what_failed_is_distilled_again(sql: Sql) -> None:
    id = queue(sql)
    for call, state in ((f"select ops_redistill({id})", "OP008"), ("select ops_redistill(99)", "OP001")):
        with pytest.raises(psycopg.Error) as refused:
            sql.execute(call.encode())
        assert refused.value.sqlstate == state
    done = queue(sql, status="succeeded")
    with pytest.raises(psycopg.Error) as refused:
        sql.execute("select ops_redistill(%s)", (done,))
    assert refused.value.sqlstate == "OP009"


async def test_a_model_that_declines_to_distil_costs_nobody_the_conversation(database: str, sql: Sql) -> None:
    queue(sql, "watercooler", "tea", "sage", "xalt")
    provider = Scripted()
    original = provider.answer

    async def answer(request: Any, model: Any, schema: Any) -> Any:
        if request.purpose == "distil":
            raise LLMReplyRefused("the model declined to answer")
        return await original(request, model, schema)

    provider.answer = answer  # type: ignore[method-assign]  # stands in for it
    async with house_on(database, provider) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert outcome.result["problem"] == "the model declined to answer"


async def test_what_the_mock_brings_about_is_marked(database: str, sql: Sql) -> None:
    queue(sql, "brainstorm", "tea", "sage", "xalt", "quill")
    async with house_on(database) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert outcome.simulated
    assert one(sql, "select bool_and(simulated) from ops_roundtable_turns")
    assert one(sql, "select bool_and(simulated) from ops_agent_memory")
    assert one(sql, "select bool_and(simulated) from ops_mission_proposals")
    assert one(
        sql, "select bool_and((drift_log -> -1 ->> 'simulated')::boolean) from ops_agent_relationships"
        " where total_interactions > 0",
    )  # fmt: skip


async def test_once_a_model_has_answered_for_real_the_mock_teaches_nothing(database: str, sql: Sql) -> None:
    sql.execute("insert into ops_firsts (what) values ('real_call')")
    queue(sql, "brainstorm", "tea", "sage", "xalt", "quill")
    async with house_on(database) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert outcome.result["learned"] is False
    for table in ("ops_agent_memory", "ops_mission_proposals", "ops_relationship_sources"):
        assert one(sql, f"select count(*) from {table}") == 0
