"""Prompts: the same content is the same version, numbers never collide, references find what they say."""

from __future__ import annotations

import threading

import psycopg
import pytest

from workbench.errors import (
    CompositionError,
    ConfigError,
    NameTakenError,
    TemplateError,
    UnknownReferenceError,
)


def test_a_saved_prompt_is_found_by_title_version_and_label(wb):
    first = wb.prompts.save("tone", "Tone of: {{ text }}")
    second = wb.prompts.save("tone", "What is the tone of {{ text }}?", note="as a question")
    wb.prompts.label("tone@1", "prod")
    assert (first.ref, second.ref) == ("tone@1", "tone@2")
    assert wb.prompts.get("tone").version == 2
    assert wb.prompts.get("tone@v1").content == "Tone of: {{ text }}"
    assert wb.prompts.get("tone@prod").version == 1
    assert wb.prompts.get("tone@prod").labels == ("prod",)
    assert second.names == ("text",)


def test_the_same_content_is_the_same_version_and_moves_latest(wb):
    wb.prompts.save("tone", "A {{ x }}")
    wb.prompts.save("tone", "B {{ x }}")
    again = wb.prompts.save("tone", "A {{ x }}", note="another note is not content")
    assert (again.version, again.change) == (1, "same")
    assert wb.prompts.get("tone").version == 1
    assert len(wb.prompts.history("tone")) == 2


def test_settings_and_system_text_are_content(wb):
    wb.prompts.save("tone", "A")
    assert wb.prompts.save("tone", "A", system_prompt="Be terse.").version == 2
    assert wb.prompts.save("tone", "---\ntemperature: 0\n---\nA").version == 3
    assert wb.prompts.get("tone@3").settings == {"temperature": 0}


