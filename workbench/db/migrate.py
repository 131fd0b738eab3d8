"""Migrations: which revision the code needs, and how to get a database there."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from workbench.db.border import driver_errors
from workbench.db.urls import driver_url
from workbench.errors import SchemaVersionError
from workbench.resources import migrations_dir
from workbench.secret import Secret

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["DATABASE", "HEAD", "check_revision", "refuse_newer", "statements", "upgrade"]

#: The revision that this code works with; a test holds it against the migrations themselves.
HEAD = "0009"

#: The name of the database on an embedded server.
DATABASE = "workbench"


def statements(name: str) -> list[str]:
    """Return the statements of ``migrations/sql/<name>``, which lines with only ``--;`` separate."""
    text = (migrations_dir() / "sql" / name).read_text(encoding="utf-8")
    return [part.strip() for part in re.split(r"^--;\s*$", text, flags=re.MULTILINE) if part.strip()]


def upgrade(url: Secret, revision: str = "head") -> None:
    """Bring the database at an administrator's URL to a revision.

    Raises:
        AccessDeniedError: the login may not act as the owner of the schema.
        SchemaVersionError: the database is newer than the code.

    """
    from alembic import command

    refuse_newer(url)
    with driver_errors(url):
        command.upgrade(_config(url), revision)


def refuse_newer(url: Secret) -> None:
    """Leave a database alone that a newer version of the workbench has migrated.

    Raises:
        SchemaVersionError: it is newer than the code.

    """
    from workbench.db.health import revision

    found = revision(url)
    if found is not None and found > HEAD:
        check_revision(found)


def check_revision(found: str | None) -> None:
    """Refuse a database that is older or newer than the code.

    Raises:
        SchemaVersionError: with the command that mends it.

    """
    if found == HEAD:
        return
    if found is None:
        raise SchemaVersionError(
            "this database has no workbench schema", cure="prepare it: workbench db init ADMIN_URL"
        )
    if found < HEAD:
        raise SchemaVersionError(
            f"the database is at revision {found}, this version of the workbench needs {HEAD}",
            cure="migrate it: workbench db migrate ADMIN_URL",
        )
    raise SchemaVersionError(
        f"the database is at revision {found}, newer than this version of the workbench ({HEAD})",
        cure="upgrade the package: pip install --upgrade prompt-workbench",
    )


def _config(url: Secret) -> Config:
    from alembic.config import Config

    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    config.attributes["url"] = driver_url(url)
    return config
