"""Conversations from the queue to their end, on a real database."""

from itertools import pairwise
from typing import Any

import psycopg
import pytest

from reactor.llm.mock_talk import compose_turn
from reactor.llm.mock_text import dice_of
from reactor.llm.request import LLMRequest
from reactor.model.formats import FORMATS
from reactor.model.outcomes import Done, Fail, GiveBack
from tests.roundtables.conversing import Scripted, Sql, house_on, one, queue, turns

SIZES = {
    "standup": (4, 6, 6, 12, 0.6, True),
    "debate": (2, 3, 6, 10, 0.8, False),
    "watercooler": (2, 3, 2, 5, 0.9, False),
    "brainstorm": (2, 4, 6, 12, 0.9, True),
    "retrospective": (3, 6, 8, 14, 0.7, False),
    "planning": (3, 5, 6, 12, 0.5, True),
    "checkin": (3, 5, 4, 8, 0.6, False),
    "content_review": (2, 4, 6, 10, 0.6, False),
    "triage": (3, 4, 6, 10, 0.5, True),
    "deep_dive": (2, 4, 10, 18, 0.6, False),
    "risk_review": (2, 4, 6, 12, 0.5, False),
    "strategy": (3, 5, 8, 14, 0.7, False),
    "shipping": (3, 5, 6, 10, 0.5, True),
    "war_room": (3, 5, 6, 10, 0.5, True),
    "conflict_resolution": (2, 2, 4, 8, 0.6, False),
    "mentoring": (2, 2, 4, 8, 0.7, False),
}


def test_the_formats_are_seeded_each_with_words_and_topics_of_its_own(sql: Sql) -> None:
    rows = sql.execute(
        "select format, min_agents, max_agents, min_turns, max_turns, temperature::float8, formal, instruction, ending,"
        " topics from ops_conversation_formats"
    ).fetchall()
    assert {row[0]: row[1:7] for row in rows} == SIZES
    assert set(FORMATS) == SIZES.keys()
    assert len({row[7] for row in rows}) == len({row[8] for row in rows}) == 16
    assert all(len(set(row[9])) >= 8 for row in rows)
    assert len({topic for row in rows for topic in row[9]}) == sum(len(row[9]) for row in rows)


def test_everybody_has_a_working_day(sql: Sql) -> None:
    day = sql.execute(
        "select hour, activity_weight::float8, preferred_formats from ops_agent_schedules where agent_id = 'sage' order by 1"
    ).fetchall()
    assert [row[0] for row in day] == list(range(24))
    assert [row[1] for row in day] == [0.3] * 9 + [1.0] * 9 + [0.7] * 5 + [0.3]
    assert (day[10][2], day[15][2], day[20][2]) == (["standup"], ["brainstorm", "debate"], ["watercooler"])
    assert one(sql, "select count(distinct agent_id) from ops_agent_schedules") == 6


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format_runs_through_on_the_mock(database: str, sql: Sql, format: str) -> None:
    id = queue(sql, format, None)
    async with house_on(database) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done), outcome
    least_agents, most_agents, least_turns, most_turns, _, formal = SIZES[format]
    said = turns(sql, id)
    people = outcome.result["participants"]
    assert least_agents <= len(people) == len(set(people)) <= most_agents
    assert least_turns <= len(said) <= most_turns
    assert [number for number, _, _ in said] == list(range(1, len(said) + 1))
    assert {speaker for _, speaker, _ in said} <= set(people)
    assert all(before[1] != after[1] for before, after in pairwise(said))
    assert all(0 < len(words) <= 120 for _, _, words in said)
    assert len({words.casefold() for _, _, words in said}) == len(said)
    if formal and "minion" in people:
        assert said[0][1] == "minion"
    assert outcome.simulated
    assert outcome.result["distilled"] is True
    assert outcome.result["topic"] == one(sql, "select topic from ops_roundtable_queue where id = %s", id)


async def test_each_turn_is_a_row_and_an_event_before_the_next_is_asked_for(database: str, sql: Sql) -> None:
    seen: list[tuple[int, int]] = []

    def line(request: LLMRequest) -> str:
        rows = one(sql, "select count(*) from ops_roundtable_turns")
        told = one(sql, "select count(*) from ops_agent_events where kind = 'turn_taken'")
        seen.append((rows, told))
        return f"This is a new thing, number {rows}: {'abcdefghijklmnop'[rows] * 5}."

    id = queue(sql, "watercooler", "x", "sage", "xalt")
    async with house_on(database, Scripted(turns=line)) as house:
        await house.hold()
    assert seen == [(number, number) for number in range(len(seen))]
    event = sql.execute(
        "select agent_id, title, summary, tags, metadata from ops_agent_events where kind = 'turn_taken' order by id"
    ).fetchone()
    assert event is not None
    speaker, words = turns(sql, id)[0][1:]
    assert event[:4] == (speaker, "watercooler", words, ["roundtable", "turn", "watercooler"])
    assert event[4]["roundtable_id"] == id
    assert event[4]["turn"] == 1


