"""Runs in numbers: a project's list, one run by arm, its failures; counted by calls, not by rows.

A call that failed and was answered later counts once, as answered. What its rows cost counts in full.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from psycopg import sql

from workbench.db.columns import Columns
from workbench.db.frames import fetch
from workbench.db.queries.runs import LEASE_SECONDS

if TYPE_CHECKING:
    import pandas as pd

    from workbench.db.engine import Database

__all__ = ["FAILURES", "RUNS", "SUMMARY", "failures", "runs", "summary"]

_TIME = "datetime64[us, UTC]"

#: Columns of ``wb.runs.list()``.
RUNS: Columns = {
    "run_id": "str", "created_at": _TIME, "status": "str", "prompts": "str", "models": "str", "planned": "Int64",
    "done": "Int64", "failed": "Int64", "lost": "Int64", "cost": "float64", "cost_unknown": "Int64",
    "seconds": "float64", "finished_at": _TIME,
}  # fmt: skip

#: Columns of ``run.summary()``: one row an arm, also where nothing was called yet.
SUMMARY: Columns = {
    "variant": "str", "prompt": "str", "version": "Int64", "model": "str", "planned": "Int64", "calls": "Int64",
    "done": "Int64", "failed": "Int64", "lost": "Int64", "in_flight": "Int64", "cached": "Int64", "scored": "Int64",
    "passed": "float64", "tokens_prompt": "Int64", "tokens_completion": "Int64", "cost": "float64",
    "cost_unknown": "Int64", "lost_cost": "float64", "lost_cost_unknown": "Int64", "latency_p50_ms": "float64",
    "latency_p95_ms": "float64", "latency_p99_ms": "float64", "ttft_p50_ms": "float64",
}  # fmt: skip

#: One row an error code; the newest message of it.
FAILURES: Columns = {"error_code": "str", "calls": "Int64", "message": "str"}

# Whether a kernel still holds the run; one that has not beaten its heart for so long is gone.
_ALIVE = sql.SQL(
    "(r.status = 'running' AND coalesce(r.heartbeat_at, r.run_at) > clock_timestamp() - make_interval(secs => {}))"
).format(LEASE_SECONDS)
_RANK = sql.SQL(
    "CASE e.status WHEN 'done' THEN 0 WHEN 'failed' THEN 1 WHEN 'sent' THEN 2 WHEN 'planned' THEN 2 ELSE 3 END"
)

_RUNS = sql.SQL("""
WITH newest AS (
    SELECT r.*, CASE WHEN r.status = 'running' AND NOT {alive} THEN 'stopped' ELSE r.status END AS state
    FROM wb.runs r
    WHERE r.project_id = %(project)s
      AND (%(status)s::text IS NULL
           OR CASE WHEN r.status = 'running' AND NOT {alive} THEN 'stopped' ELSE r.status END = %(status)s)
    ORDER BY r.run_at DESC, r.id LIMIT %(limit)s
)
SELECT n.id, n.run_at, n.state, names.prompts, names.models, n.n_planned, c.done, c.failed,
       c.lost + CASE WHEN n.state = 'running' THEN 0 ELSE c.in_flight END, c.cost::float8, c.cost_unknown,
       extract(epoch FROM CASE WHEN n.state = 'running' THEN clock_timestamp()
                               ELSE coalesce(n.finished_at, n.heartbeat_at, n.run_at) END - n.run_at)::float8,
       n.finished_at
