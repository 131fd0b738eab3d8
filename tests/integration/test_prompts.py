"""Prompts: the same content is the same version, numbers never collide, references find what they say."""

from __future__ import annotations

import threading

import psycopg
import pytest

from workbench.errors import NameTakenError, TemplateError, UnknownReferenceError


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
