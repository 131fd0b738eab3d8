"""Datasets: named, versioned lists of cases, and the unnamed ones that a run on a DataFrame leaves behind."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.cases import Case, make_cases
from workbench.core.display import Rich
from workbench.core.refs import check_title, parse_ref
from workbench.db.queries import datasets as queries
from workbench.errors import ConflictError, DataError, UnknownReferenceError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from workbench.db.tables import Dataset as Row
    from workbench.services.workbench import Workbench

__all__ = ["UNNAMED", "Dataset", "Datasets", "is_sql"]

#: Datasets without a name live here, hidden from lists.
UNNAMED = "data/"

StoredCase = tuple[uuid.UUID, Case]

_SQL = re.compile(r"\s*(?:select|with|from|table|values)\s", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset(Rich):
    """A stored list of cases.

    Attributes:
        name: without version; ``name@2`` names one version.
        version: 1, 2, 3 …
        columns: the names of the inputs.
        n_cases: how many cases.
        content_hash: SHA-256 of the cases, in order.

    """

    id: uuid.UUID
    name: str
    version: int
    columns: tuple[str, ...]
    n_cases: int
    content_hash: str
    has_expected: bool = False
    repeated: int = 0

    @property
    def ref(self) -> str:
        """The reference of exactly this version."""
        return f"{self.name}@{self.version}"

    def __len__(self) -> int:
        return self.n_cases

    def __str__(self) -> str:
        expected = ", with expected answers" if self.has_expected else ""
        repeats = (
            f", {self.repeated} of them repeat an earlier row and share its cluster" if self.repeated else ""
        )
        return f"dataset {self.ref}: {self.n_cases:,} cases{expected}{repeats}; columns: {', '.join(self.columns)}"


class Datasets:
    """The datasets of the project in use: ``wb.datasets``."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def save(
        self,
        name: str,
        data: pd.DataFrame | Sequence[Mapping[str, Any]],
        *,
        key: str | None = None,
        expected: str | None = None,
        cluster: str | None = None,
        split: str | None = None,
    ) -> Dataset:
        """Store rows as cases; the same rows again are the same version.

        Args:
            name: the dataset's name; no ``@``.
            data: a DataFrame, or a list of dicts.
            key: the column that names a case; by default a hash of its content.
            expected: the column that holds the right answer.
            cluster: the column of cases that belong together (a user, a document).
            split: the column that holds ``train``, ``test`` …

        Raises:
            DataError: no rows, an unknown column, or a key that appears twice.

        """
        found = make_cases(_records(data), key=key, expected=expected, cluster=cluster, split=split)
        repeated = sum(case.key != case.cluster for case in found) if key is None and cluster is None else 0
        return self._store(check_title(name), found, repeated=repeated)

    def get(self, ref: str) -> Dataset:
        """Return a dataset: ``name`` (the newest version) or ``name@2``.

        Raises:
            UnknownReferenceError: no such dataset or version.

        """
        parsed = parse_ref(ref)
        with self._wb.database.session() as session:
            row = queries.find(session, self._wb.project_id, parsed.title, version=parsed.version)
            known = [
                name for name in queries.names(session, self._wb.project_id) if not name.startswith(UNNAMED)
            ]
        if row is None:
            cure = did_you_mean(ref, known) or f"it has {', '.join(known[:10]) or 'none yet'}"
            raise UnknownReferenceError(f"project {self._wb.project!r} has no dataset {ref!r}", cure=cure)
        return _dataset(row)

    def list(self) -> list[str]:
        """Return the names of the project's datasets."""
        with self._wb.database.session() as session:
            return [
                name for name in queries.names(session, self._wb.project_id) if not name.startswith(UNNAMED)
            ]

    def of(self, data: Any) -> Dataset:
        """Return the dataset of whatever ``data=`` was given; rows without a name are stored under their hash.

        Raises:
            DataError: the value is not data (SQL is not), or has no rows.

        """
        if isinstance(data, Dataset):
            return data
        if isinstance(data, str):
            if is_sql(data):
                raise DataError(
                    f"data= takes rows or the name of a dataset, not SQL: {data:.60}",
                    cure="read the rows with your own connection, such as pd.read_sql(query, …), and give the DataFrame",
                )
            return self.get(data.removeprefix("@"))
        found = make_cases(_records(data))
        return self._store(f"{UNNAMED}{_content_hash(found)[:12]}", found)

    def find(self, name: str) -> Dataset | pd.DataFrame:
        """Return the rows of a file (.csv, .tsv, .jsonl, .json), or the dataset of that name; ``@name`` a dataset only.

        Raises:
            DataError: the file is missing or does not parse.
            UnknownReferenceError: no such dataset or version.

        """
        from workbench.services.tabular import is_file_name, read_rows

        return read_rows(name) if is_file_name(name) else self.of(name)

    def cases(self, dataset: Dataset) -> Sequence[StoredCase]:
        """Return the cases of a dataset with their row ids, in order."""
        with self._wb.database.session() as session:
            return queries.cases(session, dataset.id)

    def frame(self, ref: str | Dataset) -> pd.DataFrame:
        """Return a dataset as a DataFrame: case_id, the inputs, expected, cluster_id, split."""
        import pandas as pd

        found = self.cases(self.of(ref))
        rows = [
            {"case_id": c.key, **c.inputs, "expected": c.expected, "cluster_id": c.cluster, "split": c.split}
            for _, c in found
        ]
        return pd.DataFrame(rows)

    def by_id(self, dataset_id: uuid.UUID) -> Dataset:
        """Return a dataset by its row's id."""
        with self._wb.database.session() as session:
            return _dataset(queries.by_id(session, dataset_id))

    def _store(self, name: str, found: Sequence[Case], *, repeated: int = 0) -> Dataset:
        content = _content_hash(found)
        columns = tuple(found[0].inputs)
        settings = {
            "has_expected": any(case.expected is not None for case in found),
            "repeated": repeated,
        }
        for _ in range(2):
            try:
                with self._wb.database.session() as session:
                    row = queries.find(session, self._wb.project_id, name, content=content)
                    if row is None:
                        row = queries.insert(
                            session,
                            self._wb.scope,
                            name=name,
                            columns=columns,
                            n_cases=len(found),
                            content=content,
                            settings=settings,
                        )
                        queries.insert_cases(session, row, found)
                    return _dataset(row)
            except ConflictError:
                continue  # somebody stored the same rows at the same time: now they are there
        raise ConflictError(f"dataset {name!r} is being changed by somebody else", cure="try again")


