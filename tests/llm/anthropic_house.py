"""A gateway on the real SDK, before a server that speaks the Messages API."""

from typing import Any

from reactor.llm.anthropic import AnthropicProvider
from reactor.llm.gateway import Gateway
from reactor.llm.metering import Tally
from reactor.llm.request import LLMRequest, Message
from tests.handlers.house import OpenGuard
from tests.support.messages_api import (
    Behaviour,
    MessagesAPI,
)

KEY = "sk-test-0123456789"


class House:
    """A gateway to the server, with its door and its books."""

    def __init__(self, api: MessagesAPI) -> None:
        self.api, self.door, self.books = api, OpenGuard(), Tally()
        self.provider = AnthropicProvider(KEY, base_url=api.url)
        self.gateway = Gateway(self.provider, self.door, meter=self.books)

    async def says(self, behave: Behaviour, **request: Any) -> str:
        self.api.behave = behave
        return (await self.gateway.complete(ask(**request))).text

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the last request."""
        return self.api.asked[-1].body


def ask(text: str = "What now?", **more: Any) -> LLMRequest:
    given: dict[str, Any] = {"purpose": "turn", "messages": (Message("user", text),), "max_tokens": 160}
    return LLMRequest(**{**given, **more})
