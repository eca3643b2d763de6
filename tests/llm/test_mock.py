import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from reactor.handlers.shapes import SHAPES
from reactor.llm.mock import compose
from reactor.llm.mock_names import named
from reactor.llm.mock_voices import VOICES
from reactor.llm.request import LLMRequest, Material, Message, Said
from reactor.model.people import Agent, Company

IDS = ["minion", "sage", "scout", "quill", "xalt", "observer"]
PEOPLE = [Agent(name, name.capitalize(), f"role of {name}") for name in IDS]
COMPANY = Company(name="Brightside Coffee", customers="home baristas", goals=("double the subscriptions",))
TOPICS = ["weekend engagement", "late deliveries", "the spring newsletter", "What is blocking us?"]
EARLIER = (Said("scout", "Saturday mails are opened twice as often as Tuesday mails. Details follow.", 1),)


def work(
    kind: str,
    agent: Agent = PEOPLE[1],
    topic: str = TOPICS[0],
    company: Company = COMPANY,
    earlier: tuple[Said, ...] = (),
) -> str:
    material = Material(company=company, agent=agent, topic=topic, earlier=earlier)
    request = LLMRequest(purpose=f"step:{kind}", messages=(Message("user", topic),), material=material)
    return compose(request, SHAPES[kind].model_json_schema())


def talk(topic: str, turns: int, cast: list[Agent] = PEOPLE, company: Company = COMPANY) -> list[Said]:
    """A conversation: everybody in turn, with a tone that changes."""
    said: list[Said] = []
    tones = itertools.cycle(["neutral", "critical", "agreement", "challenge", "supportive"])
    for agent, tone, _ in zip(itertools.cycle(cast), tones, range(turns)):
        said.append(Said(agent.id, turn(agent, topic, tuple(said), tone, cast, company)))
    return said


def turn(
    agent: Agent, topic: str, said: tuple[Said, ...], tone: str, cast: list[Agent], company: Company = COMPANY
) -> str:
    material = Material(
        company=company, agent=agent, topic=topic, said=said, participants=tuple(cast), tone=tone
    )
    text = "\n".join(f"{one.by}: {one.text}" for one in said)
    return compose(LLMRequest(purpose="turn", messages=(Message("user", text),), material=material), None)


class Memory(BaseModel):
    agent_id: str
    type: Literal["insight", "pattern", "strategy", "preference", "lesson"]
    content: str = Field(max_length=500)
    confidence: float = Field(ge=0.55, le=1)
    tags: list[str]


class Drift(BaseModel):
    agent_a: str
    agent_b: str
    drift: float = Field(ge=-0.03, le=0.03)
    reason: str


class Distillate(BaseModel):
    memories: list[Memory] = Field(max_length=6)
    drifts: list[Drift]
    action_items: list[dict[str, Any]]


def distil(said: list[Said], topic: str = TOPICS[0]) -> Distillate:
    text = "\n".join(f"{one.by}: {one.text}" for one in said)
    material = Material(company=COMPANY, topic=topic, said=tuple(said), participants=tuple(PEOPLE))
    request = LLMRequest(purpose="distil", messages=(Message("user", text),), material=material)
    return Distillate.model_validate_json(compose(request, Distillate.model_json_schema()))


def varied_inputs() -> Iterator[str]:
    for number in range(25):
        for kind in SHAPES:
            yield work(kind, PEOPLE[number % 6], f"question {number} of the week")


def test_two_hundred_inputs_get_at_least_190_different_answers() -> None:
    answers = list(varied_inputs())
    assert len(answers) == 200
    assert len(set(answers)) >= 190


def test_even_with_the_topics_taken_out_most_answers_differ() -> None:
    assert len({re.sub(r"[Qq]uestion \d+ of the week", "…", answer) for answer in varied_inputs()}) >= 150


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_the_same_input_gets_the_same_answer_and_any_other_another(kind: str) -> None:
    one = work(kind, earlier=EARLIER)
    assert work(kind, earlier=EARLIER) == one
    others = {
        work(kind, topic=TOPICS[1], earlier=EARLIER),
        work(kind, company=Company(name="Other"), earlier=EARLIER),
        work(kind, earlier=(Said("scout", "Nothing moved at all this month, sadly.", 1),)),
    }
    assert len(others | {one}) == 4


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_answers_have_their_shape_and_name_topic_company_and_earlier_results(kind: str) -> None:
    for agent in PEOPLE:
        answer = work(kind, agent, earlier=EARLIER)
        SHAPES[kind].model_validate_json(answer)
        folded = answer.casefold()
        assert TOPICS[0] in folded
        assert "saturday mails are opened twice" in folded
        assert "brightside coffee" in folded or "home baristas" in folded


@pytest.mark.parametrize(
    "topic",
    [
        "pricing", "weekend engagement", "the second week of returns", "our status page", "the news from support",
        "last week's launch", "Supabase",
    ],
)  # fmt: skip
def test_a_topic_that_names_one_thing_stands_as_it_is(topic: str) -> None:
    assert named(topic) == topic


