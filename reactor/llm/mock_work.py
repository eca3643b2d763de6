"""What the mock delivers as work: the fields of every step kind's result, and an initiative's proposal.

One composition answers for all kinds: it fills every field any of them has, in the agent's voice, from topic,
company and earlier results. `mock_shapes` keeps those that were asked for.
"""

from typing import Any, Final

from reactor.llm.fences import cut
from reactor.llm.mock_text import Dice, Pen, gist, voice_of
from reactor.llm.request import LLMRequest, Material, Said

_POST_CHARS: Final = 280
_POST_TOPIC_CHARS: Final = 50

_UNKNOWNS: Final = (
    "who at {company} would notice first if {topic} went wrong",
    "how much of {topic} is habit and how much is choice",
    "what {customers} did before {topic} came up",
    "whether last month's figures on {topic} can be compared with this month's",
    "what {topic} costs {company} while nobody looks",
    "which part of {topic} {customers} would miss",
    "how {topic} looks on the slowest day of the week",
    "who decides about {topic} when two people disagree",
)
_RECOMMENDATIONS: Final = (
    "Try one small piece of {topic} for a week and compare it with the week before.",
    "Write down what {company} expects of {topic} first, then look.",
    "Leave {topic} as it is until the first open question has an answer.",
    "Ask five people among {customers} about {topic} and change one thing they all name.",
    "Take {topic} off everybody's desk but one.",
    "Stop the half of {topic} nobody would defend, and watch who complains.",
)
_CAUSES: Final = (
    "Two parts of {topic} each expect the other to go first.",
    "{topic} changed hands and the reason for it stayed behind.",
    "What was measured about {topic} was easy to count, not important.",
    "{topic} was built for the quiet day and met a busy one.",
    "Nobody had the last word on {topic}, so nobody said it.",
    "A shortcut in {topic} outlived the hurry it was made for.",
)
_FIXES: Final = (
    "Give {topic} one owner and tell the others who it is.",
    "Put one check right before the point where {topic} drops.",
    "Undo the shortcut and keep what it taught.",
    "Say in one sentence what done means for {topic}, where everybody sees it.",
    "Run {topic} once by hand, slowly, and write down each surprise.",
    "Make {topic} fail loudly, and early.",
)
_PREVENTIONS: Final = (
    "a weekly look of ten minutes at {topic}, by somebody who did not build it",
    "one alarm on {topic} that a person reads",
    "a rehearsal of the busy day before it comes",
    "a note beside {topic} that says why it is the way it is",
)
_STRENGTHS: Final = (
    "it names {topic} in the first line and stays with it",
    "one thought at a time, in an order that helps",
    "it sounds like {company} and nobody else",
    "it says what it does not know",
    "the example is small enough to check",
    "it ends with something {customers} can do",
)
_ISSUES: Final = (
    ("the claim about {topic} comes before its reason", "turn the two sentences round"),
    (
        "nobody in it wants anything from {topic}",
        "open with somebody among {customers} and what they came for",
    ),
    ("a number is missing where one is promised", "give the figure, or take the promise out"),
    ("the middle explains {topic} twice", "keep the shorter one"),
    ("it never says what {company} does differently", "add the one sentence that only {company} can say"),
    ("the last line trails off", "end one sentence earlier"),
)
_RISKS: Final = (
    "{topic} takes twice as long because one person is needed everywhere",
    "{customers} meet {topic} before it is ready",
    "the first week looks good for reasons that have nothing to do with {topic}",
    "{topic} works and nobody at {company} has time for what follows",
    "two steps of {topic} wait for each other",
)
_PLAN: Final = (
    ("say in one sentence what {company} wants from {topic}", "plan", "minion"),
    ("collect what is already known about {topic}", "research", "scout"),
    ("weigh the two strongest readings of {topic}", "analyze", "sage"),
    ("draft the page on {topic} for {customers}", "write_content", "quill"),
    ("find the nine words for {topic}", "draft_tweet", "xalt"),
    ("check all of it against what was asked", "review", "observer"),
    ("write down what {topic} taught us", "summarize", "sage"),
)
_TITLES: Final = (
    "{topic}, on an ordinary morning",
    "What {topic} looks like from the other side",
    "The small part of {topic} that matters",
    "Why {company} looks at {topic} again",
    "{topic} without the slogans",
    "One honest week with {topic}",
)
_SCENES: Final = (
    "On a Tuesday, before the first coffee is gone, somebody among {customers} runs into {topic} and does what everybody"
    " does: sighs, and works around it.",
    "There is a note on a monitor somewhere. It says “{topic}” and nothing else, and has said so for a year.",
    "The question came at the end of a call, almost in passing: and what about {topic}?",
    "Nobody wakes up wanting {topic}. They wake up wanting the thing behind it.",
)
_TURNS: Final = (
    "{company} has looked at that moment closely. What helps is rarely more of {topic}; it is {topic} at the right"
    " time, from somebody who knows why you came.",
    "That is where {company} begins: not with a feature, but with the minute in which {topic} gets in the way.",
    "The temptation is to explain. {company} tries something else and takes one step out of {topic} instead.",
    "For {company} the lesson was a plain one: the part of {topic} that gets talked about is not the part that hurts.",
)
_CLOSES: Final = (
    "Try it with the next small thing on your list, and tell us where it breaks.",
    "If you have ten minutes, spend them on the first step; the second will look different from there.",
    "Nothing here needs a decision today. It needs one morning, and somebody curious.",
    "Take the note off the monitor. Write down what you would rather have there.",
)
_POSTS: Final = (
    "{topic}: everybody has a plan, nobody has tried it on a Monday. We did.",
    "Nine out of ten opinions on {topic} are about the wrong half of it.",
    "We stopped explaining {topic} and asked one person to use it. Humbling.",
    "{topic} is not hard. Saying why you want it is.",
    "Unpopular: {topic} gets better when you do less of it.",
    "The best line about {topic} this week came from a complaint.",
    "If {topic} needs a slogan, it is not done yet.",
    "Half of {topic} is waiting. We took the waiting out.",
)
_BUILDS_ON: Final = (
    "It builds on what {who} left in step {ref}: “{quote}”.",
    "Step {ref} by {who} matters here: “{quote}”.",
    "I kept one thing from {who}, step {ref}: “{quote}”.",
    "What {who} wrote in step {ref} still stands: “{quote}”.",
)
_REMEMBERS: Final = (
    "I have not forgotten: “{quote}”.",
    "What I learnt before comes in handy here: “{quote}”.",
    "Last time taught me something: “{quote}”.",
)
_ALONE: Final = (
    "Nothing came before this in the mission, so this is a starting point and not a finding.",
    "There is no earlier work to lean on yet; I say what to look at, not what is so.",
    "With no sources in hand I keep to questions.",
)
_GOALS: Final = (
    "It should serve “{goal}”; if it does not, drop it.",
    "Held against “{goal}”, it is worth a week.",
    "Of all goals it touches “{goal}” most.",
)


