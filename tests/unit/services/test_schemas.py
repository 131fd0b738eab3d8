from __future__ import annotations

import enum
import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from workbench.core.chat import Attempt, ChatRequest, ChatResponse, Message, Usage
from workbench.errors import SchemaError, SchemaMismatchError
from workbench.providers.fake_json import json_answer
from workbench.services.schemas import Schemas


class Tone(enum.Enum):
    GOOD = "positive"
    BAD = "negative"


class Review(BaseModel):
    tone: Literal["positive", "negative"]
    confidence: float = Field(ge=0, le=1)


@dataclass
class Point:
    x: int
    tone: Tone


class Row(TypedDict):
    name: str


class Odd(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def is_odd(cls, value):
        if value % 2 == 0:
            raise ValueError("must be odd")
        return value


class Node(BaseModel):
    name: str
    kids: list[Node]


class Opaque(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    socket: socket.socket


REVIEW = {
    "type": "object",
    "properties": {"tone": {"enum": ["positive", "negative"]}, "score": {"type": "number"}},
    "required": ["tone"],
}


def read(given, **more):
    return Schemas().read(given, **more)


@pytest.mark.parametrize(
    ("given", "text", "parsed"),
    [
        (Review, '{"tone": "positive", "confidence": 1}', Review(tone="positive", confidence=1)),
        (Point, '{"x": 3, "tone": "negative"}', Point(3, Tone.BAD)),
        (Row, '{"name": "a"}', {"name": "a"}),
        (
            Node,
            '{"name": "a", "kids": [{"name": "b", "kids": []}]}',
            Node(name="a", kids=[Node(name="b", kids=[])]),
        ),
        (REVIEW, ' ```json\n{"tone": "positive", "more": 1}\n``` ', {"tone": "positive", "more": 1}),
        ({"type": "array", "uniqueItems": True}, "[1, 2]", [1, 2]),
        ({"type": "string", "pattern": "^a+$"}, '"aaa"', "aaa"),
        ({"patternProperties": {"^n": {"type": "integer"}}}, '{"n1": 1, "x": "y"}', {"n1": 1, "x": "y"}),
    ],
)
def test_an_answer_that_matches_becomes_a_value(given, text, parsed):
    assert read(given).parse(text) == parsed


@pytest.mark.parametrize(
    ("given", "text", "says"),
    [
        (Review, "I think it is positive.", "it is no JSON"),
        (Review, "", "it is empty"),
        (Review, '{"tone": "positive", "confidence": NaN}', "NaN is no number"),
        (Review, '{"tone": "positiv", "confidence": 1}', "$.tone: 'positiv' is not one of"),
        (Review, '{"tone": "positive", "confidence": 2}', "$.confidence: 2 is greater than the maximum"),
        (Review, '{"tone": "positive", "confidence": "1"}', "$.confidence: '1' is not of type 'number'"),
        (Review, '{"tone": "positive"}', "$: 'confidence' is a required property"),
        (Review, '{"tone": "positive", "confidence": 1, "x": 1}', "'x' was unexpected"),
        (
            Node,
            '{"name": "a", "kids": [{"name": 1, "kids": []}]}',
            "$.kids[0].name: 1 is not of type 'string'",
        ),
        (Odd, '{"n": 2}', "$.n: Value error, must be odd"),
        ({"type": "string", "pattern": "^a+$"}, '"b"', "does not match '^a+$'"),
        ({"patternProperties": {"^n": {"type": "integer"}}}, '{"n1": "x"}', "$.n1: 'x' is not of type"),
        ({"uniqueItems": True, "type": "array"}, '[{"a": 1}, {"a": 1}]', "the same item twice"),
        (REVIEW, "[" * 100_000, "nested too deep"),
        (REVIEW, '"' + "x" * 2_000_000 + '"', "more than 1,000,000 characters"),
        (REVIEW, "1" * 10_000, "it is no JSON"),
    ],
)
def test_an_answer_that_does_not_match_is_told_where(given, text, says):
    with pytest.raises(ValueError) as caught:
        read(given).parse(text)
    assert says in str(caught.value)


def test_the_mismatch_carries_the_answer_and_what_it_cost():
    attempt = Attempt(n=1, started_at=None, duration_ms=1, http_status=200)
    response = ChatResponse(
        text="no\x1b[31m", finish_reason="stop", usage=Usage(), model="m", attempts=(attempt,)
    )
    with pytest.raises(SchemaMismatchError) as caught:
        read(Review).read(response)
    error = caught.value
    assert (error.code, error.response, error.partial_text, error.attempts) == (
        "schema",
        response,
        response.text,
        (attempt,),
    )
    assert "The answer was: no\N{REPLACEMENT CHARACTER}[31m" in str(error)
    assert response.text not in error.message


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "a value of type int is no schema"),
        (int, "the class int is no schema"),
        (Review(tone="positive", confidence=1), "a value of type Review is no schema"),
        ([REVIEW], "a value of type list"),
        ({}, "would allow anything"),
        ({"typ": "object"}, "did you mean 'type'"),
        ({"type": "objekt"}, "$.type: 'objekt' is not valid"),
        ({"type": "object", "properties": 3}, "$.properties: 3 is not of type 'object'"),
        ({"type": "string", "pattern": "("}, "$.pattern"),
        ({"type": "string", "pattern": r"(?=a)b"}, "look-around"),
        ({"type": "object", "properties": {"a": {"pattern": r"(a)\1"}}}, "look-around"),
        ({"$ref": "https://example.com/schema.json"}, "nothing is fetched"),
        (Opaque, "the class Opaque has no JSON schema"),
        ("Review", "the schema 'Review' is not there"),
        ("missing.json", "there is no file missing.json"),
        ("\0.json", "there is no file"),
    ],
)
def test_what_is_no_schema_is_refused(given, says):
    with pytest.raises(SchemaError) as caught:
        read(given)
    assert says in str(caught.value)


