"""Values a user may well insert never fail a fetch."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.pg import Connection, Jsonb
from reactor.pg.adapters import EARLIEST, LATEST, loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-03-29 02:30:00+02", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        ("infinity", LATEST),
        ("-infinity", EARLIEST),
        ("12026-01-01 00:00:00+00", LATEST),
        ("0044-03-15 00:00:00+00 BC", EARLIEST),
    ],
)
async def test_any_timestamp_can_be_fetched(connection: Connection, text: str, value: datetime) -> None:
    assert await connection.fetch_value("select %s::text::timestamptz", (text,)) == value
    assert value.tzinfo is not None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e5000", sys.float_info.max),
        ("-1e5000", -sys.float_info.max),
        ("[1e30, 0.5, 7]", [10**30, 0.5, 7]),
        ('"\\u00e9\\ud83d\\ude00"', "é😀"),
    ],
)
async def test_any_jsonb_can_be_fetched(connection: Connection, text: str, value: Any) -> None:
    assert await connection.fetch_value("select %s::text::jsonb", (text,)) == value


async def test_json_nested_deeper_than_python_can_hold_comes_as_its_text(connection: Connection) -> None:
    deep = "[" * 3000 + "]" * 3000
    assert await connection.fetch_value("select %s::text::jsonb", (deep,)) == deep


async def test_half_a_surrogate_pair_in_json_survives(connection: Connection) -> None:
    assert await connection.fetch_value("""select '"\\ud800"'::json""") == "\ud800"


@pytest.mark.parametrize("value", [{"a": [1, None, True, "ü"]}, [], "text", 0, None, 1.5])
async def test_jsonb_goes_there_and_back(connection: Connection, value: Any) -> None:
    assert await connection.fetch_value("select %s::jsonb", (Jsonb(value),)) == value


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_loads_reads_what_json_writes(value: Any) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value


def test_a_long_number_in_a_deep_text_is_still_no_error() -> None:
    text = "[" + "9" * 5000 + "," + "[" * 5000 + "]" * 5000 + "]"
    assert loads(text) == text
