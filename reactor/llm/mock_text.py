"""The mock's dice and pen: choices that depend on the input alone, and lines with the facts written in."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final, TypeVar

from reactor.llm.fences import clean, cut
from reactor.llm.mock_names import named
from reactor.llm.mock_voices import ANYBODY, VOICES, Voice
from reactor.llm.request import LLMRequest, Material, Said

T = TypeVar("T")

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s|\n")
_MARKDOWN = re.compile(r"[*_#`>]+")
_BEGINS_WITH_A_FACT = re.compile(r"(?<=[.!?] )\{(\w+)\}")
_TOPIC_CHARS: Final = 80
_QUOTE_CHARS: Final = 110
_FEW_WORDS: Final = 4  # of so few no sentence is quoted where there is a longer one
_FEW_CHARS: Final = 12


class Dice:
    """The same rolls for the same seed, whenever and wherever; each label is a die of its own."""

    def __init__(self, *seed: object) -> None:
        self._seed = "\x1f".join(map(str, seed)).encode("utf-8", "surrogatepass")

    def roll(self, label: object, sides: int) -> int:
        """0 to ``sides`` - 1."""
        digest = hashlib.blake2b(
            str(label).encode("utf-8", "surrogatepass"), key=hashlib.blake2b(self._seed).digest()
        )
        return int.from_bytes(digest.digest()[:8], "big") % sides

    def pick(self, label: object, options: Sequence[T]) -> T:
        """One of ``options``."""
        return options[self.roll(label, len(options))]

    def some(self, label: object, options: Sequence[T], count: int) -> list[T]:
        """``count`` different ones of ``options``, or all there are, in an order of their own."""
        order = sorted(range(len(options)), key=lambda place: self.roll((label, place), 1 << 62))
        return [options[place] for place in order[:count]]


def dice_of(request: LLMRequest) -> Dice:
    """Dice seeded by all the model would see, and by nothing else: a second attempt gets the same answer."""
    return Dice(
        request.purpose,
        request.material.agent.id,
        request.system,
        *((message.role, message.text) for message in request.messages),
    )


def voice_of(material: Material) -> Voice:
    """How the agent talks; somebody the mock has never met talks plainly."""
    return VOICES.get(material.agent.id, ANYBODY)


def gist(said: Said, limit: int = _QUOTE_CHARS) -> str:
    """The first sentence worth quoting, in one line, of at most ``limit`` characters."""
    text = _MARKDOWN.sub("", clean(said.text)).replace("“", "‘").replace("”", "’")
    sentences = [" ".join(part.split()) for part in _SENTENCE_END.split(text)]
    worth = (
        [sentence for sentence in sentences if len(sentence.split()) > _FEW_WORDS]
        or [sentence for sentence in sentences if len(sentence) > _FEW_CHARS]
        or [sentence for sentence in sentences if sentence]
        or ["…"]
    )
    return cut(worth[0].rstrip(" .:"), limit)


class Pen:
    """Writes lines about one request's material."""

    def __init__(self, material: Material, topic_chars: int = _TOPIC_CHARS) -> None:
        company = material.company
        self.topic = short_topic(material, topic_chars)
        self._facts = {
            "topic": self.topic,
            "company": cut(company.called, 60),
            "customers": cut(company.customers, 60) or "the customers",
            "goal": cut(company.goals[0], 80) if company.goals else "doing less, better",
        }

    def write(self, line: str, **more: str) -> str:
        """``line`` with its facts in place; the first letter large, whatever fact it came from."""
        text = self.fill(line, **more)
        return text[:1].upper() + text[1:]

    def fill(self, line: str, **more: str) -> str:
        """``line`` with its facts in place, for the middle of a sentence; sentences after it begin with a large letter."""
        facts = {**self._facts, **more}
        large = {f"{name}_": fact[:1].upper() + fact[1:] for name, fact in facts.items()}
        text = _BEGINS_WITH_A_FACT.sub(r"{\1_}", line).format_map({**facts, **large})
        return text.replace("?”?", "?”").replace("““", "“").replace("””", "”")


def short_topic(material: Material, limit: int) -> str:
    """The topic in one line, or what stands in for one; in quotation marks where it would not pass for a noun."""
    topic = " ".join(clean(material.topic).split()).replace("“", "‘").replace("”", "’")
    asked = topic.endswith("?")
    topic = cut(topic.rstrip(" .?!"), limit)
    if asked:
        return f"“{topic}?”"
    return named(topic) if topic else "the work at hand"