NO_NAMES = [
    "lose fewer mugs to breakage",
    "Weekend report",
    "Double the subscriptions",
    "late deliveries",
    "customers leave after the third bag",
    "How we onboard people",
    "it breaks on Mondays",
    "gather everything known about pricing",
    "the page that nobody finishes reading",
]


@pytest.mark.parametrize("topic", NO_NAMES)
def test_a_goal_an_order_a_sentence_or_many_things_are_named_in_quotation_marks(topic: str) -> None:
    """‘What lose fewer mugs to breakage costs’ is no English."""
    assert named(topic) == f"“{topic}”"
    said = talk(topic, 12)
    texts = [*(one.text for one in said), *(memory.content for memory in distil(said, topic).memories)]
    for kind in SHAPES:
        for agent in PEOPLE:
            texts.append(
                json.dumps(json.loads(work(kind, agent, topic, earlier=EARLIER)), ensure_ascii=False)
            )
    beginning = topic[:12].casefold()
    for text in texts:
        for found in re.finditer(re.escape(beginning), text.casefold()):
            assert text[found.start() - 1] in "“‘", text
        assert not re.search("““|””", text), text


@pytest.mark.parametrize("agent", PEOPLE, ids=IDS)
@pytest.mark.parametrize("kind", list(SHAPES))
def test_a_company_without_a_name_is_spoken_of_as_one(agent: Agent, kind: str) -> None:
    for topic in (*TOPICS, *NO_NAMES):
        for words in strings(json.loads(work(kind, agent, topic, Company(), EARLIER))):
            assert not re.search("[.!?] the company|— the company|, the company[.!]", words), words


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


@pytest.mark.parametrize(
    ("question", "named"),
    [("What should we try?", "“What should we try?” "), ("pricing", "On pricing: ")],
)
def test_who_is_asked_by_a_person_names_the_question_and_says_what_he_thinks(
    question: str, named: str
) -> None:
    for agent in PEOPLE:
        answer = turn(agent, question, (Said("human", question),), "neutral", [agent])
        assert answer.startswith(named)
        assert any(answer.startswith(f"{named}{thought}") for thought in VOICES[agent.id].thinks)
        # In the middle of a talk about something else it is the thought alone.
        answer = turn(agent, "hiring", (Said("human", question),), "neutral", [agent])
        assert any(answer.startswith(thought) for thought in VOICES[agent.id].thinks)


def test_nobody_says_the_same_thought_twice_while_there_are_others() -> None:
    for topic in TOPICS:
        said = [one.text for one in talk(topic, 12, PEOPLE[:3])]
        thoughts = [re.split(r"(?<=[.?!]) ", text)[0] for text in said]
        assert len(set(thoughts)) == len(thoughts)


def test_a_drift_is_not_told_by_words_that_say_the_opposite() -> None:
    agreeing = (Said("sage", "Yes, Quill, that works."), Said("quill", "Agreed with Sage, and it holds."))
    said = [
        *agreeing * 2,
        Said("xalt", "Yes, Quill, and louder."),
        Said("sage", "Yes to Xalt, all the same."),
    ]
    drifts = distil(said, "pricing").drifts
    assert {drift.drift > 0 for drift in drifts} == {True, False}
    for drift in drifts:
        if drift.drift < 0:
            assert not re.search("Yes|Agreed", drift.reason), drift.reason


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_six_agents_can_be_told_apart(kind: str) -> None:
    def main_text(agent: Agent) -> str:
        fields = json.loads(work(kind, agent))
        return str(fields.get("summary") or fields["text"])

    assert len({main_text(agent) for agent in PEOPLE}) == 6


def test_findings_name_the_step_they_come_from_and_there_are_none_without_one() -> None:
    found = json.loads(work("research", earlier=EARLIER))["findings"]
    assert found == [{"claim": "Saturday mails are opened twice as often as Tuesday mails", "source": 1}]
    assert json.loads(work("research"))["findings"] == []


@pytest.mark.parametrize("topic", [*TOPICS, "x" * 300, "", "word " * 200, "“quoted” {braces} %s \\ \n <b>"])
@pytest.mark.parametrize("cast_size", [2, 3, 6])
def test_no_line_is_said_twice_in_a_conversation_and_each_is_short(topic: str, cast_size: int) -> None:
    said = talk(topic, 18, PEOPLE[:cast_size])
    assert all(0 < len(one.text) <= 120 and "\n" not in one.text for one in said)
    assert len({one.text.casefold() for one in said}) == 18


def test_even_an_endless_conversation_repeats_no_line() -> None:
    lines = [one.text for one in talk("tea", 400, PEOPLE[:2])]
    assert len(set(lines)) == 400


def test_a_stranger_can_talk_too() -> None:
    said = talk("tea", 12, [Agent("zoe", "Zoë"), Agent("bob", "Bob")])
    assert len({one.text for one in said}) == 12


