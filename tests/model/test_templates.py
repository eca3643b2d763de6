from typing import Any

import pytest

from reactor.errors import TemplateError
from reactor.model.templates import MOST_LEVELS, has_templates, resolve

RESULTS: dict[int, Any] = {
    1: {
        "text": "it rains",
        "findings": [{"claim": "wet"}, {"claim": "cold"}],
        "n": 3,
        "ok": True,
        "none": None,
    },
    2: {"text": 'a "quoted" \\ line\nand {{steps.1.result.text}}'},
    7: "just text",
}


def test_a_string_that_is_one_template_becomes_the_value_with_its_type() -> None:
    payload = {
        "a": "{{steps.1.result.findings}}",
        "b": "{{ steps.1.result.n }}",
        "c": "{{steps.1.result.ok}}",
        "d": "{{steps.1.result.none}}",
        "e": " {{steps.7.result}}\n",
    }
    assert resolve(payload, RESULTS) == {
        "a": [{"claim": "wet"}, {"claim": "cold"}],
        "b": 3,
        "c": True,
        "d": None,
        "e": "just text",
    }


def test_a_template_inside_a_longer_string_becomes_text() -> None:
    payload = {"a": "So {{steps.1.result.text}}, {{steps.1.result.n}} times: {{steps.1.result.findings.1}}."}
    assert resolve(payload, RESULTS) == {"a": 'So it rains, 3 times: {"claim": "cold"}.'}


def test_templates_are_found_at_any_depth_and_keys_are_left_alone() -> None:
    payload = {"{{key}}": [{"x": ["{{steps.1.result.findings.0.claim}}", 5]}, None]}
    assert has_templates(payload)
    assert resolve(payload, RESULTS) == {"{{key}}": [{"x": ["wet", 5]}, None]}


def test_what_an_earlier_step_wrote_is_not_looked_into_again() -> None:
    assert resolve({"a": "{{steps.2.result.text}}"}, RESULTS)["a"] == RESULTS[2]["text"]
    assert resolve({"a": "> {{steps.2.result.text}}"}, RESULTS)["a"] == "> " + RESULTS[2]["text"]


def test_a_payload_without_braces_has_no_templates() -> None:
    assert not has_templates({"a": "text", "b": [1, {"c": "{ {x} }"}], "d": None, "{{e}}": 1})
    assert not has_templates({})


def test_braces_left_open_are_only_text() -> None:
    assert resolve({"a": "an {{ open brace", "b": "}} {{"}, {}) == {"a": "an {{ open brace", "b": "}} {{"}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{steps.3.result.text}}", "step 3, which is not among the earlier steps with a result (1, 2, 7)"),
        ("{{steps.1.result.title}}", "no 'title'; there is findings, n, none, ok, text"),
        ("{{steps.1.result.findings.9.claim}}", "no '9' in a list of 2"),
        ("{{steps.1.result.findings.-1}}", "no '-1' in a list of 2"),
        ("{{steps.7.result.text}}", "no 'text' in a str"),
        ("{{steps.1.payload.x}}", "is no template; write {{steps.1.result.text}}"),
        ("Dear {{name}}", "{{name}} is no template"),
        ("{{}}", "is no template"),
        ("{{ {{steps.1.result.text}} }}", "is no template"),
        ("{{steps.1.result.text.__class__}}", "no '__class__' in a str"),
    ],
)
def test_an_unknown_name_is_refused_by_its_name(template: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        resolve({"a": template}, RESULTS)
    assert said in str(caught.value)


def test_a_single_job_with_a_template_is_told_that_there_are_no_earlier_steps() -> None:
    with pytest.raises(TemplateError, match=r"earlier steps with a result \(none\)"):
        resolve({"a": "{{steps.1.result.text}}"}, {})


def test_nesting_deeper_than_the_limit_is_refused_not_a_crash() -> None:
    payload: dict[str, Any] = {"a": "{{steps.1.result.text}}"}
    for _ in range(MOST_LEVELS + 700):
        payload = {"a": payload}
    assert has_templates(payload)
    with pytest.raises(TemplateError, match="levels deep"):
        resolve(payload, RESULTS)


def test_the_payload_given_is_not_changed() -> None:
    payload = {"a": ["{{steps.1.result.n}}"]}
    resolve(payload, RESULTS)
    assert payload == {"a": ["{{steps.1.result.n}}"]}
