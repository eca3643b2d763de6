"""The log: what a line has, and what never is in one."""

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from reactor.cli.logs import ORDER, OurHandler, configure, without_secrets


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, OurHandler)]
    root.setLevel(logging.WARNING)
    logging.raiseExceptions = True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_begins_with_what_every_line_has(stream: io.StringIO) -> None:
    configure("json", "info", stream)
    structlog.get_logger().info(
        "step_succeeded",
        seconds=0.1,
        attempt=1,
        worker="w",
        agent="sage",
        mission_id=2,
        id=3,
        queue="mission",
    )
    (line,) = lines(stream)
    assert tuple(line) == (*ORDER, "seconds")
    assert line["level"] == "info"


def test_prompts_payloads_and_passwords_are_never_in_it(stream: io.StringIO) -> None:
    configure("json", "debug", stream)
    log = structlog.get_logger()
    log.info(
        "done",
        payload={"a": "hush"},
        prompt="hush",
        result="hush",
        dsn="hush",
        api_key="hush",
        Password="hush",
    )
    log.info("connecting", where="postgresql://me:hu@sh@db:5432/x and sk-ant-hush0123456789")
    log.info("host=db password='hush hush' user=me")
    logging.getLogger("psycopg").debug("select %s", "hush")
    assert "hush" not in stream.getvalue()
    assert "hu@sh" not in stream.getvalue()


def test_an_error_is_told_without_those_that_led_to_it(stream: io.StringIO) -> None:
    configure("json", "info", stream)
    try:
        try:
            raise ValueError("the row contains hush")
        except ValueError as cause:
            raise RuntimeError("could not store it") from cause
    except RuntimeError:
        structlog.get_logger().exception("handler_failed")
    (line,) = lines(stream)
    assert line["exception"].endswith("RuntimeError: could not store it")
    assert "hush" not in line["exception"]


def test_the_standard_library_s_log_comes_out_the_same_way(stream: io.StringIO) -> None:
    configure("json", "info", stream)
    logging.getLogger("somebody").warning("low on %s", "tea")
    logging.getLogger("hypercorn.error").info("not worth a line")
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("low on tea", "warning")
    assert "time" in line


def test_the_level_and_the_form_are_as_set_and_can_be_set_again(stream: io.StringIO) -> None:
    configure("json", "warning", stream)
    structlog.get_logger().info("quiet")
    assert stream.getvalue() == ""
    configure("console", "info", stream)
    structlog.get_logger().info("loud", queue="mission")
    assert "loud" in stream.getvalue()
    assert "queue=mission" in stream.getvalue()
    assert stream.getvalue().count("loud") == 1


@pytest.mark.parametrize("form", ["json", "console"])
def test_words_of_a_row_can_neither_break_a_line_nor_command_the_terminal(
    stream: io.StringIO, form: Literal["json", "console"]
) -> None:
    configure(form, "info", stream)
    structlog.get_logger().warning("unknown_kind", kind="a\u2028b\u0085c\n2026 forged\x1b[2J\x07")
    logging.getLogger("somebody").warning("low on %s", "tea\u2029and\x1b[2J")
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b[2J" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()


def test_without_a_terminal_the_form_is_json(stream: io.StringIO) -> None:
    configure(None, "info", stream)
    structlog.get_logger().info("x")
    assert lines(stream)[0]["event"] == "x"


def test_a_password_is_blanked_and_the_rest_stays() -> None:
    assert without_secrets("at postgresql://me:a@b:c@db/x now") == "at postgresql://me:***@db/x now"
    assert without_secrets("http://db:8420/ops") == "http://db:8420/ops"


def test_the_journal_gets_a_level_before_every_line(
    stream: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        found = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        configure(None, "debug", journal)
        log = structlog.get_logger()
        log.debug("looked")
        log.info("ready")
        log.warning("slow")
        log.error("broke")
        configure("console", "info", journal)
        try:
            raise ValueError("on\ntwo lines")
        except ValueError:
            log.exception("broke")
        lines = (tmp_path / "journal").read_text().splitlines()
    assert [line[:3] for line in lines[:4]] == ["<7>", "<6>", "<4>", "<3>"]
    assert json.loads(lines[1][3:])["event"] == "ready"
    assert len(lines) > 5
    assert all(line.startswith("<3>") for line in lines[4:])


def test_a_file_that_is_not_the_journal_gets_plain_lines(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    configure("json", "info", stream)
    structlog.get_logger().info("ready")
    assert lines(stream)[0]["event"] == "ready"
