"""The hot path of the ledger: claims before the calls, results after them, in groups.

No ORM object per row: each group is one statement over ``unnest``, on a connection of its own, in a
thread of its own. Exactly-once rests on the unique partial index ``uq_executions_ledger``.
"""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from workbench.core.chat import Attempt
from workbench.errors import ConflictError

if TYPE_CHECKING:
    from psycopg import Connection

    from workbench.db.scope import Scope

__all__ = ["Claim", "Result", "claim", "committed", "finish", "give_up", "hold", "storable", "taken_over"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One call that is about to be made. ``run_at`` is the run's start; a single call brings its own."""

    id: uuid.UUID
    run_at: dt.datetime
    prompt_id: uuid.UUID
    model_config_id: uuid.UUID
    input_variables: Mapping[str, Any]
    request_payload: Mapping[str, Any]
    request_digest: str
    run_id: uuid.UUID | None = None
    case_id: uuid.UUID | None = None
    case_key: str | None = None
    variant: str = ""
    sample: int = 0
    purpose: str = "run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How one call ended."""

    id: uuid.UUID
    run_at: dt.datetime
    status: str
    response_data: Mapping[str, Any] | None = None
    answer: str | None = None
    finish_reason: str | None = None
    provider: str | None = None
    tokens_prompt: int | None = None
    tokens_completion: int | None = None
    tokens_total: int | None = None
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    cost: Decimal | None = None
    cost_source: str | None = None
    latency_ms: int | None = None
    ttft_ms: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    cached_from: uuid.UUID | None = None
    attempts: tuple[Attempt, ...] = field(default=())


_CLAIM = """
INSERT INTO wb.executions (id, run_at, run_id, project_id, user_id, prompt_id, model_config_id, case_id, case_key,
                           variant, sample, purpose, status, input_variables, request_payload, request_digest)
SELECT x.id, x.run_at, x.run_id, %s, %s, x.prompt_id, x.model_config_id, x.case_id, x.case_key,
       x.variant, x.sample, x.purpose, 'sent', x.input_variables::jsonb, x.request_payload::jsonb, x.request_digest
FROM unnest(%b::uuid[], %b::timestamptz[], %b::uuid[], %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::text[],
            %b::int[], %b::text[], %b::text[], %b::text[], %b::text[])
     AS x (id, run_at, run_id, prompt_id, model_config_id, case_id, case_key, variant, sample, purpose,
           input_variables, request_payload, request_digest)
ON CONFLICT DO NOTHING
RETURNING id
"""

_FINISH = """
UPDATE wb.executions e SET
    status = x.status, response_data = x.response_data::jsonb, answer = x.answer, answer_json = x.answer_json::jsonb,
    finish_reason = x.finish_reason, provider = x.provider, tokens_prompt = x.tokens_prompt,
    tokens_completion = x.tokens_completion, tokens_total = x.tokens_total, tokens_cached = x.tokens_cached,
    tokens_reasoning = x.tokens_reasoning, cost_estimate = x.cost, cost_source = x.cost_source,
    execution_time_ms = x.latency_ms, ttft_ms = x.ttft_ms, error_code = x.error_code, error_message = x.error_message,
    cached_from = x.cached_from, finished_at = clock_timestamp()
FROM unnest(%b::uuid[], %b::timestamptz[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
            %b::int[], %b::int[], %b::int[], %b::int[], %b::int[], %b::numeric[], %b::text[], %b::int[], %b::int[],
            %b::text[], %b::text[], %b::uuid[])
     AS x (id, run_at, status, response_data, answer, answer_json, finish_reason, provider, tokens_prompt,
           tokens_completion, tokens_total, tokens_cached, tokens_reasoning, cost, cost_source, latency_ms, ttft_ms,
           error_code, error_message, cached_from)
WHERE e.id = x.id AND e.run_at = x.run_at AND e.status = 'sent'
RETURNING e.id
"""

_ATTEMPTS = """
INSERT INTO wb.attempts (execution_id, run_at, n, started_at, duration_ms, http_status, error_code, retry_after_ms)
SELECT * FROM unnest(%b::uuid[], %b::timestamptz[], %b::int[], %b::timestamptz[], %b::int[], %b::int[], %b::text[], %b::int[])
ON CONFLICT DO NOTHING
"""

_COMMITTED = """
SELECT id FROM wb.executions
WHERE (id = ANY (%b::uuid[]) AND status = 'sent') OR (id = ANY (%b::uuid[]) AND status IN ('done', 'failed', 'lost'))
"""

#: The lock keeps another kernel from taking the run over between this look and the claim's commit.
_HOLD = "SELECT FROM wb.runs WHERE id = %s AND holder = %s FOR SHARE"

_GIVE_UP = """
UPDATE wb.executions SET status = %s, error_code = %s, error_message = %s, finished_at = clock_timestamp()
WHERE run_id = %s AND status = 'sent' AND (%b::uuid[] IS NULL OR id = ANY (%b::uuid[]))
"""


def claim(connection: Connection[Any], scope: Scope, claims: Sequence[Claim]) -> set[uuid.UUID]:
    """Insert the calls as ``sent``; return the ids that are ours (the others are somebody else's, or done)."""
    columns: list[list[Any]] = [
        [c.id for c in claims],
        [c.run_at for c in claims],
        [c.run_id for c in claims],
        [c.prompt_id for c in claims],
        [c.model_config_id for c in claims],
        [c.case_id for c in claims],
        [c.case_key for c in claims],
        [c.variant for c in claims],
        [c.sample for c in claims],
        [c.purpose for c in claims],
        [_json(c.input_variables) for c in claims],
        [_json(c.request_payload) for c in claims],
        [c.request_digest for c in claims],
    ]
    rows = connection.execute(_CLAIM, [scope.project_id, scope.user_id, *columns]).fetchall()
    return {row[0] for row in rows}


def finish(connection: Connection[Any], results: Sequence[Result]) -> set[uuid.UUID]:
    """Store results and their HTTP tries; return the ids that were still waiting for one."""
    columns: list[list[Any]] = [
        [r.id for r in results],
        [r.run_at for r in results],
        [r.status for r in results],
        [None if r.response_data is None else _json(r.response_data) for r in results],
        [storable(r.answer) for r in results],
        [_answer_json(r.answer) if r.status == "done" else None for r in results],
        [r.finish_reason for r in results],
        [r.provider for r in results],
        [r.tokens_prompt for r in results],
        [r.tokens_completion for r in results],
        [r.tokens_total for r in results],
        [r.tokens_cached for r in results],
        [r.tokens_reasoning for r in results],
        [r.cost for r in results],
        [r.cost_source for r in results],
        [r.latency_ms for r in results],
        [r.ttft_ms for r in results],
        [r.error_code for r in results],
        [storable(r.error_message) for r in results],
        [r.cached_from for r in results],
    ]
    stored = {row[0] for row in connection.execute(_FINISH, columns).fetchall()}
    _store_attempts(connection, [r for r in results if r.attempts and r.id in stored])
    return stored


def hold(connection: Connection[Any], run_id: uuid.UUID, holder: str) -> None:
    """Make sure, until the transaction ends, that the run is still ours to go on with.

    Raises:
        ConflictError: another kernel has taken it over.

    """
    if connection.execute(_HOLD, [run_id, holder]).fetchone() is None:
        raise taken_over()


def taken_over() -> ConflictError:
    """Return the error of a kernel whose run goes on elsewhere."""
    return ConflictError(
        "another kernel has taken this run over", cure="let it finish there, or stop it there first"
    )


def committed(
    connection: Connection[Any], claims: Sequence[Claim], results: Sequence[Result]
) -> set[uuid.UUID]:
    """Return the ids of claims and results that are stored already: they were committed unheard."""
    rows = connection.execute(_COMMITTED, [[c.id for c in claims], [r.id for r in results]]).fetchall()
    return {row[0] for row in rows}


def give_up(
    connection: Connection[Any],
    run_id: uuid.UUID,
    *,
    status: str,
    code: str,
    message: str,
    ids: Iterable[uuid.UUID] | None = None,
) -> int:
    """Mark a run's calls that still wait as ``lost`` or ``unknown``; return how many."""
    chosen = None if ids is None else list(ids)
    return connection.execute(_GIVE_UP, [status, code, message, run_id, chosen, chosen]).rowcount


def storable(text: str | None) -> str | None:
    """Return text that PostgreSQL can hold: NUL becomes ␀, a lone surrogate the replacement character.

    The original stays in ``response_data``, in base64, where it cannot be stored as JSON.
    """
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "␀").encode("utf-8", "replace").decode()


