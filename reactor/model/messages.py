"""A notice in the words of who receives it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_HEADS: Final = {
    "approval_waiting": "waits for your yes",
    "budget_80": "80 % of the budget is spent",
    "budget_out": "the budget is spent",
    "breaker_open": "a service failed too often and is left alone for a while",
    "mission_failed": "a mission failed",
    "reactor_gone": "a reactor is gone",
    "digest": "the day in short",
    "test": "a test",
}
_MOST_LINES: Final = 10
_LONGEST_LINE: Final = 300
_LONGEST_DISCORD: Final = 2000  # characters its API takes


def message(format: str, topic: str, notices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What to post: Slack's ``text``, Discord's ``content``, or all of it; equal notices are told once, with their count."""
    lines = _lines(notices)
    head = f"voxyz: {_HEADS.get(topic, topic)}"
    match format:
        case "slack":
            # Slack reads only these three as its own; without them nobody is mentioned and nothing becomes a link.
            said = "\n".join([f"*{head}*", *(f"• {line}" for line in lines)])
            return {"text": f"*{head}*" + _slack(said.removeprefix(f"*{head}*")), "unfurl_links": False}
        case "discord":
            said = "\n".join([f"**{head}**", *(f"- {line}" for line in lines)])
            return {"content": said[:_LONGEST_DISCORD], "allowed_mentions": {"parse": []}}
        case _:
            return {"event": topic, "text": head, "notices": [dict(notice) for notice in notices]}


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(notices: Sequence[Mapping[str, Any]]) -> list[str]:
    counts: dict[str, int] = {}
    for notice in notices:
        parts = [" ".join(str(notice.get(key) or "").split()) for key in ("title", "body")]
        line = ": ".join(part for part in parts if part)[:_LONGEST_LINE]
        counts[line] = counts.get(line, 0) + 1
    lines = [line if count == 1 else f"{line} ({count} times)" for line, count in counts.items()]
    more = len(lines) - _MOST_LINES
    return lines if more <= 0 else [*lines[:_MOST_LINES], f"and {more} more"]
