"""Diffs and trees as HTML: text stays text, changed words are marked, the sign says it without colour."""

from __future__ import annotations

import uuid

from workbench.core.diff import diff_versions
from workbench.core.lineage import Family, PromptTree
from workbench.core.versions import PromptVersion

NEW = uuid.uuid4()


def version(content, number=1):
    return PromptVersion(id=NEW, root_id=NEW, project_id=NEW, title="tone", version=number, content=content)


def html(value):
    return value._repr_mimebundle_()["text/html"]


def test_changed_words_are_marked_inside_their_lines():
    page = html(diff_versions(version("Tone of x"), version("Mood of x", 2)))
    assert ">Tone</del> of x" in page
    assert ">Mood</ins> of x" in page
    assert "tone@1 → tone@2: +1/-1 lines in text" in page


def test_markup_in_a_prompt_or_a_title_stays_text():
    bad = "<img src=x onerror=alert(1)>"
    page = html(diff_versions(version(f"{bad} a"), version(f"{bad} b", 2)))
    assert "<img" not in page
    family = Family(root_id=NEW, title=bad, n_versions=1, labels={})
    page = html(PromptTree(family=family, forks=(PromptTree(family=family),)))
    assert "<img" not in page


def test_equal_versions_say_so():
    assert "have the same content" in html(diff_versions(version("a"), version("a", 2)))
