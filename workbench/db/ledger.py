"""The hot path of the ledger: claims before the calls, results after them, in groups.

No ORM object per row: each group is one statement over one JSON document, on a connection of its own,
in a thread of its own. Exactly-once rests on the unique partial index ``uq_executions_ledger``.

Whoever writes locks the run's row first, then its executions, then budgets: no two writers wait for each other.
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
from workbench.db.direct import Statement
from workbench.errors import ConflictError, RunInterruptedError

if TYPE_CHECKING:
    from psycopg import Connection

    from workbench.db.scope import Scope

__all__ = [
    "Claim",
    "Documents",
    "Result",
    "claim",
    "committed",
    "documents",
    "finish",
    "finish_documents",
    "give_up",
    "storable",
    "taken_over",
]


# Neither is frozen, although nobody changes one: to make a frozen one of so many fields takes four times as long.
@dataclass(kw_only=True, slots=True)
class Claim:
    """One call that is about to be made.

    Attributes:
        run_at: the run's start; a single call brings its own.
        reserved: USD that it may cost, held back in every budget that binds it; None when nobody knows.

    """

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
    reserved: Decimal | None = None
    conversation_id: uuid.UUID | None = None
    turn: int | None = None


@dataclass(kw_only=True, slots=True)
class Result:
    """How one call ended.

    Attributes:
        answer_json: the answer, where it is an object or a list; :func:`documents` fills it in.
        kind: marks the row in its document, for the statement that reads it.

    """

    id: uuid.UUID
    run_at: dt.datetime
    status: str
    run_id: uuid.UUID | None = None
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
    answer_json: Any = field(default=None, init=False)
    kind: str = field(default="result", init=False)


_ATTEMPT_FIELDS = tuple(each.name for each in fields(Attempt))

#: A group of results as ``finish`` gives it to the database, plain enough to be kept in a file: rows, HTTP tries, runs.
Documents = tuple[str, str, list[str]]

# The lock keeps another kernel from taking the run over between this look at its lease and the claim's commit.
_CLAIM = Statement(
    "wb_claim",
    """
WITH held AS MATERIALIZED (SELECT FROM wb.runs WHERE id = $1::uuid AND holder = $2 FOR NO KEY UPDATE)
INSERT INTO wb.executions (id, run_at, run_id, project_id, user_id, prompt_id, model_config_id, case_id, case_key,
                           variant, sample, purpose, status, input_variables, request_payload, request_digest, reserved,
                           conversation_id, turn)
SELECT x.id, x.run_at, x.run_id, $3::uuid, $4::uuid, x.prompt_id, x.model_config_id, x.case_id, x.case_key,
       x.variant, x.sample, x.purpose, 'sent', x.input_variables, x.request_payload, x.request_digest, x.reserved,
       x.conversation_id, x.turn
FROM json_to_recordset($5::json)
     AS x (id uuid, run_at timestamptz, run_id uuid, prompt_id uuid, model_config_id uuid, case_id uuid, case_key text,
           variant text, sample int, purpose text, input_variables jsonb, request_payload jsonb, request_digest text,
           reserved numeric, conversation_id uuid, turn int)
WHERE $6::boolean OR EXISTS (SELECT FROM held)
ON CONFLICT DO NOTHING
RETURNING id
""",
)

# Of a young table the planner knows nothing. It takes a document for 100 rows, and rather than look up 100 keys it
# reads a whole project, or the ledger's index: then each group takes longer than the one before. The equality with a
# constant makes it expect one row, and || hides the index: what is left is the primary key.
#
# An answer to a call that was given up meanwhile, because its kernel seemed lost, is kept as "late" and never scored.
_FINISH = Statement(
    "wb_finish",
    """
