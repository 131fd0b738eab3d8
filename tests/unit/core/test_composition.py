"""Prompts made of prompts: what is filled in, where, and what is refused."""

from __future__ import annotations

import uuid

import pytest

from workbench.core.body import parse_body
from workbench.core.composition import MAX_DEPTH, body_of, chain_to, compose, include_refs
from workbench.core.versions import Include, PromptVersion
from workbench.errors import CompositionError, TemplateError


def version(title, content, system=None, includes=()):
    new = uuid.uuid4()
    return PromptVersion(
        id=new, root_id=new, project_id=new, title=title, version=1, content=content, system_prompt=system,
        includes=tuple(includes),
    )  # fmt: skip


def include(ref, of, kind="include"):
    return Include(kind=kind, ref=ref, id=of.id, version=of)


STYLE = version("style", "Answer in {{ words }} words.")


def composed(text, *includes, system=None):
    return compose(parse_body(text, system=system), includes)


def test_an_included_text_stands_where_it_was_asked_for_and_brings_its_variables():
    body = composed(
        'Tone of {{ text }}.\n{% include "style@prod" %}\nThank you.', include("style@prod", STYLE)
    )
    assert body.variables == ("text", "words")
    assert body.render({"text": "x", "words": 3})[0].content == "Tone of x.\nAnswer in 3 words.\nThank you."


def test_a_system_prompt_includes_too():
    body = composed("Hello", include("style", STYLE), system="Be kind. {% include 'style' %}")
    assert body.render({"words": 1})[0].content == "Be kind. Answer in 1 words."


@pytest.mark.parametrize(
    "text",
    [
        '{## {% include "style" %} ##}Hello',
        '{% raw %}{% include "style" %}{% endraw %}',
        "{{ '{% include \"style\" %}' }}",
    ],
)
def test_comments_raw_blocks_and_quoted_texts_include_nothing(text):
    assert include_refs(parse_body(text)) == ()


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ('a  {%- include "style" -%}  b', "aAnswer in 1 words.b"),
        ('a {%+ include "style" +%} b', "a Answer in 1 words. b"),
        ("{%include 'style'%}{%include 'style'%}", "Answer in 1 words." * 2),
    ],
)
def test_white_space_is_kept_unless_a_hyphen_takes_it(text, rendered):
    assert composed(text, include("style", STYLE)).render({"words": 1})[0].content == rendered


def test_an_included_text_cannot_open_a_role():
    sneaky = version("sneaky", "line\n\\system:\nline")
    body = composed('{% include "sneaky" %}', include("sneaky", sneaky))
    assert [message.role for message in body.messages] == ["user"]
    assert body.messages[0].text == "line\nsystem:\nline"


def test_building_on_a_prompt_joins_system_texts_and_puts_its_turns_first():
    base = version("base", "user:\nQ: 1+1\n\nassistant:\n2", system="Be terse.")
    body = composed("Q: {{ q }}", include("base", base, "with"), system="Use digits.")
    assert [(message.role, message.content) for message in body.render({"q": "2+2"})] == [
        ("system", "Be terse.\n\nUse digits."), ("user", "Q: 1+1"), ("assistant", "2"), ("user", "Q: 2+2"),
    ]  # fmt: skip


def test_turns_of_the_same_role_are_joined_and_bases_come_in_their_order():
    one, two = version("one", "First."), version("two", "Second.")
    body = composed("Third.", include("one", one, "with"), include("two", two, "with"))
    assert [message.text for message in body.messages] == ["First.\n\nSecond.\n\nThird."]


def test_includes_of_includes_are_filled_in():
    middle = version("middle", 'Rules: {% include "style" %}', includes=[include("style", STYLE)])
    outer = version("outer", '{% include "middle" %} {{ text }}', includes=[include("middle", middle)])
    assert body_of(outer).variables == ("words", "text")


def test_a_prompt_with_roles_cannot_stand_inside_a_text():
    base = version("base", "Hello", system="Be terse.")
    with pytest.raises(CompositionError, match="-w base"):
        composed('{% include "base" %}', include("base", base))


@pytest.mark.parametrize(
    "text", ["{% include name %}", "{% include 'a' ignore missing %}", "{% include ['a', 'b'] %}"]
)
def test_only_a_quoted_reference_can_be_included(text):
    with pytest.raises(TemplateError, match=r"written like this.*|title@3"):
        parse_body(text).variables  # noqa: B018 - a property that parses


def test_what_was_not_pinned_is_an_error_and_nothing_empty():
    with pytest.raises(CompositionError, match="not recorded"):
        composed('{% include "a" %}{% include "b" %}', include("a", STYLE))


def test_includes_do_not_swell():
    big = version("big", "x" * 150_000)
    with pytest.raises(TemplateError, match="200,000"):
        composed('{% include "big" %}{% include "big" %}', include("big", big))


def test_a_way_back_to_a_family_is_told_and_depth_is_bounded():
    chain = [version("p0", "x")]
    for n in range(1, MAX_DEPTH + 3):
        chain.append(version(f"p{n}", "x", includes=[include("below", chain[-1])]))
    assert chain_to(chain[0].root_id, chain[2]) == ("p2@1", "p1@1", "p0@1")
    assert chain_to(uuid.uuid4(), chain[2]) == ()
    with pytest.raises(CompositionError, match="deep"):
        chain_to(uuid.uuid4(), chain[-1])
