"""Datasets and their cases."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from sqlalchemy import func, select

from workbench.core.cases import Case
from workbench.db.tables import Case as CaseRow
from workbench.db.tables import Dataset

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from workbench.db.scope import Scope

__all__ = ["by_id", "cases", "find", "insert", "insert_cases", "names"]

#: Rows of one statement; row-level security does not allow COPY.
_CHUNK = 5000

_INSERT = """
INSERT INTO wb.cases (dataset_id, project_id, position, case_key, inputs, expected, cluster_id, split)
SELECT %s, %s, x.position, x.case_key, x.inputs::jsonb, x.expected::jsonb, x.cluster_id, x.split
FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
     AS x (position, case_key, inputs, expected, cluster_id, split)
"""


def find(
    session: Session,
    project_id: uuid.UUID,
    name: str,
    *,
    version: int | None = None,
    content: str | None = None,
) -> Dataset | None:
    """Return the newest dataset of that name, or the one with this version or content hash."""
    query = select(Dataset).where(Dataset.project_id == project_id, Dataset.name == name)
    if version is not None:
        query = query.where(Dataset.version == version)
    if content is not None:
        query = query.where(Dataset.content_hash == content)
    return session.scalars(query.order_by(Dataset.version.desc()).limit(1)).first()


def by_id(session: Session, dataset_id: uuid.UUID) -> Dataset:
    """Return a dataset by its id."""
    return session.get_one(Dataset, dataset_id)


def insert(
    session: Session,
    scope: Scope,
    *,
    name: str,
    columns: Sequence[str],
    n_cases: int,
    content: str,
    settings: dict[str, Any],
) -> Dataset:
    """Add the next version of a dataset; its cases follow by :func:`insert_cases` in the same transaction."""
    newest = session.scalars(
        select(func.max(Dataset.version)).where(Dataset.project_id == scope.project_id, Dataset.name == name)
    ).one()
    row = Dataset(
        project_id=scope.project_id,
        user_id=scope.user_id,
        name=name,
        version=(newest or 0) + 1,
        columns=list(columns),
        n_cases=n_cases,
        content_hash=content,
        settings=settings,
    )
    session.add(row)
    session.flush()
    return row


def insert_cases(session: Session, dataset: Dataset, found: Sequence[Case]) -> None:
    """Write the cases of a new dataset, in order."""
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the engine's dialect is psycopg
    for start in range(0, len(found), _CHUNK):
        chunk = found[start : start + _CHUNK]
        columns: list[list[Any]] = [
            list(range(start, start + len(chunk))),
            [case.key for case in chunk],
            [_json(case.inputs) for case in chunk],
            [None if case.expected is None else _json(case.expected) for case in chunk],
            [case.cluster for case in chunk],
            [case.split for case in chunk],
        ]
        driver.execute(_INSERT, [dataset.id, dataset.project_id, *columns])


def cases(session: Session, dataset_id: uuid.UUID) -> list[tuple[uuid.UUID, Case]]:
    """Return the cases of a dataset with their row ids, in order."""
    rows = session.execute(
        select(
            CaseRow.id, CaseRow.case_key, CaseRow.inputs, CaseRow.expected, CaseRow.cluster_id, CaseRow.split
        )
        .where(CaseRow.dataset_id == dataset_id)
        .order_by(CaseRow.position)
    )
    return [
        (row[0], Case(key=row[1], inputs=row[2], expected=row[3], cluster=row[4], split=row[5]))
        for row in rows
    ]


def names(session: Session, project_id: uuid.UUID) -> list[str]:
    """Return the names of the project's datasets."""
    return list(
        session.scalars(
            select(Dataset.name).where(Dataset.project_id == project_id).distinct().order_by(Dataset.name)
        )
    )


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
