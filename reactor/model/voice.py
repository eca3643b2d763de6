"""How what an agent has learnt changes how it talks: rules, no model asked."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

MOST = 3  # modifiers of one agent
SURE = 0.8  # insights count only when they are surer than this on average


class Remembered(NamedTuple):
    """An agent's active memories of one type: how many, how sure on average, and the tag they have most often."""

    type: str
    number: int
    confidence: float
    tag: str | None


# type: more than so many, and what that makes of the voice; in the order in which they are considered
RULES: dict[str, tuple[int, str]] = {
    "lesson": (10, "You have been burnt before{on}: you ask what could go wrong and speak from experience."),
    "pattern": (5, "You see patterns{on}: you say so when you have met something before."),
    "strategy": (8, "You have a plan in mind{on}: you bring talk back to where it should lead."),
    "preference": (5, "You know what you like{on}, and say it without apology."),
    "insight": (15, "You have thought a lot{on} and are sure of it: you speak plainly, without hedging."),
}


def about(sentence: str, tag: str | None) -> str:
    """One of the rules' sentences, said about a tag."""
    return sentence.format(on=f" when it comes to {tag}" if tag else "")


def modifiers(
    remembered: Iterable[Remembered], said: Callable[[str, str | None], str] = about
) -> tuple[str, ...]:
    """At most three sentences on how the agent talks; none for one who has little to look back on.

    ``said`` puts a tag into a rule's sentence; a tag is what a model or a stranger wrote.
    """
    by_type = {one.type: one for one in remembered}
    sentences = []
    for type_, (more_than, sentence) in RULES.items():
        one = by_type.get(type_)
        if one is None or one.number <= more_than or (type_ == "insight" and one.confidence <= SURE):
            continue
        sentences.append(said(sentence, one.tag))
    return tuple(sentences[:MOST])
