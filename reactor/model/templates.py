"""``{{steps.1.result.text}}`` in a payload: the value an earlier step of the mission left there.

A string that is one template and nothing else becomes the value itself, of whatever type; a template inside a
longer string becomes text: a string as it is, anything else as JSON. Values are put in as they are and not looked
into again, so nothing an earlier step wrote can ask for more. Keys are never templates.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from reactor.errors import TemplateError

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"steps\.([0-9]{1,9})\.result((?:\.[^.\s{}]+)*)")

# Deeper than any payload somebody writes, far from where the interpreter gives up.
MOST_LEVELS = 200


def has_templates(payload: Mapping[str, Any]) -> bool:
    """Whether any string in ``payload``, at any depth, holds ``{{``."""
    open_values: list[Any] = [payload]
    while open_values:
        value = open_values.pop()
        if isinstance(value, str):
            if "{{" in value:
                return True
        elif isinstance(value, Mapping):
            open_values.extend(value.values())
        elif isinstance(value, list):
            open_values.extend(value)
    return False


def resolve(payload: Mapping[str, Any], results: Mapping[int, Any]) -> dict[str, Any]:
    """A copy of ``payload`` with every template replaced; ``results`` by the ``seq`` of the steps before.

    Raises: TemplateError: a name leads nowhere, or the payload is nested deeper than `MOST_LEVELS`.
    """
    return {key: _resolve(value, results, 1) for key, value in payload.items()}


def _resolve(value: Any, results: Mapping[int, Any], level: int) -> Any:
    if level > MOST_LEVELS:
        raise TemplateError(f"a payload with templates may be nested {MOST_LEVELS} levels deep, not more")
    if isinstance(value, str):
        return _fill(value, results) if "{{" in value else value
    if isinstance(value, Mapping):
        return {key: _resolve(item, results, level + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, results, level + 1) for item in value]
    return value


def _fill(text: str, results: Mapping[int, Any]) -> Any:
    whole = _TEMPLATE.fullmatch(text.strip())
    if whole and "{{" not in whole[1]:
        return _look_up(whole[1], results)
    return _TEMPLATE.sub(lambda match: _as_text(_look_up(match[1], results)), text)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _look_up(name: str, results: Mapping[int, Any]) -> Any:
    name = name.strip()
    path = _PATH.fullmatch(name)
    if path is None:
        raise TemplateError(f"{{{{{name[:100]}}}}} is no template; write {{{{steps.1.result.text}}}}")
    seq = int(path[1])
    if seq not in results:
        known = ", ".join(map(str, sorted(results))) or "none"
        raise TemplateError(
            f"{{{{{name}}}}} names step {seq}, which is not among the earlier steps with a result ({known})"
        )
    value = results[seq]
    for part in path[2].split(".")[1:]:
        value = _into(value, part, name)
    return value


def _into(value: Any, part: str, name: str) -> Any:
    if isinstance(value, Mapping):
        if part in value:
            return value[part]
        known = ", ".join(sorted(map(str, value))[:20]) or "nothing"
        raise TemplateError(f"{{{{{name[:200]}}}}}: there is no {part!r}; there is {known}")
    if (
        isinstance(value, list)
        and part.isascii()
        and part.isdigit()
        and len(part) < 10
        and int(part) < len(value)
    ):
        return value[int(part)]
    kind = f"a list of {len(value)}" if isinstance(value, list) else f"a {type(value).__name__}"
    raise TemplateError(f"{{{{{name[:200]}}}}}: there is no {part!r} in {kind}")
