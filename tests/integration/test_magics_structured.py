"""Schemas, declared variables, examples and files in a real IPython shell; front matter against the line."""

from __future__ import annotations

import pandas as pd
import pytest

from workbench.core.versions import PromptVersion

REVIEW = """
from typing import Literal
from pydantic import BaseModel

class Review(BaseModel):
    tone: Literal["positive", "negative"]
    confidence: float

class Other(BaseModel):
    n: int
"""

FRONT = """---
model: fake/upper
temperature: 0.5
schema: Review
format: code
tags: [front]
label: staging
note: of the front matter
---
I love {{ text }}"""


@pytest.fixture(autouse=True)
def classes(shell):
    """Two classes in the notebook."""
    shell.run_cell(REVIEW)


def error(cell, source):
    """The clean lines that a failing cell prints."""
    with pytest.raises(Exception) as caught:
        cell(source)
    printed = cell.out.out + cell.out.err
    assert "Traceback" not in printed
    assert str(caught.value).splitlines()[0] in printed
    return printed


def sent(wb, number=-1):
    """What was sent last: (model, temperature, response_format's name)."""
    frame = wb.frames.jsonb(
        "executions",
        "request_payload",
        {"model": "text", "temperature": "float8", "response_format": "jsonb"},
    )
    row = frame.iloc[number]
    form = row["response_format"]
    return row["model"], row["temperature"], form["json_schema"]["name"] if isinstance(form, dict) else None


def test_a_schema_on_the_line_is_a_variable_of_the_notebook(cell, wb):
    result = cell("%%prompt tone -m fake/json --schema Review -p text=it\nI love {{ text }}")
    assert (type(result.parsed).__name__, result.parsed.tone, result.format) == ("Review", "positive", "json")
    assert "schema" not in wb.prompts.get("tone").settings
    assert cell("%prompt tone -m fake/json -p text=it").json == {"text": "I love it"}
    cell("schema = {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n']}")
    assert cell("%prompt tone -m fake/json --schema schema -p text=it").parsed.keys() == {"n"}


def test_a_schema_on_the_line_is_a_file(cell, tmp_path):
    (tmp_path / "out.json").write_text('{"type": "array", "items": {"type": "boolean"}}')
    result = cell(f"%%prompt tone -m fake/json --schema {tmp_path}/out.json\nHi")
    assert all(isinstance(each, bool) for each in result.parsed)


def test_a_run_takes_the_schema_of_the_line(cell, shell):
    shell.user_ns["df"] = pd.DataFrame({"text": ["it", "this awful thing"]})
    run = cell("%%prompt tone -m fake/json --schema Review -d df -q\nI think {{ text }}")
    assert sorted(run.frame(fields={"tone": "text"})["tone"]) == ["negative", "positive"]
    assert cell("%prompt tone -m fake/echo --schema Review -d df -q").counts.failed == 2


def test_another_schema_is_another_test(cell, shell, wb):
    shell.user_ns["df"] = pd.DataFrame({"text": ["it", "them", "us"]})
    cell("%%prompt tone -N\nI love {{ text }}")
    line = "%%prompt tone -m fake/json --schema Review -d df --vs 1 -q\nWe love {{ text }}"
    cell(line)
    cell(line)
    assert len(wb.ab.list()) == 1
    cell("class Review(BaseModel):\n    other: int")
    cell(line)
    assert len(wb.ab.list()) == 2


def test_an_answer_that_does_not_match_is_shown(cell, wb):
    printed = error(cell, "%%prompt tone --schema Review\nI would say it is fine.")
    assert "the answer does not match its schema: it is no JSON" in printed
    assert "The answer was: I would say it is fine." in printed
    assert wb.frames.executions()["error_code"].tolist() == ["schema"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("%%prompt tone --schema Reviw\nx", "did you mean 'Review'"),
        ("%%prompt tone --schema missing.json\nx", "there is no file missing.json"),
        ("n = 3\n%prompt tone --schema n", "a value of type int is no schema"),
        ("bad = {'type': 'objekt'}\n%prompt tone --schema bad", "$.type: 'objekt' is not valid"),
        ("far = {'$ref': 'https://example.com/x'}\n%prompt tone --schema far", "nothing is fetched"),
        ("%%prompt other\n---\nschema: Reviw\n---\nx", "the schema 'Reviw' is not there"),
        ("%%prompt other\n---\nnote: x\nvariables: {a: strng}\n---\n{{ a }}", "front matter, line 3"),
        ("%%prompt other\n---\nvariables: {b: string}\n---\n{{ a }}", "'b' is declared"),
        ("%prompt --from missing.md", "there is no file missing.md"),
        ("%prompt tone@1 --from tone.md", "saves a new version"),
        ("%%prompt tone --from tone.md\ntext", "both there"),
    ],
)
def test_what_cannot_be_is_told_before_any_call(cell, wb, source, says):
    cell("%%prompt tone -N\nTone")
    assert says in error(cell, source)
    assert wb.frames.executions().empty
    assert wb.prompts.list() == ["tone"]
    assert len(wb.prompts.history("tone")) == 1


