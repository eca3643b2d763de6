"""What the LLM kinds ask.

A prompt has two halves. The system half is the same for every step of one agent: who the company is, who the agent
is, how this house works. The other half says what to do with what: the kind's task, then the material, fenced and
labelled, the oldest first. When there is more material than a prompt may hold the oldest is cut first, and marked.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from reactor.llm.fences import RULE, clean, cut, fence, plain, plain_line
from reactor.llm.metering import BYTES_PER_TOKEN
from reactor.model.memory import Memory
from reactor.model.people import Agent, Company
from reactor.store.steps_read import EarlierResult, MissionBrief

_COMPANY_CHARS: Final = 2000
_TOPIC_CHARS: Final = 2000
_TOPIC_KEYS: Final = ("topic", "question", "title", "subject", "goal", "text")
_CUT_MARK: Final = "[cut here: the rest of this one was left out to save room]"
_LEFT_OUT: Final = "[{count} earlier results left out to save room]"
# A piece that would keep less than this is left out whole.
_WORTH_KEEPING_BYTES: Final = 200
# Between two pieces: an empty line, and what rounding up to whole tokens may add.
_BETWEEN_BYTES: Final = 5

_STRANGER: Final = (
    "You work for a small company that has not introduced itself yet. Keep to what is true of any."
)

_HOUSE: Final = (
    "How this house works:\n"
    "- Say what you know and where it comes from. What you only suppose you call a supposition.\n"
    "- Never make up a source, a figure, a quotation, a customer. An open question is a good answer.\n"
    "- Plain words, no preamble, nothing about yourself unless it matters. Write in the language of the task.\n"
    f"- {RULE}"
)

_REMEMBERED: Final = (
    "What you remember from earlier work. Let it colour what you do where it fits, and leave it where it does not; it is no"
    " source for a finding."
)

TASKS: Final[Mapping[str, str]] = {
    "research": (
        "Research the task. Gather what the earlier steps establish about it: each finding is one claim with the number"
        " of the step it comes from. A claim no earlier step supports is not a finding; put what would have to be found"
        " out among the unknowns. The summary says where things stand."
    ),
    "analyze": (
        "Analyze the task. Weigh what the earlier steps establish: each finding is one claim with the number of the step"
        " it comes from, nothing else is. Say in the summary what follows and what speaks against it, recommend one thing,"
        " put a number between 0 and 1 on your confidence, and list what you would still want to know."
    ),
    "write_content": (
        "Write the piece the task asks for, finished, ready to publish: a title and the text. Facts come from the earlier"
        " steps only. One thought to a paragraph; end with something the reader can do."
    ),
    "draft_tweet": (
        "Draft one post of at most 280 characters on the task, and up to three alternatives with another angle. No"
        " hashtags unless asked for. Facts come from the earlier steps only."
    ),
    "review": (
        "Review the piece the task points at, or, when it points at none, the latest earlier step. Say what to keep, name"
        " each problem with its fix, the worst first, give a score from 1 to 10 and a verdict: approve (as it is), revise"
        " (after mending the problems), reject (start again)."
    ),
    "diagnose": (
        "Diagnose what the task describes. Name the most likely cause, the evidence for it in the material, what to do now,"
        " and what keeps it from happening again. If the evidence does not settle it, say so in the summary."
    ),
    "summarize": (
        "Summarize the material: a short text that can stand alone, and the points that matter, each with who made it."
        " Nothing that is not in the material."
    ),
    "plan": (
        "Plan how to reach what the task asks for: steps in order, each one thing somebody can finish, with an owner from"
        " the team and the kind of work it is; then the risks. Fewer steps are better."
    ),
}

# Whom a kind suits when nobody is named for it.
SUITS: Final[Mapping[str, str]] = {
    "research": "scout",
    "analyze": "sage",
    "write_content": "quill",
    "draft_tweet": "xalt",
    "review": "observer",
    "diagnose": "sage",
    "summarize": "sage",
    "plan": "minion",
}

DESCRIPTIONS: Final[Mapping[str, str]] = {
    "research": "Gather what is known about a topic, with sources and open questions.",
    "analyze": "Weigh what is known, recommend, say how sure it is.",
    "write_content": "Write a finished piece: title and text.",
    "draft_tweet": "Draft a post of at most 280 characters, with alternatives.",
    "review": "Judge a piece: verdict, score, what to keep, what to mend.",
    "diagnose": "Find the likely cause of a failure, and what to do about it.",
    "summarize": "Say the same in less, with the points that matter.",
    "plan": "Turn a goal into steps with owners, and name the risks.",
}


def system_prompt(company: Company, agent: Agent) -> str:
    """Who it is for, who is speaking, how the house works; the same for the same company and agent."""
    return "\n\n".join((_about_company(company), _about_agent(agent), _HOUSE))


def task_prompt(
    kind: str,
    payload: Mapping[str, Any],
    topic: str,
    *,
    mission: MissionBrief | None,
    earlier: Sequence[EarlierResult],
    memories: Sequence[Memory] = (),
    team: Sequence[Agent],
    room_tokens: int,
) -> str:
    """What to do with what, in about ``room_tokens`` at most: the oldest results give way first."""
    ahead = [TASKS[kind]]
    if kind == "plan":
        ahead.append("The team: " + ", ".join(f"{agent.id} ({plain_line(agent.role)})" for agent in team))
    if mission is not None:
        about = mission.title if not mission.description else f"{mission.title}\n{mission.description}"
        ahead.append(fence("the mission this is a step of", about))
    ahead += remembered(memories)
    task = fence("the task", _shortened(_asked(payload, topic), room_tokens * BYTES_PER_TOKEN // 2))
    room_bytes = room_tokens * BYTES_PER_TOKEN - sum(_size(part) + _BETWEEN_BYTES for part in (*ahead, task))
    shown = fitted([(_label(step), result_text(step.result)) for step in earlier], room_bytes)
    return "\n\n".join((*ahead, *shown, task))


def remembered(memories: Sequence[Memory]) -> list[str]:
    """The memories, each fenced and labelled with what it is, under a line that says what to do with them; or nothing."""
    if not memories:
        return []
    return [_REMEMBERED, *(fence(_memory_label(memory), memory.content) for memory in memories)]


def _memory_label(memory: Memory) -> str:
    origin = {"human": ", from a person", "untrusted": ", from a stranger"}.get(memory.trust, "")
    return f"your memory: {memory.type}, {memory.confidence:.2f} sure{origin}"


def topic_of(payload: Mapping[str, Any], mission: MissionBrief | None, company: Company) -> str:
    """What the step is about: what its payload says, else the mission's title, else the company's first goal."""
    for key in _TOPIC_KEYS:
        value = payload.get(key)
        if isinstance(value, str) and value.strip():
            return cut(clean(value).strip(), _TOPIC_CHARS)
    if mission is not None:
        return mission.title
    return company.goals[0] if company.goals else f"what {company.called} should look at next"


def _asked(payload: Mapping[str, Any], topic: str) -> str:
    """What the payload says, a line a key; the topic alone, or first, where no key of it names one."""
    named = any(isinstance(payload.get(key), str) and payload[key].strip() for key in _TOPIC_KEYS)
    if named and len(payload) == 1:
        return str(next(iter(payload.values())))
    lines = [
        f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in payload.items()
    ]
    return "\n".join(lines if named else [topic, *lines])


def result_text(result: Any) -> str:
    """An earlier result as text: its main text, or all of it as JSON when it has none."""
    if isinstance(result, Mapping) and isinstance(result.get("text"), str) and result["text"].strip():
        return str(result["text"])
    return json.dumps(result, ensure_ascii=False)


def author(step: EarlierResult) -> str | None:
    """The id of the agent who did it: the one its row names, else the one its result does."""
    if (
        step.agent_id is None
        and isinstance(step.result, Mapping)
        and isinstance(step.result.get("agent"), str)
    ):
        return str(step.result["agent"])[:63]
    return step.agent_id


def _label(step: EarlierResult) -> str:
    by = f" by {author(step)}" if author(step) else ""
    return f"step {step.seq}, {step.kind}{by}"


def fitted(pieces: list[tuple[str, str]], room_bytes: int) -> list[str]:
    """The pieces (label, text) fenced, in order; from the newest back each takes what it needs of the room that is left.

    The first that does not fit is cut; those before it are left out, and a line says how many.
    """
    shown: list[str] = []
    room_bytes -= len(_LEFT_OUT) + 10
    for label, text in reversed(pieces):
        around = _size(fence(label, "")) + _BETWEEN_BYTES
        kept = _shortened(text, room_bytes - around)
        if not kept:
            break
        shown.append(fence(label, kept))
        room_bytes = room_bytes - around - _size(kept) if kept == text else 0
    if len(shown) < len(pieces):
        shown.append(_LEFT_OUT.format(count=len(pieces) - len(shown)))
    return shown[::-1]


def _shortened(text: str, room_bytes: int) -> str:
    """``text``, or as much of its beginning as fits into ``room_bytes`` with a mark where it ends, or nothing."""
    if _size(text) <= room_bytes:
        return text
    room_bytes -= len(_CUT_MARK) + 1
    if room_bytes < _WORTH_KEEPING_BYTES:
        return ""
    head = text.encode("utf-8", "replace")[:room_bytes].decode("utf-8", "ignore")
    return f"{cut(head + ' ', len(head))}\n{_CUT_MARK}"


def _size(text: str) -> int:
    # Bytes, because that is what tokens are reckoned from; a character may be four of them.
    return len(text.encode("utf-8", "surrogatepass"))


def _about_company(company: Company) -> str:
    if not company.introduced:
        return _STRANGER
    lines = [f"You work for {company.called}."]
    for heading, text in (
        ("What it does", company.what),
        ("Its customers", company.customers),
        ("Its goals", "; ".join(company.goals)),
        ("How it sounds", company.tone),
        ("What it never does", "; ".join(company.never)),
    ):
        if text:
            lines.append(f"{heading}: {text}")
    return cut(plain("\n".join(lines)), _COMPANY_CHARS)


def _about_agent(agent: Agent) -> str:
    lines = [f"You are {plain_line(agent.display_name)}."]
    lines += [text for text in (agent.role, agent.tone, agent.quirk, agent.directive) if text]
    return plain("\n".join(lines))
