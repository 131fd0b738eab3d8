"""How progress looks while a run goes on; the run itself is a card."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.views.html import output, progress_bar, status_line

__all__ = ["progress_line"]


def progress_line(line: str, shares: Sequence[float]) -> dict[str, str]:
    """Return a bar and its line.

    Args:
        line: counts, speed, dollars, time left.
        shares: shares of all calls that are answered, failed, lost.

    """
    return {"text/plain": line, "text/html": output(progress_bar(shares), status_line(line))}
