"""The hot path of the ledger: claims before the calls, results after them, in groups.

No ORM object per row: each group is one statement over one JSON document, on a connection of its own,
in a thread of its own. Exactly-once rests on the unique partial index ``uq_executions_ledger``.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from workbench.core.chat import Attempt
from workbench.errors import ConflictError

if TYPE_CHECKING:
    from psycopg import Connection

    from workbench.db.scope import Scope

__all__ = ["Claim", "Result", "claim", "committed", "finish", "give_up", "storable", "taken_over"]


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
    conversation_id: uuid.UUID | None = None
    turn: int | None = None


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


_CLAIM_FIELDS = tuple(each.name for each in fields(Claim))
_RESULT_FIELDS = tuple(each.name for each in fields(Result) if each.name != "attempts")
_ATTEMPT_FIELDS = tuple(each.name for each in fields(Attempt))

# The lock keeps another kernel from taking the run over between this look at its lease and the claim's commit.
_CLAIM = """
WITH held AS MATERIALIZED (SELECT FROM wb.runs WHERE id = %s AND holder = %s FOR SHARE)
INSERT INTO wb.executions (id, run_at, run_id, project_id, user_id, prompt_id, model_config_id, case_id, case_key,
                           variant, sample, purpose, status, input_variables, request_payload, request_digest,
                           conversation_id, turn)
SELECT x.id, x.run_at, x.run_id, %s, %s, x.prompt_id, x.model_config_id, x.case_id, x.case_key,
       x.variant, x.sample, x.purpose, 'sent', x.input_variables, x.request_payload, x.request_digest,
       x.conversation_id, x.turn
FROM json_to_recordset(%s::json)
     AS x (id uuid, run_at timestamptz, run_id uuid, prompt_id uuid, model_config_id uuid, case_id uuid, case_key text,
           variant text, sample int, purpose text, input_variables jsonb, request_payload jsonb, request_digest text,
           conversation_id uuid, turn int)
WHERE %s OR EXISTS (SELECT FROM held)
ON CONFLICT DO NOTHING
RETURNING id
"""

# Of a young table the planner knows nothing. It takes a document for 100 rows, and rather than look up 100 keys it
# reads a whole project, or the ledger's index: then each group takes longer than the one before. The equality with a
# constant makes it expect one row, and || hides the index: what is left is the primary key.
_FINISH = """
WITH stored AS (
    UPDATE wb.executions e SET
        status = x.status, response_data = x.response_data, answer = x.answer, answer_json = x.answer_json,
        finish_reason = x.finish_reason, provider = x.provider, tokens_prompt = x.tokens_prompt,
        tokens_completion = x.tokens_completion, tokens_total = x.tokens_total, tokens_cached = x.tokens_cached,
        tokens_reasoning = x.tokens_reasoning, cost_estimate = x.cost, cost_source = x.cost_source,
        execution_time_ms = x.latency_ms, ttft_ms = x.ttft_ms, error_code = x.error_code,
        error_message = x.error_message, cached_from = x.cached_from, finished_at = clock_timestamp()
    FROM json_to_recordset(%s::json)
         AS x (id uuid, run_at timestamptz, status text, response_data jsonb, answer text, answer_json jsonb,
               finish_reason text, provider text, tokens_prompt int, tokens_completion int, tokens_total int,
               tokens_cached int, tokens_reasoning int, cost numeric, cost_source text, latency_ms int, ttft_ms int,
               error_code text, error_message text, cached_from uuid, kind text)
    WHERE e.id = x.id AND e.run_at = x.run_at AND e.status || '' = 'sent' AND x.kind = 'result'
    RETURNING e.id, e.run_at
), tries AS (
    INSERT INTO wb.attempts (execution_id, run_at, n, started_at, duration_ms, http_status, error_code, retry_after_ms)
    SELECT stored.id, stored.run_at, y.n, y.started_at, y.duration_ms, y.http_status, y.error_code, y.retry_after_ms
    FROM stored JOIN json_to_recordset(%s::json)
         AS y (id uuid, n int, started_at timestamptz, duration_ms int, http_status int, error_code text,
               retry_after_ms int) ON y.id = stored.id
    ON CONFLICT DO NOTHING
)
SELECT id FROM stored
"""

_COMMITTED = """
SELECT id FROM wb.executions
WHERE (id = ANY (%s::uuid[]) AND status = 'sent') OR (id = ANY (%s::uuid[]) AND status IN ('done', 'failed', 'lost'))
"""

_HELD = "SELECT FROM wb.runs WHERE id = %s AND holder = %s"

_GIVE_UP = """
UPDATE wb.executions SET status = %s, error_code = %s, error_message = %s, finished_at = clock_timestamp()
WHERE run_id = %s AND status = 'sent' AND (%s::uuid[] IS NULL OR id = ANY (%s::uuid[]))
"""


def claim(
    connection: Connection[Any],
    scope: Scope,
    claims: Sequence[Claim],
    *,
    lease: tuple[uuid.UUID, str] | None = None,
) -> set[uuid.UUID]:
    """Insert the calls as ``sent``; return the ids that are ours (the others are somebody else's, or done).

    Args:
        connection: one statement does it all, so it may be in autocommit.
        scope: project and person.
        claims: the calls.
        lease: run and holder token of calls that belong to a run.

    Raises:
        ConflictError: another kernel has taken the run over.

    """
    rows = [{name: getattr(each, name) for name in _CLAIM_FIELDS} for each in claims]
    values = [*(lease or (None, None)), scope.project_id, scope.user_id, _document(rows), lease is None]
    inserted = {row[0] for row in connection.execute(_CLAIM, values).fetchall()}
    if lease is not None and not inserted and connection.execute(_HELD, lease).fetchone() is None:
        raise taken_over()
    return inserted


def finish(connection: Connection[Any], results: Sequence[Result]) -> set[uuid.UUID]:
    """Store results and their HTTP tries; return the ids that were still waiting for one."""
    rows = [
        {name: getattr(each, name) for name in _RESULT_FIELDS}
        | {
            "answer_json": _answer_json(each.answer) if each.status == "done" else None,
            "kind": "result",
        }
        for each in results
    ]
    tries = [
        {"id": result.id} | {name: getattr(each, name) for name in _ATTEMPT_FIELDS}
        for result in results
        for each in result.attempts
    ]
    stored = connection.execute(_FINISH, [_document(rows), _document(tries)]).fetchall()
    return {row[0] for row in stored}


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


def _document(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a group as one JSON document: one parameter, which nobody has to escape value by value."""
    try:
        text = orjson.dumps(rows, default=_plain)
    except TypeError:
        text = b""
    if text and rb"\u0000" not in text:
        return text.decode()
    # A value that PostgreSQL cannot hold as it is: a NUL, a lone surrogate, a number beyond 64 bits.
    safe = [{name: _safe(value) for name, value in row.items()} for row in rows]
    return orjson.dumps(safe, default=_plain).decode()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    return orjson.Fragment(_json(value)) if isinstance(value, Mapping | list) else value


def _json(value: Any) -> str:
    try:
        text = orjson.dumps(value, default=_plain).decode()
    except TypeError:
        text = json.dumps(value, default=str)
    if "\\u0000" in text or "\\ud" in text.lower():
        return orjson.dumps({"encoding": "base64", "json": base64.b64encode(text.encode()).decode()}).decode()
    return text


def _answer_json(answer: str | None) -> Any:
    """The answer as JSON where it is an object or a list; a bare number or word stays text."""
    from workbench.core.versions import parse_json

    if not answer or not answer.lstrip().startswith(("{", "[", "```")):
        return None
    try:
        value = parse_json(answer)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None