def is_sql(text: str) -> bool:
    """Whether a text is a query rather than a name; nobody runs one that comes as data.

    >>> is_sql("SELECT * FROM reviews"), is_sql("reviews")
    (True, False)
    """
    return _SQL.match(text) is not None


def _records(data: Any) -> list[dict[str, Any]]:
    to_dict = getattr(data, "to_dict", None)
    if callable(to_dict) and hasattr(data, "columns"):
        if not len(data):
            raise DataError("the DataFrame has no rows", cure="check the query or the file that it came from")
        records: list[dict[str, Any]] = to_dict(orient="records")
        return records
    to_frame = getattr(data, "DataFrame", None)  # a jupysql result set
    if callable(to_frame):
        return _records(to_frame())
    if isinstance(data, Mapping):
        return [dict(data)]
    if (
        isinstance(data, Sequence)
        and not isinstance(data, str | bytes)
        and all(isinstance(row, Mapping) for row in data)
    ):
        return [dict(row) for row in data]
    raise DataError(
        f"data of type {type(data).__name__} cannot be used",
        cure="give a DataFrame, a list of dicts, or the name of a dataset",
    )


def _content_hash(found: Sequence[Case]) -> str:
    digest = hashlib.sha256()
    for case in found:
        digest.update(
            repr((case.key, case.inputs, case.expected, case.cluster, case.split)).encode(
                "utf-8", "surrogatepass"
            )
        )
    return digest.hexdigest()


def _dataset(row: Row) -> Dataset:
    return Dataset(
        id=row.id,
        name=row.name,
        version=row.version,
        columns=tuple(row.columns),
        n_cases=row.n_cases,
        content_hash=row.content_hash,
        has_expected=bool(row.settings.get("has_expected")),
        repeated=int(row.settings.get("repeated", 0)),
    )
