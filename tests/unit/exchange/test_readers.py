"""Other tools' prompts, read: files that the tools themselves wrote, and what is wrong in them, with its place."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from workbench.core.body import parse_body
from workbench.core.exchange.langfuse import read_langfuse
from workbench.core.exchange.llm import read_llm_rows, read_llm_template
from workbench.core.exchange.mlflow import read_mlflow, read_mlflow_rows
from workbench.core.exchange.promptfoo import read_promptfoo
from workbench.core.exchange.records import PromptRecord, in_order, short_title
from workbench.core.exchange.sniff import check_format, sniff_text
from workbench.core.exchange.tables import read_csv, read_jsonl
from workbench.core.templates import Template
from workbench.db import foreign
from workbench.errors import DataError, OptionError
from workbench.services.exchange import _document, _read
from workbench.services.exchange_files import Folder

DATA = Path(__file__).parents[2] / "data" / "exchange"


def text_of(name):
    return (DATA / name).read_text(encoding="utf-8")


def config(**fields):
    return {"prompts": ["Say {{ x }}"], "providers": ["echo"], **fields}


def promptfoo(document, base=DATA / "promptfoo"):
    return read_promptfoo(document, Folder(base), name="config")


def reasons(issues):
    return [each.reason for each in issues]


# --- promptfoo ---


def test_the_prompts_of_promptfoo_render_what_promptfoo_renders():
    kind, found = _read(DATA / "promptfoo" / "promptfooconfig.yaml", None)
    assert kind == "promptfoo"
    assert not found.failures
    bodies = [parse_body(record.content) for record in found.records]
    rendered = json.loads(text_of("promptfoo/rendered.json"))  # by `promptfoo eval` with the provider echo
    assert len(rendered) == 25
    for row in rendered:
        body = bodies[row["prompt"]]
        values = {name: row["vars"][name] for name in body.variables}
        messages = [{"role": m.role, "content": m.content} for m in body.render(values)]
        theirs = (
            json.loads(row["output"])
            if row["output"].startswith("[")
            else [{"role": "user", "content": row["output"]}]
        )
        assert messages == theirs


def test_promptfoo_gives_titles_settings_rows_and_scorers():
    _, found = _read(DATA / "promptfoo" / "promptfooconfig.yaml", None)
    titles = [record.title for record in found.records]
    assert titles == ["Tone of reviews 1", "prompts/tone 1", "prompts/tone 2", "chat", "json-answer"]
    assert all(
        record.settings == {"model": "openai/gpt-4o-mini", "temperature": 0, "max_tokens": 20}
        for record in found.records
    )
    (data,) = found.data
    assert (len(data.rows), data.expected) == (5, "expected")
    assert [row["expected"] for row in data.rows] == ["yes", "no", "no", "yes", "no"]
    assert [row["language"] for row in data.rows] == ["English", "English", "French", "English", "English"]
    assert found.scorers == ["regex:(?i)yes|no", "equals"]
    assert reasons(found.notes) == ["the assertion llm-rubric has no scorer here; write it in Python"]


def test_several_providers_are_told_and_none_is_chosen():
    found = promptfoo(config(providers=["openai:chat:gpt-4o", {"id": "openrouter:meta-llama/llama-3"}]))
    assert found.records[0].settings == {}
    assert "run with: -m openai/gpt-4o -m meta-llama/llama-3" in found.notes[0].reason


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("file:///etc/passwd", "no path below"),
        ("file://../langfuse.json", "leads out of"),
        ("file://prompts/../../langfuse.json", "leads out of"),
        ("file://../*.json", "leads out of"),
        ("file://missing.txt", "no file"),
        ("file://prompts", "no file"),
        ("langfuse://tone", "kept elsewhere"),
        ("file://prompt.py:main", "no file"),
    ],
)
def test_what_a_configuration_may_not_reach_is_a_failure_and_the_rest_goes_in(reference, said):
    found = promptfoo(config(prompts=[reference, "Say {{ x }}"]))
    assert [record.content for record in found.records] == ["user:\nSay {{ x }}"]
    assert said in found.failures[0].reason
    assert found.failures[0].place == "prompt 1"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "inside" / "link.txt").symlink_to(tmp_path / "secret.txt")
    found = promptfoo(config(prompts=["file://link.txt", "file://*.txt"]), tmp_path / "inside")
    assert found.records == []
    assert ["leads out of" in found.failures[0].reason, "no file" in found.failures[1].reason] == [True, True]


def test_a_pattern_gives_every_file_in_order():
    found = promptfoo(config(prompts=["file://prompts/*"]))
    assert [record.title for record in found.records] == ["prompts/chat", "prompts/tone 1", "prompts/tone 2"]


@pytest.mark.parametrize(
    ("assertion", "scorers"),
    [
        ({"type": "equals", "value": "{{label}}"}, ["equals:@label"]),
        ({"type": "contains", "value": "sorry"}, ["contains:sorry"]),
        ({"type": "regex", "value": r"\d+"}, [r"regex:\d+"]),
        ({"type": "contains-any", "value": ["a.b", "c"]}, [r"regex:a\.b|c"]),
        ({"type": "contains-all", "value": ["a", "b"]}, ["contains:a", "contains:b"]),
        ({"type": "starts-with", "value": 7}, ["starts-with:7"]),
        ({"type": "assert-set", "assert": [{"type": "equals", "value": "x"}]}, ["equals:x"]),
        ({"type": "not-contains", "value": "x"}, []),
        ({"type": "regex", "value": "("}, []),
        ({"type": "equals", "value": "@label"}, []),
        ({"type": "javascript", "value": "output.length"}, []),
    ],
)
def test_assertions_become_scorers_or_a_note(assertion, scorers):
    found = promptfoo(config(tests=[{"vars": {"x": "1"}, "assert": [assertion]}]))
    assert found.scorers == scorers
    assert any("has no scorer here" in reason for reason in reasons(found.notes)) == (not scorers)


def test_the_old_form_of_prompts_and_a_single_text_are_read():
    assert promptfoo(config(prompts={"prompts/chat.json": "talk"})).records[0].title == "talk"
    assert promptfoo(config(prompts="Say {{ x }}")).records[0].title == "config 1"


def test_an_evaluation_that_promptfoo_wrote_is_read_without_its_paths():
    raw = "Tone of {{ text }}"
    document = {
        "evalId": "eval-1",
        "results": {
            "prompts": [{"raw": raw, "label": f"/x/tone.txt: {raw}"}, {"raw": "Hello", "label": "hi"}]
        },
        "config": config(prompts=["file:///x/tone.txt"]),
    }
    assert sniff_text(json.dumps(document)) == "promptfoo"
    assert [(r.title, r.content) for r in promptfoo(document).records] == [
        ("config 1", f"user:\n{raw}"),
        ("hi", "user:\nHello"),
    ]


# --- Langfuse ---


def test_langfuse_versions_labels_tags_and_messages():
    found = read_langfuse(text_of("langfuse.json"))
    second, first, chat = found.records
    assert (first.version, first.labels, first.note) == (1, ("2024-pilot",), "")
    assert (second.version, second.labels, second.note) == (
        2,
        ("production", "latest"),
        "Ask about the title",
    )
    assert second.settings == {"model": "openai/gpt-4o", "temperature": 0.5}
    assert second.origin["config"] == {"supported_languages": ["en", "fr"]}
    assert parse_body(second.content).variables == ("criticLevel", "movie_title")
    assert (
        parse_body(chat.content).render({"company": "ACME", "question": "?"})[0].content
        == 'You answer for ACME. JSON: {"a": {}}'
    )
    assert [(each.place, each.title) for each in found.failures] == [("record 4", "broken")]
    assert "the placeholder 'history' for other messages is left out" in reasons(found.notes)


def test_langfuse_references_become_includes():
    text = json.dumps(
        {
            "name": "a",
            "version": 1,
            "type": "text",
            "prompt": "@@@langfusePrompt:name=tone|version=2@@@ {{x}}",
        }
    )
    assert read_langfuse(text).records[0].content == '{% include "tone@2" %} {{x}}'


def test_langfuse_list_of_names_says_what_to_fetch():
    listed = {
        "data": [{"name": "tone", "versions": [1], "labels": [], "tags": [], "lastConfig": {}}],
        "meta": {},
    }
    text = json.dumps(listed)
    assert sniff_text(text) == "langfuse"
    assert "get each version" in read_langfuse(text).failures[0].reason


# --- MLflow ---


def test_mlflow_by_its_library_and_by_its_database_are_the_same():
    found = read_mlflow(text_of("mlflow.json"))
    rows = read_mlflow_rows(foreign.mlflow_rows(DATA / "mlflow.db"))

    def told(records):
        fields = [(r.title, r.version, r.content, r.settings, r.tags, r.note, r.labels) for r in records]
        return sorted(fields, key=lambda each: each[:2])

    assert told(found.records) == told(rows.records)
    assert not found.failures + rows.failures
    second = next(r for r in found.records if (r.title, r.version) == ("summarise", 2))
    assert second.settings == {
        "model": "openai/gpt-4o-mini",
        "temperature": 0,
        "max_tokens": 200,
        "stop": ["END"],
    }
    first = next(r for r in found.records if (r.title, r.version) == ("summarise", 1))
    assert (first.labels, first.tags, first.note) == (("production",), ("author:ann",), "first")


def test_mlflow_prompts_with_their_versions_inside():
    document = [
        {
            "name": "tone",
            "aliases": {"prod": "2"},
            "versions": [{"version": 1, "template": "a {{ 1x }}"}, {"version": "2", "template": "b {{ x }}"}],
        }
    ]
    assert sniff_text(json.dumps(document)) == "mlflow"
    first, second = read_mlflow(json.dumps(document)).records
    assert (first.labels, second.labels) == ((), ("prod",))
    assert Template.parse(first.content).render({}) == "a {{ 1x }}"


# --- llm ---


@pytest.mark.parametrize("name", ["llm_logs.db", "llm_logs_before_turns.db"])
def test_the_log_of_llm_gives_each_different_prompt_once_and_literally(name):
    kind, found = _read(DATA / name, None)
    assert kind == "llm"
    titles = [record.title for record in found.records]
    assert titles[:2] == ["llm/Name three rivers in France", "llm/What is the capital of Peru?"]
    marks = next(record for record in found.records if "braces" in record.title)
    body = parse_body(marks.content)
    assert body.system == "Summarise in one sentence."
    assert (
        body.render({})[1].content
        == "A long text about {{ braces }} and {% tags %}.\nuser:\nlooks like a role line"
    )
    fragment = next(record for record in found.records if "fragment" in record.title)
    assert parse_body(fragment.content).content == "A fragment of context.\nWhat does the fragment say?"


def test_a_template_of_llm():
    text = text_of("tone.yaml")
    assert sniff_text(text) == "llm"
    (record,) = read_llm_template(text, title="tone").records
    body = parse_body(record.content)
    assert body.required == ("input",)
    rendered = [message.content for message in body.render({"input": "I am glad."})]
    assert rendered == ["Be terse, kind.", "Tone of: I am glad. costs $5"]


def test_a_template_of_llm_without_a_prompt_takes_the_input():
    (record,) = read_llm_template("system: Summarise", title="s").records
    assert parse_body(record.content).messages[0].text == "{{ input }}"


def test_responses_without_text_are_counted():
    found = read_llm_rows(
        [
            {"place": "row 1", "prompt": None, "system": "s"},
            {"place": "row 2", "prompt": "Hi", "system": None},
        ]
    )
    assert len(found.records) == 1
    assert "1 responses have no prompt text" in found.notes[0].reason


# --- tables ---


def test_csv_with_lists_objects_and_names_of_other_tools():
    text = 'Name;Prompt;tags;labels;settings;version\r\ntone;"Tone of {{ text }},\nplease";"a, b";["prod"];"{""temperature"": 0}";v2\r\n'
    assert sniff_text(text) == "csv"
    (record,) = read_csv(text).records
    assert (record.title, record.version, record.tags, record.labels) == ("tone", 2, ("a", "b"), ("prod",))
    assert record.content == "Tone of {{ text }},\nplease"
    assert record.settings == {"temperature": 0}


def test_bad_rows_of_csv_are_told_with_their_lines():
    text = "title,content,version\na,x,1\nb,y\n,z,1\nc,w,zero\n\nd,v,\n"
    found = read_csv(text)
    assert [record.title for record in found.records] == ["a", "d"]
    assert [(each.place, each.reason) for each in found.failures] == [
        ("line 3", "the row has 2 cells, the heading 3"),
        ("line 4", "the title is missing"),
        ("line 5", "the version is 'zero', not a whole number from 1"),
    ]


def test_an_open_quote_is_told_where_it_begins():
    found = read_csv('title,content\na,x\nb,"open\nc,y\n')
    assert [record.title for record in found.records] == ["a"]
    assert found.failures[0].place == "line 3"


def test_bad_lines_of_jsonl_are_told_with_their_numbers():
    lines = [
        '{"title": "a", "content": "x"}',
        "{",
        "",
        '{"title": "b"}',
        '["c"]',
        '{"title": "d", "content": "y", "tags": 3}',
    ]
    found = read_jsonl("\n".join(lines))
    assert [record.title for record in found.records] == ["a"]
    assert [each.place for each in found.failures] == ["line 2", "line 4", "line 5", "line 6"]


def test_columns_that_are_not_read_are_told():
    assert (
        "these columns are not read: colour"
        in read_jsonl('{"title": "a", "content": "x", "colour": 1}').notes[0].reason
    )


# --- which format ---


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "hello",
        "a: 1\nb: 2",
        "[1, 2]",
        "{}",
        "[]",
        '{"a": 1',
        "a,b\n1,2",
        "&a [*a]",
        "- !!python/name:os.system x",
        "\x00",
    ],
)
def test_what_is_no_known_format_is_one_typed_error(text):
    with pytest.raises(DataError):
        sniff_text(text)


def test_anchors_are_refused_with_their_line():
    with pytest.raises(DataError, match="line 2, anchors"):
        sniff_text("prompts: [x]\nproviders: &a [echo]\n")


def test_a_format_that_there_is_none_of():
    with pytest.raises(OptionError, match="langfuze"):
        check_format("langfuze")


def test_scalars_of_other_tools_stay_what_they_are_there():
    found = promptfoo_yaml(
        "prompts: [x]\nproviders: [echo]\ntests:\n  - vars: {a: yes, b: 12:30, c: 007, d: 2024-01-02, e: 1.5, f: true}\n"
    )
    assert found.data[0].rows == [
        {"a": "yes", "b": "12:30", "c": "007", "d": "2024-01-02", "e": 1.5, "f": True}
    ]


def promptfoo_yaml(text):
    return promptfoo(_document(text))


# --- files ---


def test_files_that_are_no_files(tmp_path):
    with pytest.raises(DataError, match="no file"):
        _read(tmp_path / "missing.json", None)
    with pytest.raises(DataError, match="no exported prompts"):
        _read(tmp_path, None)
    with pytest.raises(DataError, match="is a folder"):
        _read(tmp_path, "csv")
    (tmp_path / "latin.csv").write_bytes(b"title,content\na,caf\xe9\n")
    with pytest.raises(DataError, match="not UTF-8: line 2"):
        _read(tmp_path / "latin.csv", None)
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    with pytest.raises(DataError, match="SQLite"):
        _read(tmp_path / "broken.db", None)


def test_a_database_of_somebody_else(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE x (a)")
    connection.close()
    with pytest.raises(DataError, match="no prompts that are known"):
        _read(tmp_path / "other.db", None)


def test_a_log_that_is_being_written_is_read_with_its_newest_rows(tmp_path):
    path = tmp_path / "logs.db"
    shutil.copy(DATA / "llm_logs_before_turns.db", path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "INSERT INTO responses (id, model, prompt, datetime_utc) VALUES ('z', 'echo', 'Newest', '2099')"
    )
    connection.commit()
    assert _read(path, None)[1].records[-1].title == "llm/Newest"
    connection.close()


def test_nothing_is_written_to_a_database_that_is_read(tmp_path):

    path = tmp_path / "logs.db"
    shutil.copy(DATA / "llm_logs.db", path)
    path.chmod(0o400)
    before = path.read_bytes()
    _read(path, None)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["logs.db"]


# --- order and titles ---


def record(title, **fields):
    return PromptRecord(place="p", title=title, content=fields.pop("content", "x"), **fields)


def test_what_is_included_or_forked_from_comes_first_and_rings_end():
    families = {
        "a": [record("a", content='{% include "c@1" %}')],
        "b": [record("b", parent="a@1")],
        "c": [record("c", includes={"d": "d@1"})],
        "d": [record("d", includes={"c": "c@1"})],
    }
    order = in_order(families)
    assert order.index("c") < order.index("a") < order.index("b")
    assert sorted(order) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("text", "title"),
    [("\n\n  - one\ttwo@x\n", "one two at x"), ("a" * 100, "a" * 60 + "…"), ("\u202e\x00", ""), ("", "")],
)
def test_titles_from_texts(text, title):
    assert short_title(text) == title
