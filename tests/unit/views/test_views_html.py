from __future__ import annotations

import doctest
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.views import html as module
from workbench.views.html import (
    Html,
    escape,
    join,
    plot_text,
    progress_bar,
    status_line,
    table,
    tag,
    text_block,
    warning_list,
)

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><iframe srcdoc='<script>alert(1)</script>'>",
    "</div></pre></td><script>alert(1)</script>",
    "&lt;script&gt;",
    "<style>*{display:none}</style>",
    "<!-- --><a href=javascript:alert(1)>x</a>",
    "\0<scr\0ipt>",
]
VIEWS = [
    text_block,
    status_line,
    escape,
    lambda text: tag("div", text, title=text, style=text),
    lambda text: table([text], [[text]], caption=text),
    lambda text: warning_list([(text, text)]),
    lambda text: join([text, text], text),
]


class Seen(HTMLParser):
    """What a browser would find: elements, attributes and text."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self.text = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.elements.append(f"comment {data}")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_text_stays_text_in_every_view(view, attack):
    seen = Seen(view(attack))
    ours = {"div", "span", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert set(seen.elements) <= ours
    assert {name for name, _ in seen.attributes} <= {"class", "style", "title", "dir", "caption"}
    assert attack.replace("\0", "\N{REPLACEMENT CHARACTER}") in seen.text


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_comes_back_as_it_was(text):
    shown = text_block(text)
    shown.encode("utf-8")
    expected = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    # parsers read \r\n as \n; nothing else changes
    assert Seen(shown).text.replace("\r\n", "\n") == expected.replace("\r\n", "\n")


def test_html_is_not_escaped_twice_and_cannot_leave_an_attribute():
    inner = tag("b", "x < y")
    assert tag("div", inner) == "<div><b>x &lt; y</b></div>"
    assert isinstance(tag("div", inner), Html)
    assert 'title="&lt;b&gt;' in tag("div", title=inner)


def test_none_is_left_out_and_zero_is_not():
    assert tag("span", None, 0, id=None, data_n=0) == '<span data-n="0">0</span>'


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("script", {}),
        ("style", {}),
        ("iframe", {}),
        ("div onclick=x", {}),
        ("b", {"onclick": "x"}),
        ("b", {"onMouseOver": "x"}),
        ("b", {"srcdoc": "x"}),
        ("b", {"a b": "x"}),
        ("a", {"href": "javascript:alert(1)"}),
        ("a", {"href": " JaVaScRiPt:alert(1)"}),
        ("img", {"src": "data:text/html,x"}),
    ],
)
def test_what_runs_is_never_written(name, attributes):
    with pytest.raises(ValueError, match="must"):
        tag(name, **attributes)


def test_links_to_the_web_are_written():
    assert (
        tag("a", "x", href="https://example.org/?a=1&b=2")
        == '<a href="https://example.org/?a=1&amp;b=2">x</a>'
    )


def test_a_table_aligns_its_numbers():
    page = table(["arm", "n"], [["A", 1]], numeric=[1])
    assert page.count("text-align:right") == 2
    assert Seen(page).text == "armnA1"


def test_no_warnings_leave_no_trace():
    assert warning_list([]) == ""


@pytest.mark.parametrize("attack", ATTACKS)
def test_plot_labels_hold_no_markup_and_no_formula(attack):
    shown = plot_text(f"{attack} $x$")
    assert "<" not in shown
    assert ">" not in shown
    assert "$" not in shown


def test_examples_in_docstrings_are_true():
    assert doctest.testmod(module).failed == 0


def test_a_bar_has_its_shares_and_nothing_beyond_the_whole():
    bar = progress_bar((0.5, 0.125, 0.0))
    assert bar.count("width:50.0%") == bar.count("width:12.5%") == 1
    assert 'aria-valuenow="62"' in bar
    assert 'role="progressbar"' in bar
    assert "width:100.0%" in progress_bar((7.0,))
    assert progress_bar((0.0, 0.0, 0.0)).count("<div") == 1