WITH held AS MATERIALIZED (
    SELECT FROM wb.runs r WHERE r.id = ANY ($3::uuid[]) ORDER BY r.id FOR NO KEY UPDATE
), stored AS (
    UPDATE wb.executions e SET
        status = CASE WHEN e.status = 'sent' THEN x.status ELSE 'late' END,
        response_data = x.response_data, answer = x.answer, answer_json = x.answer_json,
        finish_reason = x.finish_reason, provider = x.provider, tokens_prompt = x.tokens_prompt,
        tokens_completion = x.tokens_completion, tokens_total = x.tokens_total, tokens_cached = x.tokens_cached,
        tokens_reasoning = x.tokens_reasoning, cost_estimate = x.cost, cost_source = x.cost_source,
        execution_time_ms = x.latency_ms, ttft_ms = x.ttft_ms, error_code = x.error_code,
        error_message = x.error_message, cached_from = x.cached_from, finished_at = clock_timestamp()
    FROM json_to_recordset($1::json)
         AS x (id uuid, run_at timestamptz, status text, response_data jsonb, answer text, answer_json jsonb,
               finish_reason text, provider text, tokens_prompt int, tokens_completion int, tokens_total int,
               tokens_cached int, tokens_reasoning int, cost numeric, cost_source text, latency_ms int, ttft_ms int,
               error_code text, error_message text, cached_from uuid, kind text)
    WHERE (SELECT count(*) FROM held) >= 0 AND e.id = x.id AND e.run_at = x.run_at AND x.kind = 'result'
      AND CASE WHEN e.status = 'sent' THEN 'open' WHEN e.status IN ('lost', 'unknown') AND x.status = 'done' THEN 'open'
               END = 'open'
    RETURNING e.id, e.run_at, e.status
), tries AS (
    INSERT INTO wb.attempts (execution_id, run_at, n, started_at, duration_ms, http_status, error_code, retry_after_ms)
    SELECT stored.id, stored.run_at, y.n, y.started_at, y.duration_ms, y.http_status, y.error_code, y.retry_after_ms
    FROM stored JOIN json_to_recordset($2::json)
         AS y (id uuid, n int, started_at timestamptz, duration_ms int, http_status int, error_code text,
               retry_after_ms int) ON y.id = stored.id
    ON CONFLICT DO NOTHING
)
SELECT id, status FROM stored
""",
)

_COMMITTED = """
SELECT id FROM wb.executions
WHERE (id = ANY (%s::uuid[]) AND status = 'sent') OR (id = ANY (%s::uuid[]) AND status IN ('done', 'failed', 'lost', 'late'))
"""

_LEASE = "SELECT holder, status FROM wb.runs WHERE id = %s"

_GIVE_UP = """
WITH held AS MATERIALIZED (SELECT FROM wb.runs WHERE id = %(run)s FOR NO KEY UPDATE)
UPDATE wb.executions SET status = %(status)s, error_code = %(code)s, error_message = %(message)s, finished_at = clock_timestamp()
WHERE (SELECT count(*) FROM held) >= 0 AND run_id = %(run)s AND status = 'sent' AND (%(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s::uuid[]))
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
        RunInterruptedError: the run was stopped from elsewhere.
        psycopg.Error: with SQLSTATE ``WB001`` where a budget does not pay for all of them: then none is claimed.

    """
    run_id, holder = lease or (None, None)
    values = [run_id, holder, scope.project_id, scope.user_id, _document(claims), "f" if lease else "t"]
    written = [None if value is None else str(value).encode() for value in values]
    inserted = {uuid.UUID(row[0]) for row in _CLAIM.run(connection, written)}
    if lease is not None and not inserted:
        _check_lease(connection, *lease)
    return inserted


def finish(connection: Connection[Any], results: Sequence[Result]) -> set[uuid.UUID]:
    """Store results and their HTTP tries; return the ids that were still waiting for one."""
    stored = finish_documents(connection, documents(results))
    return {key for key, status in stored.items() if status != "late"}


def finish_documents(connection: Connection[Any], written: Documents) -> dict[uuid.UUID, str]:
    """Store what :func:`documents` wrote; return id → status of what was stored; twice is as good as once."""
    rows, tries, runs = written
    found = _FINISH.run(connection, [rows.encode(), tries.encode(), f"{{{','.join(runs)}}}".encode()])
    return {uuid.UUID(key): status for key, status in found}


def documents(results: Sequence[Result]) -> Documents:
    """Write results and their HTTP tries as text."""
    for each in results:
        each.answer_json = _answer_json(each.answer) if each.status == "done" else None
    tries = [
        {"id": result.id} | {name: getattr(each, name) for name in _ATTEMPT_FIELDS}
        for result in results
        for each in result.attempts
    ]
    runs = sorted({str(each.run_id) for each in results if each.run_id is not None})
    return _document(results), _document(tries), runs


def _check_lease(connection: Connection[Any], run_id: uuid.UUID, mine: str) -> None:
    holder, status = connection.execute(_LEASE, [run_id]).fetchone() or (None, "")
    if holder == mine:
        return
    if holder is None and status == "stopped":
        raise RunInterruptedError(
            "the run was stopped from elsewhere; what was in flight is stored",
            cure=f"wb.runs.resume('{str(run_id)[:8]}') goes on",
        )
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
    values = {"run": run_id, "status": status, "code": code, "message": message}
    return connection.execute(_GIVE_UP, {**values, "ids": None if ids is None else list(ids)}).rowcount


def storable(text: str | None) -> str | None:
    """Return text that PostgreSQL can hold: NUL becomes ␀, a lone surrogate the replacement character.

    The original stays in ``response_data``, in base64, where it cannot be stored as JSON.
    """
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "␀").encode("utf-8", "replace").decode()


def _document(rows: Sequence[Claim | Result | Mapping[str, Any]]) -> str:
    """Return a group as one JSON document: one parameter, which nobody has to escape value by value."""
    try:
        text = orjson.dumps(rows, default=_plain)
    except TypeError:
        text = b""
    if text and rb"\u0000" not in text:
        return text.decode()
    # A value that PostgreSQL cannot hold as it is: a NUL, a lone surrogate, a number beyond 64 bits.
    records = [row if isinstance(row, Mapping) else _record(row) for row in rows]
    safe = [{name: _safe(value) for name, value in row.items()} for row in records]
    return orjson.dumps(safe, default=_plain).decode()


def _record(row: Claim | Result) -> dict[str, Any]:
    """The tries have a document of their own."""
    return {each.name: getattr(row, each.name) for each in fields(row) if each.name != "attempts"}


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
