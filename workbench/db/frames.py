"""Rows as DataFrames with a declared column list: the same columns and types, also when there are no rows."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import DataError as DriverDataError
from psycopg import sql

from workbench.db.columns import TIME, Columns, frame_of
from workbench.errors import DataError, InputError, UnknownReferenceError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from workbench.db.engine import Database

__all__ = [
    "ARMS",
    "COSTS",
    "EVALUATIONS",
    "EXECUTIONS",
    "FIELD_TYPES",
    "STATISTICS",
    "TESTS",
    "arms",
    "costs",
    "evaluations",
    "executions",
    "fetch",
    "jsonb",
    "statistics",
    "tests",
]

#: Columns of ``wb.frames.executions()`` and ``run.frame()``.
EXECUTIONS: Columns = {
    "execution_id": "str", "run_id": "str", "created_at": TIME, "prompt": "str", "version": "Int64", "label": "str",
    "model": "str", "provider": "str", "case_id": "str", "cluster_id": "str", "variant": "str", "sample": "Int64",
    "status": "str", "error_code": "str", "answer": "str", "answer_json": "object", "finish_reason": "str",
    "tokens_prompt": "Int64", "tokens_completion": "Int64", "cost": "float64", "cost_source": "str",
    "latency_ms": "Int64", "ttft_ms": "Int64", "score": "float64", "passed": "boolean",
}  # fmt: skip

#: Columns of ``wb.frames.evaluations()``.
EVALUATIONS: Columns = {
    "evaluation_id": "str", "execution_id": "str", "run_id": "str", "created_at": TIME, "prompt": "str",
    "version": "Int64", "model": "str", "case_id": "str", "variant": "str", "sample": "Int64", "scorer": "str",
    "rater": "str", "vote": "Int64", "score": "float64", "passed": "boolean", "parsed": "str", "reason": "str",
    "answer": "str", "status": "str",
}  # fmt: skip

#: Columns of ``wb.frames.arms()``: one row a case, arm and sample.
ARMS: Columns = {
    "case_id": "str", "cluster_id": "str", "variant": "str", "sample": "Int64", "status": "str", "error_code": "str",
    "answer": "str", "expected": "object", "parsed": "str", "unparsed": "boolean", "passed": "boolean",
    "score": "float64", "cost": "float64", "latency": "float64", "tokens": "float64",
}  # fmt: skip

#: Columns of ``wb.frames.costs()``.
COSTS: Columns = {
    "day": TIME, "project": "str", "model": "str", "purpose": "str", "calls": "Int64", "failed": "Int64",
    "tokens_prompt": "Int64", "tokens_completion": "Int64", "cost": "float64", "cost_unknown": "Int64",
}  # fmt: skip

#: Columns of ``wb.frames.tests()``.
TESTS: Columns = {
    "name": "str", "created_at": TIME, "status": "str", "a": "str", "b": "str", "metric": "str", "dataset": "str",
    "sample_size": "Int64", "looks": "Int64", "verdict": "str", "effect": "float64", "low": "float64",
    "high": "float64", "p_value": "float64",
}  # fmt: skip

#: Columns of ``wb.stats().frame``: one row a person and project.
STATISTICS: Columns = {
    "person": "str", "project": "str", "prompts": "Int64", "versions": "Int64", "executions": "Int64",
    "failed": "Int64", "tokens": "Int64", "cost": "float64", "cost_unknown": "Int64", "latency_ms": "float64",
    "models": "Int64",
}  # fmt: skip

#: Types that a field of an answer may be read as, and how pandas holds them.
FIELD_TYPES: Columns = {
    "text": "str", "float8": "float64", "int8": "Int64", "bool": "boolean", "numeric": "float64", "jsonb": "object",
    "timestamptz": TIME,
}  # fmt: skip

_ARMS = """
SELECT DISTINCT ON (e.case_key, e.variant, e.sample)
       e.case_key, c.cluster_id, e.variant, e.sample, e.status, e.error_code, e.answer, c.expected,
       v.parsed, v.unparsed, coalesce(v.passed, e.passed), coalesce(v.score, e.score),
       CASE WHEN e.cost_source IS DISTINCT FROM 'cache' THEN e.cost_estimate::float8 END,
       CASE WHEN e.cost_source IS DISTINCT FROM 'cache' THEN e.execution_time_ms::float8 END, e.tokens_total::float8
FROM wb.executions e
JOIN wb.model_configs m ON m.id = e.model_config_id
LEFT JOIN wb.cases c ON c.id = e.case_id
LEFT JOIN LATERAL (
    SELECT v.scores ->> 'parsed' AS parsed, (v.scores ->> 'unparsed')::boolean AS unparsed, v.passed,
           v.overall_score::float8 AS score
    FROM wb.evaluations v
    WHERE v.execution_id = e.id AND v.run_at = e.run_at AND (%(scorer)s::text IS NULL OR v.scorer = %(scorer)s)
    ORDER BY v.created_at LIMIT 1
) v ON true
WHERE e.run_id = ANY (%(runs)s::uuid[]) AND e.purpose = 'run'
  AND (%(prompt)s::uuid IS NULL OR e.prompt_id = %(prompt)s) AND (%(model)s::text IS NULL OR m.model_id = %(model)s)