def test_concurrent_saves_of_one_title_give_every_text_its_own_version(wb):
    texts = [f"text {number}" for number in range(12)]
    threads = [threading.Thread(target=wb.prompts.save, args=("tone", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = wb.prompts.history("tone")
    assert sorted(history["version"]) == list(range(1, 13))
    assert set(history["content"]) == set(texts)


def test_unknown_references_name_what_there_is(wb):
    wb.prompts.save("classify", "x")
    with pytest.raises(UnknownReferenceError, match="did you mean 'classify'"):
        wb.prompts.get("clasify")
    with pytest.raises(UnknownReferenceError, match="classify@1"):
        wb.prompts.get("classify@7")
    with pytest.raises(UnknownReferenceError, match="latest"):
        wb.prompts.get("classify@prod")


def test_a_bad_template_or_title_stores_nothing(wb):
    with pytest.raises(TemplateError):
        wb.prompts.save("tone", "{{ x")
    with pytest.raises(NameTakenError):
        wb.prompts.save("a@b", "x")
    assert wb.prompts.list() == []


def test_an_untitled_prompt_is_hidden_until_it_is_kept(wb):
    from workbench.core.body import parse_body

    version = wb.prompts.save_body(None, parse_body("Say {{ x }}"))
    assert version.title.startswith("scratch/")
    assert wb.prompts.list() == []
    kept = wb.prompts.keep(version, "say")
    assert kept.id == version.id
    assert wb.prompts.list() == ["say"]


def test_the_database_refuses_to_change_a_version(wb, ann_url, admin_url):
    version = wb.prompts.save("tone", "A")
    with psycopg.connect(ann_url.reveal()) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE wb.prompts SET content = 'B' WHERE id = %s", [version.id])
    with (
        psycopg.connect(admin_url.reveal()) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="frozen"),
    ):
        connection.execute("UPDATE wb.prompts SET content = 'B' WHERE id = %s", [version.id])
    assert wb.prompts.get("tone").content == "A"


def test_a_prompt_is_a_function(wb):
    tone = wb.prompts.save("tone", "Tone of: {{ text }}")
    answer = tone(text="hello")
    assert answer.text == "Tone of: hello"
    assert [tone(text=word).text for word in ("a", "b")] == ["Tone of: a", "Tone of: b"]


async def _call(tone):
    return await tone.acall(text="hello")


def test_a_prompt_can_be_awaited_on_a_running_loop(wb):
    import asyncio

    tone = wb.prompts.save("tone", "Tone of: {{ text }}")
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(_call(tone)).text == "Tone of: hello"
    finally:
        loop.close()


# --- what one does with versions ---


def test_a_rollback_makes_an_earlier_version_the_latest_and_deletes_nothing(wb):
    for text in ("A", "B", "C"):
        wb.prompts.save("tone", text)
    assert wb.prompts.rollback("tone", 2).ref == "tone@2"
    assert wb.prompts.get("tone").content == "B"
    new = wb.prompts.save("tone", "D")
    assert (new.version, new.delta) == (4, "+1/-1 lines")
    assert wb.prompts.history("tone").loc[0, "parent"] == "tone@2"
    wb.prompts.label("tone@1", "prod")
    assert wb.prompts.rollback("tone", "prod").ref == "tone@1"
    with pytest.raises(UnknownReferenceError, match="tone@4"):
        wb.prompts.rollback("tone", 9)


def test_labels_move_and_come_off_but_never_latest(wb):
    wb.prompts.save("tone", "A")
    wb.prompts.save("tone", "B")
    wb.prompts.label("tone@1", "prod")
    assert wb.prompts.label("tone@2", "prod").labels == ("latest", "prod")
    assert wb.prompts.get("tone@1").labels == ()
    wb.prompts.unlabel("tone", "prod")
    with pytest.raises(UnknownReferenceError, match="latest"):
        wb.prompts.get("tone@prod")
    with pytest.raises(UnknownReferenceError):
        wb.prompts.unlabel("tone", "prod")
    with pytest.raises(NameTakenError, match="moved by every save"):
        wb.prompts.unlabel("tone", "latest")
    with pytest.raises(UnknownReferenceError):
        wb.prompts.label("nothing", "prod")


def test_the_database_keeps_latest_and_audits_what_comes_off(wb, ann_url):
    wb.prompts.save("tone", "A")
    wb.prompts.label("tone@1", "prod")
    with psycopg.connect(ann_url.reveal()) as connection:
        assert connection.execute("DELETE FROM wb.prompt_labels WHERE name = 'latest'").rowcount == 0
        assert connection.execute("DELETE FROM wb.prompt_labels WHERE name = 'prod'").rowcount == 1
        newest = connection.execute(
            "SELECT action, details ->> 'name' FROM wb.audit_logs ORDER BY seq DESC LIMIT 1"
        ).fetchone()
    assert newest == ("label.remove", "prod")


def test_forks_are_new_prompts_and_the_tree_shows_where_they_came_from(wb):
    wb.prompts.save("tone", "A", tags=["x"])
    wb.prompts.save("tone", "B")
    short = wb.prompts.fork("tone@1", "tone-short")
    assert (short.ref, short.content, short.tags, short.note) == (
        "tone-short@1",
        "A",
        ("x",),
        "forked from tone@1",
    )
    assert wb.prompts.fork("tone@1", "tone-short").id == short.id
    wb.prompts.save("tone-short", "A!")
    wb.prompts.fork("tone-short", "tone-shorter")
    wb.prompts.fork("tone@2", "tone-long")
    wb.prompts.save("other", "A")
    expected = (
        "tone · 2 versions · latest 2\n"
        "├── @1 → tone-short · 2 versions · latest 2\n"
        "│   └── @2 → tone-shorter · 1 version · latest 1\n"
        "└── @2 → tone-long · 1 version · latest 1"
    )
    assert str(wb.prompts.tree("tone")) == expected
    assert str(wb.prompts.tree("tone-shorter")) == expected
    with pytest.raises(NameTakenError, match="already"):
        wb.prompts.fork("tone", "other")


def test_a_renamed_prompt_keeps_versions_labels_and_executions(wb):
    wb.prompts.save("tone", "Tone of {{ x }}")(x="a")
    wb.prompts.save("tone", "Mood of {{ x }}")
    wb.prompts.label("tone@1", "prod")
    wb.prompts.save("other", "A")
    assert wb.prompts.rename("tone", "mood").ref == "mood@2"
    assert wb.prompts.get("mood@prod").version == 1
    assert wb.prompts.list() == ["mood", "other"]
    assert set(wb.frames.executions()["prompt"]) == {"mood"}
    with pytest.raises(NameTakenError, match="already"):
        wb.prompts.rename("mood", "other")
    assert wb.prompts.save("tone", "A new one").ref == "tone@1"


def test_an_archived_prompt_is_hidden_takes_no_new_version_and_loses_nothing(wb):
    tone = wb.prompts.save("tone", "Tone of {{ x }}")
    tone(x="a")
    wb.prompts.archive("tone")
    assert wb.prompts.list() == []
    assert wb.prompts.list(archived=True) == ["tone"]
    assert wb.prompts.get("tone").archived
    assert wb.prompts.save("tone", "Tone of {{ x }}").change == "same"
    with pytest.raises(NameTakenError, match="restore"):
        wb.prompts.save("tone", "Another")
    assert len(wb.frames.executions()) == 1
    assert not wb.prompts.restore("tone").archived
    assert wb.prompts.save("tone", "Another").version == 2


def test_tags_and_notes_change_without_a_new_version(wb):
    wb.prompts.save("tone", "A", tags=["a", "b"], note="first")
    assert wb.prompts.tag("tone", ["c", "a"], remove="b").tags == ("a", "c")
    assert wb.prompts.note("tone", "better words").note == "better words"
    assert len(wb.prompts.history("tone")) == 1


def test_a_diff_is_of_references_of_one_prompt_or_two(wb):
    wb.prompts.save("tone", "Tone of {{ x }}")
    wb.prompts.save("tone", "Mood of {{ x }}")
    wb.prompts.save("other", "Mood of {{ x }}")
    assert wb.prompts.diff("tone@1", "tone").words == "@@ text @@\n[-Tone-]{+Mood+} of {{ x }}"
    assert wb.prompts.diff("tone", "other").same


# --- composition ---


def test_a_prompt_holds_exactly_the_versions_that_it_included_when_it_was_saved(wb):
    wb.prompts.save("style", "One word.")
    wb.prompts.label("style@1", "prod")
    text = 'Tone of {{ x }}? {% include "style@prod" %}'
    tone = wb.prompts.save("tone", text)
    wb.prompts.save("style", "Two words.")
    wb.prompts.label("style@2", "prod")
    assert tone(x="a").text == "Tone of a? One word."
    assert wb.prompts.get("tone")(x="a").text == "Tone of a? One word."
    again = wb.prompts.save("tone", text)
    assert (again.version, again.change) == (2, "new")
    assert again(x="a").text == "Tone of a? Two words."
    assert wb.prompts.save("tone", text).version == 2
    assert "-includes style@prod = style@1" in str(wb.prompts.diff("tone@1", "tone@2"))
    assert wb.prompts.used_by("style@1") == ["tone@1"]
    assert wb.run("tone@1", data=[{"x": "b"}], progress=False).frame()["answer"].tolist() == [
        "Tone of b? One word."
    ]


def test_building_on_a_prompt_is_content_and_its_variables_count(wb):
    wb.prompts.save("base", "system:\nAnswer in {{ language }}.\nuser:\nRead this.")
    plain = wb.prompts.save("tone", "Tone of {{ x }}?")
    built = wb.prompts.save("tone", "Tone of {{ x }}?", builds_on=["base"])
    assert (plain.version, built.version, built.names) == (1, 2, ("language", "x"))
    front = wb.prompts.save("tone", "---\nwith: base\n---\nTone of {{ x }}?")
    assert front.version == 2
    assert built(x="a", language="Welsh").text.endswith("Tone of a?")


def test_a_circle_of_includes_is_told_and_nothing_is_stored(wb):
    wb.prompts.save("a", "A")
    wb.prompts.save("b", '{% include "a" %} B')
    wb.prompts.save("c", '{% include "b@1" %} C')
    with pytest.raises(CompositionError, match="a → c@1 → b@1 → a@1"):
        wb.prompts.save("a", '{% include "c" %}')
    with pytest.raises(CompositionError, match="a → a@1"):
        wb.prompts.save("a", "x", builds_on=["a"])
    with pytest.raises(UnknownReferenceError, match=r"did you mean 'a'|no prompt"):
        wb.prompts.save("d", '{% include "aa" %}')
    assert len(wb.prompts.history("a")) == 1
    assert wb.prompts.list() == ["a", "b", "c"]


def test_nobody_can_change_what_a_version_includes(wb, ann_url, admin_url):
    wb.prompts.save("style", "S")
    tone = wb.prompts.save("tone", '{% include "style" %}')
    change = "UPDATE wb.prompts SET includes = '[]' WHERE id = %s"
    with psycopg.connect(ann_url.reveal()) as ann, pytest.raises(psycopg.errors.InsufficientPrivilege):
        ann.execute(change, [tone.id])
    with psycopg.connect(admin_url.reveal()) as admin, pytest.raises(psycopg.errors.RestrictViolation):
        admin.execute(change, [tone.id])


def test_a_closed_workbench_says_so_and_opens_no_connection(wb):
    prompt = wb.prompts.save("tone", "x")
    wb.close()
    wb.close()
    for call in (wb.prompts.list, prompt, lambda: wb.search_outputs("x"), lambda: wb.run("tone")):
        with pytest.raises(
            ConfigError, match=r"this workbench is closed\n→ open it again: wb = workbench.connect"
        ):
            call()
