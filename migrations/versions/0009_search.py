"""Search, quicker: the index reads the newest hits only of a word that is neither common nor rare.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

from workbench.db.migrate import statements

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace_functions("0009_search.sql")


def _replace_functions(name: str) -> None:
    # Until pg_trgm is loaded, its settings are not ours to set.
    op.execute("SELECT public.similarity('a', 'a')")
    op.execute("GRANT CREATE ON SCHEMA wb TO wb_definer")
    op.execute("SET ROLE wb_definer")
    for statement in statements(name):
        op.execute(statement)
    op.execute("SET ROLE wb_owner")
    op.execute("REVOKE CREATE ON SCHEMA wb FROM wb_definer")


def downgrade() -> None:
    _replace_functions("0007_search.sql")
