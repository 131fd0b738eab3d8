"""The judge of every fault: what a provider would have billed, held against what the database has.

The bill is the scripted server's: one fsynced line for each answer with status 200, written before its first byte leaves.
The numbers are those of ``docs/reliability.md``.

I1  each billed answer has a row;
I2  what a person was told is finished is stored;
I3  billed answers that are not stored stay within the bound, and each is a row that says so;
I4  no call has two answers, and an answered call is never made again;
I5  a call of unknown fate is made again at most once.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from workbench.secret import Secret

__all__ = ["Balance", "balance", "digest_of", "read_bill", "spooled"]

#: Answers that may wait for their commit, at most, beside those in flight.
UNCOMMITTED = 32

_ROWS = """
SELECT e.request_digest, (e.run_id, e.case_key, e.prompt_id, e.model_config_id, e.variant, e.sample,
                          CASE WHEN e.run_id IS NULL THEN e.id END)::text AS call,
       e.status, e.error_code, extract(epoch FROM e.finished_at)::float8 AS finished,
       a.answered, a.unanswered, e.cost_estimate IS NOT NULL AS priced
FROM wb.executions e
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE http_status = 200) AS answered, count(*) FILTER (WHERE http_status IS NULL) AS unanswered
    FROM wb.attempts t WHERE t.execution_id = e.id AND t.run_at = e.run_at
) a
WHERE e.cost_source IS DISTINCT FROM 'cache'
ORDER BY e.created_at
"""


class _Row(NamedTuple):
    digest: str
    call: str
    status: str
    error_code: str | None
    finished: float | None
    answered: int
    unanswered: int
    priced: bool

    @property
    def open(self) -> bool:
        """Whether nobody knows if the call was answered."""
        return self.status in {"sent", "unknown"} or (self.status == "lost" and not self.unsent)

    @property
    def unsent(self) -> bool:
        return self.status == "planned" or (self.status == "lost" and self.error_code == "not_sent")

    @property
    def stored(self) -> bool:
        return self.status in {"done", "late"} or (self.status == "failed" and self.answered > 0)


@dataclass
class Balance:
    """What was found.

    Attributes:
        calls: calls that have a row.
        done: calls with an answer.
        failed: calls that have only failed.
        open: calls whose fate is unknown, and that were not answered in a second try.
        unsent: rows of calls that were never sent, and say so.
        late: answers that came after their call was given up.
        billed: answers that the provider would have billed.
        unstored: of these, answers that the database does not have; each is a row that says so.
        resent: answers that were billed and never arrived, so that the call was sent once more; each is a try of its call.
        bound: how many of them were allowed.
        spooled: answers that still wait in files.
        missing: which these are, and what their rows say.
        broken: the invariants that do not hold, in words.

    """

    calls: int = 0
    done: int = 0
    failed: int = 0
    open: int = 0
    unsent: int = 0
    late: int = 0
    rows: int = 0
    billed: int = 0
    unstored: int = 0
    resent: int = 0
    bound: int = 0
    spooled: int = 0
    missing: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "missing"}

    def __str__(self) -> str:
        said = (
            f"{self.calls:,} calls: {self.done:,} done, {self.failed:,} failed, {self.open:,} open, {self.late:,} late; "
            f"{self.billed:,} billed, {self.unstored:,} of them not stored (allowed {self.bound:,}), {self.resent:,} sent again; {self.spooled:,} spooled"
        )
        return said + "".join(f"\n  BROKEN {each}" for each in self.broken[:20])


def balance(
    bill: Path | Iterable[Path],
    url: Secret,
    *,
    kills: int = 0,
    in_flight: int = 0,
    told: int = 0,
    home: Path | None = None,
    planned: int | None = None,
) -> Balance:
    """Hold the bill against the database.

    Args:
        bill: the witness's file, or several.
        url: an administrator's, who sees every row.
        kills: how often a process ended with calls in flight, or the database could not be had to the end.
        in_flight: calls that one process may have in flight.
        told: how many answers people were told are finished.
        home: where answers that could not be stored may wait in files.
        planned: how many calls must have been settled, or None while work is going on.

    """
    billed = read_bill(bill)
    with psycopg.connect(url.reveal()) as connection:
        rows = [_Row(*row) for row in connection.execute(_ROWS).fetchall()]
    found = Balance(
        rows=len(rows),
        billed=sum(map(len, billed.values())),
        bound=kills * (in_flight + min(UNCOMMITTED, in_flight)),
        spooled=0 if home is None else spooled(home),
    )
    _count_calls(found, rows)
    _compare(found, rows, billed)
    if found.unstored > found.bound:
        said = "; ".join(found.missing[:5])
        found.broken.append(
            f"I3: {found.unstored} billed answers are not stored, {found.bound} were allowed: {said}"
        )
    if told > found.done:
        found.broken.append(f"I2: people were told of {told} answers, {found.done} are stored")
    if found.spooled:
        found.broken.append(f"I2: {found.spooled} answers still wait in files")
    if planned is not None and found.done + found.failed + found.open != planned:
        found.broken.append(f"I1: {planned} calls were planned: {found}")
    return found


def _count_calls(found: Balance, rows: list[_Row]) -> None:
    calls: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        calls[row.call].append(row)
    found.calls = len(calls)
    for call, tries in calls.items():
        by = Counter(row.status for row in tries)
        unknown = sum(row.open and row.status != "sent" for row in tries)
        found.done += by["done"] > 0
        found.failed += by["done"] == 0 and by["failed"] > 0
        found.late += by["late"]
        found.unsent += sum(row.unsent for row in tries)
        found.open += not by["done"] and not by["failed"] and any(row.open for row in tries)
        if by["done"] + by["sent"] > 1:
            found.broken.append(f"I4: {call} has {by['done']} answers and {by['sent']} calls in flight")
        if unknown + by["late"] + (by["done"] + by["sent"] > 0) > 2:
            found.broken.append(f"I5: {call} was made {dict(by)} times")


def _compare(found: Balance, rows: list[_Row], billed: dict[str, list[float]]) -> None:
    by_digest: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        by_digest[row.digest].append(row)
    for digest, moments in billed.items():
        mine = by_digest.get(digest, [])
        stored = sum(row.stored for row in mine)
        unheard = sum(row.open for row in mine) + sum(
            row.unanswered for row in mine
        )  # calls, and tries of answered ones
        if len(moments) > stored + unheard:
            found.broken.append(
                f"I1: {digest[:8]} was billed {len(moments)} times; its rows are {[row.status for row in mine]}"
            )
        excess = max(0, len(moments) - stored)
        resent = min(excess, sum(row.unanswered for row in mine))
        found.resent += resent
        if excess > resent:
            found.unstored += excess - resent
            found.missing.append(
                f"{digest[:8]}: billed {len(moments)} times; {[f'{row.status} {row.error_code}' for row in mine]}"
            )
        done = [row.finished for row in mine if row.status == "done" and row.finished is not None]
        if len({row.call for row in mine}) == 1 and done and max(moments) > done[0]:
            found.broken.append(
                f"I4: {digest[:8]} was asked again {max(moments) - done[0]:.3f} s after it was answered"
            )


def read_bill(bill: Path | Iterable[Path]) -> dict[str, list[float]]:
    """Return when each request was asked that was billed, by its digest."""
    billed: dict[str, list[float]] = defaultdict(list)
    for path in [bill] if isinstance(bill, Path) else bill:
        for line in path.read_text().splitlines() if path.exists() else ():
            entry = json.loads(line)
            billed[digest_of(json.loads(entry["body"]))].append(entry["at"])
    return billed


def digest_of(body: dict[str, Any]) -> str:
    """Return the digest that the ledger has of a request's body."""
    content = {name: value for name, value in body.items() if name not in {"stream", "stream_options"}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def spooled(home: Path) -> int:
    """Count the answers that wait in files for the database to come back."""
    files = (path for pattern in ("*.jsonl", "*.refused") for path in (home / "spool").glob(pattern))
    lines = [line for path in files for line in path.read_text().splitlines()]
    return sum(len(json.loads(json.loads(line)[0])) for line in lines)
