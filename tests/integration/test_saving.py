"""What stands beside a prompt's text: settings, tags, notes, titles; checked, and kept when the text is not new."""

from __future__ import annotations

import subprocess
import threading

import psycopg
import pytest
from sqlalchemy import event

from workbench.core.body import parse_body
from workbench.errors import (
    DataError,
    InputError,
    NameTakenError,
    SchemaError,
    TemplateError,
    UnknownReferenceError,
)
from workbench.services.workbench import connect
from workbench.settings import Settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"temperature": "hot"}, "temperature must be a number from 0 to 2, not 'hot'"),
        ({"temperature": float("nan")}, "temperature must be a number from 0 to 2, not nan"),
        ({"top_k": float("inf")}, "top_k cannot be inf"),
        ({"modle": "x"}, "did you mean 'model'?"),
        ({"max_token": 5}, "did you mean 'max_tokens'?"),
        ({"note": "x"}, "note is no setting"),
        ({"options": [1]}, "options must be a mapping"),
        ({"x": object()}, "settings holds a object"),
        ({"a": "\0"}, "settings holds a NUL character"),
        ([1], "settings must be a mapping, not [1]"),
        ("hot", "settings must be a mapping"),
    ],
)
def test_settings_are_checked_as_front_matter_is(wb, settings, says):
    with pytest.raises(InputError) as caught:
        wb.prompts.save("tone", "x", settings=settings)
    assert says in str(caught.value)
    assert wb.prompts.list() == []


def test_options_of_a_provider_stay_as_they_are(wb):
    given = {"model": "fake/echo", "top_k": 5, "response_format": None, "options": {"modle": 1, "top_n": 2}}
    saved = wb.prompts.save("tone", "x", settings=given).settings
    assert saved == {"model": "fake/echo", "top_k": 5, "response_format": None, "modle": 1, "top_n": 2}


@pytest.mark.parametrize(
    "given",
    [
        {"tags": ["\0"]}, {"tags": [""]}, {"tags": ["x" * 5000]}, {"tags": [3]}, {"tags": 3}, {"note": "\0"},
        {"note": 3}, {"builds_on": 3}, {"content": None}, {"content": 7}, {"title": 5}, {"title": ""},
        {"title": "  "}, {"title": None}, {"system_prompt": 5},
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_told_before_the_database_is_asked(wb, given):
    with pytest.raises(InputError) as caught:
        wb.prompts.save(**{"title": "tone", "content": "x", **given})
    assert caught.value.cure
    assert wb.prompts.list(scratch=True) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda wb: wb.prompts.note("tone", "\0"),
        lambda wb: wb.prompts.note("tone", 5),
        lambda wb: wb.prompts.tag("tone", "\0"),
        lambda wb: wb.prompts.tag("tone", ""),
        lambda wb: wb.prompts.tag("tone", "x" * 5000),
        lambda wb: wb.prompts.tag("tone", remove="absent"),
        lambda wb: wb.prompts.fork("tone", "mood", note="\0"),
        lambda wb: wb.prompts.get(5),
        lambda wb: wb.prompts.label("tone", 5),
        lambda wb: wb.exchange.import_file(5),
        lambda wb: wb.exchange.export(5),
    ],
)
def test_notes_tags_and_references_are_checked_where_they_come_in(wb, call):
    wb.prompts.save("tone", "x", tags=["kept"])
    with pytest.raises(InputError) as caught:
        call(wb)
    assert caught.value.cure
    assert (wb.prompts.get("tone").tags, wb.prompts.get("tone").note) == (("kept",), "")


def test_a_text_alone_is_one_tag_and_one_reference(wb):
    wb.prompts.save("dunning", "system:\nBe stern.\nuser:\nHello")
    version = wb.prompts.save("tg", "x", tags="abc", builds_on="dunning")
    assert version.tags == ("abc",)
    assert [each.ref for each in version.includes] == ["dunning"]


def test_tags_and_a_note_of_an_unchanged_text_are_kept(wb):
    wb.prompts.save("q", "hello", note="one", tags=["t1"])
    again = wb.prompts.save("q", "hello", note="three", tags=["t3"])
    assert (again.version, again.change, again.note, again.tags) == (1, "same", "three", ("t1", "t3"))
    wb.prompts.save("q", "other")
    back = wb.prompts.save("q", "hello", tags="t4")  # latest was elsewhere
    assert (wb.prompts.get("q@1").note, back.tags) == ("three", ("t1", "t3", "t4"))
    assert wb.prompts.save("q", "hello").note == "three"


