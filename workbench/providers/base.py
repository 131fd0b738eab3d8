"""What every provider offers, and how patient a call is. Light: no HTTP client is imported here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from workbench.core.chat import ChatRequest, ChatResponse, ModelInfo

if TYPE_CHECKING:
    from workbench.providers.limits import Heard

__all__ = ["Listened", "OnText", "Provider", "Retry"]

#: Called with each piece of text as it arrives, on the event loop's thread.
OnText = Callable[[str], None]


class Provider(Protocol):
    """Something that answers chat requests.

    Attributes:
        name: ``openrouter``, ``local``, ``fake``, or the endpoint's name.
        host: what is stored as the execution's provider.
        concurrency: a sensible number of calls in flight.

    """

    name: str
    host: str
    concurrency: int

    async def chat(self, request: ChatRequest, *, on_text: OnText | None = None) -> ChatResponse:
        """Answer one request, streaming when ``on_text`` is given.

        Raises:
            ProviderError: with ``attempts``, and ``partial_text`` and ``response`` where an answer had
                begun.
            ConfigError: before anything was sent: a missing key, missing weights, a refused address.

        """
        ...

    async def models(self) -> list[ModelInfo]:
        """Return what the provider offers, with prices where it tells them."""
        ...

    async def aclose(self) -> None:
        """Close connections and end child processes; may be called twice."""
        ...


@runtime_checkable
class Listened(Protocol):
    """A provider that tells the head of each reply at once: limits are heard of before a call ends.

    Attributes:
        listener: who is told, on the event loop's thread; None for nobody.

    """

    listener: Callable[[Heard], None] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How patient a call is; all times in seconds.

    A try is repeated after a connect error, 408, 409, 425, 429 and 5xx, always before the first byte
    of an answer. A request that went out and got no reply may have been carried out and billed, so
    it is repeated at most ``ambiguous`` times. Waits are drawn from [0, base·2ⁿ] (full jitter), or
    follow the provider's ``Retry-After``; neither is longer than ``cap``.

    Attributes:
        tries: HTTP tries in all.
        refused: tries in all of a server on this machine that refuses connections: it does not run.
        ambiguous: repeats after a request that got no reply.
        base: longest first wait.
        cap: longest wait.
        total_timeout: the whole call, waits included.
        connect_timeout: until a connection stands, TLS included.
        read_timeout: longest silence of the server.

    """

    tries: int = 5
    refused: int = 2
    ambiguous: int = 1
    base: float = 0.5
    cap: float = 60.0
    total_timeout: float = 600.0
    connect_timeout: float = 15.0
    read_timeout: float = 300.0
