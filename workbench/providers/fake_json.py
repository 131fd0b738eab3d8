"""What the fake model answers when it is asked for JSON of a schema: deterministic, and of the right shape.

Every choice is drawn from the request's digest; texts are cut from the last message, so that answers differ as
the questions do. Of what a schema can say, patterns and ``not`` are not obeyed: for those, give an example or a default in it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final

from workbench.core.chat import ChatRequest
from workbench.core.schema_rules import find_reference
from workbench.errors import RequestRejectedError

__all__ = ["json_answer", "value_of"]

_MAX_DEPTH: Final = 4
_WORDS: Final = 4
_FORMATS: Final = {
    "date": "2024-01-31", "date-time": "2024-01-31T12:00:00Z", "time": "12:00:00Z", "duration": "P1D",
    "email": "person@example.org", "uuid": "00000000-0000-4000-8000-000000000000", "uri": "https://example.org",
}  # fmt: skip


def json_answer(request: ChatRequest, text: str, likely: str = "") -> str:
    """Return JSON that matches the schema of the request's ``response_format``.

    Args:
        request: the request; without a schema the answer is ``{"text": …}``.
        text: what texts are cut from.
        likely: chosen wherever the schema allows it among others, such as ``"positive"``.

    Raises:
        RequestRejectedError: nothing matches the schema, or it is none.

    """
    form = request.options.get("response_format")
    schema = form.get("json_schema", {}).get("schema") if isinstance(form, Mapping) else None
    if not isinstance(schema, Mapping):
        return json.dumps({"text": text}, ensure_ascii=False)
    return json.dumps(value_of(schema, request, text, likely), ensure_ascii=False)


def value_of(schema: Mapping[str, Any], request: ChatRequest, text: str, likely: str = "") -> Any:
    """Return a value that matches a schema, drawn from the request.

    Raises:
        RequestRejectedError: nothing matches the schema, or it is none.

    """
    try:
        return _Maker(schema, request.digest(), text, likely).make(schema, "$", 0)
    except (RecursionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RequestRejectedError(
            "the fake model can make nothing of this schema", cure="check the schema", http_status=400
        ) from error


class _Maker:
    def __init__(self, root: Mapping[str, Any], seed: str, text: str, likely: str) -> None:
        self._root = root
        self._seed = seed
        self._text = text
        self._likely = likely

    def make(self, schema: Any, path: str, depth: int) -> Any:
        """Return a value for a schema; ``path`` is where it stands in the answer."""
        if not isinstance(schema, Mapping):
            return self._text
        if "$ref" in schema:
            return self.make(find_reference(self._root, schema["$ref"]), path, depth)
        if "allOf" in schema:
            return self.make(self._merged(schema), path, depth)
        branches = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            return self.make(self._branch(branches, depth), path, depth)
        options = self._options(schema)
        return self._choose(options, path) if options else self._of_type(schema, path, depth)

    def _options(self, schema: Mapping[str, Any]) -> list[Any]:
        """Return the values that a schema writes out, where it does."""
        if "const" in schema:
            return [schema["const"]]
        if "pattern" in schema:
            return [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]
        return list(schema.get("enum", []))

    def _of_type(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        kind = schema.get(
            "type", "object" if "properties" in schema else "array" if "items" in schema else "string"
        )
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        match kind:
            case "object":
                return self._object(schema, path, depth)
            case "array":
                return self._array(schema, path, depth)
            case "integer" | "number":
                return self._number(schema, path, whole=kind == "integer")
            case "boolean":
                return bool(self._draw(path) % 2)
            case "null":
                return None
        return self._string(schema)

    def _object(self, schema: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        known = schema.get("properties", {})
        required = schema.get("required", [])
        names = [name for name in known if name in required or depth < _MAX_DEPTH]
        names += [name for name in required if name not in known]
        return {name: self.make(known.get(name, {}), f"{path}.{name}", depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], path: str, depth: int) -> list[Any]:
        low = int(schema.get("minItems", 0 if depth >= _MAX_DEPTH else 1))
        size = max(low, min(low + self._draw(path) % 2, int(schema.get("maxItems", low + 1))))
        size = min(size, int(schema.get("maxItems", size)))
        first = schema.get("prefixItems", [])
        inner = schema.get("items", {})
        return [
            self.make(first[n] if n < len(first) else inner, f"{path}[{n}]", depth + 1)
            for n in range(max(size, len(first)))
        ]

    def _number(self, schema: Mapping[str, Any], path: str, *, whole: bool) -> float:
        step = schema.get("multipleOf", 1 if whole else 0.01)
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        low = schema["minimum"] if "minimum" in schema else above + step if above is not None else None
        high = schema["maximum"] if "maximum" in schema else below - step if below is not None else None
        if low is None:
            low = min(0, high) if high is not None else 0
        if high is None:
            high = max(low + 100 * step, 1)
        first, last = math.ceil(low / step), math.floor(high / step)
        value = (first + self._draw(path) % max(1, last - first + 1)) * step
        return int(value) if whole else round(value, 6)

    def _string(self, schema: Mapping[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = " ".join(self._text.split()[:_WORDS]) or "text"
        low = int(schema.get("minLength", 0))
        while len(text) < low:
            text += f" {text}"
        return text[: int(schema.get("maxLength", len(text)))]

    def _choose(self, options: list[Any], path: str) -> Any:
        return self._likely if self._likely in options else options[self._draw(path) % len(options)]

    def _branch(self, branches: list[Any], depth: int) -> Any:
        """Return the first branch that says something; a deep one prefers null, so that recursion ends."""
        nothing = [each for each in branches if isinstance(each, Mapping) and each.get("type") == "null"]
        others = [each for each in branches if each not in nothing]
        return (nothing or branches)[0] if depth >= _MAX_DEPTH or not others else others[0]

    def _merged(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return one schema for ``allOf``: properties and required ones add up."""
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for each in schema["allOf"]:
            part = find_reference(self._root, each["$ref"]) if "$ref" in each else each
            part = self._merged(part) if "allOf" in part else part
            for key, value in part.items():
                if key == "properties":
                    merged[key] = {**merged.get(key, {}), **value}
                elif key == "required":
                    merged[key] = [*merged.get(key, []), *value]
                else:
                    merged.setdefault(key, value)
        return merged

    def _draw(self, path: str) -> int:
        return int(hashlib.sha256(f"{self._seed}{path}".encode()).hexdigest()[:8], 16)