FROM newest n
LEFT JOIN LATERAL (
    SELECT string_agg(DISTINCT arm ->> 'prompt', ', ') AS prompts, string_agg(DISTINCT arm ->> 'model', ', ') AS models
    FROM jsonb_array_elements(n.plan -> 'arms') arm
) names ON true
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE k.rank = 0) AS done, count(*) FILTER (WHERE k.rank = 1) AS failed,
           count(*) FILTER (WHERE k.rank = 2) AS in_flight, count(*) FILTER (WHERE k.rank = 3) AS lost,
           sum(k.cost) AS cost, coalesce(sum(k.unknown), 0)::int AS cost_unknown
    FROM (
        SELECT min({rank}) AS rank, sum(e.cost_estimate) AS cost,
               count(*) FILTER (WHERE e.status = 'done' AND e.cost_estimate IS NULL) AS unknown
        FROM wb.executions e WHERE e.run_id = n.id AND e.purpose = 'run'
        GROUP BY e.case_key, e.prompt_id, e.model_config_id, e.variant, e.sample
    ) k
) c ON true
ORDER BY n.run_at DESC, n.id
""").format(alive=_ALIVE, rank=_RANK)

_ARMS = sql.SQL("""
WITH run AS (SELECT r.*, {alive} AS alive FROM wb.runs r WHERE r.id = %(run)s),
arms AS (
    SELECT a.n AS position, coalesce(a.arm ->> 'variant', '') AS variant, (a.arm ->> 'prompt_id')::uuid AS prompt_id,
           m.id AS model_config_id, a.arm ->> 'model' AS model,
           run.n_planned / greatest(jsonb_array_length(run.plan -> 'arms'), 1) AS planned, run.alive
    FROM run CROSS JOIN LATERAL jsonb_array_elements(run.plan -> 'arms') WITH ORDINALITY AS a (arm, n)
    LEFT JOIN wb.model_configs m ON m.model_id = a.arm ->> 'model'
),
tries AS (
    SELECT e.variant, e.prompt_id, e.model_config_id, e.case_key, e.sample, {rank} AS rank, e.status, e.passed,
           e.cost_source, e.tokens_prompt, e.tokens_completion, e.cost_estimate, e.reserved, e.execution_time_ms, e.ttft_ms
    FROM wb.executions e WHERE e.run_id = %(run)s AND e.purpose = 'run'
),
calls AS (
    SELECT k.variant, k.prompt_id, k.model_config_id, count(*) AS calls, count(*) FILTER (WHERE k.rank = 0) AS done,
           count(*) FILTER (WHERE k.rank = 1) AS failed, count(*) FILTER (WHERE k.rank = 2) AS in_flight,
           count(*) FILTER (WHERE k.rank = 3) AS lost
    FROM (SELECT variant, prompt_id, model_config_id, min(rank) AS rank FROM tries
          GROUP BY variant, prompt_id, model_config_id, case_key, sample) k
    GROUP BY 1, 2, 3
),
sums AS (
    SELECT t.variant, t.prompt_id, t.model_config_id,
           count(*) FILTER (WHERE t.cost_source = 'cache') AS cached,
           count(*) FILTER (WHERE t.status = 'done' AND t.passed IS NOT NULL) AS scored,
           avg(t.passed::int) FILTER (WHERE t.status = 'done') AS passed,
           sum(t.tokens_prompt) FILTER (WHERE t.cost_source IS DISTINCT FROM 'cache') AS tokens_prompt,
           sum(t.tokens_completion) FILTER (WHERE t.cost_source IS DISTINCT FROM 'cache') AS tokens_completion,
           sum(t.cost_estimate) AS cost, count(*) FILTER (WHERE t.status = 'done' AND t.cost_estimate IS NULL) AS cost_unknown,
           sum(t.reserved) FILTER (WHERE t.status = 'unknown') AS lost_cost,
           count(*) FILTER (WHERE t.status = 'unknown' AND t.reserved IS NULL) AS lost_cost_unknown,
           percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY t.execution_time_ms)
               FILTER (WHERE t.status = 'done' AND t.cost_source IS DISTINCT FROM 'cache') AS latency,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY t.ttft_ms) FILTER (WHERE t.status = 'done') AS ttft
    FROM tries t GROUP BY 1, 2, 3
)
SELECT a.variant, p.title, p.version, a.model, a.planned, coalesce(c.calls, 0), coalesce(c.done, 0), coalesce(c.failed, 0),
       coalesce(c.lost, 0) + CASE WHEN a.alive THEN 0 ELSE coalesce(c.in_flight, 0) END,
       CASE WHEN a.alive THEN coalesce(c.in_flight, 0) ELSE 0 END, coalesce(s.cached, 0), coalesce(s.scored, 0),
       s.passed::float8, s.tokens_prompt, s.tokens_completion, s.cost::float8, coalesce(s.cost_unknown, 0),
       s.lost_cost::float8, coalesce(s.lost_cost_unknown, 0), s.latency[1], s.latency[2], s.latency[3], s.ttft
FROM arms a
LEFT JOIN wb.prompts p ON p.id = a.prompt_id
LEFT JOIN calls c ON (c.variant, c.prompt_id, c.model_config_id) = (a.variant, a.prompt_id, a.model_config_id)
LEFT JOIN sums s ON (s.variant, s.prompt_id, s.model_config_id) = (a.variant, a.prompt_id, a.model_config_id)
ORDER BY a.position
""").format(alive=_ALIVE, rank=_RANK)

_FAILURES = sql.SQL("""
SELECT coalesce(l.error_code, l.status), count(*), (array_agg(l.error_message ORDER BY l.created_at DESC))[1]
FROM (
    SELECT DISTINCT ON (e.case_key, e.prompt_id, e.model_config_id, e.variant, e.sample)
           e.error_code, e.status, e.error_message, e.created_at
    FROM wb.executions e WHERE e.run_id = %(run)s AND e.purpose = 'run'
    ORDER BY e.case_key, e.prompt_id, e.model_config_id, e.variant, e.sample, (e.status = 'done') DESC, e.created_at DESC
) l
WHERE l.status NOT IN ('done', 'sent', 'planned')
GROUP BY 1 ORDER BY 2 DESC, 1
""")


def runs(
    database: Database, project_id: uuid.UUID, *, limit: int | None = None, status: str | None = None
) -> pd.DataFrame:
    """Return a project's runs, newest first, in the columns of :data:`RUNS`.

    ``running`` is said only of a run whose kernel lives; ``seconds`` goes from the start to the end, or until now.
    """
    return fetch(database, _RUNS, RUNS, {"project": project_id, "limit": limit, "status": status})


def summary(database: Database, run_id: uuid.UUID) -> pd.DataFrame:
    """Return one row an arm, in the order of the plan and the columns of :data:`SUMMARY`.

    Latencies are of answers that were really made. ``lost_cost`` is what was reserved for calls of unknown fate,
    ``lost_cost_unknown`` the number of those for which nothing was.
    """
    return fetch(database, _ARMS, SUMMARY, {"run": run_id})


def failures(database: Database, run_id: uuid.UUID) -> pd.DataFrame:
    """Return the calls without an answer by error code, the most frequent first, in the columns of :data:`FAILURES`."""
    return fetch(database, _FAILURES, FAILURES, {"run": run_id})
