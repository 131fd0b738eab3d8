"""Marked words: the only markup in a snippet is the mark."""

from __future__ import annotations

import doctest
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.display import Card, Rich
from workbench.core.search import CLOSE, OPEN, without_marks
from workbench.views import html as module
from workbench.views.cards import card_html
from workbench.views.html import marked


class Seen(HTMLParser):
    """The elements and the text that a browser would find."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, _):
        self.elements.append(tag)

    def handle_data(self, data):
        self.text += data


class Result(Rich):
    def __init__(self, cell):
        self.cell = cell

    def __str__(self):
        return self.cell

    def card(self):
        return Card(columns=["plain", "snippet"], rows=[[self.cell, self.cell]], marked=[1])


def test_the_examples_are_true():
    assert doctest.testmod(module).failed == 0


@given(st.text(st.sampled_from(f"ab<>&'\"/{OPEN}{CLOSE}")))
def test_nothing_but_marks_is_markup_whatever_stands_around_them(text):
    seen = Seen(marked(text))
    assert set(seen.elements) <= {"mark"}
    assert seen.text == without_marks(text)


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "</mark><svg onload=alert(1)>",
        "&lt;b&gt;",
    ],
)
def test_an_attack_inside_and_outside_of_a_mark_is_text(attack):
    text = f"{attack}{OPEN}{attack}{CLOSE}{attack}"
    seen = Seen(marked(text))
    assert seen.elements == ["mark"]
    assert seen.text == attack * 3


def test_only_the_columns_that_say_so_are_marked():
    page = card_html(Result(f"a {OPEN}b{CLOSE} <i>c</i>"))
    assert page.count("<mark") == 1
    assert "<i>" not in page
