"""Diffs say what changed, completely and only that: either text can be rebuilt from them."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from workbench.core.diff import diff_versions, line_delta
from workbench.core.versions import PromptVersion

NEW = uuid.uuid4()


def version(content, number=1, **fields):
    return PromptVersion(
        id=NEW, root_id=NEW, project_id=NEW, title="tone", version=number, content=content, **fields
    )


def test_words_inside_a_changed_line_are_marked():
    diff = diff_versions(
        version("Tone of {{ text }}?\nOne word."), version("Mood of {{ text }}?\nOne word.", 2)
    )
    assert diff.summary == "tone@1 → tone@2: +1/-1 lines in text"
    assert diff.words == "@@ text @@\n[-Tone-]{+Mood+} of {{ text }}?\nOne word."
    assert diff.unified == "@@ text @@\n-Tone of {{ text }}?\n+Mood of {{ text }}?\n One word."


def test_settings_system_prompt_and_variables_are_parts_of_their_own():
    diff = diff_versions(
        version("A", settings={"temperature": 0}, variables=[{"name": "x", "type": "any"}]),
        version("A", 2, settings={"temperature": 1}, system_prompt="Be terse."),
    )
    assert [part.name for part in diff.parts] == ["system prompt", "settings", "variables"]
    assert "+temperature: 1" in str(diff)


def test_the_same_content_is_said():
    diff = diff_versions(version("A"), version("A", 2))
    assert diff.same
    assert str(diff) == "tone@1 and tone@2 have the same content"


def test_lines_with_nothing_in_common_are_one_out_and_one_in():
    diff = diff_versions(version("alpha beta gamma"), version("один два три", 2))
    assert diff.words == "@@ text @@\n[-alpha beta gamma-]{+один два три+}"


def test_far_lines_are_left_out():
    before = "\n".join(str(n) for n in range(30))
    diff = diff_versions(version(before), version(before.replace("15", "fifteen"), 2))
    assert diff.unified.splitlines()[:3] == ["@@ text @@", " …", " 12"]
    assert diff.unified.splitlines()[-1] == " …"


def test_the_delta_counts_lines_of_text_only():
    assert line_delta(version("a\nb"), version("a\nc\nd", 2)) == "+2/-1 lines"
    assert line_delta(version("a"), version("a", 2, settings={"seed": 1})) == ""


def test_thousands_of_equal_lines_take_no_time():
    diff = diff_versions(version("x\n" * 50_000), version("x\n" * 50_000 + "y", 2))
    assert diff.added == 1


lines = st.lists(st.text(alphabet="ab {}\u00e9.", max_size=12), max_size=12)


@given(lines, lines)
def test_both_texts_can_be_rebuilt(before, after):
    a, b = "\n".join(before), "\n".join(after)
    for part in diff_versions(version(a), version(b, 2)).parts:
        assert [line.text for line in part.lines if line.op != "+"] == a.splitlines()
        assert [line.text for line in part.lines if line.op != "-"] == b.splitlines()