ORDER BY e.case_key, e.variant, e.sample, (e.status = 'done') DESC, e.created_at DESC
"""

_TESTS = """
SELECT v.name, v.created_at, v.status, v.a, v.b, v.metric, v.dataset, v.sample_size, v.looks, v.verdict, v.effect,
       v.low, v.high, v.p_value
FROM wb.v_ab v JOIN wb.ab_tests t ON t.id = v.ab_test_id
WHERE t.project_id = %(project)s
ORDER BY v.created_at DESC, v.name
"""


def executions(
    database: Database,
    project_id: uuid.UUID,
    *,
    run_id: uuid.UUID | None = None,
    where: Mapping[str, Any] | None = None,
    limit: int | None = None,
    fields: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return executions, oldest first, in the columns of :data:`EXECUTIONS`.

    Args:
        database: the person's database.
        project_id: the project.
        run_id: only this run's.
        where: column → value, for equality.
        limit: at most so many rows, the newest.
        fields: names and types of fields of the JSON answers that become typed columns; one that is called like a
            declared column takes its place.

    Raises:
        InputError: an unknown column or type.
        DataError: an answer's field does not have the type that was asked for.

    """
    added = _checked(fields)
    kept = {name: kind for name, kind in EXECUTIONS.items() if name not in added}
    conditions = [sql.SQL("v.project_id = {}").format(project_id)]
    if run_id is not None:
        conditions.append(sql.SQL("v.run_id = {}").format(run_id))
    for column, value in (where or {}).items():
        _known(column, EXECUTIONS)
        conditions.append(sql.SQL("v.{} = {}").format(sql.Identifier(column), value))

    def query(read: Mapping[str, str]) -> sql.Composed:
        names = [sql.SQL("v.{}").format(sql.Identifier(name)) for name in kept]
        names += [sql.SQL("f.{}").format(sql.Identifier(name)) for name in read]
        return sql.SQL(
            "SELECT {} FROM wb.v_executions v {} WHERE {} ORDER BY v.created_at DESC, v.position DESC, v.sample DESC, v.variant DESC, v.execution_id {}"
        ).format(
            sql.SQL(", ").join(names),
            _record("v.answer_json", read),
            sql.SQL(" AND ").join(conditions),
            sql.SQL("LIMIT {}").format(limit) if limit is not None else sql.SQL(""),
        )

    columns = {**kept, **{name: FIELD_TYPES[kind] for name, kind in added.items()}}
    with _naming(database, query, added):
        return fetch(database, query(added), columns).iloc[::-1].reset_index(drop=True)


def evaluations(
    database: Database, project_id: uuid.UUID, *, run_id: uuid.UUID | None = None
) -> pd.DataFrame:
    """Return scores in the columns of :data:`EVALUATIONS`, oldest first."""
    query = sql.SQL(
        "SELECT {} FROM wb.v_scores WHERE project_id = {} AND ({}::uuid IS NULL OR run_id = {}) ORDER BY created_at, execution_id"
    ).format(sql.SQL(", ").join(map(sql.Identifier, EVALUATIONS)), project_id, run_id, run_id)
    return fetch(database, query, EVALUATIONS)


def arms(
    database: Database,
    runs: Sequence[uuid.UUID],
    *,
    scorer: str | None = None,
    prompt_id: uuid.UUID | str | None = None,
    model: str | None = None,
) -> pd.DataFrame:
    """Return one row for each case, arm and sample of some runs; a retried call counts once, by its best outcome.

    An answer from the cache has neither cost nor latency: nothing was called.

    Args:
        database: the person's database.
        runs: the runs.
        scorer: whose scores; by default those of the first.
        prompt_id: only this version's answers, for runs whose arms have no variants.
        model: only this model's.

    """
    return fetch(
        database,
        sql.SQL(_ARMS),
        ARMS,
        {"runs": list(runs), "scorer": scorer, "prompt": prompt_id, "model": model},
    )


def costs(database: Database, project: str | None = None) -> pd.DataFrame:
    """Return what was spent, by day, project and model."""
    query = sql.SQL(
        "SELECT {} FROM wb.v_costs WHERE {}::text IS NULL OR project = {} ORDER BY day, model"
    ).format(sql.SQL(", ").join(map(sql.Identifier, COSTS)), project, project)
    return fetch(database, query, COSTS)


def tests(database: Database, project_id: uuid.UUID) -> pd.DataFrame:
    """Return a project's A/B tests with their verdicts, newest first, in the columns of :data:`TESTS`."""
    return fetch(database, sql.SQL(_TESTS), TESTS, {"project": project_id})


