"""How a comparison looks: a card for the notebook and the report, and a figure of the effect."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.analysis.results import Comparison
from workbench.analysis.wording import (
    WARNINGS,
    Unit,
    counts,
    digits,
    headline,
    interval_phrase,
    label,
    p_phrase,
    unit_of,
    verdict_sentences,
    verdict_words,
)
from workbench.core.display import render
from workbench.views.html import Html, plot_text, table, tag, warning_list
from workbench.views.theme import Mode, colour, template, verdict_colour

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["comparison_card", "effect_figure"]


@render.register
def _(comparison: Comparison) -> dict[str, Any]:
    return {"text/plain": comparison.text, "text/html": comparison_card(comparison)}


def comparison_card(comparison: Comparison) -> Html:
    """Return the card: verdict, effect with its interval drawn, arms, warnings, fine print."""
    return tag(
        "div",
        _title(comparison),
        _effect(comparison),
        _strip(comparison),
        *[tag("div", sentence, style=_LINE) for sentence in _sentences(comparison)],
        _arms(comparison),
        warning_list((code, f"{WARNINGS[code]}.") for code in comparison.warnings),
        tag("div", _fine_print(comparison), style=_FINE),
        class_="wb-comparison mathjax_ignore",
        style=_CARD,
    )


_CARD = (
    f"background:{colour('surface')};color:{colour('text')};border:1px solid {colour('line')};border-radius:8px;"
    "padding:14px 18px 12px;margin:4px 0;max-width:760px;font-size:13px;line-height:1.5;"
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);box-sizing:border-box"
)
_LINE = "margin:6px 0"
_FINE = f"color:{colour('dim')};font-size:11px;margin-top:10px"
_DIM = f"color:{colour('dim')}"
_BADGE = "color:#fff;font-weight:700;font-size:12px;letter-spacing:.04em;padding:3px 9px;border-radius:5px"


def _title(comparison: Comparison) -> Html:
    badge = tag(
        "span",
        verdict_words(comparison.verdict),
        style=f"background-color:{verdict_colour(comparison.verdict)};{_BADGE}",
    )
    name = tag("span", label(comparison), style="font-weight:600;font-size:14px")
    exploratory = comparison.question.n_planned is None and comparison.effect is not None
    note = tag("span", "exploratory", style=f"{_DIM};font-size:12px") if exploratory else None
    return tag("div", badge, name, note, style="display:flex;flex-wrap:wrap;gap:10px;align-items:center")


def _effect(comparison: Comparison) -> Html | None:
    """The number that the eye should find first, then what surrounds it."""
    if comparison.effect is None:
        return tag("div", headline(comparison), style=_LINE)
    unit, decimals = unit_of(comparison.question), digits(comparison)
    means = [comparison.arms[name].mean for name in "AB"]
    levels = [unit.level(mean, decimals) for mean in means if mean is not None]
    change = tag(
        "span",
        unit.change(comparison.effect, decimals),
        style="font-size:24px;font-weight:650;line-height:1.2",
    )
    around = " · ".join(part for part in (interval_phrase(comparison), p_phrase(comparison)) if part)
    return tag(
        "div",
        change,
        tag("span", f"A {levels[0]} → B {levels[1]}", style="font-size:14px"),
        tag("span", around, style=_DIM),
        style="display:flex;flex-wrap:wrap;gap:4px 14px;align-items:baseline;margin:10px 0 2px",
    )


def _sentences(comparison: Comparison) -> list[str]:
    count = counts(comparison)
    first = (
        [f"{count[0].upper() if count[0] != 'n' else count[0]}{count[1:]}."]
        if comparison.effect is not None
        else []
    )
    said = " ".join(verdict_sentences(comparison)[1:])
    return [*first, *([said] if said else []), *comparison.notes]


# The interval, drawn in boxes: neither the notebook's sanitiser nor the report's lets a position
# through, so every piece stands in a lane of no height and keeps its distance by padding.

_HEIGHT = 30


def _strip(comparison: Comparison) -> Html | None:
    if comparison.effect is None:
        return None
    scale, accent = _Scale(comparison), verdict_colour(comparison.verdict)
    margin, low, high = comparison.question.margin, comparison.low, comparison.high
    pieces = []
    if margin is not None:
        pieces.append(_piece(0, f"{scale.span(-margin, margin)};height:{_HEIGHT}px;{_BAND}"))
    pieces.append(_piece(0, f"margin-left:{scale.at(0)};width:0;height:{_HEIGHT}px;{_ZERO}"))
    if low is not None and high is not None:
        bar = f"{scale.span(low, high)};height:4px;border-radius:2px;background-color:{accent}"
        pieces.append(_piece(_HEIGHT // 2 - 2, bar))
    dot = tag("div", style=f"{_DOT};background-color:{accent}")
    pieces.append(_piece(_HEIGHT // 2 - 8, f"margin-left:{scale.at(comparison.effect)}", dot))
    axis = tag("div", *pieces, style=f"height:{_HEIGHT}px;border-bottom:1px solid {colour('line')}")
    ticks = [_tick(scale.at(value), text) for value, text in scale.ticks()]
    return tag(
        "div",
        _directions(comparison),
        axis,
        *ticks,
        tag("div", style="height:18px"),
        role="img",
        aria_label=headline(comparison),
        style="margin:10px 0 6px;overflow:hidden",
    )


_DOT = (
    "margin-left:-8px;width:16px;height:16px;box-sizing:border-box;border-radius:8px;"
    f"border:2px solid {colour('surface')}"
)
_BAND = "background-color:rgba(127,127,127,0.18)"
_ZERO = f"border-left:1px solid {colour('dim')}"


def _piece(down: int, style: str, *children: Html) -> Html:
    box = tag("div", *children, style=style)
    return tag("div", tag("div", box, style=f"padding-top:{down}px"), style="height:0")


def _tick(left: str, text: str) -> Html:
    shown = tag(
        "div",
        text,
        style=f"margin-left:-50px;width:100px;text-align:center;font-size:11px;color:{colour('dim')}",
    )
    return tag("div", tag("div", shown, style=f"padding-top:2px;margin-left:{left}"), style="height:0")


def _directions(comparison: Comparison) -> Html:
    left, right = (
        ("A better", "B better") if comparison.question.higher_is_better else ("B better", "A better")
    )
    style = f"display:flex;justify-content:space-between;font-size:11px;color:{colour('dim')}"
    return tag("div", tag("span", f"← {left}"), tag("span", f"{right} →"), style=style)


class _Scale:
    """The axis of the drawing: everything that is shown, and 0."""

    def __init__(self, comparison: Comparison) -> None:
        self.unit: Unit = unit_of(comparison.question)
        margin = comparison.question.margin or 0.0
        ends = (comparison.effect, comparison.low, comparison.high, -margin, margin)
        shown = [0.0, *(end for end in ends if end is not None)]
        low, high = min(shown), max(shown)
        pad = 0.08 * (high - low) or 1 / self.unit.factor
        self.low, self.high = low - pad, high + pad

    def at(self, value: float) -> str:
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"

    def span(self, low: float, high: float) -> str:
        return f"margin-left:{self.at(low)};width:{100 * (high - low) / (self.high - self.low):.2f}%"

    def ticks(self) -> list[tuple[float, str]]:
        """Return three to seven round values with their text."""
        factor = self.unit.factor
        rough = (self.high - self.low) * factor / 7
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough)
        decimals = max(0, -math.floor(math.log10(step)))
        edge = 0.04 * (self.high - self.low)  # a label further out would be cut off
        first = math.ceil((self.low + edge) * factor / step)
        last = math.floor((self.high - edge) * factor / step)
        values = [index * step / factor for index in range(first, last + 1)]
        return [(value, self._text(value, decimals)) for value in values]

    def _text(self, value: float, decimals: int) -> str:
        text = self.unit.signed(value, decimals) if value else "0"
        return f"{text} {self.unit.name}".rstrip() if not value else text


# the rest of the card


def _arms(comparison: Comparison) -> Html:
    unit, decimals = unit_of(comparison.question), digits(comparison)
    columns: dict[str, list[str]] = {"arm": [], label(comparison).lower(): []}
    if comparison.question.kind != "binary":
        columns["sd"] = []
    columns |= {"cases": [], "answers": [], "failed": [], "unparsed": [], "pending": [], "missing": []}
    for name, arm in comparison.arms.items():
        cells = {
            "arm": name,
            label(comparison).lower(): "–" if arm.mean is None else unit.level(arm.mean, decimals),
            "sd": "–" if arm.sd is None else unit.level(arm.sd, decimals),
            "cases": f"{arm.n:,}",
            "answers": f"{arm.n_rows:,}",
            "failed": f"{arm.n_failed:,}",
            "unparsed": f"{arm.n_unparsed:,}",
            "pending": f"{arm.n_pending:,}",
            "missing": f"{arm.n_missing:,}",
        }
        for column, shown in columns.items():
            shown.append(cells[column])
    for column in ("pending", "missing"):
        if set(columns[column]) == {"0"}:
            del columns[column]
    rows = list(zip(*columns.values(), strict=True))
    grid = table(list(columns), rows, numeric=range(1, len(columns)), style=_TABLE)
    return tag("div", grid, style="overflow-x:auto;margin:8px 0")


_TABLE = "border-collapse:collapse;font-size:12px;margin:0"


def _fine_print(comparison: Comparison) -> str:
    question = comparison.question
    parts = [
        f"test: {comparison.test}" if comparison.p_value is not None else "",
        f"interval: {comparison.interval}" if comparison.low is not None else "",
        f"df {comparison.df:.4g}" if comparison.df is not None else "",
        f"α = {question.alpha:g}",
        f"standardised effect {comparison.effect_size:.2f}".replace("-", "−")
        if comparison.effect_size is not None
        else "",
        f"grey: within ±{unit_of(question).size(question.margin)}" if question.margin else "",
        f"planned: {question.n_planned:,} cases" if question.n_planned else "",
        "every difference is B − A",
    ]
    return " · ".join(part for part in parts if part)


def effect_figure(comparison: Comparison, *, mode: Mode = "auto") -> Figure:
    """Return the effect with its interval, the zero line and the equivalence margin as a figure.

    Args:
        comparison: any; without an effect the figure holds its headline only.
        mode: ``light`` or ``dark`` where the page is known; ``auto`` can be read on both.
    """
    from plotly import graph_objects

    unit = unit_of(comparison.question)
    figure = graph_objects.Figure(layout={"template": template(mode), "height": 170, "showlegend": False})
    margin = comparison.question.margin
    band = f" · grey: within ±{unit.size(margin)}" if margin is not None else ""
    title = f"{verdict_words(comparison.verdict)} · {label(comparison)}{band}"
    figure.update_layout(title={"text": plot_text(title), "font": {"size": 14}, "x": 0, "xref": "paper"})
    figure.update_yaxes(visible=False, range=[-1, 1], fixedrange=True)
    if comparison.effect is None:
        figure.update_xaxes(visible=False)
        figure.add_annotation(text=plot_text(headline(comparison)), showarrow=False)
        return figure
    scale = _Scale(comparison)
    if margin is not None:
        figure.add_vrect(
            x0=-margin * unit.factor,
            x1=margin * unit.factor,
            fillcolor="rgba(127,127,127,0.18)",
            line_width=0,
        )
    error = None
    if comparison.low is not None and comparison.high is not None:
        error = {
            "type": "data",
            "symmetric": False,
            "array": [(comparison.high - comparison.effect) * unit.factor],
            "arrayminus": [(comparison.effect - comparison.low) * unit.factor],
            "thickness": 3,
            "width": 7,
        }
    figure.add_scatter(
        x=[comparison.effect * unit.factor],
        y=[0],
        error_x=error,
        mode="markers",
        marker={"size": 13, "color": verdict_colour(comparison.verdict)},
        hovertemplate=f"{plot_text(_hover(comparison))}<extra></extra>",
    )
    figure.update_xaxes(
        range=[scale.low * unit.factor, scale.high * unit.factor],
        tickvals=[value * unit.factor for value, _ in scale.ticks()],
        ticktext=[plot_text(text) for _, text in scale.ticks()],
        title={"text": plot_text(f"B − A{f', {unit.name}' if unit.name else ''}")},
        zeroline=True,
    )
    return figure


def _hover(comparison: Comparison) -> str:
    effect = comparison.effect or 0.0
    change = unit_of(comparison.question).change(effect, digits(comparison))
    return ", ".join(part for part in (change, interval_phrase(comparison), p_phrase(comparison)) if part)
