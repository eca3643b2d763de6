"""The step that reads a page: fetched through the door, its text taken out by trafilatura, and trusted by nobody.

The result carries ``untrusted``: what is in it was written by whoever owns the page.
"""

from typing import Any, Final, NamedTuple

import trio

from reactor.errors import ReplyRefused, RequestFailed
from reactor.handlers.door import Door
from reactor.handlers.kinds import StepKind
from reactor.handlers.step import Step
from reactor.llm.fences import clean, cut
from reactor.model.addresses import target_of
from reactor.model.outcomes import Done, Fail, Outcome
from reactor.model.pages import decoded, is_readable, media_type

TIMEOUT_S: Final = 60.0
FETCH_WITHIN_S: Final = 40.0  # leaves the rest of the step's time to the reading
LONGEST_TEXT: Final = 20_000  # characters kept of a page
LONGEST_TITLE: Final = 300
ACCEPT: Final = (
    "text/html, application/xhtml+xml, text/plain;q=0.8, application/xml;q=0.6, application/json;q=0.5"
)

INPUT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["url"],
    "properties": {
        "url": {
            "type": "string",
            "minLength": 8,
            "maxLength": 2000,
            "description": "http or https, of the open net",
        },
        "topic": {"type": "string", "maxLength": 2000, "description": "what it is read for"},
    },
}


class Page(NamedTuple):
    """What a person reads on it."""

    title: str
    text: str


def crawl_kind(door: Door | None = None) -> StepKind:
    """The kind ``crawl``, through ``door``."""
    through = door or Door()

    async def crawl(step: Step) -> Outcome:
        return await _crawl(step, through)

    return StepKind(
        "crawl",
        crawl,
        "Fetch a page of the open net and keep its text.",
        timeout_s=TIMEOUT_S,
        input_schema=INPUT_SCHEMA,
    )


async def _crawl(step: Step, door: Door) -> Outcome:
    """The text of the page at ``url``; with something simulated before it, the request that would have gone out.

    Raises: AddressRefused, ReplyRefused: for good. RequestFailed: the page may be there another time.
    """
    target = target_of(step.payload["url"])
    await step.earlier()
    if step.simulated:
        # A URL can carry what a stand-in made up.
        return Done({"would_have_sent": {"method": "GET", "url": target.url}}, simulated=True)
    reply = await door.get(target.url, timeout_s=FETCH_WITHIN_S, accept=ACCEPT)
    if reply.status in (408, 425, 429) or reply.status >= 500:
        raise RequestFailed(f"{target.place} answered {reply.status}")
    if reply.status != 200:
        return Fail(f"{target.place} answered {reply.status}: there is nothing to read", retry=False)
    header = reply.headers.get("content-type", "")
    media = media_type(header)
    if not is_readable(media):
        raise ReplyRefused(f"{target.place} sent {media}: only text is read")
    page = await trio.to_thread.run_sync(
        _read, decoded(reply.body, header), media, abandon_on_cancel=True, limiter=step.context.threads
    )
    if not page.text:
        return Fail(f"{target.place}: there is no text on the page", retry=False)
    return Done(
        {
            "url": target.url,
            "final_url": reply.url,
            "title": page.title,
            "text": cut(page.text, LONGEST_TEXT),
            "media_type": media,
            "bytes": len(reply.body),
            "cut": len(page.text) > LONGEST_TEXT,
            "untrusted": True,
        }
    )


def _read(text: str, media: str) -> Page:
    if "html" not in media:
        return Page("", clean(text).strip())
    # It takes most of a second to import; a reactor that never crawls does not.
    from trafilatura import bare_extraction

    found = bare_extraction(text, with_metadata=True, include_comments=False)
    if found is None:
        return Page("", "")
    document = found if isinstance(found, dict) else found.as_dict()
    title = " ".join(clean(str(document.get("title") or "")).split())
    return Page(cut(title, LONGEST_TITLE), clean(str(document.get("text") or "")).strip())
