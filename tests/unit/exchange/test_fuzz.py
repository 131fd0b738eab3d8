"""Garbage in: every reader gives typed failures or one typed error, never anything else."""

from __future__ import annotations

import json
import string
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from workbench.core.exchange.documents import decode, items, load_json, load_yaml
from workbench.core.exchange.folder import read_family
from workbench.core.exchange.langfuse import read_langfuse
from workbench.core.exchange.llm import read_llm_rows, read_llm_template
from workbench.core.exchange.mlflow import read_mlflow, read_mlflow_rows
from workbench.core.exchange.promptfoo import read_promptfoo
from workbench.core.exchange.promptfoo_export import write_promptfoo
from workbench.core.exchange.records import Found, PromptRecord, in_order
from workbench.core.exchange.sniff import sniff_text
from workbench.core.exchange.syntax import from_dollars, from_jinja, from_mustache, literal, to_nunjucks
from workbench.core.exchange.tables import read_csv, read_jsonl
from workbench.core.templates import Template
from workbench.errors import InputError
from workbench.services.exchange_files import Folder

DATA = Path(__file__).parents[2] / "data" / "exchange"
FILES = Folder(DATA / "promptfoo")

NAMES = st.sampled_from(
    [
        "title",
        "name",
        "content",
        "prompt",
        "prompts",
        "template",
        "system",
        "version",
        "versions",
        "tags",
        "labels",
        "label",
        "note",
        "settings",
        "variables",
        "config",
        "data",
        "providers",
        "tests",
        "vars",
        "assert",
        "type",
        "value",
        "id",
        "raw",
        "role",
        "aliases",
        "model_config",
        "model",
        "options",
        "defaults",
        "scenarios",
        "description",
        "results",
        "parent",
        "includes",
        "origin",
        "commitMessage",
        "response_format",
        "key",
        "path",
    ]
)
ANY = st.text(max_size=20) | st.text(st.characters(codec=None), max_size=5)
MARKS = st.text(st.sampled_from("{}%#$ \n'\"|ax-raw[]:,&*!@"), max_size=30)
WORDS = (
    ANY
    | MARKS
    | st.sampled_from(
        [
            "file://prompts/tone.txt",
            "file://../x",
            "file://*",
            "file://[",
            "chat",
            "text",
            "equals",
            "placeholder",
            "\x00",
            "\ud800",
        ]
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)
READERS = (
    read_langfuse,
    read_mlflow,
    read_jsonl,
    read_csv,
    sniff_text,
    lambda text: read_llm_template(text, title="t"),
)


def attempt(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except InputError:
        return None


@given(WORDS | st.text(st.sampled_from(string.printable), max_size=80))
def test_any_text(text):
    for reader in READERS:
        attempt(reader, text)
    attempt(load_yaml, text, what="x")
    attempt(load_json, text, what="x")
    found = Found()
    attempt(read_family, "x", text, {"1.md": text}, found)


@given(st.binary(max_size=60))
def test_any_bytes(data):
    attempt(decode, data, what="x")


@given(JSON)
def test_any_json(value):
    text = json.dumps(value)
    for reader in READERS:
        attempt(reader, text)
    attempt(lambda: list(items(text, Found(), what="x")))
    attempt(read_promptfoo, value, FILES, name="x")
    attempt(read_family, "x", text, {"1.md": "x"}, Found())


RECORDS = st.dictionaries(NAMES, JSON, max_size=8)


@given(st.lists(RECORDS, max_size=3))
def test_any_records(values):
    lines = "\n".join(map(json.dumps, values))
    for reader in (read_langfuse, read_mlflow, read_jsonl):
        attempt(reader, lines)


@given(
    st.dictionaries(
        st.sampled_from(["providers", "tests", "defaultTest", "description", "scenarios", "targets"]), JSON
    ),
    JSON,
)
def test_any_configuration(config, prompts):
    found = attempt(read_promptfoo, {"prompts": prompts, "providers": None, **config}, FILES, name="x")
    if found is not None:
        for data in found.data:
            json.dumps(data.rows).encode()


@given(JSON, JSON, JSON)
def test_any_prompts_tests_and_assertions(prompt, values, assertion):
    document = {
        "prompts": [prompt, {"raw": prompt}],
        "tests": [{"vars": values, "assert": [assertion, {"type": "equals", "value": values}]}],
    }
    attempt(read_promptfoo, document, FILES, name="x")


@given(
    st.lists(
        st.fixed_dictionaries(
            {"place": st.just("p"), "prompt": st.none() | WORDS, "system": st.none() | WORDS}
        )
    )
)
def test_any_log(rows):
    for record in read_llm_rows(rows).records:
        record.content.encode()


@given(
    WORDS,
    st.dictionaries(
        st.sampled_from(["mlflow.prompt.text", "_mlflow_prompt_type", "_mlflow_prompt_model_config", "a"]),
        WORDS,
    ),
)
def test_any_rows_of_mlflow(name, tags):
    read_mlflow_rows([{"name": name, "version": 1, "description": None, "tags": tags, "aliases": ["a"]}])


@given(MARKS)
def test_marks_of_templates(text):
    assert Template.parse(literal(text)).render({}) == text
    for any_name in (True, False):
        Template.parse(from_mustache(text, any_name=any_name)[0])
    converted = attempt(from_dollars, text, {"a": "x'\\\n"})
    if converted is not None:
        parsed = Template.parse(converted)
        values = {name: name for name in parsed.required}
        assert parsed.render(values) == string.Template(text).substitute({"a": "x'\\\n", **values})
    from_jinja(text)
    to_nunjucks(text)


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.lists(
            st.builds(PromptRecord, place=st.just("p"), title=st.just("t"), content=MARKS, parent=MARKS)
        ),
        max_size=5,
    )
)
def test_any_order(families):
    assert sorted(in_order(families)) == sorted(families)


@given(MARKS.filter(str.strip))
def test_any_text_to_promptfoo(text):
    record = PromptRecord(place="p", title="t", content=text, version=1)
    attempt(write_promptfoo, [record], {"p": ["a"]}, Found())


def test_bombs_are_refused_quickly():
    deep = "[" * 100_000
    for reader in READERS:
        attempt(reader, deep)
        attempt(reader, '{"title": ' * 50_000)
        attempt(reader, '{"title": "a", "version": ' + "9" * 10_000 + "}")
    attempt(load_yaml, deep, what="x")
    attempt(load_yaml, "- " * 10_000, what="x")
    laughs = "a: &a [x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(9)
    )
    assert attempt(load_yaml, laughs, what="x") is None
