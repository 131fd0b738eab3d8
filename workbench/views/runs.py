"""How progress looks."""

from __future__ import annotations

from workbench.views.html import output, status_line, tag
from workbench.views.theme import colour

__all__ = ["progress_line"]


def progress_line(line: str, settled: int, total: int) -> dict[str, str]:
    """Return a bar and its line."""
    share = 100 * settled / total if total else 100
    fill = tag(
        "div",
        style=f"width:{share:.1f}%;height:6px;background:{colour('accent')};border-radius:3px",
    )
    bar = tag(
        "div",
        fill,
        style=f"max-width:480px;height:6px;background:{colour('line')};border-radius:3px;margin:6px 0",
    )
    return {"text/plain": line, "text/html": output(bar, status_line(line))}