def statistics(database: Database, projects: Sequence[uuid.UUID] | None = None) -> pd.DataFrame:
    """Return what each person did in each project, in the columns of :data:`STATISTICS`."""
    chosen = None if projects is None else list(projects)
    query = sql.SQL(
        "SELECT {} FROM wb.v_stats WHERE {}::uuid[] IS NULL OR project_id = ANY ({}) ORDER BY project, person"
    ).format(sql.SQL(", ").join(map(sql.Identifier, STATISTICS)), chosen, chosen)
    return fetch(database, query, STATISTICS)


def jsonb(
    database: Database,
    table: str,
    column: str,
    fields: Mapping[str, str] | None = None,
    *,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return fields of a JSONB column of any table or view of schema ``wb`` as typed columns; without, the column itself.

    Raises:
        UnknownReferenceError: there is no such table or view, or no such column in it.
        InputError: the column holds no JSON, or a type is unknown.
        DataError: a field does not have the type that was asked for.

    """
    name = table.removeprefix("wb.")
    _check_json(database, name, column)
    added = _checked(fields)

    def query(read: Mapping[str, str]) -> sql.Composed:
        whole = [sql.SQL("t.{}").format(sql.Identifier(column))]
        return sql.SQL("SELECT {} FROM wb.{} t {} {}").format(
            sql.SQL(", ").join([sql.SQL("f.{}").format(sql.Identifier(each)) for each in read] or whole),
            sql.Identifier(name),
            _record(whole[0], read),
            sql.SQL("LIMIT {}").format(limit) if limit is not None else sql.SQL(""),
        )

    with _naming(database, query, added):
        columns = {each: FIELD_TYPES[kind] for each, kind in added.items()} or {column: "object"}
        return fetch(database, query(added), columns)


def _check_json(database: Database, table: str, column: str) -> None:
    query = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'wb'"
    )
    with database.driver() as connection:
        rows = connection.execute(query).fetchall()
    tables = sorted({row[0] for row in rows})
    if table not in tables:
        raise UnknownReferenceError(
            f"there is no table or view {table!r:.100}",
            cure=did_you_mean(table, tables) or f"there are {', '.join(tables)}",
        )
    kinds = {row[1]: row[2] for row in rows if row[0] == table}
    known = [name for name, kind in kinds.items() if kind == "jsonb"]
    if column not in kinds:
        raise UnknownReferenceError(
            f"{table} has no column {column!r:.100}",
            cure=did_you_mean(column, kinds) or f"its columns of JSON are {', '.join(known) or 'none'}",
        )
    if column not in known:
        raise InputError(
            f"the column {column!r} of {table} is {kinds[column]}, not jsonb",
            cure=f"its columns of JSON are {', '.join(known) or 'none'}",
        )


@contextmanager
def _naming(
    database: Database, query: Callable[[Mapping[str, str]], sql.Composed], fields: Mapping[str, str]
) -> Iterator[None]:
    """Say which field has another type: the database names the value only, so each is read alone."""
    try:
        yield
    except DataError as error:
        for name, kind in fields.items():
            said = _refusal(database, query({name: kind}))
            if said:
                raise DataError(
                    f"the field {name!r} is not always {kind}: {said}",
                    cure=f"read it as text or jsonb: fields={{{name!r}: 'text'}}",
                ) from error
        raise


def _refusal(database: Database, query: sql.Composed) -> str:
    with database.driver() as connection:
        try:
            connection.execute(query)
        except DriverDataError as error:
            return str(error.diag.message_primary)
    return ""


def _record(source: str | sql.Composable, fields: Mapping[str, str]) -> sql.Composable:
    if not fields:
        return sql.SQL("")
    value = sql.SQL(source) if isinstance(source, str) else source
    definitions = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))  # checked against FIELD_TYPES
        for name, kind in fields.items()
    )
    return sql.SQL(
        "LEFT JOIN LATERAL jsonb_to_record(CASE WHEN jsonb_typeof({0}) = 'object' THEN {0} END) AS f ({1}) ON true"
    ).format(value, definitions)


def _checked(fields: Mapping[str, str] | None) -> Mapping[str, str]:
    for name, kind in (fields or {}).items():
        if kind not in FIELD_TYPES:
            raise InputError(
                f"field {name!r} has the unknown type {kind!r}; {did_you_mean(kind, FIELD_TYPES)}".rstrip(
                    "; "
                ),
                cure=f"use one of {', '.join(FIELD_TYPES)}",
            )
    return fields or {}


def _known(column: str, columns: Columns) -> None:
    if column not in columns:
        raise InputError(
            f"there is no column {column!r}; {did_you_mean(column, columns)}".rstrip("; "),
            cure=f"columns: {', '.join(columns)}",
        )


def fetch(
    database: Database,
    query: sql.Composed | sql.SQL,
    columns: Columns,
    parameters: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Return the rows of a query as a DataFrame with declared columns: name → type."""
    with database.driver() as connection:
        try:
            rows = connection.execute(query, parameters).fetchall()
        except DriverDataError as error:
            said = str(error.diag.message_primary)
            raise DataError(
                f"an answer's field has another type: {said}", cure="read the field as text or jsonb"
            ) from error
    return frame_of(rows, columns)
