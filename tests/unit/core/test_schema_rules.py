from __future__ import annotations

import json
import time

import pytest

from workbench.core.schema_rules import check_bounds, close_objects, response_format
from workbench.errors import SchemaError

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
}


def chain(length, times):
    """Definitions that each mean the next one several times: few words, very many schemas."""
    parts = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * times} for n in range(length)}
    return {"$defs": {**parts, f"d{length}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def deep(levels):
    return {"not": deep(levels - 1)} if levels else {"type": "string"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        TREE,
        {"properties": {"$ref": {"type": "string"}}},
        {"enum": [{"$ref": "https://example.com"}]},
        {"$defs": {"a/b": {"type": "string"}}, "$ref": "#/$defs/a~1b"},
        {"$id": "https://example.com/own.json", "type": "string"},
        {"anyOf": [True, {"type": "string"}]},
        chain(5, 2),
    ],
)
def test_harmless_schemas_stay_as_they_are(schema):
    assert check_bounds(schema) == schema


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"$ref": "https://example.com/x.json"}, "nothing is fetched"),
        ({"properties": {"a": {"items": {"$ref": "other.json"}}}}, "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "nothing is fetched"),
        ({"$ref": "#/$defs/x"}, "does not hold"),
        ({"$ref": "#name"}, "nothing is fetched"),
        ({"$ref": 3}, "must be text"),
        ({"$dynamicRef": "#x"}, "uses $dynamicRef"),
        ({"$defs": {"a": {"$id": "https://example.com/a"}}}, "inner $id"),
        ({"$ref": "#"}, "without end"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, "without end"),
        (chain(40, 2), "too many schemas"),
        (chain(2_000, 1), "too deep"),
        (deep(60), "nested deeper"),
        ({"description": "x" * 200_000}, "more than 100,000 characters"),
        ({"anyOf": [1]}, "where a schema must stand"),
        ({"properties": {str(n): {"type": "string"} for n in range(3_000)}}, "too many schemas"),
        ({"default": {1, 2}}, "holds a set"),
    ],
)
def test_what_could_harm_is_refused_at_once(schema, says):
    began = time.process_time()
    with pytest.raises(SchemaError) as caught:
        check_bounds(schema)
    assert says in str(caught.value)
    assert time.process_time() - began < 1


def test_a_class_schemas_objects_are_closed_where_they_say_nothing():
    schema = {
        "properties": {
            "open": {"properties": {}, "additionalProperties": True},
            "any": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"items": {"$ref": "#/$defs/a"}},
        },
        "$defs": {"a": {"properties": {"properties": {"type": "string"}}}},
    }
    closed = close_objects(schema)
    assert closed["additionalProperties"] is False
    assert closed["properties"]["open"]["additionalProperties"] is True
    assert closed["properties"]["any"] == schema["properties"]["any"]
    assert closed["$defs"]["a"]["additionalProperties"] is False
    assert closed["$defs"]["a"]["properties"] == {"properties": {"type": "string"}}
    assert "additionalProperties" not in schema


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        (
            {"type": "object", "properties": {"a": TREE}, "required": ["a"], "additionalProperties": False},
            False,
        ),
        ({"type": "array", "items": {"type": "string"}}, False),
    ],
)
def test_strict_is_asked_for_only_where_the_schema_keeps_its_rules(schema, strict):
    assert response_format(schema)["json_schema"]["strict"] is strict


def test_the_response_format_is_openais():
    schema = {"title": "Tone of a review!", "type": "string"}
    assert json.loads(json.dumps(response_format(schema))) == {
        "type": "json_schema",
        "json_schema": {"name": "Tone_of_a_review", "strict": False, "schema": schema},
    }
    assert response_format({"type": "string"})["json_schema"]["name"] == "answer"
