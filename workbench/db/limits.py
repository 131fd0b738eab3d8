"""Limits that all processes of a person share: token buckets in rows, refilled by the database's clock.

A process takes permits before it claims calls. The row is locked for the one short transaction in which the
permits are counted, so two processes never take the same one; while nothing can be had, nothing is written.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.db.queries.runs import LEASE_SECONDS

if TYPE_CHECKING:
    import datetime as dt

    from psycopg import Connection

__all__ = ["Own", "Permit", "give_back", "limits", "refused", "remove_limit", "set_limit", "take"]

#: A bucket holds what comes in so many seconds, and always one call.
BURST_SECONDS = 10.0
#: Without a 429 the pace rises by one in so many seconds.
RECOVERY_SECONDS = 120.0
#: What a 429 leaves of the pace, and the least that any number of them leaves.
SLOWER, SLOWEST = 0.7, 0.05
#: A refusal keeps everybody waiting at least and at most so long.
MIN_BLOCK, MAX_BLOCK = 0.5, 60.0
#: What another process was granted is in the ledger after so long: until then nobody can count what is in flight.
SETTLE_SECONDS = 0.25
#: While every call in flight that is allowed is made, it is looked again after so long.
FULL_SECONDS = 0.2
#: Who finds no row, or only rows that limit nothing now, need not look again for so long.
NO_ROW_SECONDS, NO_LIMIT_SECONDS = 1.0, 0.2
#: Who holds a row's lock for longer than this is not one of us.
LOCK_TIMEOUT = "3s"

_COUNT = """
SELECT count(*), set_config('lock_timeout', %(timeout)s, true)
FROM wb.rate_limits WHERE user_id = %(user)s AND provider = %(provider)s AND model IN ('', %(model)s)
"""
_LOCK = """
SELECT FROM wb.rate_limits WHERE user_id = %(user)s AND provider = %(provider)s AND model IN ('', %(model)s)
ORDER BY model FOR UPDATE
"""
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
_WRITE = """
UPDATE wb.rate_limits SET requests_left = %s, tokens_left = %s, pace = %s, refilled_at = %s
WHERE user_id = %s AND provider = %s AND model = %s
"""
_GIVE_BACK = """
UPDATE wb.rate_limits SET
    requests_left = requests_left + CASE WHEN requests_per_minute IS NULL THEN 0 ELSE %(calls)s::float8 END,
    tokens_left = tokens_left + CASE WHEN tokens_per_minute IS NULL THEN 0 ELSE %(tokens)s::float8 END
WHERE user_id = %(user)s AND provider = %(provider)s AND model IN ('', %(model)s)
"""
_BLOCK = """
UPDATE wb.rate_limits SET pace = %s, requests_left = least(requests_left, 0), tokens_left = least(tokens_left, 0),
    refilled_at = clock_timestamp(), blocked_until = greatest(blocked_until, clock_timestamp() + make_interval(secs => %s))
WHERE user_id = %s AND provider = %s AND model = %s
"""
_NEW_BLOCK = """
INSERT INTO wb.rate_limits (user_id, provider, model, pace, blocked_until)
VALUES (%(user)s, %(provider)s, %(model)s, %(pace)s, clock_timestamp() + make_interval(secs => %(wait)s))
ON CONFLICT (user_id, provider, model) DO UPDATE SET blocked_until = greatest(rate_limits.blocked_until, excluded.blocked_until)
"""
# After the server's clock was set back, what lies in its future would hold everybody up until then.
_MEND = """
UPDATE wb.rate_limits SET refilled_at = least(refilled_at, clock_timestamp()),
    blocked_until = least(blocked_until, clock_timestamp() + make_interval(secs => %s))
