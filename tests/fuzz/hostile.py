"""Texts, numbers and JSON that people insert by accident or on purpose."""

from typing import Any, Final

from hypothesis import strategies as st

TEXTS: Final = (
    "",
    " ",
    "\t\n\r",
    "'; drop table ops_mission_steps; --",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{steps.1.result.text}}",
    "{{",
    "%s %(name)s {0} {name} $1 ${HOME} `id`",
    "\\u0000 \\x00",
    "\x1b[2J\x1b]0;title\x07",
    "‮ltr‬ שלום مرحبا",
    "a" * 101,
    "ü" * 5000,
    "😀" * 300,
    "e\u0301\u200d\ufeff\u2028\u2029",
    "null",
    "NaN",
    "-1",
    "1e999",
    "../../../etc/passwd",
    "javascript:alert(1)",
    "http://169.254.169.254/latest/meta-data",
    "postgresql://user:hush@127.0.0.1:1/x",
    "--help",
    "-",
    "@/etc/passwd",
)
STRANGE: Final = ("a\x00b", "\ud800", "lone \udfff surrogate")  # no UTF-8, or no text of PostgreSQL's

texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=60))
"""Text that PostgreSQL can keep, as a rule."""
any_text = st.one_of(texts, st.sampled_from(STRANGE), st.text(st.characters(codec=None), max_size=20))
"""Any text that Python can hold."""

_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
values: st.SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(texts, st.text(max_size=8)), inner, max_size=4)
    ),
    max_leaves=12,
)

DEEP: Final = 700  # deeper than most programs recurse; PostgreSQL's own stack bears some thousands

# JSON as text: what no library would write, too.
JSON_TEXTS: Final = (
    "",
    "{",
    "[]",
    "null",
    '"text"',
    "0",
    '{"a": 1, "a": 2}',
    '{"a": NaN}',
    '{"a": 1e400}',
    '{"a": -1e-400}',
    '{"a": ' + "9" * 5000 + "}",
    '{"a": "\\u0000"}',
    '{"a": "\\ud800"}',
    '{"a": "\\ud83d\\ude00"}',
    '{"": {"": {"": ""}}}',
    '{"a": ' + "[" * DEEP + "]" * DEEP + "}",
    '{"a":' * DEEP + "1" + "}" * DEEP,
    '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"a": "' + "x" * 1_000_000 + '"}',
    '{"sleep_s": "long"}',
    '{"sleep_s": -1}',
    '{"fail": true}',
    '{"fail": ["a", {"b": null}]}',
    '{"topic": {"a": "{{steps.1.result}}"}}',
    '{"text": "{{steps.99.result.text}} {{nobody}}"}',
)
