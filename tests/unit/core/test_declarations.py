from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.body import parse_body
from workbench.core.declarations import TYPES, declare, fill, fills, read_declarations, signature
from workbench.core.values import plain
from workbench.errors import TemplateError, UndefinedVariableError, VariableTypeError


def records(declared, *, optional=()):
    """The stored records of a template that reads what is declared."""
    read = read_declarations(declared)
    return declare([*read], [name for name in read if name not in optional], read)


def test_what_nobody_declared_is_stored_as_before():
    assert declare(["a", "b"], ["a"], {}) == [
        {"name": "a", "type": "any", "required": True},
        {"name": "b", "type": "any", "required": False},
    ]


@pytest.mark.parametrize(
    "shape",
    [
        {"n": {"type": "int", "default": 3}},
        {"n": {"name": "n", "type": int, "default": 3}},
        [{"name": "n", "type": "integer", "default": 3}],
    ],
)
def test_a_mapping_and_a_list_declare_the_same(shape):
    assert records(shape) == [{"name": "n", "type": "integer", "required": False, "default": 3}]


def test_only_given_keys_are_stored():
    (record,) = records({"tone": {"type": "str", "description": "how", "enum": ["a", "b"], "example": "a"}})
    assert record == {
        "name": "tone", "type": "string", "required": True, "description": "how", "enum": ["a", "b"], "example": "a",
    }  # fmt: skip
    assert records({"x": None}) == [{"name": "x", "type": "any", "required": True}]


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("text", "must be a mapping"),
        (["text"], "must be a mapping"),
        ([{"type": "string"}], "has no name"),
        ({1: "string"}, "has no name"),
        ([{"name": "a"}, {"name": "a"}], "declared twice"),
        ({"a": "strng"}, "did you mean 'string'"),
        ({"a": {"typ": "string"}}, "did you mean 'type'"),
        ({"a": {"type": ["string", "null"]}}, "which is no type"),
        ({"a": {"name": "b"}}, "also called"),
        ({"a": {"required": "yes"}}, "required of 'a' must be true or false"),
        ({"a": {"description": 3}}, "description of 'a' must be text"),
        ({"a": {"enum": "x"}}, "enum of 'a' must be a list"),
        ({"a": {"enum": []}}, "enum of 'a' must be a list"),
        ({"a": {"type": "integer", "enum": [1, "2"]}}, "enum of 'a' must be an integer"),
        ({"a": {"type": "integer", "default": "3"}}, "default of 'a' must be an integer"),
        ({"a": {"type": "boolean", "default": 1}}, "default of 'a' must be a boolean"),
        ({"a": {"type": "string", "enum": ["x"], "default": "y"}}, "default of 'a' must be one of 'x'"),
        ({"a": {"type": "number", "example": "1"}}, "example of 'a' must be a number"),
        ({"a": {"default": None}}, "null, which is no value"),
        ({"a": {"default": 3, "required": True}}, "leave one of the two out"),
        ({"a": {"required": False}}, "cannot do without it"),
        ({"a": {"default": {1, 2}}}, "holds a set"),
    ],
)
def test_a_wrong_declaration_is_named(declared, says):
    with pytest.raises(TemplateError) as caught:
        records(declared)
    assert says in str(caught.value)


def test_a_declared_variable_must_be_read():
    with pytest.raises(TemplateError, match="did you mean 'text'"):
        declare(["text"], ["text"], read_declarations({"txt": "string"}))
    with pytest.raises(TemplateError, match="it reads none"):
        declare([], [], read_declarations({"txt": "string"}))


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        ("string", np.str_("a"), "a"),
        ("string", pd.Timestamp("2024-01-02"), "2024-01-02T00:00:00"),
        ("integer", np.int64(3), 3),
        ("integer", Decimal(3), 3),
        ("integer", np.float64(3.0), 3),
        ("integer", 3.0, 3),
        ("number", Decimal("1.5"), 1.5),
        ("number", np.float32(0.5), 0.5),
        ("number", 2, 2),
        ("boolean", np.bool_(True), True),  # noqa: FBT003
        ("array", (1, 2), [1, 2]),
        ("array", pd.Series([1, 2]), [1, 2]),
        ("array", pd.DataFrame({"a": [1]}), [{"a": 1}]),
        ("object", {"a": 1}, {"a": 1}),
        ("any", "x", "x"),
    ],
)
def test_values_of_the_right_type_pass_whatever_library_they_come_from(kind, value, becomes):
    found = fill(records({"v": kind}), {"v": value})["v"]
    assert found == becomes
    assert type(found) is type(becomes)


