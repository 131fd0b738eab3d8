"""A limit as it stands in its row: what is in its buckets now, by the database's clock, and what that allows."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.db.queries.runs import LEASE_SECONDS

if TYPE_CHECKING:
    import datetime as dt

    from psycopg import Connection

__all__ = ["Own", "Permit", "Row", "read"]

#: A bucket holds what comes in so many seconds, and always one call.
BURST_SECONDS = 10.0
#: Without a 429 the pace rises by one in so many seconds.
RECOVERY_SECONDS = 120.0
#: A refusal keeps everybody waiting at most so long.
MAX_BLOCK = 60.0
#: What another process was granted is in the ledger after so long: until then nobody can count what is in flight.
SETTLE_SECONDS = 0.15
#: While every call in flight that is allowed is made, it is looked again after so long.
FULL_SECONDS = 0.2

# In flight is what the ledger calls sent, but for what died with its kernel.
_STATE = """
SELECT r.provider, r.model, r.concurrency, r.requests_per_minute, r.tokens_per_minute, r.requests_left, r.tokens_left,
       r.pace, r.refilled_at, t.now, extract(epoch FROM t.now - r.refilled_at)::float8, extract(epoch FROM r.blocked_until - t.now)::float8,
       CASE WHEN r.concurrency IS NOT NULL THEN (
           SELECT count(*)
           FROM wb.executions e
           JOIN wb.model_configs m ON m.id = e.model_config_id
           LEFT JOIN wb.runs u ON u.id = e.run_id
           WHERE e.user_id = r.user_id AND e.status = 'sent' AND m.provider = r.provider
             AND (r.model = '' OR m.model_id = r.provider || '/' || r.model)
             AND CASE WHEN e.run_id IS NULL THEN e.created_at > t.now - interval '10 min'
                      ELSE coalesce(u.heartbeat_at, u.run_at) > t.now - make_interval(secs => %(lease)s) END
       ) END
FROM wb.rate_limits r CROSS JOIN (SELECT clock_timestamp() AS now) t
WHERE r.user_id = %(user)s
  AND (%(provider)s::text IS NULL OR (r.provider = %(provider)s AND r.model IN ('', %(model)s)))
ORDER BY r.provider, r.model
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Permit:
    """How many calls may be claimed now.

    Attributes:
        granted: so many of those that were asked for.
        wait: where none is granted, the seconds after which it is worth asking again.
        limit: where none is granted, whose limit it is: ``openrouter``, or ``openrouter/openai/gpt-4o``.
        why: where none is granted: ``rate``, ``refused`` (the provider answered 429), or ``full`` (as many calls as
            are allowed are in flight).
        quiet: seconds for which nobody of this process need ask again: nothing limits these calls.
        stamp: when it was granted, by the database's clock.

    """

    granted: int
    wait: float = 0.0
    limit: str = ""
    why: Literal["", "rate", "refused", "full"] = ""
    quiet: float = 0.0
    stamp: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """What the asking process itself was granted lately, and the ledger may not show yet.

    Attributes:
        stamps: of those permits.
        calls: how many of them are not known to be claimed.

    """

    stamps: frozenset[dt.datetime] = frozenset()
    calls: int = 0

    def plus(self, permit: Permit) -> Own:
        """Return this and one more permit."""
        if permit.stamp is None:
            return self
        return Own(self.stamps | {permit.stamp}, self.calls + permit.granted)


@dataclass(frozen=True, slots=True)
class Row:
    """A limit as it is now; times are seconds, counted by the database."""

    provider: str
    model: str
    concurrency: int | None
    rpm: float | None
    tpm: float | None
    requests_left: float
    tokens_left: float
    pace_then: float
    refilled_at: dt.datetime
    now: dt.datetime
    since: float
    blocked_for: float | None
    in_flight: int | None

    @property
    def name(self) -> str:
        """The model's full id, or the provider's name."""
        return f"{self.provider}/{self.model}".rstrip("/")

    @property
    def limited(self) -> bool:
        """Whether somebody set a limit; else the row only remembers that calls were refused."""
        return (self.rpm, self.tpm, self.concurrency) != (None, None, None)

    @property
    def over(self) -> bool:
        """Whether a row that only remembers refusals has nothing to say any more."""
        return not self.limited and not self.blocked and self.pace >= 1.0

    @property
    def blocked(self) -> float:
        """Seconds for which calls are still refused."""
        return max(self.blocked_for or 0.0, 0.0)

    @property
    def free(self) -> float:
        """Seconds since the last look in which nobody was refused."""
        return max(min(self.since, -self.blocked_for if self.blocked_for is not None else self.since), 0.0)

    @property
    def pace(self) -> float:
        """What part of its rate is used now."""
        return min(self.pace_then + self.free / RECOVERY_SECONDS, 1.0)

    @property
    def asleep(self) -> bool:
        """Whether its times lie in the future: the server's clock was set back."""
        return self.since < -1.0 or self.blocked > MAX_BLOCK + 1.0

    def settling(self, own: Own) -> bool:
        """Whether another process was granted calls just now, which the ledger may not show yet."""
        return (
            self.concurrency is not None
            and self.since < SETTLE_SECONDS
            and self.refilled_at not in own.stamps
        )

    def level(self, left: float, per_minute: float, one: float) -> float:
        """Return what is in a bucket now, where a call takes ``one``."""
        rate = per_minute * self.pace / 60
        return min(left + rate * self.free, max(rate * BURST_SECONDS, one))

    def permit(self, calls: int, tokens: float, own: Own) -> Permit:
        """Return what this limit allows of so many calls that take so many tokens each."""
        if self.blocked:
            return self._none(min(self.blocked, MAX_BLOCK), "refused")
        granted, wait = calls, 0.0
        for per_minute, left, one in (
            (self.rpm, self.requests_left, 1.0),
            (self.tpm, self.tokens_left, tokens),
        ):
            if per_minute is None or one <= 0:
                continue
            level = self.level(left, per_minute, one)
            granted = min(granted, max(math.floor(level / one + 1e-9), 0))
            wait = max(wait, (one - level) / (per_minute * self.pace / 60))
        if granted < 1:
            return self._none(wait, "rate")
        if self.concurrency is not None and self.in_flight is not None:
            if self.settling(own):
                return self._none(SETTLE_SECONDS - max(self.since, 0.0), "full")
            granted = min(granted, self.concurrency - self.in_flight - own.calls)
            if granted < 1:
                return self._none(FULL_SECONDS, "full")
        return Permit(granted=granted, stamp=self.now)

    def _none(self, wait: float, why: Literal["rate", "refused", "full"]) -> Permit:
        return Permit(granted=0, wait=wait, limit=self.name, why=why)


def read(
    connection: Connection[Any], user_id: uuid.UUID, provider: str | None = None, model: str | None = None
) -> list[Row]:
    """Return the limits that bind a model, the provider's own first; without a provider, all of the person's."""
    key = {"user": user_id, "provider": provider, "model": model, "lease": LEASE_SECONDS}
    return [Row(*row) for row in connection.execute(_STATE, key).fetchall()]
