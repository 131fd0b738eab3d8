"""Rich display without breaking the floors.

Result objects inherit :class:`Rich`. How a type looks is registered by ``views`` on
:func:`render`; the package's ``__init__`` tells :func:`set_loader` how to import ``views`` at the
first display, so a plain script never loads a view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

__all__ = ["Card", "Rich", "render", "set_loader"]

_loaders: list[Callable[[], object]] = []


def set_loader(loader: Callable[[], object]) -> None:
    """Register the callable that imports the renderers; called once, at the first display."""
    _loaders[:] = [loader]


@singledispatch
def render(value: object) -> Mapping[str, Any]:
    """Return a MIME bundle for a value; the default is its plain text alone."""
    return {"text/plain": str(value)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a result shows, as plain values; how it looks is the views' business.

    Attributes:
        title: one strong line.
        text: lines below it.
        columns: a table's headings.
        rows: its cells, as text.
        numeric: positions of the columns that hold numbers.
        marked: positions of the columns in which words are marked (``core.search``).
        alerts: (code, sentence) of what must not be overlooked.
        bar: how far something is: shares of what went well, what failed, what was lost; None for no bar.
        note: the small line at the end.

    """

    title: str = ""
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    numeric: Sequence[int] = ()
    marked: Sequence[int] = ()
    alerts: Sequence[tuple[str, str]] = ()
    bar: Sequence[float] | None = None
    note: str = ""


class Rich:
    """Base of every result that a notebook can show.

    Subclasses define ``__str__`` (the text form, stable enough for a git diff), and :meth:`card` where they
    have more to show than that text.
    """

    __slots__ = ()

    def card(self) -> Card:
        """Return what the rich form shows; by default the text, its first line strong."""
        title, _, text = str(self).partition("\n")
        return Card(title=title, text=text)

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - IPython's protocol
        exclude: object = None,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        while _loaders:
            _loaders.pop()()
        return render(self)

    def _repr_html_(self) -> str | None:
        """For tools that know only the older protocol, such as pandas' and itables' formatters."""
        html = self._repr_mimebundle_().get("text/html")
        return html if isinstance(html, str) else None
