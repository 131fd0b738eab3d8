"""The SQL API: wb.v_prompts, v_executions, v_runs, v_scores, v_costs, v_ab.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

from workbench.db.migrate import statements

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

VIEWS = ("v_prompts", "v_executions", "v_runs", "v_scores", "v_costs", "v_ab")


def upgrade() -> None:
    for statement in statements("0003_views.sql"):
        op.execute(statement)
    for view in VIEWS:
        op.execute(f"GRANT SELECT ON wb.{view} TO wb_user")


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"DROP VIEW wb.{view}")