@pytest.mark.parametrize(
    ("format", "who", "said"),
    [
        ("standup", ["sage", "xalt"], "standup takes 4 to 6 agents, not 2"),
        ("mentoring", ["sage", "scout", "xalt"], "mentoring takes 2 agents, not 3"),
        ("debate", ["sage", "ghost"], "unknown: ghost"),
        ("debate", ["sage", None], "unknown: null"),
        ("debate", [["sage"], ["xalt"]], 'unknown: ["sage"], ["xalt"]'),
        ("debate", ["sage", "quill"], "not active: quill"),
        ("debate", ["sage", "sage"], "named twice: sage"),
        ("seance", [], "unknown format 'seance'; known are ask, brainstorm"),
    ],
)
async def test_a_conversation_that_cannot_be_held_fails_at_once_and_says_why(
    database: str, sql: Sql, format: str, who: list[Any], said: str
) -> None:
    sql.execute("update ops_agents set active = false where id = 'quill'")
    queue(sql, format, "x", *who)
    provider = Scripted()
    async with house_on(database, provider) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Fail)
    assert said in outcome.reason
    assert not outcome.retry
    assert provider.asked == []


async def test_too_few_active_agents_fail_a_conversation_without_names(database: str, sql: Sql) -> None:
    sql.execute("update ops_agents set active = false where id not in ('sage', 'quill')")
    queue(sql, "standup")
    async with house_on(database) as house:
        assert await house.hold() == Fail(
            "standup takes 4 to 6 agents, and only 2 are active at this hour", retry=False
        )


async def test_a_persons_turn_is_heard_and_answered(database: str, sql: Sql) -> None:
    id = queue(sql, "watercooler", "x", "sage", "xalt")
    prompts: list[str] = []

    def line(request: LLMRequest) -> str:
        prompts.append(request.messages[0].text)
        number = len(prompts)
        if number == 2:
            with psycopg.connect(database, autocommit=True) as person:
                person.execute("select ops_say(%s, 'And what about the tea?')", (id,))
        return f"A wholly new remark about {'abcdefghijklmnop'[number] * 6}"

    provider = Scripted(turns=line)
    async with house_on(database, provider) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    said = turns(sql, id)
    assert (2, "human", "And what about the tea?") in said
    assert said[-1][1] != "human"
    planned = one(sql, "select (plan ->> 'turns')::int from ops_roundtable_queue where id = %s", id)
    assert len(said) == planned + 2
    assert any("a person of the company: And what about the tea?" in prompt for prompt in prompts[2:])


def test_a_person_may_insert_a_turn_without_a_number_and_not_into_what_is_over(sql: Sql) -> None:
    id = queue(sql)
    insert = "insert into ops_roundtable_turns (conversation_id, speaker, dialogue) values (%s, 'human', %s)"
    sql.execute(insert, (id, "first"))
    sql.execute(insert, (id, "second"))
    assert turns(sql, id) == [(1, "human", "first"), (2, "human", "second")]
    sql.execute("select ops_cancel('roundtable', %s)", (id,))
    for call, state in (
        (f"select ops_say({id}, 'late')", "OP006"),
        ("select ops_say(999, 'nowhere')", "OP001"),
    ):
        with pytest.raises(psycopg.Error) as refused:
            sql.execute(call.encode())
        assert refused.value.sqlstate == state
    fresh = queue(sql)
    with pytest.raises(psycopg.Error) as refused:
        sql.execute("select ops_say(%s, '  ')", (fresh,))
    assert refused.value.sqlstate == "OP004"


async def test_an_agent_may_say_nothing_and_general_silence_ends_it(database: str, sql: Sql) -> None:
    id = queue(sql, "deep_dive", "x", "sage", "xalt")
    lines = iter(["Something to begin with.", "-", "(nothing)"])
    async with house_on(database, Scripted(turns=lambda request: next(lines))) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert [words for _, _, words in turns(sql, id)] == ["Something to begin with.", "", ""]


async def test_when_nobody_says_anything_nothing_is_distilled(database: str, sql: Sql) -> None:
    queue(sql, "watercooler", "x", "sage", "xalt")
    provider = Scripted(turns=lambda request: "—")
    async with house_on(database, provider) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert "distil" not in provider.purposes()


