"""From values to HTML: one autoescaping environment, and the words and pictures that templates use.

Everything a template prints is escaped; only what a template has made goes into another one as it is. The answers' policy
lets no inline script or style in, so a template has neither, nor a ``style`` attribute: sizes are attributes of SVG.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID
from zlib import crc32

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reactor import __version__
from reactor.model.wording import size, span, usd, when
from reactor.web.page import assets, drawing
from reactor.web.page.fields import shape_of

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
# The seeded team has colours that are told apart easily; whoever joins gets one of the rest.
_HUES: Final = {"minion": 0, "sage": 1, "scout": 2, "quill": 3, "xalt": 4, "observer": 5, "human": 8}
_MORE_HUES: Final = (6, 7)


def hue(agent: str | None) -> int:
    """The number of the colour of an agent, ``human``, or nobody (9); the same wherever it is shown."""
    if not agent:
        return 9
    known = _HUES.get(agent)
    return known if known is not None else _MORE_HUES[crc32(agent.encode()) % len(_MORE_HUES)]


def pretty(value: object) -> str:
    """JSON over several lines, as a person edits it."""
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=2)


def brief(value: object, most: int = 160) -> str:
    """JSON, or a text as it is, on one line and cut."""
    text = value if isinstance(value, str) else json.dumps(value, default=_plain, ensure_ascii=False)
    return text if len(text) <= most else text[: most - 1] + "…"


def seal(value: object) -> str:
    """A print of ``value``: a form brings it back, and whoever reads it sees whether the value is another now."""
    text = json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:32]


def words(name: object) -> str:
    """``step_succeeded`` as ``step succeeded``."""
    return str(name).replace("_", " ")


def clock(moment: datetime | None) -> str:
    """ISO 8601 in UTC, for ``<time datetime>``; a script shows it in the reader's own zone."""
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")


def text_of(result: Any) -> str:
    """What a result says: its ``text`` when it has one, else the whole as JSON; nothing for None."""
    if result is None or result == {}:
        return ""
    if isinstance(result, Mapping) and isinstance(result.get("text"), str):
        return str(result["text"])
    return pretty(result)


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    return str(value)


@cache
def environment() -> Environment:
    """The templates, compiled once a process."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        hue=hue, pretty=pretty, brief=brief, words=words, clock=clock, span=span, when=when, usd=usd, size=size,
        text_of=text_of, abs=abs, seal=seal, shape=shape_of,
    )  # fmt: skip
    made.globals.update(asset=assets.address, drawing=drawing, version=__version__)
    return made


def render(template: str, values: Mapping[str, Any]) -> str:
    """The HTML of a template."""
    return environment().get_template(template).render(values)