def compose_work(request: LLMRequest, dice: Dice) -> dict[str, Any]:
    """Every field a step's result may have."""
    material, pen = request.material, Pen(request.material)
    kind = request.purpose.partition(":")[2]
    posts = _posts(material, dice)
    fields = {
        "title": pen.write(dice.pick("title", _TITLES)),
        "summary": _summary(material, pen, dice),
        "findings": [
            {"claim": gist(said, 200), "source": said.ref} for said in material.earlier[-4:] if said.ref
        ],
        "unknowns": _lines(pen, dice, "unknowns", _UNKNOWNS, 3),
        "recommendation": pen.write(dice.pick("recommendation", _RECOMMENDATIONS)),
        "confidence": (40 + dice.roll("confidence", 41)) / 100,
        "alternatives": posts[1:],
        **_judgement(pen, dice),
        "cause": pen.write(dice.pick("cause", _CAUSES)),
        "evidence": [gist(said, 160) for said in material.earlier[-3:]],
        "fixes": _lines(pen, dice, "fixes", _FIXES, 2),
        "prevention": pen.write(dice.pick("prevention", _PREVENTIONS)),
        "points": _points(material, pen, dice),
        "steps": _plan(pen, dice),
        "risks": _lines(pen, dice, "risks", _RISKS, 2),
    }
    fields["text"] = _text(kind, material, pen, dice, fields["summary"], posts[0])
    return fields


