"""Progress and cards: what a model or a person wrote is text there, too."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.core.display import Card, Rich
from workbench.views.cards import card_html
from workbench.views.runs import progress_line

ATTACK = "<img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Shown(Rich):
    value: Card

    def card(self):
        return self.value


def test_progress_is_a_bar_and_an_escaped_line():
    bundle = progress_line(f"{ATTACK}: 3/4", (0.5, 0.25, 0.0))
    assert bundle["text/plain"] == f"{ATTACK}: 3/4"
    assert "<img" not in bundle["text/html"]
    assert "&lt;img src=x onerror=alert(1)&gt;: 3/4" in bundle["text/html"]
    assert "wb-bar" in bundle["text/html"]


def test_a_card_shows_its_bar_and_what_must_not_be_overlooked():
    card = Card(title="run", alerts=[("PARTIAL", ATTACK)], bar=(0.1, 0.0, 0.0), columns=("a",), rows=[("1",)])
    html = card_html(Shown(card))
    assert "<img" not in html
    assert html.index("run") < html.index("wb-bar") < html.index("PARTIAL") < html.index("<table")
    plain = card_html(Shown(Card(title="run")))
    assert "wb-bar" not in plain
    assert "wb-warnings" not in plain


def test_colours_are_the_themes_own():
    html = progress_line("x", (0.5, 0.3, 0.2))["text/html"]
    assert all(
        f"background:var(--jp-{name}" in html for name in ("brand-color1", "warn-color1", "ui-font-color2")
    )