def test_the_note_of_a_loaded_file_tells_its_commit_when_only_that_has_changed(wb, tmp_path):
    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    path = tmp_path / "tone.md"
    path.write_text("Tone of {{ text }}")
    assert "not committed yet" in wb.prompts.load(path).note
    git("add", ".")
    git("commit", "-qm", "first")
    assert f"{path} at " in wb.prompts.load(path).note
    assert len(wb.prompts.history("tone")) == 1


def test_only_an_untitled_prompt_is_kept_under_a_title(wb):
    wb.prompts.save("greet", "Hello")
    with pytest.raises(NameTakenError, match="greet has a title already") as caught:
        wb.prompts.keep("greet", "foo")
    assert "%promptcmd rename greet foo" in caught.value.cure
    assert wb.prompts.list() == ["greet"]
    assert wb.prompts.keep(wb.prompts.save_body(None, parse_body("Hi")), "hi").title == "hi"


def test_two_people_tag_at_once_and_no_tag_is_lost(wb, ann_url, tmp_path):
    wb.prompts.save("tone", "x")
    failed = []

    def tag(mark):
        try:
            with connect(ann_url.reveal(), settings=Settings(home=tmp_path / mark)) as own:
                for number in range(10):
                    own.prompts.tag("tone", f"{mark}{number}")
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            failed.append(error)

    threads = [threading.Thread(target=tag, args=(mark,)) for mark in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(wb.prompts.get("tone").tags) == 30


def test_a_title_that_somebody_takes_at_the_same_moment_is_taken(wb, ann_url):
    wb.prompts.save("tone", "x")
    engine, overtaken = wb.database.engine, []
    for number, verb in enumerate(("fork", "rename")):
        title = f"mood{number}"

        def insert(_connection, _cursor, statement, *_, title=title):
            if (
                statement.startswith(("INSERT INTO wb.prompts", "UPDATE wb.prompts"))
                and title not in overtaken
            ):
                overtaken.append(title)
                with psycopg.connect(ann_url.reveal(), autocommit=True) as other:
                    other.execute(
                        "INSERT INTO wb.prompts (id, root_id, project_id, user_id, version, kind, title, content,"
                        " content_hash) SELECT i, i, project_id, user_id, 1, kind, %s, content, content_hash"
                        " FROM wb.prompts, gen_random_uuid() i WHERE title = 'tone'",
                        [title],
                    )

        event.listen(engine, "before_cursor_execute", insert)
        with pytest.raises(NameTakenError, match=f"there is a prompt '{title}' already"):
            getattr(wb.prompts, verb)("tone", title)
        event.remove(engine, "before_cursor_execute", insert)
    assert wb.prompts.list() == ["mood0", "mood1", "tone"]


def test_a_reference_that_is_not_there_names_ten_and_the_one_that_may_be_meant(wb):
    for number in range(12):
        wb.prompts.save("tone", f"text {number}")
    wb.prompts.label("tone@3", "prod")
    with pytest.raises(UnknownReferenceError) as caught:
        wb.prompts.get("tone@99")
    assert caught.value.message == "prompt 'tone' has no version 99"
    assert caught.value.cure.startswith("it has tone@12, ")
    assert caught.value.cure.endswith("tone@3 and 2 older ones")
    with pytest.raises(UnknownReferenceError, match="did you mean 'prod'"):
        wb.prompts.get("tone@prdo")


def test_a_text_with_a_nul_is_refused(wb):
    with pytest.raises((DataError, TemplateError)):
        wb.prompts.save("tone", "a\0b")


def test_a_schema_that_is_none_is_told_with_its_line(wb):
    with pytest.raises(SchemaError, match=r"^front matter, line 3: the schema is none"):
        wb.prompts.save("tone", "---\ntemperature: 0\nschema: {type: strin}\n---\nx")
    with pytest.raises(SchemaError, match=r"^the schema is none"):
        wb.prompts.save("tone", "x", settings={"schema": {"type": "strin"}})


def test_a_setting_that_the_workbench_reads_is_checked(wb):
    for name, value in (("them", "light"), ("Theme", "dark"), ("theme", "purple")):
        with pytest.raises(InputError):
            wb.settings.set(name, value)
    wb.settings.set("theme", "light")
    wb.settings.set("scheme", "mine")
    assert wb.settings.all() == {"theme": "light", "scheme": "mine"}