def _json(value: Any) -> str:
    try:
        text = orjson.dumps(value, default=str).decode()
    except (TypeError, orjson.JSONEncodeError):
        import json

        text = json.dumps(value, default=str)  # lone surrogates, numbers beyond 64 bits
    if "\\u0000" in text or "\\ud" in text.lower():
        return orjson.dumps({"encoding": "base64", "json": base64.b64encode(text.encode()).decode()}).decode()
    return text


def _answer_json(answer: str | None) -> str | None:
    """The answer as JSON where it is an object or a list; a bare number or word stays text."""
    from workbench.core.versions import parse_json

    if not answer or not answer.lstrip().startswith(("{", "[", "```")):
        return None
    try:
        value = parse_json(answer)
    except ValueError:
        return None
    return _json(value) if isinstance(value, dict | list) else None


def _store_attempts(connection: Connection[Any], results: Sequence[Result]) -> None:
    tries = [(r, a) for r in results for a in r.attempts]
    if not tries:
        return
    columns: list[list[Any]] = [
        [r.id for r, _ in tries],
        [r.run_at for r, _ in tries],
        [a.n for _, a in tries],
        [a.started_at for _, a in tries],
        [a.duration_ms for _, a in tries],
        [a.http_status for _, a in tries],
        [a.error_code for _, a in tries],
        [a.retry_after_ms for _, a in tries],
    ]
    connection.execute(_ATTEMPTS, columns)