WHERE user_id = %s AND provider = %s AND model = %s
"""
_FORGET = "DELETE FROM wb.rate_limits WHERE user_id = %s AND provider = %s AND model = %s"
_SET = """
INSERT INTO wb.rate_limits (user_id, provider, model, concurrency, requests_per_minute, tokens_per_minute)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (user_id, provider, model) DO UPDATE SET
    concurrency = coalesce(excluded.concurrency, rate_limits.concurrency),
    requests_per_minute = coalesce(excluded.requests_per_minute, rate_limits.requests_per_minute),
    tokens_per_minute = coalesce(excluded.tokens_per_minute, rate_limits.tokens_per_minute),
    pace = 1
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
class _Row:
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
        return f"{self.provider}/{self.model}".rstrip("/")

    @property
    def limited(self) -> bool:
        return (self.rpm, self.tpm, self.concurrency) != (None, None, None)

    @property
    def blocked(self) -> float:
        return max(self.blocked_for or 0.0, 0.0)

    @property
    def free(self) -> float:
        """Seconds since the last look in which nobody was refused."""
        return max(min(self.since, -self.blocked_for if self.blocked_for is not None else self.since), 0.0)

    @property
    def pace(self) -> float:
        return min(self.pace_then + self.free / RECOVERY_SECONDS, 1.0)

    @property
    def asleep(self) -> bool:
        """Whether its times lie in the future: the server's clock was set back."""
        return self.since < -1.0 or self.blocked > MAX_BLOCK + 1.0

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
            if self.since < SETTLE_SECONDS and self.refilled_at not in own.stamps:
                return self._none(SETTLE_SECONDS - max(self.since, 0.0), "full")
            granted = min(granted, self.concurrency - self.in_flight - own.calls)
            if granted < 1:
                return self._none(FULL_SECONDS, "full")
        return Permit(granted=granted, stamp=self.now)

    def _none(self, wait: float, why: Literal["rate", "refused", "full"]) -> Permit:
        return Permit(granted=0, wait=wait, limit=self.name, why=why)


def take(
    connection: Connection[Any],
    user_id: uuid.UUID,
    provider: str,
    model: str,
    *,
    calls: int,
    tokens: float = 0.0,
    own: Own = Own(),
) -> Permit:
    """Take permits for calls that are about to be claimed.

    Where no row applies this is one look at an index. What is taken is gone from the buckets also when no call
    follows; :func:`give_back` puts it back.

    Args:
        connection: in a transaction, which should end at once: it holds the rows' locks.
        user_id: the person.
        provider: the provider's name.
        model: the id that the provider itself uses.
        calls: how many are wanted.
        tokens: that all of them will take, about; 0 where that does not matter.
        own: earlier permits of this process for this provider; what others were granted is waited for a moment.

    Raises:
        ConflictError: somebody has held a row's lock for seconds (at the border of the connection).

    """
    key = _key(user_id, provider, model)
    rows = _locked(connection, key)
    if not rows:
        return Permit(granted=calls, quiet=NO_ROW_SECONDS)
    one = tokens / calls if calls else 0.0
    permits = [row.permit(calls, one, own) for row in rows]
    tightest = min(permits, key=lambda permit: (permit.granted, -permit.wait))
    for row in rows:
        if row.asleep:
            connection.execute(_MEND, [MAX_BLOCK, user_id, row.provider, row.model])
        elif tightest.granted and row.limited:
            connection.execute(_WRITE, _less(row, user_id, tightest.granted, one))
    if tightest.granted and not any(row.limited for row in rows):
        return Permit(granted=tightest.granted, quiet=NO_LIMIT_SECONDS)
    return tightest


def give_back(
    connection: Connection[Any],
    user_id: uuid.UUID,
    provider: str,
    model: str,
    *,
    calls: float = 0.0,
    tokens: float = 0.0,
) -> None:
    """Put back permits of calls that were not made, and tokens that they did not take; negative: take more."""
    key = _key(user_id, provider, model)
    if _count(connection, key):
        connection.execute(_LOCK, key)
        connection.execute(_GIVE_BACK, {**key, "calls": calls, "tokens": tokens})