def test_front_matter_alone(cell, wb):
    result = cell(f"%%prompt tone -m fake/json -p text=it\n{FRONT}")
    assert (type(result.parsed).__name__, result.format) == ("Review", "code")
    assert sent(wb) == ("json", 0.5, "Review")
    saved = wb.prompts.get("tone@staging")
    assert (saved.tags, saved.note) == (("front",), "of the front matter")
    assert saved.settings["model"] == "fake/upper"
    assert saved.settings["schema"]["title"] == "Review"


def test_the_line_wins_over_front_matter(cell, wb):
    result = cell(
        f"%%prompt tone -m fake/json -t 0 -f text --schema Other --tag line --label prod --note 'of the line' -p text=it\n{FRONT}"
    )
    assert (type(result.parsed).__name__, result.format) == ("Other", "text")
    assert sent(wb) == ("json", 0, "Other")
    saved = wb.prompts.get("tone@prod")
    assert (saved.tags, saved.note) == (("line", "front"), "of the line")
    assert set(saved.labels) == {"latest", "prod"}
    assert (saved.settings["temperature"], saved.settings["schema"]["title"]) == (0.5, "Review")


def test_the_model_of_front_matter_answers_where_the_line_names_none(cell):
    assert cell("%%prompt loud\n---\nmodel: fake/upper\n---\nloud").text == "LOUD"
    assert cell("%prompt loud -m fake/echo").text == "loud"


def test_a_title_on_the_line_wins_too(cell):
    text = "---\ntitle: of front matter\n---\nHi"
    assert cell(f"%%prompt -N\n{text}").title == "of front matter"
    assert cell(f"%%prompt mine -N\n{text}").title == "mine"
    assert cell(f"%%prompt mine -N -S kept\n{text}").title == "kept"


def test_declared_variables_in_a_cell(cell):
    cell(
        "%%prompt words -N\n---\nvariables: {n: {type: integer, default: 3}, text: string}\n---\n{{ n }} {{ text }}"
    )
    cell("text = 'mine'")
    assert cell("%prompt words").text == "3 mine"
    assert cell("%prompt words -p n:=4").text == "4 mine"
    cell("n = 5")
    assert cell("%prompt words").text == "5 mine"
    printed = error(cell, "%prompt words -p n=4")
    assert "'n' must be an integer, not the string '4'" in printed
    assert "write -p n:=3" in printed


def test_rows_of_a_dataframe_are_examples(cell, shell):
    shell.user_ns["df3"] = pd.DataFrame({"text": ["good", "bad"], "label": ["+", "-"]})
    cell("%%prompt shots -N\n{% for s in shots %}{{ s.text }}: {{ s.label }}\n{% endfor %}{{ text }}:")
    assert cell("%prompt shots -p shots=@df3 -p text=fine").text == "good: +\nbad: -\nfine:"
    cell("shots = df3; text = 'ok'")
    assert cell("%prompt shots").text == "good: +\nbad: -\nok:"
    shell.user_ns["rows"] = pd.DataFrame({"text": ["x", "y"]})
    run = cell("%prompt shots -p shots=@df3 -d rows -q")
    assert sorted(run.frame()["answer"]) == ["good: +\nbad: -\nx:", "good: +\nbad: -\ny:"]
    shell.user_ns["many"] = pd.DataFrame({"text": ["x"] * 1_001})
    assert "1,001 rows" in error(cell, "%prompt shots -p shots=@many -p text=fine")


def test_the_rows_of_a_query_are_examples(cell):
    cell("%%prompt shots -N\n{% for s in shots %}{{ s.a }}{% endfor %}")
    cell("%sql shots << SELECT a FROM generate_series(1, 3) AS a")
    assert cell("%prompt shots").text == "123"


def test_a_prompt_from_a_file(cell, wb, tmp_path):
    (tmp_path / "tone.md").write_text("---\nschema: Review\nmodel: fake/json\n---\nI love {{ text }}")
    result = cell(f"%prompt --from {tmp_path}/tone.md -p text=it")
    assert type(result.parsed).__name__ == "Review"
    saved = wb.prompts.get("tone")
    assert saved.note == str(tmp_path / "tone.md")
    named = cell(
        f"%%prompt mine --from {tmp_path}/tone.md -N --tag a --label prod --note why -s 'Be terse.'\n\n"
    )
    assert isinstance(named, PromptVersion)
    assert (named.title, named.tags, named.system_prompt) == ("mine", ("a",), "Be terse.")
    assert named.note == f"why ({tmp_path / 'tone.md'})"
    assert "prod" in named.labels


def test_a_dataframe_runs_prompts_in_the_notebook(cell, shell):
    shell.user_ns["df"] = pd.DataFrame({"text": ["a", "b"]})
    cell("%%prompt tone -N\nTone of {{ text }}")
    assert cell("df.prompt.run('tone', progress=False)").counts.done == 2