def compose_initiative(request: LLMRequest, dice: Dice) -> dict[str, Any]:
    """A proposal: what to do, why, and its first steps."""
    pen = Pen(request.material)
    steps = _plan(pen, dice)[:2]
    return {
        "nothing": False,
        "title": pen.write(dice.pick("title", _TITLES)),
        "description": _summary(request.material, pen, dice),
        "reason": pen.write(dice.pick("recommendation", _RECOMMENDATIONS)),
        "steps": [{"kind": step["kind"], "payload": {"topic": step["title"]}} for step in steps],
    }


def _summary(material: Material, pen: Pen, dice: Dice) -> str:
    voice = voice_of(material)
    parts = [pen.write(dice.pick("begins", voice.begins))]
    if material.earlier:
        parts.append(_builds_on(material.earlier[-1], pen, dice))
    else:
        parts.append(pen.write(dice.pick("alone", _ALONE)))
    parts += [pen.write(line) for line in dice.some("thinks", voice.thinks, 2)]
    if material.company.goals:
        parts.append(pen.write(dice.pick("goals", _GOALS)))
    parts.append(pen.write(dice.pick("ends", voice.ends)))
    return " ".join(parts)


def _builds_on(said: Said, pen: Pen, dice: Dice) -> str:
    if not said.ref:
        return pen.write(dice.pick("remembers", _REMEMBERS), quote=gist(said))
    return pen.write(dice.pick("builds_on", _BUILDS_ON), who=said.by, ref=str(said.ref), quote=gist(said))


def _text(kind: str, material: Material, pen: Pen, dice: Dice, summary: str, post: str) -> str:
    if kind == "draft_tweet":
        return post
    if kind == "write_content":
        middle = [pen.write(dice.pick("turns", _TURNS))]
        if material.earlier:
            middle.append(_builds_on(material.earlier[-1], pen, dice))
        middle.append(pen.write(dice.pick("thinks", voice_of(material).thinks)))
        return "\n\n".join(
            (
                pen.write(dice.pick("scenes", _SCENES)),
                " ".join(middle),
                pen.write(dice.pick("closes", _CLOSES)),
            )
        )
    return summary


def _posts(material: Material, dice: Dice) -> list[str]:
    pen, voice = Pen(material, _POST_TOPIC_CHARS), voice_of(material)
    first = material.earlier[-1] if material.earlier else None
    quoted = f"“{gist(first, 70)}” ({cut(first.by, 20)}). " if first else ""
    signed = f" — {cut(material.company.name, 40)}" if material.company.name.strip() else ""
    return [
        cut(f"{quoted if place == 0 else ''}{pen.write(line)} {tail}{signed}", _POST_CHARS)
        for place, (line, tail) in enumerate(
            zip(dice.some("posts", _POSTS, 3), dice.some("post_tails", voice.tails, 3), strict=True)
        )
    ]


def _judgement(pen: Pen, dice: Dice) -> dict[str, Any]:
    score = 3 + dice.roll("score", 7)
    return {
        "verdict": "approve" if score >= 7 else "revise" if score >= 4 else "reject",
        "score": score,
        "strengths": _lines(pen, dice, "strengths", _STRENGTHS, 2),
        "issues": [
            {"problem": pen.write(problem), "fix": pen.fill(fix)}
            for problem, fix in dice.some("issues", _ISSUES, 1 if score >= 7 else 2)
        ],
    }


def _points(material: Material, pen: Pen, dice: Dice) -> list[str]:
    if material.earlier:
        return [
            f"{said.by}, {f'step {said.ref}' if said.ref else 'from memory'}: {gist(said, 160)}"
            for said in material.earlier[-6:]
        ]
    return [pen.write(line) for line in dice.some("points", voice_of(material).thinks, 3)]


def _plan(pen: Pen, dice: Dice) -> list[dict[str, Any]]:
    chosen = sorted(dice.some("plan", range(len(_PLAN)), 3))
    return [
        {"title": pen.write(title), "kind": kind, "owner": owner}
        for title, kind, owner in (_PLAN[place] for place in chosen)
    ]


def _lines(pen: Pen, dice: Dice, label: str, bank: tuple[str, ...], count: int) -> list[str]:
    return [pen.write(line) for line in dice.some(label, bank, count)]
