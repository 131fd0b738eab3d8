"""What the sanitiser keeps, and what it never lets through."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.views.clean import clean


@pytest.mark.parametrize(
    "html",
    [
        '<div class="wb-card" style="border: 1px solid var(--jp-border-color1, #ccc); padding: 8px">x</div>',
        '<table><thead><tr><th scope="col">a</th></tr></thead><tbody><tr><td colspan="2">1</td></tr></tbody></table>',
        (
            '<svg viewBox="0 0 9 9" width="9" role="img" aria-label="effect"><line x1="0" x2="9" stroke="currentColor">'
            '</line><path d="M0 0L9 9" fill="none"></path><text x="1" text-anchor="middle">−4 pp</text></svg>'
        ),
        "<details><summary>more</summary><pre>text</pre></details>",
        '<span style="background: linear-gradient(90deg, red 10%, rgba(0,0,0,.5)); width: calc(100% - 4px)">x</span>',
        '<img src="data:image/png;base64,iVBORw0KGgo=" alt="plot">',
    ],
)
def test_keeps_what_cards_and_tables_need(html):
    assert clean(html) == html


def test_keeps_outgoing_links_without_telling_where_they_came_from():
    assert clean('<a href="https://example.org/a?b=1">x</a>') == (
        '<a href="https://example.org/a?b=1" rel="noopener noreferrer nofollow">x</a>'
    )


PAYLOADS = [
    "<script>fire()</script>",
    "<img src=x onerror=fire()>",
    "<svg onload=fire()>",
    "<svg><script>fire()</script></svg>",
    "<svg><animate onbegin=fire() attributeName=x dur=1s>",
    "<svg><a xlink:href='javascript:fire()'><text>x</text></a></svg>",
    "<svg><use href='data:image/svg+xml;base64,AA#x'/></svg>",
    "<a href='java&#10;script:fire()'>x</a>",
    "<a href='data:text/html,<script>fire()</script>'>x</a>",
    "<iframe srcdoc='<script>fire()</script>'></iframe>",
    "<object data='javascript:fire()'></object><embed src='javascript:fire()'>",
    "<form action='javascript:fire()'><button formaction='javascript:fire()'>x</button></form>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=fire()&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=fire()>'>",
    "<div style='background:url(https://example.org/x)'>x</div>",
    "<div style='background:u\\72l(https://example.org/x)'>x</div>",
    "<div style='background:image-set(\"https://example.org/x\" 1x)'>x</div>",
    "<div style='position:fixed;inset:0;z-index:9'>x</div>",
    "<div style='width:expression(fire())'>x</div>",
    "<style>@import 'https://example.org/x'</style>",
    "<link rel=stylesheet href=https://example.org/x><base href=https://example.org/><meta http-equiv=refresh content=0>",
    "<img src=https://example.org/x.png><img src='data:image/svg+xml;base64,AA'>",
    "<svg><rect fill='url(https://example.org/x)'/></svg>",
    "<p id=fire name=fire>x</p>",
]

HARMFUL_TAGS = "script iframe object embed form button style link base meta use animate math image foreignobject noscript"
HARMFUL_ATTRIBUTES = "id name srcdoc action formaction xlink:href data srcset"
HARMFUL_STYLE = re.compile(r"url|image|expression|position|@|\\\\|//", re.IGNORECASE)
SAFE_URLS = {
    "href": re.compile(r"https?://|mailto:"),
    "src": re.compile(r"data:image/(png|jpeg|gif|webp);base64,"),
}


class Harm(HTMLParser):
    """Collects what could run, load or leave its place; another parser than the sanitiser's own."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found += [tag] if tag in HARMFUL_TAGS.split() else []
        for name, value in attrs:
            safe = SAFE_URLS.get(name)
            if (
                name.startswith("on")
                or name in HARMFUL_ATTRIBUTES.split()
                or (safe and not safe.match(value or ""))
                or (name in {"style", "fill", "stroke"} and HARMFUL_STYLE.search(value or ""))
            ):
                self.found.append((tag, name, value))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_lets_nothing_run_load_or_leave_its_place(payload):
    assert Harm(payload).found, "the payload itself must be noticed"
    assert not Harm(clean(payload)).found


@given(
    st.lists(st.sampled_from(PAYLOADS) | st.sampled_from(list("<>\"'&/= x")) | st.text(max_size=6)).map(
        "".join
    )
)
@example("<" * 2000)
@settings(max_examples=200)
def test_mixtures_of_payloads_stay_harmless_and_cleaning_twice_changes_nothing(html):
    once = clean(html)
    assert not Harm(once).found
    assert clean(once) == once
