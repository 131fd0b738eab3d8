"""What ships with the workbench, in the database: official templates and families of models.

The data are YAML files beside the migrations. ``migrations/env.py`` calls :func:`seed` after every upgrade
that ends at the head; a digest of the files, kept as the comment of schema ``wb``, tells an embedded server
that a new version of the package brought other data. Rows that people published are never read or written:
row-level security shows the owner official ones only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, or_, text
from sqlalchemy.dialects.postgresql import insert

from workbench.core.guides import ModelFamily, parse_families
from workbench.core.library import Category, LibraryPrompt, parse_category
from workbench.db.tables import LibraryPrompt as LibraryRow
from workbench.db.tables import ModelFamily as FamilyRow
from workbench.errors import DataError
from workbench.resources import migrations_dir

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["SEEDED", "official_categories", "official_digest", "official_families", "seed"]

#: Asks for the digest that the database was last filled with; any login may.
SEEDED = "SELECT obj_description(to_regnamespace('wb')::oid, 'pg_namespace')"

#: Options and advice of a model that are empty, or are those of a family, follow the family; what an
#: administrator wrote stays.
_FILL_MODELS = text(
    """
    UPDATE wb.model_configs AS m
    SET settings = CASE WHEN m.settings = '{}' OR m.settings = ANY (CAST(:settings AS jsonb[]))
                        THEN f.settings ELSE m.settings END,
        best_practices = CASE WHEN m.best_practices = '{}' OR m.best_practices = ANY (CAST(:practices AS jsonb[]))
                              THEN f.best_practices ELSE m.best_practices END
    FROM wb.model_families AS f
    WHERE f.name = wb.model_family(m.model_id)
      AND ((m.settings <> f.settings AND (m.settings = '{}' OR m.settings = ANY (CAST(:settings AS jsonb[]))))
        OR (m.best_practices <> f.best_practices
            AND (m.best_practices = '{}' OR m.best_practices = ANY (CAST(:practices AS jsonb[])))))
    """
)
_FAMILIES_NOW = text(
    "SELECT coalesce(array_agg(DISTINCT settings::text), '{}'), coalesce(array_agg(DISTINCT best_practices::text), '{}')"
    " FROM wb.model_families"
)


def official_categories(data: Path | None = None) -> tuple[Category, ...]:
    """Return the official templates, a category for each file, every template checked.

    Args:
        data: the directory of the data; by default the one that ships with the package.

    Raises:
        DataError: a file or template is not what it says, or two have the same name.

    Example:
        >>> [category.name for category in official_categories()][:2]
        ['classification', 'code']

    """
    files = sorted(((data or _data()) / "library").glob("*.yaml"))
    found = tuple(parse_category(file.read_text(encoding="utf-8"), source=file.name) for file in files)
    names = [template.name for category in found for template in category.templates]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the library has two templates named {twice[0]!r}", cure="rename one of them")
    return found


def official_families(data: Path | None = None) -> tuple[ModelFamily, ...]:
    """Return the families of models, the most particular first.

    Raises:
        DataError: the file is not what it should be.

    """
    file = (data or _data()) / "families.yaml"
    return parse_families(file.read_text(encoding="utf-8"), source=file.name)


def official_digest(data: Path | None = None) -> str:
    """Return what the database's comment says after this version's data were written into it."""
    place = data or _data()
    digest = hashlib.sha256()
    for file in sorted(place.rglob("*.yaml")):
        digest.update(file.relative_to(place).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"Workbench; official rows {digest.hexdigest()[:16]}"


def seed(connection: Connection, data: Path | None = None) -> None:
    """Make the official rows of a database at the head what the files say; safe to repeat.

    Args:
        connection: acts as wb_owner, in a transaction that the caller commits.
        data: the directory of the data; by default the one that ships with the package.

    """
    # Two that seed at the same time take turns; people read on, and could not take this lock.
    connection.execute(text("LOCK TABLE wb.model_families IN SHARE ROW EXCLUSIVE MODE"))
    _seed_library(connection, [each for category in official_categories(data) for each in category.templates])
    _seed_families(connection, official_families(data))
    digest = official_digest(data)
    if connection.execute(text(SEEDED)).scalar_one() != digest:
        connection.execute(text(f"COMMENT ON SCHEMA wb IS '{digest}'"))  # a comment takes no parameter


def _seed_library(connection: Connection, templates: Sequence[LibraryPrompt]) -> None:
    names = [template.name for template in templates]
    connection.execute(delete(LibraryRow).where(LibraryRow.is_official, LibraryRow.name.not_in(names)))
    for template in templates:
        values = _columns(template)
        statement = insert(LibraryRow).values(values)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"],
                index_where=text("is_official"),
                set_={column: statement.excluded[column] for column in values},
                where=or_(
                    *(getattr(LibraryRow, name).is_distinct_from(statement.excluded[name]) for name in values)
                ),
            )
        )


def _columns(template: LibraryPrompt) -> dict[str, Any]:
    return {
        "name": template.name,
        "category": template.category,
        "subcategory": template.subcategory,
        "description": template.description,
        "content": template.content,
        "variables": [dict(variable) for variable in template.variables],
        "tags": list(template.tags),
        "model_recommendations": list(template.models),
        "use_cases": "\n".join(template.use_cases),
        "settings": dict(template.settings),
        "answer_schema": template.answer_schema,
        "is_official": True,
        "is_public": True,
    }


def _seed_families(connection: Connection, families: Sequence[ModelFamily]) -> None:
    settings, practices = connection.execute(_FAMILIES_NOW).one()
    names = [family.name for family in families]
    connection.execute(delete(FamilyRow).where(FamilyRow.name.not_in(names)))
    for family in families:
        values = {
            "name": family.name,
            "title": family.title,
            "rank": family.rank,
            "pattern": family.pattern,
            "best_practices": dict(family.best_practices),
            "settings": dict(family.settings),
        }
        statement = insert(FamilyRow).values(values)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"], set_={column: statement.excluded[column] for column in values}
            )
        )
    connection.execute(_FILL_MODELS, {"settings": settings, "practices": practices})


def _data() -> Path:
    return migrations_dir() / "data"
