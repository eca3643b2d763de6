"""Making what the mock composed fit the shape it was asked for, whatever shape that is."""

from collections.abc import Mapping
from typing import Any, Final

from reactor.llm.fences import cut
from reactor.llm.mock_text import Dice

_MOST_LEVELS: Final = 8
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}


class Fitter:
    """Fits values to one JSON schema; what is missing and required is made up from ``line`` and the dice."""

    def __init__(self, schema: Mapping[str, Any], dice: Dice, line: str) -> None:
        self._schema = schema
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._dice = dice
        self._line = line

    def fit(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """An object of the schema's shape with as much of ``fields`` as fits."""
        fitted = self._fit(self._schema, fields, "answer", 0)
        return fitted if isinstance(fitted, dict) else {}

    def _fit(self, schema: Mapping[str, Any], value: Any, name: str, level: int) -> Any:
        schema = self._resolved(schema, value)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return value if value in schema["enum"] else self._dice.pick(name, schema["enum"])
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if kind == "object":
            return self._object(schema, value, name, level)
        if kind == "array":
            return self._array(schema, value, name, level)
        if kind == "boolean":
            return value if isinstance(value, bool) else False
        if kind in ("integer", "number"):
            return self._number(schema, value, name, whole=kind == "integer")
        if kind == "null":
            return None
        text = (
            value
            if isinstance(value, str) and value
            else f"{name.replace('_', ' ').capitalize()}: {self._line}"
        )
        return cut(text, schema.get("maxLength", 2000))

    def _resolved(self, schema: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = self._definitions.get(schema["$ref"].rpartition("/")[2], {})
        for choice in ("anyOf", "oneOf", "allOf"):
            if schema.get(choice):
                options = [self._resolved(option, value) for option in schema[choice]]
                return next((option for option in options if _takes(option, value)), options[0])
        return schema

    def _object(self, schema: Mapping[str, Any], value: Any, name: str, level: int) -> dict[str, Any]:
        given = value if isinstance(value, Mapping) else {}
        required = schema.get("required", ())
        if "properties" not in schema:
            return dict(given)
        return {
            key: self._fit(part, given.get(key), key if level == 0 else f"{name} {key}", level + 1)
            for key, part in schema["properties"].items()
            if key in given or (key in required and level < _MOST_LEVELS)
        }

    def _array(self, schema: Mapping[str, Any], value: Any, name: str, level: int) -> list[Any]:
        given = list(value) if isinstance(value, list | tuple) else []
        given = given[: schema.get("maxItems", 20)]
        given += [None] * (schema.get("minItems", 0) - len(given))
        part = schema.get("items", {})
        return [self._fit(part, item, f"{name} {place + 1}", level + 1) for place, item in enumerate(given)]

    def _number(self, schema: Mapping[str, Any], value: Any, name: str, *, whole: bool) -> float:
        given = isinstance(value, int | float) and not isinstance(value, bool)
        low = schema.get("minimum", schema.get("exclusiveMinimum", min(0, value) if given else 0))
        high = schema.get(
            "maximum", schema.get("exclusiveMaximum", max(low + 10, value) if given else low + 10)
        )
        if given and low <= value <= high:
            return int(value) if whole else round(value, 3)
        steps = int(high - low) + 1 if whole else 1000
        at = self._dice.roll(name, max(1, steps))
        return int(low) + at if whole else round(low + (high - low) * (at + 0.5) / 1000, 3)


def _takes(schema: Mapping[str, Any], value: Any) -> bool:
    kind = schema.get("type")
    if value is None:
        return kind == "null"
    if kind is None:
        return "properties" in schema and isinstance(value, Mapping)
    return isinstance(value, _TYPES.get(kind, ()))
