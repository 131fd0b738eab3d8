"""Rich display without breaking the floors.

Result objects inherit :class:`Rich`. How a type looks is registered by ``views`` on
:func:`render`; the package's ``__init__`` tells :func:`set_loader` how to import ``views`` at the
first display, so a plain script never loads a view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

__all__ = ["Rich", "render", "set_loader"]

_loaders: list[Callable[[], object]] = []


def set_loader(loader: Callable[[], object]) -> None:
    """Register the callable that imports the renderers; called once, at the first display."""
    _loaders[:] = [loader]


@singledispatch
def render(value: object) -> Mapping[str, Any]:
    """Return a MIME bundle for a value; the default is its plain text alone."""
    return {"text/plain": str(value)}


class Rich:
    """Base of every result that a notebook can show.

    Subclasses define ``__str__`` (the text form, stable enough for a git diff).
    """

    __slots__ = ()

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
