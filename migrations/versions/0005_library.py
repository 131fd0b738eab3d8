"""The prompt library and the families of models: what ships with the workbench is refreshed by its owner.

The rows themselves are no part of a revision: ``db/seed.py`` writes them after every upgrade to the head.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from workbench.db.migrate import statements

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OLD_NAMES = "uq_prompt_library_category_name_created_by"
NEW_NAMES = "uq_prompt_library_created_by_name"
OFFICIAL_NAMES = "uq_prompt_library_official_name"
MINE = "NOT is_official AND created_by = (SELECT wb.me())"


def upgrade() -> None:
    _make_families()
    _widen_library()
    for statement in statements("0005_library.sql"):
        op.execute(statement)
    op.execute("GRANT EXECUTE ON FUNCTION wb.model_family(text) TO wb_user, wb_definer")
    _replace_register_model("0005_register_model.sql")
    # FORCE binds the owner too; it fills in what a model's family says.
    op.execute("CREATE POLICY owner_read ON wb.model_configs FOR SELECT TO wb_owner USING (true)")
    op.execute(
        "CREATE POLICY owner_update ON wb.model_configs FOR UPDATE TO wb_owner USING (true) WITH CHECK (true)"
    )


def downgrade() -> None:
    # What came from a family goes with it, or a later upgrade would take it for an administrator's own words.
    op.execute(
        "UPDATE wb.model_configs m SET best_practices = '{}' FROM wb.model_families f WHERE m.best_practices = f.best_practices"
    )
    op.execute(
        "UPDATE wb.model_configs m SET settings = '{}' FROM wb.model_families f WHERE m.settings = f.settings"
    )
    op.execute("DROP POLICY owner_update ON wb.model_configs")
    op.execute("DROP POLICY owner_read ON wb.model_configs")
    _replace_register_model("0002_access.sql")
    op.execute("DROP FUNCTION wb.model_family(text)")
    _narrow_library()
    op.execute("DROP TABLE wb.model_families")
    op.execute("COMMENT ON SCHEMA wb IS NULL")


def _make_families() -> None:
    empty = sa.text("'{}'::jsonb")
    op.create_table(
        "model_families",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column(
            "best_practices", postgresql.JSONB(astext_type=sa.Text()), server_default=empty, nullable=False
        ),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), server_default=empty, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_model_families")),
        schema="wb",
    )
    op.execute("ALTER TABLE wb.model_families ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE wb.model_families FORCE ROW LEVEL SECURITY")
    op.execute("GRANT SELECT ON wb.model_families TO wb_user, wb_definer")
    op.execute("CREATE POLICY person_read ON wb.model_families FOR SELECT TO wb_user USING (true)")
    op.execute("CREATE POLICY definer_read ON wb.model_families FOR SELECT TO wb_definer USING (true)")
    op.execute(
        "CREATE POLICY owner_all ON wb.model_families FOR ALL TO wb_owner USING (true) WITH CHECK (true)"
    )


def _widen_library() -> None:
    empty, json = sa.text("'{}'::jsonb"), postgresql.JSONB(astext_type=sa.Text())
    op.add_column(
        "prompt_library", sa.Column("settings", json, server_default=empty, nullable=False), schema="wb"
    )
    op.add_column("prompt_library", sa.Column("answer_schema", json, nullable=True), schema="wb")
    op.add_column(
        "prompt_library",
        sa.Column("is_public", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="wb",
    )
    op.drop_constraint(OLD_NAMES, "prompt_library", schema="wb")
    op.create_unique_constraint(NEW_NAMES, "prompt_library", ["created_by", "name"], schema="wb")
    op.create_index(
        OFFICIAL_NAMES,
        "prompt_library",
        ["name"],
        unique=True,
        schema="wb",
        postgresql_where=sa.text("is_official"),
    )
    op.create_check_constraint(
        op.f("ck_prompt_library_official"),
        "prompt_library",
        "NOT is_official OR (is_public AND created_by IS NULL)",
        schema="wb",
    )
    op.execute("DROP POLICY person_read ON wb.prompt_library")
    op.execute(
        "CREATE POLICY person_read ON wb.prompt_library FOR SELECT TO wb_user USING (is_public OR created_by = (SELECT wb.me()))"
    )
    op.execute("GRANT DELETE ON wb.prompt_library TO wb_user")
    op.execute(f"CREATE POLICY person_delete ON wb.prompt_library FOR DELETE TO wb_user USING ({MINE})")
    # The owner sees and writes what ships with the workbench, and nothing that a person published.
    op.execute(
        "CREATE POLICY owner_official ON wb.prompt_library FOR ALL TO wb_owner USING (is_official) WITH CHECK (is_official)"
    )


def _narrow_library() -> None:
    op.execute("DELETE FROM wb.prompt_library WHERE is_official")
    op.execute("DROP POLICY owner_official ON wb.prompt_library")
    op.execute("DROP POLICY person_delete ON wb.prompt_library")
    op.execute("REVOKE DELETE ON wb.prompt_library FROM wb_user")
    op.execute("DROP POLICY person_read ON wb.prompt_library")
    op.execute(
        "CREATE POLICY person_read ON wb.prompt_library FOR SELECT TO wb_user USING (is_official OR created_by = (SELECT wb.me()))"
    )
    op.drop_constraint(op.f("ck_prompt_library_official"), "prompt_library", schema="wb")
    op.drop_index(OFFICIAL_NAMES, table_name="prompt_library", schema="wb")
    op.drop_constraint(NEW_NAMES, "prompt_library", schema="wb")
    op.create_unique_constraint(
        OLD_NAMES,
        "prompt_library",
        ["category", "name", "created_by"],
        schema="wb",
        postgresql_nulls_not_distinct=True,
    )
    for column in ("is_public", "answer_schema", "settings"):
        op.drop_column("prompt_library", column, schema="wb")


def _replace_register_model(script: str) -> None:
    """The function belongs to wb_definer, which may create nothing in the schema but now."""
    found = next(each for each in statements(script) if "FUNCTION wb.register_model(" in each)
    op.execute("GRANT CREATE ON SCHEMA wb TO wb_definer")
    op.execute("SET ROLE wb_definer")
    op.execute(found.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    op.execute("SET ROLE wb_owner")
    op.execute("REVOKE CREATE ON SCHEMA wb FROM wb_definer")
