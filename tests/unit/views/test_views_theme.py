from __future__ import annotations

import doctest
import re

import pytest

from workbench.analysis.results import Verdict
from workbench.views import theme
from workbench.views.theme import DARK, LIGHT, colour, template, verdict_colour

VERDICTS = Verdict.__args__
JUPYTERLAB_DARK = "#212121"


def _luminance(hex_colour):
    shares = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_can_be_read_and_seen_on_light_and_dark(verdict):
    shown = verdict_colour(verdict)
    assert _contrast(shown, "#ffffff") >= 4.5
    for surface in (LIGHT["surface"], JUPYTERLAB_DARK):
        assert _contrast(shown, surface) >= 2.9


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_can_be_read_on_its_surface(palette):
    assert _contrast(palette["text"], palette["surface"]) >= 7
    assert _contrast(palette["dim"], palette["surface"]) >= 4.5
    assert _contrast(palette["warn"], palette["surface"]) >= 4.5


def test_colours_follow_jupyterlab_and_fall_back_to_light():
    for name, value in LIGHT.items():
        assert re.fullmatch(rf"var\(--jp-[a-z0-9-]+,{value}\)", colour(name))
    assert LIGHT.keys() == DARK.keys()


@pytest.mark.parametrize("mode", ["auto", "light", "dark"])
def test_figures_are_transparent_and_their_text_can_be_read(mode):
    layout = template(mode).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    surfaces = {"auto": ["#ffffff", JUPYTERLAB_DARK], "light": ["#ffffff"], "dark": [JUPYTERLAB_DARK]}
    for surface in surfaces[mode]:
        assert _contrast(layout.font.color, surface) >= (3.8 if mode == "auto" else 4.5)


def test_examples_in_docstrings_are_true():
    assert doctest.testmod(theme).failed == 0
