"""The page made of an executed notebook: self-contained, escaped, honest about its end."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from workbench.errors import ReportError
from workbench.services.reporting import export_html
from workbench.services.reporting_export import SENTINEL_TAG
from workbench.views.clean import clean

FIGURE = {
    "data": [{"type": "bar", "x": ["A"], "y": [1], "name": "</script><script>fire()</script>"}],
    "layout": {},
}
PLOTLY = "application/vnd.plotly.v1+json"


@pytest.fixture
def page(notebook, tmp_path):
    def export(*cells, **options):
        target = tmp_path / "page.html"
        export_html(notebook(*cells), target, **{"title": "Report", "clean": clean, **options})
        return target.read_text()

    return export


def test_the_policy_allows_only_the_scripts_of_the_page_by_hash(page, shown):
    html = page(shown({PLOTLY: FIGURE, "text/plain": "Figure"}))
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    assert len(scripts) == 2
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert f"script-src {allowed};" in policy
    assert policy.startswith("default-src 'none';")


def test_plotly_stands_in_the_page_once_however_many_figures(page, shown):
    one = len(page(shown({PLOTLY: FIGURE})))
    two = len(page(shown({PLOTLY: FIGURE}), shown({PLOTLY: FIGURE})))
    assert one > 1_000_000
    assert two - one < 2_000


def test_a_page_without_figures_has_no_script_at_all(page):
    html = page("md: # Title", "x = 1")
    assert "<script" not in html
    assert "script-src &#39;none&#39;" in html
    assert len(html) < 100_000


def test_a_figure_cannot_close_its_element(page, shown):
    html = page(shown({PLOTLY: FIGURE}))
    assert "fire()</script>" not in html.split("<script>")[0]


def test_every_entrance_is_escaped_or_cleaned(page, shown):
    bad = "<img src=x onerror=fire()><script>fire()</script>"
    cells = [
        shown({"text/html": bad + "text"}, source=f"'{bad}'"),
        shown({"text/markdown": bad + "text"}),
        shown({"image/svg+xml": f"<svg onload=fire()>{bad}</svg>"}),
        shown({"text/plain": bad}),
        shown({"text/latex": bad, "text/plain": bad}),
        shown({"application/javascript": "fire()", "text/plain": bad}),
        shown({"image/png": '"><script>fire()</script>'}),
        f"md: {bad}",
    ]
    html = page(*cells, title=bad, details={bad: bad}, footer=bad)
    assert "<script" not in html
    assert not re.search(r"<[^>]*\sonerror", html.replace("&lt;img src=x onerror", ""))


def test_the_richest_safe_form_is_shown_and_an_empty_one_is_not(page, shown):
    html = page(
        shown({"text/html": "<script>draw()</script>", "text/plain": "a table of 3 rows"}),
        shown({"text/html": "<b>rich</b>", "text/plain": "poor"}),
        shown({PLOTLY: {"no": "figure"}, "text/plain": "Figure()"}),
    )
    assert "a table of 3 rows" in html
    assert "<b>rich</b>" in html
    assert "poor" not in html
    assert "Figure()" in html


def test_pieces_of_a_stream_are_joined_and_colours_dropped(page, shown):
    cell = shown({})
    cell["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "one \x1b[31mre"},
        {"output_type": "stream", "name": "stdout", "text": "d\x1b[0m"},
        {
            "output_type": "error",
            "ename": "ValueError",
            "evalue": "no",
            "traceback": ["\x1b[0;31mValueError: no"],
        },
    ]
    html = page(cell)
    assert '<pre class="output text">one red</pre>' in html
    assert '<pre class="output error">ValueError: no</pre>' in html


def test_a_report_that_did_not_reach_its_end_says_so(page, shown):
    end = {**shown({"text/plain": "End of the report."}), "metadata": {"tags": [SENTINEL_TAG]}}
    assert "did not run to its end" not in page("x = 1", end)
    assert "End of the report" not in page("x = 1", end)
    assert "did not run to its end" in page("x = 1", {**end, "outputs": []})


def test_the_notebooks_own_heading_is_not_repeated(page):
    assert page("md: # Mine", title="Other").count("<h1") == 1
    assert "<h1>Other</h1>" in page("md: text", title="Other")


def test_what_cannot_be_read_or_written_is_named(notebook, tmp_path):
    with pytest.raises(ReportError, match=r"gone\.ipynb"):
        export_html(tmp_path / "gone.ipynb", tmp_path / "x.html", title="", clean=clean)
    (tmp_path / "bad.ipynb").write_text("{")
    with pytest.raises(ReportError, match=r"bad\.ipynb"):
        export_html(tmp_path / "bad.ipynb", tmp_path / "x.html", title="", clean=clean)
    with pytest.raises(ReportError, match="nowhere"):
        export_html(notebook("1"), tmp_path / "nowhere" / "x.html", title="", clean=clean)
