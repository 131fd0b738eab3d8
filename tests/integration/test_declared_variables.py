"""Declared variables on real rows: stored with the version, filled and checked before anything is asked."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from workbench.errors import (
    DataError,
    InputError,
    TemplateError,
    UndefinedVariableError,
    VariableTypeError,
)

TEXT = "---\nvariables:\n  text: string\n  n: {type: integer, default: 3, description: how many}\n---\n{{ n }} words on {{ text }} for {{ who }}"
STORED = [
    {"name": "n", "type": "integer", "required": False, "default": 3, "description": "how many"},
    {"name": "text", "type": "string", "required": True},
    {"name": "who", "type": "any", "required": True},
]


@pytest.fixture
def words(wb):
    return wb.prompts.save("words", TEXT)


def test_declarations_are_stored_with_the_version_and_come_back(wb, words):
    assert list(words.variables) == STORED
    assert list(wb.prompts.get("words@1").variables) == STORED
    assert list(wb.prompts.label("words@1", "prod").variables) == STORED
    assert "words@1 (n: integer = 3, text: string, who)" in str(words)


def test_a_declaration_is_content(wb, words):
    body = TEXT.split("---\n")[2]
    plain = wb.prompts.save("words", body)
    assert plain.version == 2
    assert {each["type"] for each in plain.variables} == {"any"}
    same = wb.prompts.save(
        "words", body, variables={"text": "str", "n": {"type": int, "default": 3, "description": "how many"}}
    )
    assert (same.version, same.change) == (1, "same")
    assert list(wb.prompts.get("words").variables) == STORED


def test_what_is_given_wins_over_front_matter(wb):
    saved = wb.prompts.save("words", TEXT, variables={"n": {"type": "number", "default": 0.5}})
    assert saved.variables[0] == {"name": "n", "type": "number", "required": False, "default": 0.5}


def test_an_undeclared_prompt_keeps_the_hash_it_had(wb):
    from workbench.core.versions import content_hash

    saved = wb.prompts.save("plain", "Hi {{ a }}")
    same = content_hash("Hi {{ a }}", None, [{"name": "a", "type": "any", "required": True}], {})
    with wb.database.session() as session:
        from workbench.db.tables import Prompt

        assert session.get_one(Prompt, saved.id).content_hash == same


@pytest.mark.parametrize(
    "variables", [{"txt": "string"}, {"text": "strng"}, ["text"], {"n": {"default": "x", "type": "int"}}]
)
def test_a_wrong_declaration_saves_nothing(wb, variables):
    with pytest.raises(TemplateError):
        wb.prompts.save("words", "{{ n }} {{ text }}", variables=variables)
    assert wb.prompts.list() == []


def test_a_single_call_fills_and_checks(wb, words):
    assert words(text="x", who="me").text == "3 words on x for me"
    assert words(text="x", who="me", n=np.int64(4)).text == "4 words on x for me"
    assert words(text="x", who="me", n=Decimal("4.0")).text == "4 words on x for me"
    assert words(text="x", who="me", n=None).text == "3 words on x for me"
    for bad in (True, "4", 1.5, np.bool_(True)):  # noqa: FBT003
        with pytest.raises(VariableTypeError, match="'n' must be an integer"):
            words(text="x", who="me", n=bad)
    with pytest.raises(UndefinedVariableError, match="'text' is None"):
        words(text=None, who="me")
    assert len(wb.frames.executions()) == 4


def test_the_default_is_part_of_what_the_ledger_keeps(wb, words):
    words(text="x", who="me")
    kept = wb.frames.jsonb("executions", "input_variables", {"n": "int8", "text": "text"})
    assert kept[["n", "text"]].to_numpy().tolist() == [[3, "x"]]


def test_every_row_is_checked_before_the_first_call(wb, words):
    data = pd.DataFrame({"text": ["a", "b", "c"], "n": [1, 2, 2.5], "who": ["x"] * 3})
    with pytest.raises(
        VariableTypeError, match=r"words@1, row 2 \(the first is 0; case \w+\): the variable 'n' must be"
    ) as caught:
        wb.run(words, data=data, progress=False)
    assert "not the number 2.5" in str(caught.value)
    with pytest.raises(VariableTypeError, match="row 0"):
        words.map([{"text": 3, "who": "x"}], progress=False)
    with pytest.raises(VariableTypeError, match="'n'"):
        wb.plan(words, data=data[["text", "who"]], variables={"n": "4"})
    with pytest.raises(DataError, match="row 1 has no value in column 'text'"):
        wb.run(words, data=[{"text": "a", "who": "x"}, {"text": None, "who": "x"}], progress=False)
    with pytest.raises(UndefinedVariableError, match="needs 'text'"):
        wb.run(words, data=[{"who": "x"}], progress=False)
    assert wb.frames.executions().empty


def test_rows_are_filled_and_whole_floats_are_integers(wb, words):
    data = pd.DataFrame({"text": ["a", "b"], "n": [1, None], "who": ["x", "y"]})
    assert data["n"].dtype == "float64"
    run = wb.run(words, data=data, progress=False)
    assert sorted(run.frame()["answer"]) == ["1 words on a for x", "3 words on b for y"]
    without = words.map(data[["text", "who"]], progress=False)
    assert set(without.frame()["answer"]) == {"3 words on a for x", "3 words on b for y"}


def test_versions_in_one_run_keep_their_own_declarations(wb, words):
    other = wb.prompts.save(
        "words", "{{ n }} of {{ text }}", variables={"n": {"type": "string", "default": "none"}}
    )
    run = wb.run([words, other], data=[{"text": "a", "who": "x"}], progress=False)
    assert set(run.frame()["answer"]) == {"3 words on a for x", "none of a"}


def test_a_file_is_saved_with_its_declarations_and_its_origin(wb, tmp_path):
    (tmp_path / "words.md").write_text(
        TEXT.replace("---\nvar", "---\nnote: short\nlabel: prod\ntags: [a]\nvar", 1)
    )
    loaded = wb.prompts.load(tmp_path / "words.md")
    assert (loaded.ref, loaded.tags, loaded.change) == ("words@1", ("a",), "new")
    assert list(loaded.variables) == STORED
    assert "prod" in loaded.labels
    assert loaded.note == f"short ({tmp_path / 'words.md'})"
    assert wb.prompts.load(str(tmp_path / "words.md")).change == "same"
    assert wb.prompts.load(tmp_path / "words.md", "other title").ref == "other title@1"


def test_a_files_schema_lies_beside_it(wb, tmp_path):
    (tmp_path / "out.json").write_text('{"title": "Out", "type": "object"}')
    (tmp_path / "ask.md").write_text("---\nschema: out.json\nformat: json\n---\nHi")
    loaded = wb.prompts.load(tmp_path / "ask.md")
    assert loaded.settings == {"schema": {"title": "Out", "type": "object"}, "format": "json"}


def test_any_json_column_is_a_frame_and_what_is_wrong_is_named(wb):
    wb.prompts.save("n", "{{ n }} {{ text }}")
    for n in (1, "hot"):
        wb.ask("n", variables={"n": n, "text": "x"})
    whole = wb.frames.jsonb("executions", "input_variables")
    assert sorted(each["n"] for each in whole["input_variables"] if each["n"] != "hot") == [1]
    assert len(wb.frames.jsonb("wb.executions", "input_variables", limit=1)) == 1
    for call, says in (
        (lambda: wb.frames.jsonb("executons", "x"), "did you mean 'executions'"),
        (lambda: wb.frames.jsonb("executions", "input_variable"), "did you mean 'input_variables'"),
        (lambda: wb.frames.jsonb("executions", "status"), "not jsonb"),
        (
            lambda: wb.frames.jsonb("executions", "input_variables", {"text": "text", "n": "int8"}),
            "the field 'n' is not always int8",
        ),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert says in str(caught.value)
