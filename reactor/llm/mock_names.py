"""Whether a topic can stand where one thing is named, as in ‘What {topic} costs’.

Topics are anything: a title, a question, a goal ("lose fewer mugs"), the order of a step. In quotation marks all of them can
stand there, so in doubt that is what they get.
"""

from itertools import takewhile
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOST_NAMING: Final = 4  # words before the first link; more are likely a sentence

# What comes after one of these says more about a thing already named.
_LINKS: Final = _words(
    """
    about after and around at before behind between by during for from in into of off on or over since through to under until
    with without
    """
)
# What is asked, or left open.
_QUESTIONS: Final = _words("how if that what when where whether which who whom whose why")
# What says that somebody does something: then it is a sentence.
_SAYING: Final = _words(
    """
    i it we they you he she am are can could did do does had has have is may might must shall should was were will would
    """
)
# What orders and goals begin with. Some are names as well; those do not mind quotation marks.
_ORDERS: Final = _words(
    """
    add agree analyse analyze answer ask automate avoid be become begin bring build buy call celebrate change check choose
    clean clear close collect compare cut create decide define deliver describe design diagnose do don't double draft drop
    earn encourage end expand explain explore fill find finish fix focus follow get gather give go grow halve have help hire
    hold improve increase introduce invest invite keep know launch lead learn let list look lose lower make measure meet mend
    move
    name never offer open organise organize own pay pick plan post prepare prevent promote prove publish put raise reach read
    rebuild reduce remove replace research respond review rewrite run save say sell send serve set ship shorten show simplify
    spend start stay stop streamline strengthen summarize support take teach tell test think track train triple try turn
    understand update use visit want watch weigh win work write
    """
)
_ONE: Final = ("ss", "us", "is", "news", "'s", "’s")  # how one thing may end though it ends in s

_ARTICLES: Final = _words("a an each every her his last my next our the their these this those your")

# Words that say nothing about what it is about.
SMALL: Final = (
    _LINKS
    | _QUESTIONS
    | _SAYING
    | _ARTICLES
    | _words("already also here just nobody some somebody there very")
)


def named(topic: str) -> str:
    """``topic`` where a thing is named, in the middle of a sentence."""
    first, *more = topic.split()
    if first.casefold() in _ARTICLES:
        topic = topic[:1].lower() + topic[1:]
    title = bool(more) and first.istitle() and first.casefold() not in _ARTICLES
    return topic if is_a_name(topic) and not title else f"“{topic}”"


def is_a_name(topic: str) -> bool:
    """Whether it names one thing: no order, no question, no sentence, not many things."""
    words = [word.strip(",;:!?‘'\"").casefold() for word in topic.split()]
    thing = list(takewhile(lambda word: word not in _LINKS, words))
    if not thing or thing[0] in _ORDERS or thing[0] in _QUESTIONS or len(thing) > _MOST_NAMING:
        return False
    if _SAYING & set(words):
        return False
    return not any(word.endswith("s") and not word.endswith(_ONE) for word in thing)
