"""What each LLM kind's answer must look like, and the step result it becomes.

Too long is cut, of the wrong type is refused: the gateway asks once more. Every result has a main ``text``. In
research and analyses a claim must name the earlier step it comes from; one that does not, or names a step that is
not there, is dropped, and ``text`` is put together from what is left, so that it cannot come back that way.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from reactor.handlers.prompts import author
from reactor.llm.fences import clean, cut
from reactor.store.steps_read import EarlierResult

POST_CHARS: Final = 280


def _within(limit: int) -> BeforeValidator:
    return BeforeValidator(
        lambda value: cut(clean(value).strip(), limit) if isinstance(value, str) else value
    )


def _at_most(count: int) -> BeforeValidator:
    return BeforeValidator(lambda value: value[:count] if isinstance(value, list) else value)


Line = Annotated[str, _within(500), Field(min_length=1, description="one sentence or two")]
Prose = Annotated[str, _within(6000), Field(min_length=1)]
Post = Annotated[
    str, _within(POST_CHARS), Field(min_length=1, description=f"at most {POST_CHARS} characters")
]
Lines = Annotated[list[Line], _at_most(12)]


class Shape(BaseModel):
    """Base of all: keys nobody asked for are ignored."""

    model_config = ConfigDict(extra="ignore")

    lesson: Annotated[Line | None, Field(description="only if something general was learnt")] = None


class Finding(BaseModel):
    """A claim and the number of the earlier step it comes from."""

    claim: Line
    source: int = Field(description="the number of the earlier step that says so")


class Research(Shape):
    """What is known, and what is not."""

    summary: Prose = Field(description="what to make of it; no facts that are not among the findings")
    findings: Annotated[list[Finding], _at_most(20)]
    unknowns: Lines


class Analysis(Research):
    """What follows from what is known."""

    recommendation: Line
    confidence: float = Field(ge=0, le=1)


class Content(Shape):
    """A finished piece of writing."""

    title: Annotated[str, _within(200), Field(min_length=1)]
    text: Annotated[
        str, _within(20_000), Field(min_length=1, description="the whole piece, in plain paragraphs")
    ]


class Tweet(Shape):
    """One short post, and others it might have been."""

    text: Post
    alternatives: Annotated[list[Post], _at_most(3)]


class Issue(BaseModel):
    """Something wrong, and what would put it right."""

    problem: Line
    fix: Line


class Review(Shape):
    """A verdict with its reasons."""

    summary: Prose
    verdict: Literal["approve", "revise", "reject"]
    score: int = Field(ge=1, le=10)
    strengths: Lines
    issues: Annotated[list[Issue], _at_most(12)]


class Diagnosis(Shape):
    """Why something failed, and what to do."""

    summary: Prose
    cause: Line
    evidence: Lines
    fixes: Lines
    prevention: Line


class Summary(Shape):
    """The same, shorter."""

    text: Prose
    points: Lines


class PlanStep(BaseModel):
    """One thing to do."""

    title: Line
    kind: Annotated[str, _within(100)] = Field(description="what kind of work it is")
    owner: Annotated[str, _within(63)] = Field(description="the id of whoever should do it")


class Plan(Shape):
    """A goal turned into steps."""

    summary: Prose
    steps: Annotated[list[PlanStep], _at_most(20), Field(min_length=1)]
    risks: Lines


SHAPES: Final[Mapping[str, type[Shape]]] = {
    "research": Research,
    "analyze": Analysis,
    "write_content": Content,
    "draft_tweet": Tweet,
    "review": Review,
    "diagnose": Diagnosis,
    "summarize": Summary,
    "plan": Plan,
}


def result_of(answer: Shape, earlier: Sequence[EarlierResult]) -> dict[str, Any]:
    """The step's result: the answer's fields, checked claims only, and the main ``text`` first."""
    fields = answer.model_dump(exclude_none=True)
    if isinstance(answer, Research):
        fields.update(_sourced(answer, earlier))
    text = fields.pop("text", None) or _text(fields)
    return {"text": text, **fields}


def _sourced(answer: Research, earlier: Sequence[EarlierResult]) -> dict[str, Any]:
    known = {step.seq: step for step in earlier}
    kept = [finding for finding in answer.findings if finding.source in known]
    sources = [_source(known[seq]) for seq in sorted({finding.source for finding in kept})]
    return {
        "findings": [finding.model_dump() for finding in kept],
        "sources": sources,
        "dropped_claims": len(answer.findings) - len(kept),
    }


def _source(step: EarlierResult) -> dict[str, Any]:
    source: dict[str, Any] = {"step": step.seq, "kind": step.kind}
    if (agent := author(step)) is not None:
        source["agent"] = agent
    if isinstance(step.result, Mapping):
        source |= {key: step.result[key] for key in ("url", "title") if isinstance(step.result.get(key), str)}
    return source


_SECTIONS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "recommendation": ("Recommendation", str),
    "cause": ("Cause", str),
    "prevention": ("So that it stays fixed", str),
    "verdict": ("Verdict", str),
}
_LISTS: Final[Mapping[str, tuple[str, Callable[[Any], str]]]] = {
    "findings": ("Found", lambda finding: f"{finding['claim']} (step {finding['source']})"),
    "issues": ("To mend", lambda issue: f"{issue['problem']}: {issue['fix']}"),
    "evidence": ("Evidence", str),
    "fixes": ("To do", str),
    "steps": ("Steps", lambda step: f"{step['title']} ({step['owner']}, {step['kind']})"),
    "risks": ("Risks", str),
    "unknowns": ("Open", str),
}


def _text(fields: Mapping[str, Any]) -> str:
    """The fields as a page somebody can read: the summary, then what there is of the rest."""
    parts = [fields["summary"]]
    for key, (heading, line) in _LISTS.items():
        if fields.get(key):
            parts.append("\n".join((f"{heading}:", *(f"- {line(item)}" for item in fields[key]))))
    parts += [
        f"{heading}: {line(fields[key])}" for key, (heading, line) in _SECTIONS.items() if fields.get(key)
    ]
    return "\n\n".join(parts)
