"""Answers of a schema, on the real ledger: checked, stored, failed and asked again."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Literal

import pandas as pd
import psycopg
import pytest
from pydantic import BaseModel

import workbench
from tests.servers import ScriptedServer, completion
from workbench.core.chat import ModelInfo
from workbench.errors import BudgetError, SchemaError, SchemaMismatchError
from workbench.providers.fake import FakeProvider
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.registry import Registry
from workbench.secret import Secret


class Review(BaseModel):
    tone: Literal["positive", "negative"]
    confidence: float


JSON = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def tone(wb):
    return wb.prompts.save("tone", "Tone of: {{ text }}")


@pytest.fixture
def rows(ann_url):
    """Rows of the ledger, as (status, error_code, answer, answer_json, tokens, cost, passed, response_format)."""

    def read():
        with psycopg.connect(ann_url.reveal()) as connection:
            return connection.execute(
                "SELECT status, error_code, answer, answer_json, tokens_total, cost_estimate, passed,"
                " request_payload -> 'response_format' FROM wb.executions ORDER BY created_at, id"
            ).fetchall()

    return read


def script(wb, answers, name="mine"):
    """Let ``mine/m`` answer by a script."""
    provider = FakeProvider(script=answers, name=name)
    wb.models._registry = Registry(wb.config, providers={name: provider})
    wb.models._chosen.clear()


def test_a_call_with_a_class_gives_json_and_an_instance(wb, tone, rows):
    result = tone(text="I love it", model="fake/json", schema=Review)
    assert isinstance(result.parsed, Review)
    assert result.parsed.tone == "positive"
    assert result.json == result.parsed.model_dump()
    assert result.format == "json"
    ((status, _, _, answer_json, *_, sent),) = rows()
    assert (status, answer_json) == ("done", result.json)
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["strict"] is True
    assert sent["json_schema"]["schema"]["properties"]["tone"]["enum"] == ["positive", "negative"]


def test_a_dict_gives_the_value_and_without_a_schema_nothing_is_parsed(tone):
    assert tone(text="x", model="fake/json", schema=JSON).parsed.keys() == {"n"}
    assert tone(text="x").parsed is None


def test_awaited_calls_take_a_schema_too(tone):
    assert isinstance(asyncio.run(tone.acall(text="bad", model="fake/json", schema=Review)).parsed, Review)


def test_an_answer_that_does_not_match_is_kept_and_raised(wb, rows):
    script(wb, lambda _: '{"tone": "so-so", "confidence": 1}')
    tone = wb.prompts.save("tone", "Tone of: {{ text }}")
    with pytest.raises(SchemaMismatchError, match=r"\$\.tone: 'so-so' is not one of") as caught:
        tone(text="x", model="mine/m", schema=Review)
    assert caught.value.response.text == caught.value.partial_text == '{"tone": "so-so", "confidence": 1}'
    assert "The answer was: {" in str(caught.value)
    ((status, code, answer, answer_json, tokens, cost, passed, _),) = rows()
    assert (status, code, answer_json, passed) == ("failed", "schema", None, None)
    assert answer == caught.value.partial_text
    assert tokens > 0
    assert cost == 0


@pytest.mark.parametrize("schema", [3, {"type": "objekt"}, {"$ref": "https://example.com/x"}, "Review"])
def test_what_is_no_schema_makes_no_call(wb, tone, rows, schema):
    for ask in (
        lambda: tone(text="x", schema=schema),
        lambda: wb.run(tone, data=[{"text": "x"}], schema=schema, progress=False),
        lambda: wb.plan(tone, data=[{"text": "x"}], options={"schema": schema}),
        lambda: wb.prompts.save("other", "Hi", settings={"schema": schema}),
    ):
        with pytest.raises(SchemaError):
            ask()
    assert rows() == []
    assert wb.prompts.list() == ["tone"]


def test_a_schema_that_was_saved_is_content_and_works_in_another_kernel(wb, ann_url, tmp_path, rows):
    saved = wb.prompts.save("tone", "Tone of: {{ text }}", settings={"schema": Review, "model": "fake/json"})
    assert saved.settings["schema"]["title"] == "Review"
    assert "schema Review" in saved._repr_html_()
    assert (
        wb.prompts.save(
            "tone", "Tone of: {{ text }}", settings={"schema": Review, "model": "fake/json"}
        ).change
        == "same"
    )
    assert wb.prompts.save("tone", "Tone of: {{ text }}", settings={"schema": JSON}).version == 2
    assert isinstance(saved(text="bad").parsed, Review)
    with workbench.connect(ann_url.reveal(), settings=wb.config) as other:
        result = other.prompts.get("tone@1")(text="bad")
    assert result.parsed == result.json == {"tone": "negative", "confidence": result.json["confidence"]}
    assert rows()[0][-1] == rows()[1][-1]
    assert wb.prompts.get("tone@1")(text="x", schema=JSON).parsed.keys() == {"n"}


def test_a_variable_called_schema_is_a_variable(wb):
    ask = wb.prompts.save("sql", "Tables: {{ schema }}")
    assert ask(schema="users(id)").text == "Tables: users(id)"


def test_in_a_run_wrong_answers_have_failed_and_the_rest_goes_on(wb, tone, rows):
    asked = []

    def answer(request):
        text = request.messages[-1].content
        asked.append(text)
        return '{"n": 1}' if "good" in text or asked.count(text) > 1 else "I would say 1"

    script(wb, answer)
    data = pd.DataFrame({"text": ["good", "odd", "good too"], "label": ["1", "1", "1"]})
    run = wb.run(tone, data=data, model="mine/m", schema=JSON, scorers=["contains:@label"], progress=False)
    assert (run.status, run.counts.done, run.counts.failed) == ("finished", 2, 1)
    assert run.failures["error_code"].tolist() == ["schema"]
    assert run.failures["answer"].tolist() == ["I would say 1"]
    assert run.failures["passed"].isna().all()
    assert run.plan["arms"][0]["options"]["schema"] == JSON
    again = run.resume(retry_errors=True)
    assert (again.id, again.counts.done, again.counts.failed) == (run.id, 3, 0)
    assert len(asked) == 4
    assert sorted(row[0] for row in rows()) == ["done", "done", "done", "failed"]


def test_a_run_of_another_schema_is_another_run_and_answers_are_not_mixed(wb, tone):
    data = [{"text": "a"}, {"text": "b"}]
    options = {"temperature": 0}
    first = wb.run(tone, data=data, model="fake/json", schema=Review, options=options, progress=False)
    same = wb.run(tone, data=data, model="fake/json", schema=Review, options=options, progress=False)
    other = wb.run(tone, data=data, model="fake/json", schema=JSON, options=options, progress=False)
    assert [run.counts.cached for run in (first, same, other)] == [0, 2, 0]
    assert other.frame(fields={"n": "int8"})["n"].notna().all()


def test_an_earlier_answer_that_does_not_match_is_asked_again(wb, tone):
    answers = iter(['{"n": "x"}', '{"n": 1}'])
    script(wb, lambda _: next(answers))
    own = {"temperature": 0, "response_format": {"type": "json_object"}}
    wb.run(tone, data=[{"text": "a"}], model="mine/m", options=own, progress=False)
    run = wb.run(tone, data=[{"text": "a"}], model="mine/m", schema=JSON, options=own, progress=False)
    assert (run.counts.done, run.counts.cached) == (1, 0)


def test_a_response_format_of_ones_own_is_sent_and_none_sends_none(wb, tone, rows):
    script(wb, lambda _: '{"n": 1}')
    wb.ask(
        tone,
        variables={"text": "a"},
        model="mine/m",
        schema=JSON,
        options={"response_format": {"type": "json_object"}},
    )
    wb.ask(tone, variables={"text": "a"}, model="mine/m", schema=JSON, options={"response_format": None})
    assert [row[-1] for row in rows()] == [{"type": "json_object"}, None]


def test_answers_that_do_not_match_count_towards_the_budget(wb, tone):
    price = {"price_prompt": Decimal("0.00001"), "price_completion": Decimal("0.00001")}
    with wb.database.session() as session:
        wb.models._store(session, ModelInfo(model_id="mine/m", name="m", **price))
    with ScriptedServer(completion("no JSON")) as server:  # each costs 0.00012, as it says
        mine = OpenAICompatible(name="mine", base_url=server.url, key=Secret("sk-test"))
        wb.models._registry = Registry(wb.config, providers={"mine": mine})
        data = [{"text": str(n)} for n in range(200)]
        with pytest.raises(BudgetError):
            wb.run(tone, data=data, model="mine/m", schema=JSON, budget=0.0036, concurrency=4, progress=False)
        sent = server.asked[0].json["response_format"]
    assert sent == {"type": "json_schema", "json_schema": {"name": "answer", "strict": False, "schema": JSON}}
    assert wb.last.counts.failed > 0
    assert Decimal("0.0018") <= wb.last.cost <= Decimal("0.0036")


def test_both_arms_of_a_test_take_a_schema(wb, tone):
    other = wb.prompts.save("tone", "What tone: {{ text }}")
    data = pd.DataFrame({"text": ["I love it", "awful", "great"]})
    test = wb.ab.create(
        "t", tone, other, data=data, model="fake/json", options={"schema": Review}, metric="tokens"
    )
    run = test.run(progress=False)
    assert run.counts.done == 6
    assert set(run.frame(fields={"tone": "text"})["tone"]) == {"positive", "negative"}


def test_rows_are_examples_in_a_prompt(wb):
    shots = pd.DataFrame({"text": ["good", "bad"], "label": ["+", "-"]})
    ask = wb.prompts.save("shots", "{% for s in shots %}{{ s.text }}: {{ s.label }}\n{% endfor %}{{ text }}:")
    expected = "good: +\nbad: -\nfine:"
    assert ask(text="fine", shots=shots).text == expected
    assert ask(text="fine", shots=shots.to_dict("records")).text == expected
    run = wb.run(ask, data=[{"text": "fine"}], variables={"shots": shots}, progress=False)
    assert run.frame()["answer"].tolist() == [expected]
    assert wb.run(ask, variables={"shots": shots, "text": "fine"}, progress=False).frame()[
        "answer"
    ].tolist() == [expected]
    assert run.plan["variables"] == {"shots": json.loads(shots.to_json(orient="records"))}


def test_a_dataframe_runs_prompts_on_the_open_workbench(wb, tone):
    df = pd.DataFrame({"text": ["a", "b"], "label": ["Tone of: a", "x"]})
    run = df.prompt.run("tone", scorers=["equals:@label"], progress=False)
    assert wb.last is run
    assert (run.counts.done, run.counts.passed) == (2, 1)
    assert df.prompt.plan(tone).n_calls == 2
