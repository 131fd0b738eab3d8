from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import workbench
from workbench.analysis import compare
from workbench.analysis.wording import WARNINGS
from workbench.core.display import render
from workbench.views.clean import clean
from workbench.views.experiments import comparison_card, effect_figure

RNG = np.random.default_rng(4)


def _frame(a, b, name="value", **columns):
    cases = [f"c{i}" for i in range(len(a))] + [f"c{i}" for i in range(len(b))]
    variants = ["A"] * len(a) + ["B"] * len(b)
    return pd.DataFrame({"case_id": cases, "variant": variants, name: [*a, *b], **columns})


def _passes(n=400, **columns):
    a = [1] * 284 + [0] * 116
    b = [1] * 275 + [0] * 9 + [1] * 31 + [0] * 85
    return _frame(a[:n], b[:n], **columns)


NOISE = RNG.normal(3, 1, (2, 60))
COMPARISONS = {
    "B_BETTER": compare(_passes(), n_planned=400, mde=0.03),
    "A_BETTER": compare(_frame(NOISE[0], NOISE[1] + 2, name="cost"), metric="cost"),
    "EQUIVALENT": compare(_frame(*NOISE), margin=2),
    "INCONCLUSIVE": compare(_frame(*NOISE)),
    "INTERIM": compare(_passes(), n_planned=900),
    "NO_DATA": compare(_frame([1.5], [])),
    "NO_INFERENCE": compare(_frame([1.5], [2.5])),
}


@pytest.mark.parametrize("verdict", COMPARISONS)
def test_every_verdict_has_a_text_and_a_card(verdict):
    comparison = COMPARISONS[verdict]
    assert comparison.verdict == verdict
    bundle = comparison._repr_mimebundle_()
    assert bundle["text/plain"] == comparison.text
    page = bundle["text/html"]
    assert verdict.replace("_", " ") in page
    assert page == comparison._repr_html_()
    assert render(comparison) == bundle


@pytest.mark.parametrize("verdict", COMPARISONS)
def test_a_card_survives_the_reports_sanitiser(verdict):
    page = comparison_card(COMPARISONS[verdict])
    cleaned = clean(page)
    assert cleaned.count("<div") == page.count("<div")
    pattern = r'style="([^"]*)"'
    before, after = (
        [style.replace(" ", "").rstrip(";") for style in re.findall(pattern, text)]
        for text in (page, cleaned)
    )
    assert after == before


@pytest.mark.parametrize("verdict", COMPARISONS)
def test_a_card_uses_no_style_that_an_untrusted_notebook_loses(verdict):
    page = comparison_card(COMPARISONS[verdict])
    assert not re.search(r"<(?:style|svg|script|link)\b|position\s*:", page)
    assert len(page) < 12_000


def test_the_card_holds_the_numbers_of_the_text():
    page = comparison_card(COMPARISONS["B_BETTER"])
    for shown in (
        "+5.5 pp",
        "A 71.0 % → B 76.5 %",
        "95 % CI +2.5 to +8.8",
        "McNemar mid-p = 0.0004",
        "870 cases",
    ):
        assert shown in page
    assert "exploratory" not in page
    assert "exploratory" in comparison_card(COMPARISONS["INCONCLUSIVE"])


def test_the_card_counts_failures_and_explains_every_warning():
    data = _frame([1] * 28, [1] * 28, status=["ok"] * 36 + ["failed"] * 20)
    data.loc[0, "value"] = np.nan
    comparison = compare(data)
    page = comparison_card(comparison)
    assert re.search(r"failed.*unparsed.*missing", page)
    assert ">20</td>" in page
    assert comparison.warnings
    for code in comparison.warnings:
        assert f">{code}</code>" in page
        assert WARNINGS[code] in page


def test_the_direction_turns_round_where_lower_is_better():
    assert "← B better" in comparison_card(COMPARISONS["A_BETTER"])
    assert "← A better" in comparison_card(COMPARISONS["INCONCLUSIVE"])


def test_a_metrics_name_is_only_text():
    attack = '<img src=x onerror="alert(1)">$a$'
    comparison = compare(_frame(*NOISE, name=attack), metric=attack)
    page = comparison_card(comparison)
    assert "<img" not in page
    assert "&lt;img" in page
    drawn = json.loads(effect_figure(comparison).to_json())
    assert "<img" not in json.dumps(drawn["layout"]["title"])
    assert "$" not in drawn["layout"]["title"]["text"]


@pytest.mark.parametrize("mode", ["auto", "light", "dark"])
@pytest.mark.parametrize("verdict", COMPARISONS)
def test_every_verdict_has_a_figure_in_every_mode(verdict, mode):
    comparison = COMPARISONS[verdict]
    figure = effect_figure(comparison, mode=mode)
    assert len(figure.data) == (comparison.effect is not None)
    if comparison.low is not None:
        error = figure.data[0].error_x
        factor = 100 if comparison.question.kind == "binary" else 1
        assert figure.data[0].x[0] - error.arrayminus[0] == pytest.approx(comparison.low * factor)
        assert figure.data[0].x[0] + error.array[0] == pytest.approx(comparison.high * factor)
        low, high = figure.layout.xaxis.range
        assert low < min(0, comparison.low * factor)
        assert high > max(0, comparison.high * factor)


def test_the_margin_is_a_band():
    assert len(effect_figure(COMPARISONS["EQUIVALENT"]).layout.shapes) == 1
    assert "grey: within ±2 points" in comparison_card(COMPARISONS["EQUIVALENT"])


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1, 1e6])
def test_ticks_are_few_round_and_inside(scale):
    from workbench.views.experiments import _Scale

    axis = _Scale(compare(_frame(*(NOISE * scale))))
    ticks = axis.ticks()
    assert 3 <= len(ticks) <= 9
    assert all(axis.low < value < axis.high for value, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)


def test_views_load_neither_pandas_nor_plotly():
    code = "import sys, workbench.views; print({'pandas', 'numpy', 'scipy', 'plotly'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_script_that_displays_nothing_loads_no_view():
    code = "import sys, workbench; workbench.analysis.mcnemar(1, 2); print('workbench.views' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert workbench.analysis.compare is compare
