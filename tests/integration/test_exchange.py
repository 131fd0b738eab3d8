"""Prompts in and out on a real database: round trips, repeats, bad records, other people."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.core.body import parse_body
from workbench.core.refs import check_title
from workbench.db.queries import exchange as queries
from workbench.errors import (
    AccessDeniedError,
    DataError,
    InputError,
    OptionError,
    RunInterruptedError,
    UnknownReferenceError,
)
from workbench.services.workbench import connect

DATA = Path(__file__).parents[1] / "data" / "exchange"


def stored(wb):
    """Everything that a round trip must keep, by title and version."""
    with wb.database.session() as session:
        families = list(queries.read(session, wb.project_id, wb.prompts.list()))
    return {
        (v.title, v.version): (
            v.content_hash,
            v.content,
            v.system_prompt,
            v.variables,
            v.settings,
            v.tags,
            v.note,
            v.labels,
            v.parent,
        )
        for family in families
        for v in family
    }


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def some_prompts(wb):
    wb.prompts.save("tone", "Tone of {{ text }}", tags=["a", "b"], note="first")
    wb.prompts.save("tone", "system:\nBe terse.\nuser:\nTone of {{ text }}", settings={"temperature": 0})
    wb.prompts.save("tone", "Tone of {{ text | default('x') }}:\nuser:\n\\user:\n---", note="two\nlines")
    wb.prompts.label("tone@1", "prod")
    wb.prompts.save("tone", "Tone of {{ text }}")  # rolls back: latest is version 1 again
    wb.prompts.save("Weird/ title: “x” 天", "---\nmodel: openai/gpt-4o\n---\nHello", note="n")
    wb.prompts.save("tone/of voice", "x")


@pytest.mark.parametrize(("name", "kind"), [("all.jsonl", "jsonl"), ("prompts", "folder")])
def test_a_round_trip_into_another_project_is_identical(wb, tmp_path, name, kind):
    some_prompts(wb)
    before = stored(wb)
    report = wb.exchange.export(tmp_path / name)
    assert (report.format, report.prompts, report.versions) == (kind, 3, 5)
    wb.use("other")
    came = wb.exchange.import_file(tmp_path / name)
    assert (came.format, came.new, came.same, came.failed, came.labels) == (kind, 5, 0, 0, 1)
    assert stored(wb) == before
    assert wb.prompts.get("tone").version == 1
    again = wb.exchange.import_file(tmp_path / name)
    assert (again.new, again.same, again.labels, again.notes) == (0, 5, 0, ())
    assert stored(wb) == before


def test_exporting_again_gives_the_same_bytes_and_removes_what_is_gone(wb, tmp_path):
    some_prompts(wb)
    wb.exchange.export(tmp_path / "a")
    before = files_of(tmp_path / "a")
    wb.use("other")
    wb.exchange.import_file(tmp_path / "a")
    wb.exchange.export(tmp_path / "b")
    assert files_of(tmp_path / "b") == before
    assert wb.exchange.export(tmp_path / "a").written == 0
    (tmp_path / "a" / "README.md").write_text("mine")
    (tmp_path / "a" / "tone" / "notes.txt").write_text("mine")
    (tmp_path / "a" / "tone" / "9.md").write_text("gone")
    shutil.copytree(tmp_path / "a" / "tone", tmp_path / "a" / "renamed")
    report = wb.exchange.export(tmp_path / "a")
    assert (report.written, report.removed) == (0, 6)
    mine = {"README.md": b"mine", "tone/notes.txt": b"mine", "renamed/notes.txt": b"mine"}
    assert files_of(tmp_path / "a") == before | mine


def test_one_prompt_in_a_folder_leaves_the_others(wb, tmp_path):
    some_prompts(wb)
    wb.exchange.export(tmp_path / "a")
    before = files_of(tmp_path / "a")
    wb.prompts.save("tone/of voice", "y")
    report = wb.exchange.export(tmp_path / "a", prompts=["tone/of voice"])
    assert (report.prompts, report.written, report.removed) == (1, 2, 0)
    assert before.keys() < files_of(tmp_path / "a").keys()
    with pytest.raises(DataError, match="whole prompts"):
        wb.exchange.export(tmp_path / "a", prompts=["tone@1"])


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40) | st.text(
    st.sampled_from("-: \n\\#'{}%usertmodlx"), max_size=40
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=20) | TEXTS, TEXTS, TEXTS, st.lists(TEXTS, max_size=2), TEXTS),
        min_size=1,
        max_size=6,
    )
)
def test_round_trips_of_any_titles_and_texts(wb, tmp_path_factory, versions):
    tmp_path = tmp_path_factory.mktemp("round")
    number = len(wb.projects())
    wb.use(f"from {number}")
    for title, text, system, tags, note in versions:
        try:
            check_title(title)
            parse_body(text, system=system)
            wb.prompts.save(title, text, system_prompt=system, tags=tags, note=note)
        except InputError:
            continue
    before = stored(wb)
    if not before:
        return
    for name in ("a", "a.jsonl"):
        wb.use(f"from {number}")
        wb.exchange.export(tmp_path / name)
        wb.use(f"to {name} {number}")
        report = wb.exchange.import_file(tmp_path / name)
        assert not report.failures
        assert stored(wb) == before
        if name == "a":
            wb.exchange.export(tmp_path / "b")
            assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_fork_keeps_where_it_came_from(wb, tmp_path):
    lines = [
        {"title": "b", "content": "x", "version": 1, "parent": "a@2"},
        {"title": "a", "content": "x", "version": 1},
        {"title": "a", "content": "y", "version": 2},
        {"title": "a", "content": "z", "version": 5, "parent": "a@1", "labels": ["prod"]},
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = wb.exchange.import_file(tmp_path / "x.jsonl")
    assert report.versions == ("b@1", "a@1", "a@2", "a@5")
    parents = {key: row[-1] for key, row in stored(wb).items()}
    assert parents == {("a", 1): "", ("a", 2): "a@1", ("a", 5): "a@1", ("b", 1): "a@2"}
    assert wb.prompts.save("a", "newer").version == 6


@pytest.mark.parametrize("name", ["out", "out.jsonl"])
def test_prompts_made_of_prompts_come_back_with_the_same_versions_inside(wb, tmp_path, name):
    wb.prompts.save("z style", "One word.")
    wb.prompts.label("z style@1", "prod")
    wb.prompts.save(
        "z base", "system:\nAnswer in {{ language }}.\nuser:\nRead this.", variables={"language": "str"}
    )
    text = 'Tone of {{ x }}? {% include "z style@prod" %}'
    wb.prompts.save("a tone", text, builds_on=["z base"])
    wb.prompts.save("z style", "Two words.")
    wb.prompts.label("z style@2", "prod")
    wb.prompts.save("a tone", text, builds_on=["z base"])
    wb.prompts.save("b", '{% include "z style@1" %}!')
    before = stored(wb)
    wb.exchange.export(tmp_path / name)
    wb.use("another")
    report = wb.exchange.import_file(tmp_path / name)
    assert (report.new, report.failed) == (6, 0)
    assert stored(wb) == before
    assert wb.prompts.get("a tone@1")(x="a", language="Welsh").text.endswith("One word.")
    assert wb.prompts.used_by("z style@1") == ["a tone@1", "b@1"]
    assert wb.exchange.import_file(tmp_path / name).new == 0
    wb.exchange.export(tmp_path / f"again {name}")
    if name == "out":
        assert files_of(tmp_path / "again out") == files_of(tmp_path / "out")


def test_versions_that_are_taken_get_the_next_number_and_it_is_said(wb, tmp_path):
    wb.prompts.save("tone", "mine")
    wb.prompts.save("tone", "mine too")
    lines = [
        {"title": "tone", "content": text, "version": n}
        for n, text in enumerate(["theirs", "mine", "new"], 1)
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = wb.exchange.import_file(tmp_path / "x.jsonl")
    assert (report.new, report.same, report.versions) == (2, 1, ("tone@3", "tone@1", "tone@4"))
    assert [each.reason for each in report.notes] == [
        "version 1 is tone@3 here, which is the next free number",
        "version 2 is tone@1 here, which has the same content",
        "version 3 is tone@4 here, which is the next free number",
    ]
    assert wb.prompts.get("tone").content == "new"


def test_importing_again_leaves_latest_where_a_person_put_it(wb, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"title": "t", "content": "a"}\n{"title": "t", "content": "b"}\n')
    wb.exchange.import_file(tmp_path / "x.jsonl")
    wb.prompts.save("t", "mine")
    wb.exchange.import_file(tmp_path / "x.jsonl")
    assert wb.prompts.get("t").content == "mine"


def test_bad_records_are_told_and_the_rest_goes_in(wb, tmp_path):
    key = "sk-or-v1-" + "0123456789abcdef" * 2
    lines = [
        {"title": "good", "content": "Hello {{ x }}"},
        {"title": "open", "content": "{{ x"},
        {"title": "x" * 300, "content": "a"},
        {"title": "nul", "content": "a\x00b"},
        {"title": "half", "content": "a\ud800"},
        {"title": "key", "content": "a", "note": key},
        {"title": "settings", "content": "a", "settings": {"api": key}},
        {"title": "front", "content": "---\nmodle: x\n---\na"},
        {"title": "scratch/1234", "content": "a"},
        {"title": "-x", "content": "a"},
        {"title": "roles", "content": "user:\n"},
        {"title": "include", "content": "{% import 'x' %}"},
        {"title": "a@b", "content": "a"},
        {"title": "a-at-b", "content": "b"},
        {"title": "labels", "content": "a", "labels": ["1st", "prod", "v2"]},
        {"title": "last", "content": "z" * 200_001},
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = wb.exchange.import_file(tmp_path / "x.jsonl")
    assert [each.place for each in report.failures] == [
        f"line {n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16)
    ]
    assert wb.prompts.list() == ["a-at-b", "good", "labels"]
    assert key not in str(report)
    assert [each.reason for each in report.notes] == [
        "the title 'a@b' has become 'a-at-b'",
        "left out: the label '1st' is not allowed",
        "left out: the label 'v2' looks like a version",
    ]
    assert "line 2, open: user message, line 1" in str(report)
    assert report._repr_mimebundle_()["text/html"]


def test_variables_and_settings_are_checked_as_in_a_cell(wb, tmp_path):
    lines = [
        {"title": "vv", "content": "x {{ q }}", "variables": [{"name": "q", "type": "nope"}]},
        {"title": "vv2", "content": "x {{ q }}", "variables": [{"name": "zz", "type": "string"}]},
        {"title": "vv3", "content": "x", "settings": {"schema": {"type": "objct"}}},
        {"title": "vv9", "content": "x", "settings": {"temperature": "hot"}},
        {"title": "tag", "content": "x", "tags": ["y" * 500]},
        {"title": "part", "content": "{{ a }} {{ b }}", "variables": [{"name": "b", "type": "int"}]},
        {"title": "none", "content": "{{ a }}", "variables": []},
        {"title": "plain", "content": "x", "settings": {"schema": {"type": "object"}, "modle": "y"}},
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = wb.exchange.import_file(tmp_path / "x.jsonl")
    assert [(each.place, each.title) for each in report.failures] == [
        (f"line {n}", lines[n - 1]["title"]) for n in (1, 2, 3, 4, 5)
    ]
    for reason, says in zip(
        [each.reason for each in report.failures],
        [
            "declared as 'nope', which is no type",
            "'zz' is declared, and the prompt does not read it",
            "the schema is none",
            "temperature must be a number",
            "the tag",
        ],
        strict=True,
    ):
        assert says in reason
    assert wb.prompts.list() == ["none", "part", "plain"]
    assert [each["type"] for each in wb.prompts.get("part").variables] == ["any", "integer"]
    assert wb.prompts.get("none").names == ("a",)


def test_a_stored_type_that_is_none_holds_nobody_up(wb, ann_url):
    wb.prompts.save("base", "{{ q }}")
    with psycopg.connect(ann_url.reveal()) as ann:
        ann.execute(
            """INSERT INTO wb.prompts (id, root_id, project_id, user_id, version, kind, title, content, content_hash,
               variables) SELECT i, i, project_id, user_id, 1, kind, 'old', content, 'x',
               '[{"name": "q", "type": "nope", "required": true}]' FROM wb.prompts, gen_random_uuid() i"""
        )
        ann.execute(
            """INSERT INTO wb.prompt_labels (root_id, name, prompt_id, project_id, user_id)
               SELECT id, 'latest', id, project_id, user_id FROM wb.prompts WHERE title = 'old'"""
        )
    assert wb.prompts.get("old")(q="a").text == "a"


def test_what_only_the_database_refuses_is_found_among_many(wb, tmp_path, admin_url):
    with psycopg.connect(admin_url.reveal()) as admin:
        admin.execute("ALTER TABLE wb.prompts ADD CHECK (content <> 'forbidden')")
    lines = [{"title": f"p{n}", "content": "x"} for n in range(30)]
    lines.insert(17, {"title": "wide", "content": "forbidden"})
    lines.insert(18, {"title": "p3", "content": "another"})
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = wb.exchange.import_file(tmp_path / "x.jsonl")
    assert (report.new, report.failed) == (31, 1)
    assert report.failures[0].title == "wide"
    assert "check constraint" in report.failures[0].reason


def test_an_archived_prompt_takes_no_new_version(wb, tmp_path, ann_url):
    wb.prompts.save("old", "a")
    with psycopg.connect(ann_url.reveal()) as connection:
        connection.execute("UPDATE prompts SET archived_at = now()")
    (tmp_path / "x.jsonl").write_text('{"title": "old", "content": "a"}\n{"title": "old", "content": "b"}\n')
    report = wb.exchange.import_file(tmp_path / "x.jsonl")
    assert (report.same, report.new) == (1, 0)
    assert report.failures[0].reason == "its prompt is archived, so it takes no new version"


def test_two_imports_of_one_file_at_once(wb, ann_url, tmp_path):
    lines = [{"title": f"p{n % 40}", "content": f"text {n}", "labels": [f"l{n % 3}"]} for n in range(400)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    reports = []

    def work():
        with connect(ann_url.reveal(), settings=wb.config) as mine:
            reports.append(mine.exchange.import_file(tmp_path / "x.jsonl"))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 3
    assert sum(report.new for report in reports) == 400
    assert all(report.new + report.same == 400 and not report.failures for report in reports)
    assert len(stored(wb)) == 400


@pytest.mark.usefixtures("wb")
def test_the_drivers_echo_of_an_error_that_is_raised_anyway_goes_nowhere(caplog):
    logger = logging.getLogger("psycopg")
    logger.warning("error ignored terminating %r: %s", "a pipeline", "the second error")
    logger.warning("something else")
    assert [record.message for record in caplog.records] == ["something else"]


def test_progress_is_told_to_the_end(wb, tmp_path):
    lines = [{"title": f"p{n}", "content": "x"} for n in range(450)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    told = []
    wb.exchange.import_file(tmp_path / "x.jsonl", progress=lambda done, total: told.append((done, total)))
    assert told == [(200, 450), (400, 450), (450, 450)]
    told.clear()
    wb.exchange.export(tmp_path / "y.jsonl", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (450, 450)


def test_a_reader_of_a_shared_project_may_export_and_not_import(wb, bobs_wb, ann_url, tmp_path):
    some_prompts(wb)
    with psycopg.connect(ann_url.reveal()) as connection:
        connection.execute(
            "INSERT INTO project_members (project_id, user_id, role) VALUES (%s, %s, 'reader')",
            [wb.project_id, bobs_wb.database.user_id],
        )
    bobs_wb.project, bobs_wb.project_id = wb.project, wb.project_id
    assert bobs_wb.exchange.export(tmp_path / "all.jsonl").versions == 5
    (tmp_path / "x.jsonl").write_text('{"title": "tone", "content": "bob was here"}\n')
    with pytest.raises(AccessDeniedError):
        bobs_wb.exchange.import_file(tmp_path / "x.jsonl")
    assert len(stored(wb)) == 5


def test_promptfoo_brings_a_dataset_and_can_be_run_with_the_scorers(wb):
    report = wb.exchange.import_file(DATA / "promptfoo" / "promptfooconfig.yaml")
    assert (report.new, report.datasets, report.scorers) == (
        5,
        ("Tone of reviews@1",),
        ("regex:(?i)yes|no", "equals"),
    )
    assert "score with: -c 'regex:(?i)yes|no' -c equals" in str(report)
    run = wb.run(
        "prompts/tone 1",
        data="Tone of reviews",
        model="fake/echo",
        scorers=list(report.scorers),
        progress=False,
    )
    assert run.counts.done == 5
    assert not run.frame()["score"].isna().any()
    again = wb.exchange.import_file(DATA / "promptfoo" / "promptfooconfig.yaml")
    assert (again.new, again.same, again.datasets) == (0, 5, ("Tone of reviews@1",))


def test_langfuse_labels_move_with_the_next_export(wb, tmp_path):
    report = wb.exchange.import_file(DATA / "langfuse.json")
    assert (report.new, report.failed) == (3, 1)
    assert wb.prompts.get("movie-critic@production").version == 2
    assert wb.prompts.get("support-at-desk").note == "with history"
    document = json.loads((DATA / "langfuse.json").read_text())
    document["data"][0]["labels"], document["data"][1]["labels"] = ["latest"], ["production"]
    (tmp_path / "next.json").write_text(json.dumps(document))
    report = wb.exchange.import_file(tmp_path / "next.json")
    assert (report.new, report.labels) == (0, 1)
    assert wb.prompts.get("movie-critic@production").version == 1
    assert wb.prompts.get("movie-critic").version == 2


@pytest.mark.parametrize(
    ("name", "kind", "new"),
    [
        ("mlflow.json", "mlflow", 4),
        ("mlflow.db", "mlflow", 4),
        ("llm_logs.db", "llm", 6),
        ("llm_logs_before_turns.db", "llm", 5),
        ("tone.yaml", "llm", 1),
    ],
)
def test_files_of_real_tools_go_in_and_come_out_again(wb, tmp_path, name, kind, new):
    report = wb.exchange.import_file(DATA / name)
    assert (report.format, report.new, report.failures) == (kind, new, ())
    before = stored(wb)
    wb.exchange.export(tmp_path / "out", format="folder")
    wb.use("other")
    assert wb.exchange.import_file(tmp_path / "out").new == new
    assert stored(wb) == before
    wb.use("third")
    assert wb.exchange.import_file(DATA / name, format=kind).new == new


def test_what_promptfoo_gets_is_what_came_from_it(wb, tmp_path):
    wb.exchange.import_file(DATA / "promptfoo" / "promptfooconfig.yaml")
    report = wb.exchange.export(tmp_path / "promptfooconfig.yaml")
    assert (report.format, report.prompts, report.versions) == ("promptfoo", 5, 5)
    before = {row[1] for row in stored(wb).values()}
    wb.use("other")
    wb.exchange.import_file(tmp_path / "promptfooconfig.yaml")
    assert {row[1] for row in stored(wb).values()} == before


def test_one_version_or_label_to_promptfoo(wb, tmp_path):
    some_prompts(wb)
    wb.exchange.export(tmp_path / "p.yaml", prompts=["tone@2"])
    text = (tmp_path / "p.yaml").read_text()
    assert "label: tone@2" in text
    assert "- echo" in text
    wb.exchange.export(tmp_path / "p.yaml", prompts=["tone@prod", "Weird/ title: “x” 天"])
    text = (tmp_path / "p.yaml").read_text()
    assert "label: tone@1" in text
    assert "openrouter:openai/gpt-4o" in text


def test_bad_calls_are_typed(wb, tmp_path):
    with pytest.raises(DataError, match="no prompts to write"):
        wb.exchange.export(tmp_path / "x.jsonl")
    wb.prompts.save("tone", "x")
    with pytest.raises(UnknownReferenceError, match="did you mean 'tone'"):
        wb.exchange.export(tmp_path / "x.jsonl", prompts=["tune"])
    with pytest.raises(OptionError, match="no format 'xml'"):
        wb.exchange.export(tmp_path / "x.jsonl", format="xml")
    with pytest.raises(DataError, match="no folder"):
        wb.exchange.export(tmp_path / "missing" / "x.jsonl")
    with pytest.raises(OptionError, match="no format 'xml'"):
        wb.exchange.import_file(tmp_path / "x.jsonl", format="xml")
    with pytest.raises(DataError, match="cannot be read"):
        wb.exchange.import_file(tmp_path / ("x" * 5000))
    with pytest.raises(DataError, match="cannot be written"):
        wb.exchange.export(__file__, format="folder")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_leads_elsewhere_is_not_written_to(wb, tmp_path):
    wb.prompts.save("tone", "x")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "tone").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="leads out of"):
        wb.exchange.export(tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_an_exported_prompt_includes_comes_along_also_when_it_is_archived(wb, tmp_path):
    wb.prompts.save("base", "Be terse.")
    wb.prompts.save("mo", '{% include "base@1" %} one')
    wb.prompts.save("mo", "two")
    wb.prompts.save("ia", '{% include "mo@1" %} x')
    wb.prompts.archive("mo")
    wb.prompts.archive("base")
    for number, (name, prompts) in enumerate((("all", None), ("all.jsonl", None), ("one.jsonl", ["ia@1"]))):
        report = wb.exchange.export(tmp_path / name, prompts=prompts)
        assert [each.title for each in report.notes] == ["mo", "base"]
        assert report.versions == (4 if name == "all" else 3)
        wb.use(f"other{number}")
        found = wb.exchange.import_file(tmp_path / name)
        assert (found.failures, found.new) == ((), report.versions)
        assert wb.prompts.get("ia")().text == "Be terse. one x"
        wb.use("default")


def test_our_own_promptfoo_file_comes_back_to_the_same_families(wb, tmp_path):
    wb.prompts.save("chat/long " + "x" * 80, "Tone of {{ text }}")
    wb.prompts.save("chat", "system:\nBe terse.\nuser:\nHello {{ name }}")
    wb.prompts.save("chat", "Hello")
    wb.exchange.export(tmp_path / "a.yaml", prompts=["chat@1", "chat@2", "chat/long " + "x" * 80])
    report = wb.exchange.import_file(tmp_path / "a.yaml")
    assert (report.new, report.same, report.failed, report.datasets) == (0, 3, 0, ())
    assert len(wb.prompts.list()) == 2
    text = (tmp_path / "a.yaml").read_text().replace("prompts of the workbench", "prompts of mine")
    (tmp_path / "b.yaml").write_text(text)
    assert "chat at 1" in str(wb.exchange.import_file(tmp_path / "b.yaml").versions)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.txt", b" ", "x.txt'"),
        ("x.txt", b"just a text", "x.txt'"),
        ("x.db", b"SQLite format 3\x00", "x.db"),
        ("x.csv", b"titel,content\na,b", "rename 'titel' to 'title'"),
        ("x.csv", b"title,words\na,b", "name one 'content'"),
        ("nofile.json", None, "nofile.json"),
    ],
)
def test_an_import_that_fails_outright_names_the_file_and_makes_no_project(wb, tmp_path, name, data, says):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        wb.exchange.import_file(tmp_path / name, project="newp")
    assert says in str(caught.value)
    assert name in caught.value.message
    assert (wb.project, wb.projects()) == ("default", ["default"])


def test_an_import_may_make_its_project(wb, tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({"title": "a", "content": "x", "labels": ["prod"]}))
    report = wb.exchange.import_file(tmp_path / "x.jsonl", project="newp")
    assert (report.project, wb.project) == ("newp", "newp")
    assert report.headline.endswith("1 label moved")


def test_an_import_that_is_stopped_says_what_is_stored(wb, tmp_path):
    lines = [{"title": f"p{n}", "content": "x"} for n in range(450)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))

    def stop(done, total):
        if done == 400:
            raise KeyboardInterrupt

    with pytest.raises(RunInterruptedError, match="400 new versions are stored"):
        wb.exchange.import_file(tmp_path / "x.jsonl", progress=stop)
    assert wb.exchange.import_file(tmp_path / "x.jsonl").new == 50
