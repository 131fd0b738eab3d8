"""Budgets that the claim reserves from, limits that all processes share, conversations.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from workbench.db.migrate import statements

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

READABLE = "project_id = ANY ((SELECT wb.readable_projects())::uuid[])"
EDITABLE = "project_id = ANY ((SELECT wb.editable_projects())::uuid[])"
MINE = "user_id = (SELECT wb.me())"
SEES_PROMPT = "EXISTS (SELECT FROM wb.prompts p WHERE p.id = prompt_id)"
OWN_PROJECT = "EXISTS (SELECT FROM wb.projects j WHERE j.id = project_id AND j.user_id = (SELECT wb.me()))"
OWN_BUDGET = f"{MINE} AND (project_id IS NULL OR {OWN_PROJECT})"

# table → command → who may; the columns that a person may write, where not all of them.
POLICIES: dict[str, dict[str, str]] = {
    "budgets": {
        "SELECT": f"{MINE} OR {READABLE}",
        "INSERT": OWN_BUDGET,
        "UPDATE": OWN_BUDGET,
        "DELETE": OWN_BUDGET,
    },
    "rate_limits": {"SELECT": MINE, "INSERT": MINE, "UPDATE": MINE, "DELETE": MINE},
    "conversations": {
        "SELECT": READABLE,
        "INSERT": f"{MINE} AND {EDITABLE} AND {SEES_PROMPT}",
        "UPDATE": f"{MINE} AND {EDITABLE}",
    },
}
WRITABLE = {
    ("budgets", "INSERT"): "user_id, project_id, per, amount",
    ("budgets", "UPDATE"): "amount",
    ("rate_limits", "UPDATE"): (
        "concurrency, requests_per_minute, tokens_per_minute, requests_left, tokens_left, pace, blocked_until, refilled_at"
    ),
    ("conversations", "UPDATE"): "title",
}
FUNCTIONS = ("wb_priv.account()", "wb_priv.open_budget()", "wb_priv.recount_run()")
HELPERS = (
    "wb_priv.charge(uuid, uuid, uuid, numeric, numeric, boolean, boolean)",
    "wb_priv.check_budget(text, numeric, numeric, numeric, numeric, boolean)",
    "wb.period_start(text)",
)
OWN_CONVERSATION = (
    "(conversation_id IS NULL OR EXISTS (SELECT FROM wb.conversations k WHERE k.id = conversation_id"
    " AND k.project_id = executions.project_id AND k.user_id = (SELECT wb.me())))"
)
VIEWS = ("v_budgets", "v_conversations")
MONEY = sa.Numeric(18, 10)


def upgrade() -> None:
    _make_tables()
    _widen_ledger()
    for statement in statements("0008_runs.sql"):
        op.execute(statement)
    _give_to_definer()
    for view in VIEWS:
        op.execute(f"GRANT SELECT ON wb.{view} TO wb_user")
    for event, tables in {
        "INSERT": "NEW TABLE AS added",
        "UPDATE": "OLD TABLE AS gone NEW TABLE AS added",
    }.items():
        op.execute(
            f"CREATE TRIGGER account_{event.lower()} AFTER {event} ON wb.executions REFERENCING {tables}"
            " FOR EACH STATEMENT EXECUTE FUNCTION wb_priv.account()"
        )
    op.execute(
        "CREATE TRIGGER open_budget BEFORE INSERT ON wb.budgets FOR EACH ROW EXECUTE FUNCTION wb_priv.open_budget()"
    )
    op.execute(
        "CREATE TRIGGER recount BEFORE UPDATE OF budget ON wb.runs FOR EACH ROW EXECUTE FUNCTION wb_priv.recount_run()"
    )
    op.execute(
        "CREATE TRIGGER touch BEFORE UPDATE OF amount ON wb.budgets FOR EACH ROW EXECUTE FUNCTION wb.touch()"
    )
    op.execute(
        "CREATE TRIGGER audit AFTER INSERT OR UPDATE OF amount OR DELETE ON wb.budgets"
        " FOR EACH ROW EXECUTE FUNCTION wb_priv.audit('budget.set', 'project_id,per,amount')"
    )


def _make_tables() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("per", sa.Text(), nullable=False),
        sa.Column("amount", MONEY, nullable=False),
        sa.Column("since", sa.Date(), server_default=sa.text("'-infinity'"), nullable=False),
        sa.Column("reserved", MONEY, server_default=sa.text("0"), nullable=False),
        sa.Column("spent", MONEY, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("per IN ('day', 'month', 'total')", name=op.f("ck_budgets_per")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_budgets_amount")),
        _reference("budgets", "user_id", "users", "RESTRICT"),
        _reference("budgets", "project_id", "projects", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        schema="wb",
    )
    op.create_table(
        "rate_limits",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=True),
        sa.Column("requests_per_minute", sa.Float(), nullable=True),
        sa.Column("tokens_per_minute", sa.Float(), nullable=True),
        sa.Column("requests_left", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_left", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("pace", sa.Float(), server_default=sa.text("1"), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refilled_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "concurrency > 0 AND requests_per_minute > 0 AND tokens_per_minute > 0",
            name=op.f("ck_rate_limits_positive"),
        ),
        sa.CheckConstraint("pace > 0 AND pace <= 1", name=op.f("ck_rate_limits_pace")),
        _reference("rate_limits", "user_id", "users", "RESTRICT"),
        sa.PrimaryKeyConstraint("user_id", "provider", "model", name=op.f("pk_rate_limits")),
        schema="wb",
    )
    op.create_table(
        "conversations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "options",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        _reference("conversations", "project_id", "projects", "CASCADE"),
        _reference("conversations", "user_id", "users", "RESTRICT"),
        _reference("conversations", "prompt_id", "prompts", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        schema="wb",
    )
    for table, columns in {
        "budgets": ("user_id", "project_id"),
        "rate_limits": ("user_id",),
        "conversations": ("project_id", "user_id", "prompt_id"),
    }.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}", table, [column], schema="wb")
        _protect(table)
    op.create_index("uq_budgets_project_id_per", "budgets", ["project_id", "per"], unique=True, schema="wb")
    op.create_index(
        "uq_budgets_user_id_per",
        "budgets",
        ["user_id", "per"],
        unique=True,
        schema="wb",
        postgresql_where=sa.text("project_id IS NULL"),
    )


def _reference(table: str, column: str, other: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"wb.{other}.id"], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete
    )


def _protect(table: str) -> None:
    op.execute(f"ALTER TABLE wb.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE wb.{table} FORCE ROW LEVEL SECURITY")
    for command, who in POLICIES[table].items():
        columns = WRITABLE.get((table, command))
        op.execute(f"GRANT {command}{f' ({columns})' if columns else ''} ON wb.{table} TO wb_user")
        name = {"SELECT": "read"}.get(command, command.lower())
        rule = {"INSERT": f"WITH CHECK ({who})", "UPDATE": f"USING ({who}) WITH CHECK ({who})"}.get(
            command, f"USING ({who})"
        )
        op.execute(f"CREATE POLICY person_{name} ON wb.{table} FOR {command} TO wb_user {rule}")


def _widen_ledger() -> None:
    for column in ("reserved", "spent"):
        op.add_column(
            "runs", sa.Column(column, MONEY, server_default=sa.text("0"), nullable=False), schema="wb"
        )
    op.execute("GRANT UPDATE (budget) ON wb.runs TO wb_user")
    op.add_column("executions", sa.Column("reserved", MONEY, nullable=True), schema="wb")
    op.add_column("executions", sa.Column("conversation_id", sa.Uuid(), nullable=True), schema="wb")
    op.add_column("executions", sa.Column("turn", sa.Integer(), nullable=True), schema="wb")
    op.create_check_constraint(op.f("ck_executions_reserved"), "executions", "reserved >= 0", schema="wb")
    op.create_foreign_key(
        op.f("fk_executions_conversation_id"),
        "executions",
        "conversations",
        ["conversation_id"],
        ["id"],
        source_schema="wb",
        referent_schema="wb",
        ondelete="CASCADE",
    )
    op.create_index(
        "ix_executions_conversation_id",
        "executions",
        ["conversation_id"],
        schema="wb",
        postgresql_where=sa.text("conversation_id IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_sent",
        "executions",
        ["user_id", "model_config_id"],
        schema="wb",
        postgresql_where=sa.text("status = 'sent'"),
    )
    op.execute(
        f"CREATE POLICY own_conversation ON wb.executions AS RESTRICTIVE FOR INSERT TO wb_user WITH CHECK ({OWN_CONVERSATION})"
    )


def _give_to_definer() -> None:
    op.execute("GRANT CREATE, USAGE ON SCHEMA wb_priv TO wb_definer")
    for function in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} OWNER TO wb_definer")
    op.execute("REVOKE CREATE ON SCHEMA wb_priv FROM wb_definer")
    op.execute("SET ROLE wb_definer")
    for function in FUNCTIONS:
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO wb_owner")
    op.execute("SET ROLE wb_owner")
    op.execute("GRANT SELECT ON wb.runs TO wb_definer")
    op.execute("GRANT UPDATE (reserved, spent) ON wb.runs TO wb_definer")
    op.execute("GRANT SELECT ON wb.budgets, wb.executions TO wb_definer")
    op.execute("GRANT UPDATE (reserved, spent, since) ON wb.budgets TO wb_definer")
    for table in ("runs", "budgets"):
        op.execute(
            f"CREATE POLICY definer_account ON wb.{table} FOR ALL TO wb_definer USING (true) WITH CHECK (true)"
        )


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"DROP VIEW wb.{view}")
    op.execute("DROP POLICY own_conversation ON wb.executions")
    for event in ("insert", "update"):
        op.execute(f"DROP TRIGGER account_{event} ON wb.executions")
    op.execute("DROP TRIGGER recount ON wb.runs")
    op.execute("DROP POLICY definer_account ON wb.runs")
    op.execute("REVOKE ALL ON wb.runs FROM wb_definer")
    op.execute("REVOKE UPDATE (budget) ON wb.runs FROM wb_user")
    for index in ("ix_executions_sent", "ix_executions_conversation_id"):
        op.drop_index(index, table_name="executions", schema="wb")
    op.drop_constraint(op.f("ck_executions_reserved"), "executions", schema="wb")
    for column in ("turn", "conversation_id", "reserved"):
        op.drop_column("executions", column, schema="wb")
    for column in ("spent", "reserved"):
        op.drop_column("runs", column, schema="wb")
    for table in ("conversations", "rate_limits", "budgets"):
        op.drop_table(table, schema="wb")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    for function in HELPERS:
        op.execute(f"DROP FUNCTION {function}")