def refused(
    connection: Connection[Any],
    user_id: uuid.UUID,
    provider: str,
    model: str,
    *,
    retry_after: float | None = None,
    slower: bool = True,
) -> float:
    """Keep every process of the person from calling for a while: a provider has answered 429.

    It is noted with the model's own limit, else with the provider's, else with a new row that limits nothing else.
    Refusals that come while everybody waits already are one and the same.

    Args:
        connection: in a transaction.
        user_id: the person.
        provider: the provider's name.
        model: the id that the provider itself uses.
        retry_after: seconds that the provider asks for; None for a back-off that grows with each refusal.
        slower: whether the pace is lowered too.

    Returns:
        The seconds for which nobody may call.

    """
    key = _key(user_id, provider, model)
    rows = _locked(connection, key)
    blocked = rows[-1].blocked if rows else 0.0
    pace = rows[-1].pace if rows else 1.0
    if slower and not blocked:
        pace = max(pace * SLOWER, SLOWEST)
    # 1 s after the first refusal, twice as long after each further one
    asked = retry_after if retry_after is not None else blocked or MIN_BLOCK / pace**2
    wait = max(min(max(asked, MIN_BLOCK), MAX_BLOCK), min(blocked, MAX_BLOCK))
    if rows:
        connection.execute(_BLOCK, [pace, wait, user_id, provider, rows[-1].model])
    else:
        connection.execute(_NEW_BLOCK, {**key, "pace": pace, "wait": wait})
    return wait


def set_limit(
    connection: Connection[Any],
    user_id: uuid.UUID,
    provider: str,
    model: str,
    *,
    concurrency: int | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
) -> None:
    """Set limits; those that are None stay as they are. ``model`` is empty for all of the provider."""
    connection.execute(_SET, [user_id, provider, model, concurrency, rpm, tpm])


def remove_limit(connection: Connection[Any], user_id: uuid.UUID, provider: str, model: str) -> bool:
    """Remove a row; return whether there was one."""
    return connection.execute(_FORGET, [user_id, provider, model]).rowcount > 0


def limits(connection: Connection[Any], user_id: uuid.UUID) -> list[tuple[Any, ...]]:
    """Return the person's limits: name, rpm, tpm, concurrency, calls in flight, pace, seconds still blocked.

    Calls in flight are counted only where their number is limited.
    """
    rows = [_Row(*row) for row in connection.execute(_STATE, _key(user_id, None, None)).fetchall()]
    return [
        (row.name, row.rpm, row.tpm, row.concurrency, row.in_flight, row.pace, min(row.blocked, MAX_BLOCK))
        for row in rows
        if not _over(row)
    ]


def _key(user_id: uuid.UUID, provider: str | None, model: str | None) -> dict[str, Any]:
    return {
        "user": user_id,
        "provider": provider,
        "model": model,
        "lease": LEASE_SECONDS,
        "timeout": LOCK_TIMEOUT,
    }


def _count(connection: Connection[Any], key: dict[str, Any]) -> int:
    found = connection.execute(_COUNT, key).fetchone()
    return int(found[0]) if found else 0


def _locked(connection: Connection[Any], key: dict[str, Any]) -> list[_Row]:
    """Lock the rows that apply and return them as they are then, the provider's own first."""
    if not _count(connection, key):
        return []
    connection.execute(_LOCK, key)
    # a statement of its own: it sees what was claimed while the lock was waited for
    rows = [_Row(*row) for row in connection.execute(_STATE, key).fetchall()]
    for row in rows:
        if _over(row):
            connection.execute(_FORGET, [key["user"], row.provider, row.model])
    return [row for row in rows if not _over(row)]


def _over(row: _Row) -> bool:
    """Whether a row that only remembers refusals has nothing to say any more."""
    return not row.limited and not row.blocked and row.pace >= 1.0


def _less(row: _Row, user_id: uuid.UUID, granted: int, one: float) -> list[Any]:
    requests = row.requests_left if row.rpm is None else row.level(row.requests_left, row.rpm, 1.0) - granted
    tokens = row.tokens_left if row.tpm is None else row.level(row.tokens_left, row.tpm, one) - granted * one
    return [requests, tokens, row.pace, row.now, user_id, row.provider, row.model]