async def test_a_conversation_that_repeats_itself_ends_early(database: str, sql: Sql) -> None:
    id = queue(sql, "deep_dive", "x", "sage", "xalt")
    async with house_on(
        database, Scripted(turns=lambda request: "We should ask the customers first.")
    ) as house:
        outcome = await house.hold()
    assert isinstance(outcome, Done)
    assert len(turns(sql, id)) == 3  # a deep dive has ten at least
    assert outcome.result["turns"] == 3


async def test_links_and_long_lines_are_cut_and_the_length_is_a_policy(database: str, sql: Sql) -> None:
    sql.execute("""select ops_set_policy('roundtable_policy', '{"turn_chars": 60}')""")
    id = queue(sql, "watercooler", "x", "sage", "xalt")
    number = iter("abcdefghij")

    def line(request: LLMRequest) -> str:
        assert "at most 60 characters" in request.messages[0].text
        return f"Look at https://evil.example/{next(number)} now, " + " ".join([next(number) * 9] * 20)

    async with house_on(database, Scripted(turns=line)) as house:
        await house.hold()
    for _, _, words in turns(sql, id):
        assert len(words) <= 60
        assert words.endswith("…")
        assert "evil" not in words


async def test_the_next_turn_goes_on_where_another_attempt_ended(database: str, sql: Sql) -> None:
    id = queue(sql, "watercooler", "x", "sage", "xalt", "quill")
    count = 0

    def breaks(request: LLMRequest) -> str:
        nonlocal count
        count += 1
        if count == 2:
            raise RuntimeError("the process died here")
        return compose_turn(request, dice_of(request))

    async with house_on(database, Scripted(turns=breaks)) as house:
        row = await house.claim()
        with pytest.raises(RuntimeError):
            await house.work.perform(row)
        first = turns(sql, id)
        plan = one(sql, "select plan from ops_roundtable_queue where id = %s", id)
        assert len(first) == 1
        outcome = await house.work.perform(row)
    assert isinstance(outcome, Done)
    said = turns(sql, id)
    assert said[:1] == first
    assert [number for number, _, _ in said] == list(range(1, plan["turns"] + 1))
    assert one(sql, "select plan from ops_roundtable_queue where id = %s", id) == plan
    assert count == plan["turns"] + 1


async def test_a_pause_stops_after_the_turn_in_flight(database: str, sql: Sql) -> None:
    id = queue(sql, "deep_dive", "x", "sage", "xalt")

    def line(request: LLMRequest) -> str:
        if one(sql, "select count(*) from ops_roundtable_turns") == 2:
            sql.execute("select ops_pause('roundtable')")
        return compose_turn(request, dice_of(request))

    async with house_on(database, Scripted(turns=line)) as house:
        row = await house.claim()
        assert isinstance(await house.work.perform(row), GiveBack)
        assert len(turns(sql, id)) == 3
        sql.execute("select ops_resume('roundtable')")
        assert isinstance(await house.work.perform(row), Done)


async def test_who_lost_the_row_writes_no_more_turns(database: str, sql: Sql) -> None:
    id = queue(sql, "deep_dive", "x", "sage", "xalt")

    def line(request: LLMRequest) -> str:
        if one(sql, "select count(*) from ops_roundtable_turns") == 2:
            sql.execute(
                "update ops_roundtable_queue set claim_token = gen_random_uuid() where id = %s", (id,)
            )
        return compose_turn(request, dice_of(request))

    provider = Scripted(turns=line)
    async with house_on(database, provider) as house:
        assert isinstance(await house.hold(), GiveBack)
    assert len(turns(sql, id)) == 2
    assert provider.purposes() == ["turn"] * 3


async def test_memories_let_in_are_in_their_agents_prompts_and_nowhere_else(database: str, sql: Sql) -> None:
    sql.execute("""select ops_set_policy('memory_influence', '{"probability": 1}')""")
    for agent in ("sage", "xalt"):
        sql.execute("select ops_remember(%s, 'lesson', %s, 0.9)", (agent, f"{agent} knows of the zebra"))
    queue(sql, "watercooler", "x", "sage", "xalt")
    provider = Scripted()
    async with house_on(database, provider) as house:
        await house.hold()
    asked = [request for request in provider.asked if request.purpose == "turn"]
    for request in asked:
        text = request.messages[0].text
        other = "xalt" if request.agent_id == "sage" else "sage"
        assert f"{request.agent_id} knows of the zebra" in text
        assert f"{other} knows of the zebra" not in text
    assert "zebra" not in provider.asked[-1].messages[0].text
    rolls = sql.execute("select agent_id, context_type from ops_memory_influences order by 1").fetchall()
    assert rolls == [("sage", "roundtable"), ("xalt", "roundtable")]