def test_a_name_leads_to_a_variable_and_a_path_to_a_file(tmp_path):
    scope = {"Review": Review, "where": "review.json"}
    (tmp_path / "review.json").write_text("\ufeff" + json.dumps(REVIEW), encoding="utf-8")
    for text in ("[1]", "{", '{"type": 3}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(SchemaError):
            read("bad.json", folder=tmp_path)
    assert read("Review", look_up=scope.__getitem__).json["title"] == "Review"
    assert read("review.json", look_up=scope.__getitem__, folder=tmp_path).json == REVIEW
    assert read("where", look_up=scope.__getitem__, folder=tmp_path).json == REVIEW
    assert read(tmp_path / "review.json").json == REVIEW


def test_the_json_of_a_class_that_is_known_leads_back_to_it():
    schemas = Schemas()
    stored = json.loads(json.dumps(schemas.read(Review).json))
    text = '{"tone": "positive", "confidence": 1}'
    assert type(schemas.read(stored).parse(text)) is Review
    assert type(read(stored).parse(text)) is dict


def nested(levels):
    return '{"a":' * levels + "{}" + "}" * levels


@pytest.mark.parametrize(
    ("schema", "text", "says"),
    [
        ({"type": "string", "pattern": "^(a+)+$"}, json.dumps("a" * 50_000 + "!"), "does not match"),
        (
            {
                "$defs": {"n": {"allOf": [{"properties": {"a": {"$ref": "#/$defs/n"}}}] * 2}},
                "$ref": "#/$defs/n",
            },
            nested(60),
            "steps to check",
        ),
        ({"properties": {"a": {"$ref": "#"}}}, nested(900), "nested too deep"),
        (
            {"type": "array", "uniqueItems": True},
            json.dumps([{"n": n} for n in range(50_000)] + [{"n": 1}]),
            "twice",
        ),
    ],
    ids=["a pattern that backtracks", "a recursion that doubles", "a deep answer", "many items"],
)
def test_no_answer_makes_the_check_take_for_ever(schema, text, says):
    began = time.monotonic()
    with pytest.raises(ValueError, match=says):
        read(schema).parse(text)
    assert time.monotonic() - began < 10


def test_nothing_is_ever_fetched(monkeypatch):
    def refuse(*_args):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    schema = {
        "$schema": "https://example.com/unknown-draft",
        "$id": "https://example.com/a.json",
        "type": "string",
    }
    assert read(schema).parse('"x"') == "x"


@pytest.mark.parametrize("given", [Review, Point, Row, Odd, Node, REVIEW])
def test_the_fake_model_answers_in_the_shape_of_any_schema(given):
    schema = read(given)
    for text in ("It works, I love it", "", "x" * 500):
        request = ChatRequest(
            model="json",
            messages=(Message("user", text),),
            options={"response_format": schema.response_format},
        )
        answer = json_answer(request, text, "negative")
        assert answer == json_answer(request, text, "negative")
        if given is not Odd:
            schema.parse(answer)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["object", "array", "string", "integer", "number", "null"])}
    )
    | st.dictionaries(st.sampled_from(sorted(Draft202012Validator.VALIDATORS)), VALUES, max_size=2)
    | st.sampled_from(
        [{"$ref": "#"}, {"$ref": "#/$defs/a"}, {"pattern": "^(a|b)*$"}, {"multipleOf": 1e-300}]
    ),
    lambda inner: (
        st.dictionaries(
            st.sampled_from(
                ["not", "if", "then", "items", "contains", "additionalProperties", "unevaluatedItems"]
            ),
            inner,
        )
        | st.dictionaries(
            st.sampled_from(["properties", "$defs", "patternProperties", "dependentSchemas"]),
            st.dictionaries(st.sampled_from(["a", "b", "^a"]), inner, max_size=2),
            max_size=2,
        )
        | st.dictionaries(
            st.sampled_from(["allOf", "anyOf", "oneOf", "prefixItems"]), st.lists(inner, max_size=2)
        )
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@drawn(SCHEMAS, VALUES)
def test_any_schema_and_any_answer_give_a_value_or_a_typed_error(schema, value):
    try:
        found = read(schema)
    except SchemaError:
        return
    with suppress(ValueError):
        assert json.dumps(found.parse(json.dumps(value))) == json.dumps(value)