def test_agents_answer_each_other_by_name() -> None:
    names = "|".join(agent.display_name for agent in PEOPLE)
    for topic in TOPICS:
        said = talk(topic, 12)
        assert sum(bool(re.search(names, one.text)) for one in said) >= 4


def test_voices_share_no_opening() -> None:
    openings = [{turn(agent, topic, (), "neutral", PEOPLE) for topic in TOPICS} for agent in PEOPLE]
    for one, other in itertools.combinations(openings, 2):
        assert not one & other


def test_distilling_quotes_what_was_said() -> None:
    said = talk("late deliveries", 10)
    distilled = distil(said, "late deliveries")
    texts = {one.by: " ".join(turn.text for turn in said if turn.by == one.by) for one in said}
    assert 1 <= len(distilled.memories) <= 6
    for memory in distilled.memories:
        quoted = [
            words.replace("‘", "“").replace("’", "”") for words in re.findall("“([^”]{10,})”", memory.content)
        ]
        assert any(words.rstrip("….")[:25] in texts[memory.agent_id] for words in quoted), memory.content


def test_drifts_are_between_participants_and_of_both_signs() -> None:
    ups = downs = 0
    for number, topic in enumerate(TOPICS * 5):
        cast = PEOPLE[number % 3 : number % 3 + 3]
        drifts = distil(talk(f"{topic} {number}", 9, cast)).drifts
        ids = {agent.id for agent in cast}
        assert drifts
        assert all(
            {drift.agent_a, drift.agent_b} <= ids and drift.agent_a < drift.agent_b for drift in drifts
        )
        assert len({(drift.agent_a, drift.agent_b) for drift in drifts}) == len(drifts)
        ups += sum(drift.drift > 0 for drift in drifts)
        downs += sum(drift.drift < 0 for drift in drifts)
        assert {drift.drift > 0 for drift in drifts} == {True, False}
    assert ups
    assert downs


def test_a_drift_stays_what_it_is_where_the_shape_names_no_limits() -> None:
    # So do the shapes that the provider's SDK sends.
    shape = Distillate.model_json_schema()
    limits = [shape["$defs"]["Drift"]["properties"]["drift"].pop(limit) for limit in ("minimum", "maximum")]
    request = LLMRequest(
        purpose="distil",
        messages=(Message("user", "What did it come to?"),),
        material=Material(said=tuple(talk("pricing", 9, PEOPLE)), participants=tuple(PEOPLE)),
    )
    drifts = Distillate.model_validate_json(compose(request, shape)).drifts
    assert limits == [-0.03, 0.03]
    assert {drift.drift > 0 for drift in drifts} == {True, False}


def test_two_people_alone_drift_apart_or_together() -> None:
    signs = {
        drift.drift > 0
        for number in range(20)
        for drift in distil(talk(f"topic {number}", 6, PEOPLE[number % 5 : number % 5 + 2])).drifts
    }
    assert signs == {True, False}


def test_a_conversation_in_which_nobody_spoke_distils_to_nothing() -> None:
    distilled = distil([])
    assert (distilled.memories, distilled.drifts, distilled.action_items) == ([], [], [])


def test_an_initiative_is_a_proposal_with_steps() -> None:
    class Idea(BaseModel):
        title: str
        description: str
        steps: list[dict[str, Any]] = Field(min_length=1)

    material = Material(company=COMPANY, agent=PEOPLE[0], topic="what to do next", earlier=EARLIER)
    request = LLMRequest(purpose="initiative", messages=(Message("user", "x"),), material=material)
    idea = Idea.model_validate_json(compose(request, Idea.model_json_schema()))
    assert {step["kind"] for step in idea.steps} <= set(SHAPES)


class Inner(BaseModel):
    level: Literal["low", "high"]
    share: float = Field(gt=0, lt=1)
    tags: list[str] = Field(min_length=2, max_length=3)


class Odd(BaseModel):
    verdict_of_the_jury: str = Field(max_length=30)
    count: int = Field(ge=3, le=5)
    flag: bool
    inner: Inner
    many: list[Inner] = Field(min_length=1)
    maybe: int | None = None
    either: int | str


def test_a_shape_nobody_foresaw_is_filled_all_the_same() -> None:
    request = LLMRequest(purpose="step:own", messages=(Message("user", "anything"),))
    Odd.model_validate_json(compose(request, Odd.model_json_schema()))


def test_a_plain_question_without_material_is_answered_in_words() -> None:
    answer = compose(LLMRequest(purpose="step:own", messages=(Message("user", "Why?"),)), None)
    assert len(answer.split()) > 5


@settings(max_examples=60, deadline=None)
@given(topic=st.text(max_size=300), name=st.text(max_size=80), earlier=st.text(max_size=300))
def test_no_text_whatsoever_upsets_it(topic: str, name: str, earlier: str) -> None:
    for kind in SHAPES:
        answer = work(kind, topic=topic, company=Company(name=name), earlier=(Said("x", earlier, 1),))
        SHAPES[kind].model_validate_json(answer)
    said = talk(topic, 3, company=Company(name=name))
    distil([*said, Said("sage", earlier)], topic)
