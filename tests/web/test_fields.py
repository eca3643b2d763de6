"""A payload as fields of a form: what a browser sends back of them is the payload."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import UsageError
from reactor.handlers.thinking import INPUT_SCHEMA as TOPIC_AND_TEXT
from reactor.handlers.webhook import INPUT_SCHEMA as URL_AND_BODY
from reactor.web.page.fields import MOST, payload_of, shape_of

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
payloads = st.dictionaries(texts, values, max_size=6)
schemas = st.sampled_from(
    [
        {},
        URL_AND_BODY,
        TOPIC_AND_TEXT,
        {
            "properties": {
                "times": {"type": "integer", "minimum": 0, "maximum": 9},
                "loud": {"type": "boolean"},
                "format": {"enum": ["slack", "json"], "type": "string"},
                "": {"type": "string"},
                "a/b~c": {"type": "number"},
            }
        },
        {"properties": 7, "required": 7},
    ]
)


def sent_back(payload: Any, schema: Any, **typed: str) -> dict[str, str]:
    """What a browser sends of the form for ``payload``; ``typed``: other values, by place with ``_`` for ``/``."""
    shape = shape_of(payload, schema)
    form = {f"payload.{field.name}": field.value.replace("\n", "\r\n") for field in shape.fields}
    for place, text in typed.items():
        name = next(name for name in form if name.endswith(":/" + place.replace("_", "/")))
        form[name] = text
    return {**form, "payload": json.dumps(shape.rest)}


def read(form: Mapping[str, str]) -> Any:
    return payload_of(form, "payload", "the payload")


@pytest.mark.properties
@given(payloads, schemas)
def test_a_form_sent_back_as_it_was_gives_the_payload_as_it_was(payload: dict[str, Any], schema: Any) -> None:
    assert len(shape_of(payload, schema).fields) <= MOST
    read_back = read(sent_back(payload, schema))
    assert json.dumps(read_back, sort_keys=True) == json.dumps(payload, sort_keys=True)


def test_a_webhook_has_its_address_and_its_texts_as_fields_and_lists_as_json() -> None:
    payload = {"url": "https://e.example/x", "body": {"text": "Hello", "n": 3, "loud": True, "blocks": [1]}}
    shape = shape_of(payload, URL_AND_BODY)
    assert [(one.control, one.label, one.value, one.required) for one in shape.fields] == [
        ("text", "url", "https://e.example/x", True),
        ("text", "body › text", "Hello", False),
        ("number", "body › n", "3", False),
        ("flag", "body › loud", "true", False),
    ]
    assert shape.rest == {"body": {"blocks": [1]}}
    changed = read(sent_back(payload, URL_AND_BODY, body_text="Bye\r\nnow", body_n="4.5", body_loud="false"))
    assert changed == {
        "url": "https://e.example/x",
        "body": {"text": "Bye\nnow", "n": 4.5, "loud": False, "blocks": [1]},
    }


def test_what_the_kind_knows_has_a_field_before_the_payload_has_it() -> None:
    shape = shape_of({"tone": "warm"}, TOPIC_AND_TEXT)
    assert [(one.label, one.value, one.rows > 0) for one in shape.fields] == [
        ("topic", "", True),
        ("text", "", True),
        ("tone", "warm", False),
    ]
    assert read(sent_back({"tone": "warm"}, TOPIC_AND_TEXT, topic="bags")) == {
        "tone": "warm",
        "topic": "bags",
    }


def test_limits_and_choices_come_from_the_table() -> None:
    schema = {
        "properties": {
            "times": {"type": "integer", "minimum": 1, "maximum": 9, "description": "how often"},
            "format": {"type": "string", "enum": ["slack", "json"]},
        },
        "required": ["times"],
    }
    times, format = shape_of({"format": "json"}, schema).fields
    assert (times.control, times.hint, times.required) == ("number", "how often", True)
    assert times.limits == {"min": 1, "max": 9, "step": "1"}
    assert format.options == ("slack", "json")


def test_a_field_that_is_wrong_is_named() -> None:
    payload = {"body": {"n": 3, "loud": True}}
    for typed, told in (
        ({"body_n": "many"}, "the payload: body.n is no number: 'many'"),
        ({"body_n": "NaN"}, "body.n"),
        ({"body_n": "1e999"}, "body.n"),
        ({"body_n": '"3"'}, "body.n is no number"),
        ({"body_loud": "perhaps"}, "body.loud cannot be 'perhaps'"),
    ):
        with pytest.raises(UsageError, match=told.replace(".", r"\.")):
            read(sent_back(payload, {}, **typed))


def test_what_is_in_a_field_and_in_the_text_too_is_not_guessed() -> None:
    form = sent_back({"body": {"n": 3}}, {})
    for text in ('{"body": {"n": 4}}', '{"body": 5}', '{"body": []}'):
        with pytest.raises(UsageError, match=r"body\.n is in a field and in the JSON text"):
            read({**form, "payload": text})
    assert read({**form, "payload": '{"body": {"m": 4}}'}) == {"body": {"n": 3, "m": 4}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{not json", "the payload is no JSON"),
        ('{"a": [1, {"b": NaN}]}', r"the payload\.a\.1\.b is a number without an end"),
        ('{"a": "\\u0000"}', r"the payload\.a has a null character"),
        ('{"a": {"\\ud800": 1}}', r"the payload\.a has a name with"),
        ("[" * 100_000, "the payload is no JSON"),
    ],
)
def test_json_that_cannot_be_kept_is_refused_by_its_place(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read({"payload": text})


def test_nothing_sent_is_nothing_and_whole_json_needs_no_field() -> None:
    assert read({"other": "x"}) is None
    assert read({"payload": " [1] "}) == [1]
    with pytest.raises(UsageError, match="must be a JSON object"):
        read({"payload": "[1]", "payload.text:/a": "x"})
    with pytest.raises(UsageError, match="a field that is of no payload"):
        read({"payload.text:": "x"})