@pytest.mark.parametrize(
    ("kind", "value", "given"),
    [
        ("string", 3, "the number 3"),
        ("string", True, "the boolean True"),
        ("integer", True, "the boolean True"),
        ("integer", np.bool_(False), "the boolean False"),  # noqa: FBT003
        ("integer", 1.5, "the number 1.5"),
        ("integer", "3", "the string '3'"),
        ("number", "0.5", "the string '0.5'"),
        ("number", False, "the boolean False"),
        ("boolean", 1, "the number 1"),
        ("boolean", "true", "the string 'true'"),
        ("array", "abc", "the string 'abc'"),
        ("array", {"a": 1}, "the object {'a': 1}"),
        ("object", [1], "the array [1]"),
    ],
)
def test_a_value_of_another_type_is_refused_with_variable_type_value_and_cure(kind, value, given):
    with pytest.raises(VariableTypeError) as caught:
        fill(records({"v": kind}), {"v": value}, where="row 3: ")
    assert caught.value.message.startswith("row 3: the variable 'v' must be a")
    assert kind in caught.value.message
    assert caught.value.message.endswith(f"not {given}")
    assert caught.value.cure


def test_allowed_values():
    declared = records({"tone": {"type": "string", "enum": ["formal", "warm"]}})
    assert fill(declared, {"tone": "warm"}) == {"tone": "warm"}
    with pytest.raises(VariableTypeError, match="one of 'formal', 'warm', not 'wram'") as caught:
        fill(declared, {"tone": "wram"})
    assert caught.value.cure == "did you mean 'warm'?"
    with pytest.raises(VariableTypeError):
        fill(records({"n": {"enum": [1, 2]}}), {"n": True})


@pytest.mark.parametrize("missing", [{}, {"n": None}, {"n": float("nan")}, {"n": pd.NA}, {"n": pd.NaT}])
def test_a_default_takes_the_place_of_a_missing_value(missing):
    declared = records({"n": {"type": "integer", "default": 3}})
    assert fills(declared) == {"n"}
    assert fill(declared, missing) == {"n": 3}


def test_a_missing_value_without_a_default_is_an_error_with_the_nearest_name():
    with pytest.raises(UndefinedVariableError, match="did you mean 'txt'"):
        fill(records({"text": "string"}), {"txt": "x"})
    with pytest.raises(UndefinedVariableError, match="is None or NaN"):
        fill(records({"text": "string"}), {"text": float("nan")})


def test_declared_as_required_wins_over_a_default_in_the_template():
    declared = records({"n": {"required": True}}, optional=["n"])
    for values in ({}, {"n": None}):
        with pytest.raises(UndefinedVariableError):
            fill(declared, values)
    assert fill(records({"n": "integer"}, optional=["n"]), {}) == {}
    assert fill(records({"n": "integer"}, optional=["n"]), {"n": None}) == {"n": None}


def test_other_values_are_passed_on_and_the_given_mapping_stays_as_it_was():
    other, values = object(), {"n": 3.0}
    assert fill(records({"n": "integer"}), {**values, "other": other}) == {"n": 3, "other": other}
    assert type(values["n"]) is float


@given(
    st.sampled_from(TYPES),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
def test_any_value_fits_or_is_refused_by_a_typed_error(kind, value):
    try:
        found = fill(records({"v": kind}), {"v": value})["v"]
    except TemplateError:
        return
    assert found == plain(value, what="v")


def test_a_signature_is_one_line():
    assert [signature(each) for each in records({"a": "any", "b": "str", "n": {"type": "int", "default": 3}})] == [
        "a", "b: string", "n: integer = 3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("note: x\nvariables:\n  a: string\n  b: strng", "front matter, line 5: the variable 'b'"),
        ("variables:\n  a:\n    type: integer\n    default: x", "front matter, line 3: default of 'a'"),
        ("variables:\n  - name: a\n    typ: x", "front matter, line 2: the declaration of 'a'"),
        ("variables: text", "front matter, line 2: variables must be"),
        ("note: x\ntemprature: 1", "front matter, line 3: there is no key 'temprature'"),
        ("note: x\n\ntemperature: hot", "front matter, line 4: temperature must be"),
        ("note: x\nnote: y", "front matter, line 3: the key 'note' stands there twice"),
        ("variables:\n  on: string", "front matter, line 3: the key 'on' is no text"),
        ("schema: 3", "front matter, line 2: schema must be"),
    ],
)
def test_wrong_front_matter_is_named_with_its_line(yaml, message):
    with pytest.raises(TemplateError) as caught:
        parse_body(f"---\n{yaml}\n---\nHi {{{{ a }}}}")
    assert caught.value.message.startswith(message)
