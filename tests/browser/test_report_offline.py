"""An exported report in a real browser without a network: figures are drawn, nothing else runs."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import sync_playwright

from workbench.services.reporting import export_html
from workbench.views.clean import clean

pytestmark = pytest.mark.browser

PLOTLY = "application/vnd.plotly.v1+json"
FIRE = "top.fired=(top.fired||0)+1"  # counted in one place, also from inside a frame
PAYLOADS = [
    f"<script>{FIRE}</script>",
    f"<img src=x onerror='{FIRE}'>",
    f"<svg onload='{FIRE}'></svg>",
    f"<details open ontoggle='{FIRE}'>x</details>",
    f"<iframe srcdoc='<script>{FIRE}</script>'></iframe>",
    f"<svg><animate onbegin='{FIRE}' attributeName=x dur=1s></svg>",
    f"<video><source onerror='{FIRE}'></video>",
    f"<style>@keyframes k{{}}p{{animation:k 1s}}</style><p onanimationstart='{FIRE}'>x</p>",
    f"</script><script>{FIRE}</script>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={FIRE}&gt;'>",
    f"<input autofocus onfocus='{FIRE}'>",
    f"<object data='data:text/html,<script>{FIRE}</script>'></object>",
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def show(browser):
    """Open a file with every request refused; gives the page and what it asked for."""
    contexts = []

    def open_page(path, **options):
        context = browser.new_context(viewport={"width": 900, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        asked, faults = [], []

        def refuse(route):
            asked.append(route.request.url)
            route.abort()

        context.route(lambda url: url.startswith(("http:", "https:", "ws:")), refuse)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_load_state("load")
        page.wait_for_timeout(500)
        return page, asked, faults

    yield open_page
    for context in contexts:
        context.close()


def displayed(*bundles):
    outputs = [new_output("display_data", data=bundle) for bundle in bundles]
    return new_code_cell("show()", outputs=outputs)


def figure(kind, label="label", **trace):
    layout = {
        "title": {"text": label},
        "xaxis": {"title": {"text": label}},
        "annotations": [{"text": label, "x": 0, "y": 1}],
    }
    return {
        PLOTLY: {"data": [{"type": kind, "name": label, **trace}], "layout": layout},
        "text/plain": "Figure",
    }


def exported(tmp_path, *cells):
    source, target = tmp_path / "nb.ipynb", tmp_path / "report.html"
    nbformat.write(new_notebook(cells=list(cells)), source)
    return export_html(
        source, target, title="Report", clean=clean, details={"Run at": "2026-11-22"}, footer="end"
    )


FIGURES = [
    figure("bar", x=["A", "B"], y=[1, 2]),
    figure("scatter", x=[1, 2, 3], y=[1, 3, 2]),
    figure("scattergl", x=[1, 2, 3], y=[1, 3, 2], mode="markers"),
    figure("heatmap", z=[[1, 2], [3, 4]]),
    figure("box", y=[1, 2, 5, 9]),
    figure("histogram", x=[1, 1, 2, 3]),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_drawn_without_a_network_in_the_readers_colours(tmp_path, show, scheme):
    path = exported(tmp_path, new_markdown_cell("# Title\n\ntext"), displayed(*FIGURES))
    page, asked, faults = show(path, color_scheme=scheme)
    assert page.locator(".figure").count() == len(FIGURES)
    for plot in page.locator(".figure > div").all():
        plot.locator(".cartesianlayer :is(path, image)").first.wait_for(state="attached")
        assert plot.bounding_box()["width"] > 600
    assert "cannot be drawn" not in page.inner_text("body")
    assert "WebGL" not in page.inner_text("body")
    assert (asked, faults) == ([], [])
    ink = page.eval_on_selector(".gtitle", "text => getComputedStyle(text).fill")
    paper = page.eval_on_selector("body", "body => getComputedStyle(body).backgroundColor")
    assert brightness(ink) > 180 if scheme == "dark" else brightness(ink) < 80
    assert brightness(paper) < 60 if scheme == "dark" else brightness(paper) > 230


def brightness(colour):
    return sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) / 3


def test_nothing_wider_than_the_page(tmp_path, show):
    wide = "<table><tr>" + "<td>a wide column of text</td>" * 30 + "</tr></table>"
    path = exported(tmp_path, displayed({"text/html": wide}, *FIGURES[:2]), new_markdown_cell("# Title"))
    page, _, _ = show(path)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_figures_offer_no_upload(tmp_path, show):
    page, _, _ = show(exported(tmp_path, displayed(FIGURES[0])))
    titles = page.eval_on_selector_all(".modebar-btn", "buttons => buttons.map(b => b.dataset.title)")
    assert any("Download" in title for title in titles)
    assert not any("Share" in title or "Chart Studio" in title or "Edit" in title for title in titles)


def test_no_payload_fires_from_any_entrance_while_the_raw_control_does(tmp_path, show):
    cells = []
    for payload in PAYLOADS:
        bundles = [{mime: payload} for mime in ("text/html", "text/markdown", "image/svg+xml", "text/plain")]
        cells += [
            new_markdown_cell(payload),
            displayed(
                *bundles, figure("bar", payload, x=[payload], y=[1], text=[payload], hovertext=[payload])
            ),
            new_code_cell(payload, outputs=[new_output("stream", name="stdout", text=payload)]),
        ]
    source = tmp_path / "nb.ipynb"
    nbformat.write(new_notebook(cells=cells), source)
    bad = "".join(PAYLOADS)
    target = tmp_path / "report.html"
    export_html(source, target, title=bad, clean=clean, details={bad: bad}, footer=bad)
    page, asked, _ = show(target)
    page.locator(".js-plotly-plot").first.hover()
    assert page.locator(".js-plotly-plot").count() == len(PAYLOADS)
    wait_until_the_control_fires(tmp_path, show)
    assert page.evaluate("window.fired || 0") == 0
    assert asked == []


def wait_until_the_control_fires(tmp_path, show):
    """Open the raw payloads beside a page under test, which so has had at least the time that they need."""
    control = tmp_path / "control.html"
    control.write_text("<!DOCTYPE html><body>" + "\n".join(f"<div>{payload}</div>" for payload in PAYLOADS))
    page, _, _ = show(control)
    page.wait_for_function("(window.fired || 0) >= 8", timeout=30_000)


def test_the_policy_alone_stops_what_a_broken_cleaner_lets_through(tmp_path, show):
    source, target = tmp_path / "nb.ipynb", tmp_path / "report.html"
    cells = [displayed({"text/html": payload + "x"}) for payload in PAYLOADS]
    nbformat.write(new_notebook(cells=cells), source)
    export_html(source, target, title="Report", clean=str)
    page, asked, _ = show(target)
    wait_until_the_control_fires(tmp_path, show)
    assert page.evaluate("window.fired || 0") == 0
    assert asked == []
