"""What a prompt version needs to be called like a function: protocols, so that ``core`` knows no service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from workbench.core.versions import PromptResult, PromptVersion

__all__ = ["Caller", "TextStream"]


class Caller(Protocol):
    """What a version needs to be called like a function; a ``Workbench`` is one."""

    def ask(
        self,
        prompt: PromptVersion,
        *,
        variables: Mapping[str, Any],
        model: str | None,
        schema: Any,
        attach: Any,
    ) -> PromptResult:
        """Answer one call."""

    async def aask(
        self,
        prompt: PromptVersion,
        *,
        variables: Mapping[str, Any],
        model: str | None,
        schema: Any,
        attach: Any,
    ) -> PromptResult:
        """Answer one call on the caller's own event loop."""

    def stream(
        self,
        prompt: PromptVersion,
        *,
        variables: Mapping[str, Any],
        model: str | None,
        schema: Any,
        attach: Any,
    ) -> TextStream:
        """Answer one call piece by piece."""

    def astream(
        self,
        prompt: PromptVersion,
        *,
        variables: Mapping[str, Any],
        model: str | None,
        schema: Any,
        attach: Any,
    ) -> TextStream:
        """Answer one call piece by piece, on the caller's own event loop."""

    @property
    def run(self) -> Callable[..., Any]:
        """Answer every row."""


class TextStream(Protocol):
    """An answer that arrives in pieces: read it once, with ``for`` or with ``async for``."""

    def __iter__(self) -> Iterator[str]: ...

    def __aiter__(self) -> AsyncIterator[str]: ...

    @property
    def text(self) -> str:
        """What has arrived."""

    @property
    def result(self) -> PromptResult:
        """The whole answer, once it has been read and is committed."""
