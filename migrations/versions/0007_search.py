"""Search, quicker: one project is walked by its own index, sorting stays in memory, less is planned.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

from workbench.db.migrate import statements

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = ("prompts", "execution_words")


def upgrade() -> None:
    for table in TABLES:
        op.create_index(f"ix_{table}_project_id_created_at", table, ["project_id", "created_at"], schema="wb")
        op.drop_index(f"ix_{table}_project_id", table_name=table, schema="wb")
    _replace_functions("0007_search.sql")


def _replace_functions(name: str) -> None:
    # Until pg_trgm is loaded, its settings are not ours to set.
    op.execute("SELECT public.similarity('a', 'a')")
    op.execute("GRANT CREATE ON SCHEMA wb TO wb_definer")
    op.execute("SET ROLE wb_definer")
    for statement in statements(name):
        if "FUNCTION wb.search_ids(" in statement or "FUNCTION wb.search_output_ids(" in statement:
            op.execute(statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    op.execute("SET ROLE wb_owner")
    op.execute("REVOKE CREATE ON SCHEMA wb FROM wb_definer")


def downgrade() -> None:
    _replace_functions("0006_search.sql")
    for table in TABLES:
        op.create_index(f"ix_{table}_project_id", table, ["project_id"], schema="wb")
        op.drop_index(f"ix_{table}_project_id_created_at", table_name=table, schema="wb")
