"""Templates of other tools print the same here, and ours the same there, to the last space."""

from __future__ import annotations

import re
import time

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.exchange.syntax import from_jinja, from_mustache, literal, to_nunjucks
from workbench.core.templates import Template
from workbench.errors import TemplateError

#: Jinja as MLflow uses it; nunjucks treats white space in the same way.
JINJA = jinja2.Environment(keep_trailing_newline=True, autoescape=False)
VALUES = {"a": "A", "b": ["x", "y"]}

TEXT = st.text(st.sampled_from(" \n\tx.'\"#%}-+"), max_size=6)
MARKS = st.sampled_from(["{{ a }}", "{{- a -}}", "{% raw %} {{ x }}\n  {# \n {% endraw %}"])


def nested(inner):
    body = st.lists(inner, max_size=4).map("".join)
    dash = st.sampled_from(["", "-"])
    loop = st.builds("{{%{} for i in b {}%}}{}{{%{} endfor {}%}}".format, dash, dash, body, dash, dash)
    choice = st.builds("{{%{} if a {}%}}{}{{%{} endif {}%}}".format, dash, dash, body, dash, dash)
    return loop | choice


def templates(*comments):
    return st.lists(
        st.recursive(TEXT | MARKS | st.sampled_from(comments), nested, max_leaves=6), max_size=6
    ).map("".join)


def printed(text):
    return Template.parse(text).render(VALUES)


@given(templates("{# why #}", "{#- why -#}", "{# a\nb #}"))
def test_a_template_of_jinja_prints_the_same_here(text):
    text = re.sub(r"(?:for i in b [^}]*\}.*){3}", "", text, flags=re.DOTALL)  # loops are two deep here
    try:
        theirs = JINJA.from_string(text).render(VALUES)
    except jinja2.TemplateSyntaxError:
        return
    assert printed(from_jinja(text)) == theirs


@given(templates("{## why ##}", "{##- why -##}", "{## a\nb ##}", "{#", "{# x #}"))
def test_ours_prints_the_same_there(text):
    text = re.sub(r"(?:for i in b [^}]*\}.*){3}", "", text, flags=re.DOTALL)
    try:
        ours = printed(text)
    except TemplateError:
        return
    written, missing = to_nunjucks(text)
    assert JINJA.from_string(written).render(VALUES) == ours
    assert not missing


@given(templates("{# why #}"))
def test_there_and_back(text):
    try:
        JINJA.from_string(text)
        ours = from_jinja(text)
        once = printed(ours)
    except (jinja2.TemplateSyntaxError, TemplateError):
        return
    assert printed(from_jinja(to_nunjucks(ours)[0])) == once


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("{% if a %}\n  {{ a }}\n{% endif %}", "{% if a +%}\n  {{ a }}\n{% endif %}"),
        ("  {% if a %}x{% endif %}", "  {%+ if a %}x{% endif %}"),
        ("{# why #}\n{{ doc | dump }}", "{## why +##}\n{{ doc | tojson }}"),
        ("{{ a }}\n", "{{ a }}\n"),
    ],
)
def test_as_it_is_written(text, ours):
    assert from_jinja(text) == ours


def test_what_nunjucks_has_not_is_told():
    assert to_nunjucks("{{ b | unique | count }}{% if a is boolean %}{% endif %}")[1] == [
        "| unique",
        "is boolean",
    ]
    assert to_nunjucks("{{ b | count }}")[0] == "{{ b | length }}"


PARTIAL = re.compile(
    r"({%[^%]*$|{{[^}]*$|{#[^#]*$)", re.MULTILINE
)  # promptfoo's own test for "not a template"


@given(st.text(st.sampled_from("{}%# \nax'"), max_size=20))
def test_promptfoo_takes_what_we_write_for_a_template(text):
    assert not PARTIAL.search(to_nunjucks(literal(text) + "{{ a }}")[0])
    assert not PARTIAL.search(to_nunjucks(from_mustache(text)[0])[0])


@pytest.mark.parametrize("mark", ["{#", "{%", "{{", "{##", "{% raw %}", "{%  ", "{#}", "{{'", "{%+raw"])
def test_marks_that_never_close_cost_no_time(mark):
    text = mark * (200_000 // len(mark))
    for convert in (from_jinja, to_nunjucks, from_mustache, literal):
        before = time.process_time()
        convert(text)
        assert time.process_time() - before < 1
