"""Viewers who read nothing, and more of them than there is room for, cost nobody else anything."""

import socket
from urllib.parse import urlsplit

import pytest
import trio

from reactor.web import feed as feed_module
from reactor.web.api import stream as stream_module
from tests.support.waiting import until
from tests.web.house import house
from tests.web.watching import Session, flood, tell, watching


@pytest.mark.chaos
async def test_who_reads_nothing_is_cut_off_and_finds_everything_when_he_comes_back(
    database: str, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "BACKLOG_BYTES", 3_000_000)
    async with house(database) as it:
        where = urlsplit(it.url)
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((where.hostname, where.port))
            deaf.sendall(b"GET /api/ops/stream?after=0-0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: it.desk.feed.viewers == 1)
            async with watching(it) as watcher:
                happened = 0
                with trio.fail_after(60):
                    while it.desk.feed.cut == 0:
                        flood(sql, 100, summary=4000)
                        tell(sql, f"end {happened}")
                        await watcher.event(f"end {happened}")  # who reads is not held up
                        happened += 101
        assert happened < stream_module.MOST_BEHIND
        tell(sql, "the end")
        async with watching(it, after="0-0") as back:
            seen = 0
            while (await back.hear()).data["title"] != "the end":
                seen += 1
        assert seen == happened


async def test_more_than_may_watch_are_sent_elsewhere(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MOST_VIEWERS", 1)
    async with house(database) as it, watching(it):
        await until(lambda: it.desk.feed.full)
        answer = await it.get("/stream")
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
