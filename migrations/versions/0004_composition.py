"""Prompts made of prompts: the exact included versions; labels that can be taken off; renaming and archiving audited.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from workbench.db.migrate import statements

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

EDITABLE = "project_id = ANY ((SELECT wb.editable_projects())::uuid[])"


def upgrade() -> None:
    op.add_column(
        "prompts",
        sa.Column(
            "includes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        schema="wb",
    )
    op.create_index(
        "ix_prompts_includes",
        "prompts",
        ["includes"],
        unique=False,
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"includes": "jsonb_path_ops"},
        postgresql_where=sa.text("includes <> '[]'::jsonb"),
    )
    for statement in statements("0004_composition.sql"):
        op.execute(statement)
    op.execute("GRANT DELETE ON wb.prompt_labels TO wb_user")
    # What every save moves can be moved, never taken off.
    op.execute(
        f"CREATE POLICY person_delete ON wb.prompt_labels FOR DELETE TO wb_user USING ({EDITABLE} AND name <> 'latest')"
    )
    op.execute(
        "CREATE TRIGGER audit_delete AFTER DELETE ON wb.prompt_labels"
        " FOR EACH ROW EXECUTE FUNCTION wb_priv.audit('label.remove', 'name,root_id')"
    )
    # A family changes its name or is archived as a whole: its first row tells it once.
    op.execute(
        "CREATE TRIGGER audit_change AFTER UPDATE OF title, archived_at ON wb.prompts FOR EACH ROW"
        " WHEN (NEW.id = NEW.root_id AND ROW(NEW.title, NEW.archived_at) IS DISTINCT FROM ROW(OLD.title, OLD.archived_at))"
        " EXECUTE FUNCTION wb_priv.audit('prompt.change', 'title,archived_at')"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER audit_change ON wb.prompts")
    op.execute("DROP TRIGGER audit_delete ON wb.prompt_labels")
    op.execute("DROP POLICY person_delete ON wb.prompt_labels")
    op.execute("REVOKE DELETE ON wb.prompt_labels FROM wb_user")
    op.execute("DROP VIEW wb.v_prompts")
    op.execute(_first("0003_views.sql", "CREATE VIEW wb.v_prompts"))
    op.execute("GRANT SELECT ON wb.v_prompts TO wb_user")
    freeze = _first("0002_access.sql", "CREATE FUNCTION wb.freeze_prompt")
    op.execute(freeze.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    op.drop_index(
        "ix_prompts_includes",
        table_name="prompts",
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"includes": "jsonb_path_ops"},
        postgresql_where=sa.text("includes <> '[]'::jsonb"),
    )
    op.drop_column("prompts", "includes", schema="wb")


def _first(name: str, holding: str) -> str:
    return next(statement for statement in statements(name) if holding in statement)
