"""Folders that git compares: read back they are the same, whatever stands in titles, texts and settings."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.body import parse_body
from workbench.core.exchange.folder import INDEX, folder_of, is_index, read_family, write_family
from workbench.core.exchange.records import Found, PromptRecord
from workbench.core.refs import check_title
from workbench.errors import InputError
from workbench.services.saving import settings_of

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60) | st.text(
    st.sampled_from("-: \n\\#'\"{}%\u2028\x85useryt&*!|>"), max_size=40
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=10)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
SETTINGS = st.dictionaries(
    st.sampled_from(["model", "temperature", "max_tokens", "stop", "seed", "top_p", "schema"]) | NAMES,
    VALUES,
    max_size=4,
)


def read_back(records):
    files = write_family(records)
    found = Found()
    read_family("x", files[INDEX], {name: text for name, text in files.items() if name != INDEX}, found)
    return files, found


def body_and_settings(record):
    body = parse_body(record.content, system=record.system_prompt)
    return body.content, body.system, {**settings_of(body), **record.settings}


@given(
    st.lists(
        st.tuples(
            TEXTS,
            TEXTS,
            SETTINGS,
            st.lists(TEXTS, max_size=3, unique=True),
            TEXTS,
            st.none() | st.just([{"name": "x"}]),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_what_is_written_is_read_back_the_same(versions):
    records = []
    for number, (text, system, settings, tags, note, variables) in enumerate(versions, 1):
        try:
            body = parse_body(text, system=system)
        except InputError:
            continue
        if body.front_matter:
            continue
        records.append(
            PromptRecord(
                place=f"{number}",
                title="a title",
                content=body.content,
                system_prompt=body.system,
                version=number * 2,
                settings=settings,
                tags=tuple(tags),
                note=note,
                variables=variables,
                labels=(f"label{number}",),
            )
        )
    if not records:
        return
    files, found = read_back(records)
    assert not found.failures
    for wrote, read in zip(records, found.records, strict=True):
        assert body_and_settings(read) == body_and_settings(wrote)
        for name in ("title", "version", "tags", "note", "labels", "variables"):
            assert getattr(read, name) == getattr(wrote, name)
    assert read_back(records)[0] == files


def test_a_version_is_what_one_would_write_in_a_cell():
    records = [
        PromptRecord(
            place="",
            title="tone",
            content="Tone of {{ text }}",
            system_prompt="Be terse.",
            version=1,
            settings={"model": "openai/gpt-4o", "temperature": 0, "top_k": 5},
            labels=("prod",),
            note="first",
            tags=("a",),
        )
    ]
    files = write_family(records)
    assert files["1.md"] == (
        "---\nmodel: openai/gpt-4o\noptions:\n  top_k: 5\ntemperature: 0\n---\n"
        "system:\nBe terse.\n\nuser:\nTone of {{ text }}\n"
    )
    assert is_index(files[INDEX])
    assert files[INDEX].splitlines()[1:4] == [
        '  "format": "workbench-prompt/1",',
        '  "title": "tone",',
        '  "labels": {',
    ]


def test_settings_that_front_matter_cannot_say_stand_in_the_index():
    record = PromptRecord(
        place="", title="t", content="x", version=1, settings={"model": 7, "temperature": "hot"}
    )
    files, found = read_back([record])
    assert files["1.md"] == "x\n"
    assert found.records[0].settings == {"model": 7, "temperature": "hot"}


TITLES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=255) | st.from_regex(
    r"[a-z0-9/._ -]{1,30}", fullmatch=True
)


@given(TITLES)
def test_every_title_has_a_safe_folder(title):
    try:
        title = check_title(title)
    except InputError:
        return
    folder = folder_of(title)
    assert re.fullmatch(r"[a-z0-9~_-]+(?:/[a-z0-9~_-]+)*", folder)
    assert len(folder) < 400
    assert all(len(part) <= 100 for part in folder.split("/"))
    assert folder == folder.lower() == unicodedata.normalize("NFD", folder)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tone", "tone"),
        ("a b", "a-b"),
        ("a.b", "ab"),
        ("é", "e"),
        ("a/../b", "a/b"),
        ("/a", "a"),
        ("con", "con_"),
        ("天", "地"),
        ("a//b", "a/b"),
    ],
)
def test_titles_that_differ_have_folders_that_differ(one, other):
    assert folder_of(one) != folder_of(other)


@pytest.mark.parametrize(
    "title",
    ["..", "../../etc", "/etc/passwd", ".git/config", "con", "aux/x", "x" * 255, "a/1.md", "prompt.json"],
)
def test_odd_titles_lead_nowhere(title):
    assert re.fullmatch(r"[a-z0-9-]+~[0-9a-f]{12}", folder_of(title))


def told(index, texts):
    found = Found()
    read_family("tone", index, texts, found)
    return [record.version for record in found.records], [
        (each.place, each.reason) for each in found.failures
    ]


GOOD = '{"format": "workbench-prompt/1", "title": "tone", "labels": {"prod": 1}, "versions": {"1": {}, "2": {"tags": 3}}}'


def test_a_missing_file_and_a_wrong_field_are_told_and_the_rest_goes_in():
    assert told(GOOD, {"2.md": "b\n", "4.md": "d\n"}) == (
        [4],
        [
            ("tone/1.md", "prompt.json names version 1, and its file is not there"),
            ("tone/2.md", "tags is a number, not a list of texts"),
        ],
    )


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{", "no JSON"),
        ("[]", "not an object"),
        ('{"format": "other/2"}', "its format is 'other/2'"),
        ('{"format": "workbench-prompt/1"}', "the title is missing"),
        ('{"format": "workbench-prompt/1", "title": "x", "versions": {"one": {}}}', "not a whole number"),
    ],
)
def test_a_wrong_index_is_told(index, said):
    versions, failures = told(index, {"1.md": "x\n"})
    assert versions == []
    assert said in failures[0][1]
    assert failures[0][0] == "tone/prompt.json"
