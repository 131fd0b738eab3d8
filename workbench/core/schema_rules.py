"""JSON schemas of answers, as far as no library is needed: what may be used as one, and what a provider is sent.

A schema comes from a person, a file or an imported prompt, so it is bounded before anything walks it: its size,
its depth, its references (into itself only: nothing is ever fetched), and how far they multiply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from workbench.core.values import plain
from workbench.errors import DataError, SchemaError

__all__ = ["check_bounds", "close_objects", "find_reference", "response_format", "subschemas"]

_MAX_SIZE: Final = 100_000
_MAX_PARTS: Final = 2_000
_MAX_WEIGHT: Final = 20_000
_MAX_NAME: Final = 64

_ONE: Final = (
    "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
    "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_LISTS: Final = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_NAMED: Final = (
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
)
#: Keywords whose schemas see the same value as the schema around them.
_IN_PLACE: Final = (
    "allOf",
    "anyOf",
    "dependencies",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "oneOf",
    "then",
)
_REFUSED: Final = ("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef")


def subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (keyword, schema) for each schema directly inside one.

    >>> list(subschemas({"properties": {"a": {"type": "string"}}, "enum": [{"not": "a schema"}]}))
    [('properties', {'type': 'string'})]
    """
    for word in _ONE:
        if isinstance(schema.get(word), dict):
            yield word, schema[word]
    for word in _LISTS:
        if isinstance(schema.get(word), list):
            yield from ((word, each) for each in schema[word])
    for word in _NAMED:
        if isinstance(schema.get(word), dict):
            yield from ((word, each) for each in schema[word].values() if not isinstance(each, list))


def find_reference(root: Mapping[str, Any], reference: str) -> Any:
    """Return what a reference such as ``#/$defs/Item`` points to.

    Raises:
        SchemaError: it points elsewhere than into this schema, or to nothing.

    """
    if reference != "#" and not reference.startswith("#/"):
        raise SchemaError(
            f"the schema refers to {reference!r:.100}; nothing is fetched, so it may only refer to its own parts",
            cure='copy that schema in below $defs, and write {"$ref": "#/$defs/NAME"}',
        )
    found: Any = root
    for part in unquote(reference[2:]).split("/") if reference != "#" else ():
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(name)] if isinstance(found, list) else found[name]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise SchemaError(f"the schema refers to {reference!r:.100}, which it does not hold") from error
    return found


def check_bounds(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema as plain JSON, once it is known to be harmless.

    Raises:
        SchemaError: it is too large or too deep, refers outside itself, or multiplies without bound.

    """
    try:
        schema = plain(given, what="the schema")
    except DataError as error:
        raise SchemaError(error.message, cure=error.cure) from error
    if len(json.dumps(schema)) > _MAX_SIZE:
        raise SchemaError(f"the schema has more than {_MAX_SIZE:,} characters", cure="ask for less at once")
    try:
        _Weights(schema).check()
    except RecursionError as error:
        raise SchemaError("the schema's references lead too deep", cure="ask for less at once") from error
    return dict(schema)


class _Weights:
    """How many schemas one value meets: references multiply, so a short text can mean very many."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._known: dict[int, int | None] = {}
        self._to_do: list[Any] = [root]

    def check(self) -> None:
        """Weigh every part; a part that sees another value (a property, an item) is weighed for itself."""
        while self._to_do:
            self.of(self._to_do.pop())

    def of(self, schema: Any) -> int:
        """Return how many schemas see the value that this one sees, itself included."""
        if not isinstance(schema, dict):
            if not isinstance(schema, bool):
                raise SchemaError(f"the schema holds {schema!r:.60} where a schema must stand")
            return 1
        if id(schema) in self._known:
            weight = self._known[id(schema)]
            if weight is None:
                raise SchemaError(
                    "the schema refers to itself without end", cure="put a property or an item between"
                )
            return weight
        self._known[id(schema)] = None
        weight = 1 + self._referred(schema)
        for word, inner in subschemas(schema):
            if word in _IN_PLACE:
                weight += self.of(inner)
            else:
                self._to_do.append(inner)
        if weight > _MAX_WEIGHT or len(self._known) > _MAX_PARTS:
            raise SchemaError("the schema holds too many schemas in one another", cure="ask for less at once")
        self._known[id(schema)] = weight
        return weight

    def _referred(self, schema: dict[str, Any]) -> int:
        for word in _REFUSED:
            if word in schema:
                raise SchemaError(
                    f"the schema uses {word}", cure='refer to its parts by {"$ref": "#/$defs/NAME"}'
                )
        if "$id" in schema and schema is not self._root:
            raise SchemaError("the schema holds another one with an $id", cure="remove the inner $id")
        reference = schema.get("$ref")
        if reference is None:
            return 0
        if not isinstance(reference, str):
            raise SchemaError(f"$ref must be text, not {reference!r:.60}")
        return self.of(find_reference(self._root, reference))


def close_objects(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a class's schema with every object closed that says nothing about further properties.

    A class names all its fields; providers keep to a schema strictly only where its objects are closed.

    >>> close_objects({"type": "object", "properties": {}})["additionalProperties"]
    False
    """
    closed: dict[str, Any] = {}
    for word, value in schema.items():
        if word in _NAMED and isinstance(value, dict):
            closed[word] = {name: _closed(inner) for name, inner in value.items()}
        elif word in _LISTS and isinstance(value, list):
            closed[word] = [_closed(inner) for inner in value]
        else:
            closed[word] = _closed(value) if word in _ONE else value
    if "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def _closed(value: Any) -> Any:
    return close_objects(value) if isinstance(value, dict) else value


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request's ``response_format`` for a schema.

    ``strict`` is set where the schema keeps the rule of strict mode: every object is closed and all its
    properties are required.

    >>> response_format({"title": "Tone", "type": "object", "properties": {}, "additionalProperties": False})["json_schema"]["strict"]
    True
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title", ""))).strip("_")[:_MAX_NAME]
    strict = schema.get("type") == "object" and _is_strict(schema)
    return {
        "type": "json_schema",
        "json_schema": {"name": name or "answer", "strict": strict, "schema": dict(schema)},
    }


def _is_strict(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or {*schema.get("required", ())} != {*properties}:
            return False
    return all(_is_strict(inner) for word, inner in subschemas(schema) if word != "additionalProperties")
