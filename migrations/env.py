"""Alembic's environment: one connection of an administrator, acting as the owner of the schema.

The URL comes from the caller (``workbench db migrate``), else from ``WORKBENCH_ADMIN_URL``, else it is
the embedded server's.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

import workbench.db.tables  # noqa: F401 - registers every table on Base.metadata
from workbench.db.base import SCHEMA, Base
from workbench.db.connect import administrator_url
from workbench.db.seed import seed
from workbench.db.urls import driver_url
from workbench.settings import Settings

config = context.config


def include_name(name: str | None, type_: str, _parents: object) -> bool:
    """Look at our own schema only, and leave Alembic's table out."""
    return name == SCHEMA if type_ == "schema" else not (type_ == "table" and name == "alembic_version")


def arrived_at_head() -> bool:
    """Whether this is an upgrade (or a downgrade) that ends at the newest revision; other commands only look."""
    here = context.get_context()
    return isinstance(here.opts.get("destination_rev"), str) and (
        here.get_current_heads() == context.get_head_revisions()
    )


def run() -> None:
    """Migrate in one transaction, as wb_owner; at the head, refresh what ships with the workbench."""
    url = config.attributes.get("url") or driver_url(administrator_url(Settings.from_env()))
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    with engine.connect() as connection:
        connection.execute(text("SET ROLE wb_owner"))
        connection.execute(text("SET search_path = wb, public"))
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS wb"))
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS wb_priv"))
        connection.commit()
        # With the schema on the search path, reflection would report its tables as schema-less.
        connection.dialect.default_schema_name = "public"
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_schemas=True,
            include_name=include_name,
            version_table_schema=SCHEMA,
            compare_server_default=False,
            transaction_per_migration=False,
        )
        with context.begin_transaction():
            context.run_migrations()
            if arrived_at_head():
                seed(connection)
        connection.commit()


run()
