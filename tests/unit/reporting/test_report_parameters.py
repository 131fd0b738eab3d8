"""Which parameters a report takes, and which it refuses."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ParameterError, UnknownReferenceError
from workbench.secret import Secret
from workbench.services.reporting import Parameter, check_parameters, read_parameters

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def declared(**kinds):
    return {name: Parameter(name, None, kind) for name, kind in kinds.items()}


def test_reads_names_defaults_types_and_help(notebook):
    path = notebook(
        "x = 1",
        parameters='"""Words."""\ntest: str = ""  # the A/B test\nlimit: int = 20\nshare: float = 1\n'
        "names: list[str] = []\nnote: str | None = None  # may be empty\nloud = False\nany_value = None\n",
    )
    assert list(read_parameters(path).values()) == [
        Parameter("test", "", "str", "the A/B test"),
        Parameter("limit", 20, "int"),
        Parameter("share", 1.0, "float"),
        Parameter("names", [], "list"),
        Parameter("note", None, "str | None", "may be empty"),
        Parameter("loud", default=False, type="bool"),
        Parameter("any_value", None, "any"),
    ]


def test_a_notebook_without_a_parameters_cell_takes_none(notebook):
    assert read_parameters(notebook("x = 1")) == {}


@pytest.mark.parametrize(
    "cell",
    [
        "import os",
        "x = f()",
        "x: Path = 1",
        "x: int = 'a'",
        "x: int",
        "%matplotlib inline",
        "x = (1, 2)",
        "x = y = 1",
        "x = \0",
        "x = {[]: 1}",
        "x = 'a",
        "x = " + "-" * 50_000 + "1",
        "x = " + "[" * 300 + "]" * 300,
    ],
)
def test_a_parameters_cell_with_anything_else_is_refused(notebook, cell):
    with pytest.raises(ParameterError, match=r"the parameters cell of nb\.ipynb"):
        read_parameters(notebook(parameters=cell))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"cells": 3}'])
def test_a_file_that_is_no_notebook_is_refused(tmp_path, content):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=r"bad\.ipynb"):
        read_parameters(path)


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(UnknownReferenceError, match="gone"):
        read_parameters(tmp_path / "gone.ipynb")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "20", 20),
        ("float", "1e-3", 0.001),
        ("float", "2", 2.0),
        ("bool", "true", True),
        ("bool", "No", False),
        ("bool", "1", True),
        ("str", "20", "20"),
        ("list", "[1, 2]", [1, 2]),
        ("dict", '{"a": 1}', {"a": 1}),
        ("int | None", "null", None),
        ("int | bool", "1", 1),
        ("any", "20", "20"),
    ],
)
def test_text_from_the_command_line_becomes_the_declared_type(kind, text, value):
    result = check_parameters(declared(x=kind), {"x": text})["x"]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "two"),
        ("int", 2.5),
        ("int", True),
        ("float", "1e999"),
        ("float", "NaN"),
        ("float", 10**400),
        ("str", 5),
        ("bool", "maybe"),
        ("bool", 1),
        ("list", "1"),
        ("dict", []),
        ("str", None),
    ],
)
def test_a_value_of_another_type_is_refused(kind, value):
    with pytest.raises(ParameterError, match="'x'"):
        check_parameters(declared(x=kind), {"x": value})


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, (1, 2), {1: 2}, dt.date(2026, 1, 1), {1}, b"x", object(), Secret("hush")],
)
def test_a_value_that_is_not_json_is_refused(value):
    with pytest.raises(ParameterError) as error:
        check_parameters(declared(x="any"), {"x": value})
    assert "hush" not in str(error.value)


def test_a_value_that_contains_itself_is_refused():
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ParameterError, match="JSON"):
        check_parameters(declared(x="any"), {"x": loop})


def test_an_unknown_name_is_named_with_the_closest_known_one():
    with pytest.raises(ParameterError, match=r"no parameter 'limt'.*\n.*did you mean 'limit'\?"):
        check_parameters(declared(limit="int"), {"limt": 1})


@pytest.mark.parametrize("name", ["x = 1; import os", "a b", "1x", "class", "", "x.y", "x\n"])
def test_a_name_that_would_be_code_is_refused_even_when_declared(name):
    with pytest.raises(ParameterError, match="not a parameter's name"):
        check_parameters({name: Parameter(name, None, "any")}, {name: 1})


SECRETS = [
    "api_key",
    "apikey",
    "API_KEY",
    "openrouter_api_key",
    "secret",
    "client_secret",
    "password",
    "db_password",
]
SECRETS += ["dsn", "token", "github_token", "secret_key", "private_key", "credentials"]


@pytest.mark.parametrize("name", SECRETS)
def test_a_name_of_a_secret_is_refused(name):
    with pytest.raises(ParameterError, match="looks like a secret"):
        check_parameters(declared(**{name: "any"}), {name: "x"})


@pytest.mark.parametrize("name", ["max_tokens", "case_key", "tokens", "secretary", "key", "password_length"])
def test_a_name_that_only_resembles_one_is_taken(name):
    assert check_parameters(declared(**{name: "int"}), {name: "5"}) == {name: 5}


@pytest.mark.parametrize(
    "value", ["sk-or-v1-" + "a1" * 16, "postgresql://me:hunter2@host/db", ["sk-ant-" + "b" * 24]]
)
def test_a_value_that_looks_like_a_secret_is_refused_and_not_repeated(value):
    with pytest.raises(ParameterError, match="looks like a secret") as error:
        check_parameters(declared(note="any"), {"note": value})
    assert "hunter2" not in str(error.value)
    assert "sk-" not in str(error.value)


@given(JSON)
@settings(max_examples=200)
def test_every_json_value_passes_unchanged_and_stays_json(value):
    result = check_parameters(declared(x="any"), {"x": value})["x"]
    assert json.dumps(result) == json.dumps(value)


@given(
    kind=st.sampled_from(["str", "int", "float", "bool", "list", "dict", "int | None", "any"]), text=st.text()
)
@settings(max_examples=300)
def test_any_text_is_read_or_refused_with_our_error(kind, text):
    with contextlib.suppress(ParameterError):
        check_parameters(declared(x=kind), {"x": text})


@given(st.text())
@settings(max_examples=200)
def test_any_parameters_cell_is_read_or_refused_with_our_error(tmp_path_factory, source):
    path = tmp_path_factory.getbasetemp() / "any.ipynb"
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source, "outputs": []}
    path.write_text(json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
    with contextlib.suppress(ParameterError):
        read_parameters(path)
