"""Limits that all processes of a person share: token buckets in rows, refilled by the database's clock.

A process takes permits before it claims calls. The row is locked for the one short transaction in which the
permits are counted, so two processes never take the same one; while a rate is waited for, nothing is written.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from workbench.db.limits_state import MAX_BLOCK, Own, Permit, Row, read

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["give_back", "limits", "refused", "remove_limit", "set_limit", "take"]

#: What a 429 leaves of the pace, and the least that any number of them leaves.
SLOWER, SLOWEST = 0.7, 0.05
#: A refusal keeps everybody waiting at least so long.
MIN_BLOCK = 0.5
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
# Who was granted last goes on without waiting for the ledger; somebody waits, so by now it waits too.
_DISOWN = """
UPDATE wb.rate_limits SET refilled_at = refilled_at + interval '1 microsecond'
WHERE user_id = %s AND provider = %s AND model = %s
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


def take(
    connection: Connection[Any],
    user_id: uuid.UUID,
    provider: str,
    model: str,
    *,
    calls: int,
    tokens: float = 0.0,
    own: Own | None = None,
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
    rows = _locked(connection, user_id, provider, model)
    if not rows:
        return Permit(granted=calls, quiet=NO_ROW_SECONDS)
    own, one = own or Own(), tokens / calls if calls else 0.0
    permits = [row.permit(calls, one, own) for row in rows]
    tightest = min(permits, key=lambda permit: (permit.granted, -permit.wait))
    for row in rows:
        if row.asleep:
            connection.execute(_MEND, [MAX_BLOCK, user_id, row.provider, row.model])
        elif tightest.granted and row.limited:
            connection.execute(_WRITE, _less(row, user_id, tightest.granted, one))
        elif row.settling(own):
            connection.execute(_DISOWN, [user_id, row.provider, row.model])
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
    key = {"user": user_id, "provider": provider, "model": model}
    if _count(connection, user_id, provider, model):
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
    rows = _locked(connection, user_id, provider, model)
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
        key = {"user": user_id, "provider": provider, "model": model}
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
    return [
        (row.name, row.rpm, row.tpm, row.concurrency, row.in_flight, row.pace, min(row.blocked, MAX_BLOCK))
        for row in read(connection, user_id)
        if not row.over
    ]


def _count(connection: Connection[Any], user_id: uuid.UUID, provider: str, model: str) -> int:
    key = {"user": user_id, "provider": provider, "model": model, "timeout": LOCK_TIMEOUT}
    found = connection.execute(_COUNT, key).fetchone()
    return int(found[0]) if found else 0


def _locked(connection: Connection[Any], user_id: uuid.UUID, provider: str, model: str) -> list[Row]:
    """Lock the rows that apply and return them as they are then, the provider's own first."""
    if not _count(connection, user_id, provider, model):
        return []
    connection.execute(_LOCK, {"user": user_id, "provider": provider, "model": model})
    # a statement of its own: it sees what was claimed while the lock was waited for
    rows = read(connection, user_id, provider, model)
    for row in rows:
        if row.over:
            connection.execute(_FORGET, [user_id, row.provider, row.model])
    return [row for row in rows if not row.over]


def _less(row: Row, user_id: uuid.UUID, granted: int, one: float) -> list[Any]:
    requests = row.requests_left if row.rpm is None else row.level(row.requests_left, row.rpm, 1.0) - granted
    tokens = row.tokens_left if row.tpm is None else row.level(row.tokens_left, row.tpm, one) - granted * one
    return [requests, tokens, row.pace, row.now, user_id, row.provider, row.model]
