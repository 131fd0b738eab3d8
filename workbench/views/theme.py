"""Colours: JupyterLab's own variables, with values that look right where there are none.

In a notebook the variables follow the theme at once; in a report its page defines them for light
and dark; anywhere else the light values stand together, text on its own surface. Colours that say
something (verdicts, bars) are the same on light and dark: white text can be read on them, and they
can be told from both backgrounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from plotly.graph_objects import layout

__all__ = ["DARK", "LIGHT", "Mode", "colour", "template", "verdict_colour"]

Mode = Literal["auto", "light", "dark"]

_VARIABLES = {
    "text": "--jp-ui-font-color1",
    "dim": "--jp-ui-font-color2",
    "line": "--jp-border-color2",
    "surface": "--jp-layout-color1",
    "raised": "--jp-layout-color2",
    "accent": "--jp-brand-color1",
    "warn": "--jp-warn-color1",
}
LIGHT = {
    "text": "#1f2328",
    "dim": "#59636e",
    "line": "#d8dee4",
    "surface": "#ffffff",
    "raised": "#f3f5f7",
    "accent": "#0b62c4",
    "warn": "#b35900",
}
DARK = {
    "text": "#e6e8eb",
    "dim": "#9aa4af",
    "line": "#424a53",
    "surface": "#14171b",
    "raised": "#1d2127",
    "accent": "#6cb1ff",
    "warn": "#e3b341",
}
_VERDICTS = {
    "B_BETTER": "#1a7f37",
    "A_BETTER": "#c4303a",
    "EQUIVALENT": "#0b6bcb",
    "INCONCLUSIVE": "#68717b",
    "INTERIM": "#8f6000",
    "NO_DATA": "#68717b",
    "NO_INFERENCE": "#68717b",
}
#: Labels of a figure that may be looked at in either theme: readable on white and on black.
_MIDDLE = "#7d7d7d"


def colour(name: str) -> str:
    """Return a CSS colour by its role: text, dim, line, surface, raised, accent or warn.

    >>> colour("text")
    'var(--jp-ui-font-color1,#1f2328)'
    """
    return f"var({_VARIABLES[name]},{LIGHT[name]})"


def verdict_colour(verdict: str) -> str:
    """Return the colour of a verdict's badge and bar; text on it is white."""
    return _VERDICTS[verdict]


def template(mode: Mode = "auto") -> layout.Template:
    """Return a plotly template with a transparent background and no button that uploads the data.

    Args:
        mode: ``light`` or ``dark`` where the page is known; ``auto`` can be read on both, for a
            figure that is saved in a notebook.

    """
    from plotly.graph_objects import layout

    dim = {"light": LIGHT["dim"], "dark": DARK["dim"], "auto": _MIDDLE}[mode]
    line = {"light": LIGHT["line"], "dark": DARK["line"], "auto": "rgba(127,127,127,0.35)"}[mode]
    axis = {
        "gridcolor": line,
        "linecolor": line,
        "zerolinecolor": dim,
        "zerolinewidth": 1,
        "ticks": "",
        "automargin": True,
        "title": {"font": {"size": 13}},
    }
    return layout.Template(
        layout={
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": dim, "size": 13, "family": "system-ui, -apple-system, 'Segoe UI', sans-serif"},
            "colorway": ["#0b6bcb", "#c4303a", "#1a7f37", "#8f6000", "#7a4fd0", "#68717b"],
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 16, "r": 16, "t": 32, "b": 40},
            "hoverlabel": {"font": {"size": 13}},
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": line,
                "activecolor": dim,
                "remove": ["sendChartToCloud"],  # "Share chart…" would upload the data
            },
        }
    )
