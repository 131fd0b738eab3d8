"""What replies say about a provider's limits, read from their headers: who asks for it hears it at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from workbench.providers.failures import retry_after, retryable

__all__ = ["Heard", "Quota", "heard", "seconds"]

#: No header makes anybody wait longer, in seconds.
_CAP = 60.0

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(ms|[smhd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a limit is left.

    Attributes:
        left: requests or tokens.
        reset: seconds until all of it is back.
        limit: all of it; None where the provider does not say.

    """

    left: float
    reset: float
    limit: float | None = None

    def wait(self, need: float) -> float:
        """Return the seconds until ``need`` is left: OpenAI and Groq give back steadily, not all at the end.

        >>> Quota(left=0, reset=60.0, limit=120).wait(1)
        0.5
        """
        if self.left >= need:
            return 0.0
        missing = 1.0 if self.limit is None else (need - self.left) / max(self.limit - self.left, 1.0)
        return min(self.reset * min(missing, 1.0), _CAP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """One reply of a provider, told when its head arrives: before its body, and before any repetition.

    Attributes:
        provider: the provider's name.
        model: the id that the provider itself uses.
        status: the HTTP status.
        sent_at: ``time.perf_counter()`` when the request was sent.
        retry_after: seconds that the provider asks to wait, at most 60; None where it does not say.
        requests: what is left of its limit of requests.
        tokens: what is left of its limit of tokens.

    """

    provider: str
    model: str
    status: int
    sent_at: float
    retry_after: float | None = None
    requests: Quota | None = None
    tokens: Quota | None = None

    @property
    def repeated(self) -> bool:
        """Whether the same request will probably be sent once more."""
        return retryable(self.status)


def heard(provider: str, model: str, status: int, headers: Mapping[str, str], sent_at: float) -> Heard:
    """Read ``Retry-After`` and ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` of a reply."""
    return Heard(
        provider=provider,
        model=model,
        status=status,
        sent_at=sent_at,
        retry_after=retry_after(headers.get("Retry-After"), cap=_CAP),
        requests=_quota(headers, "requests"),
        tokens=_quota(headers, "tokens"),
    )


def seconds(text: str | None) -> float | None:
    """Read a duration as providers write it: ``12ms``, ``6m0s``, ``1.5``; None where it is none.

    >>> seconds("1m2.5s")
    62.5
    """
    parts = _PART.findall(text or "")
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return _number(text)


def _quota(headers: Mapping[str, str], what: str) -> Quota | None:
    left = _number(headers.get(f"x-ratelimit-remaining-{what}"))
    if left is None or (reset := seconds(headers.get(f"x-ratelimit-reset-{what}"))) is None:
        return None
    return Quota(left, reset, _number(headers.get(f"x-ratelimit-limit-{what}")))


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII) else None
