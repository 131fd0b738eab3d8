"""Search in prompts and answers, each project's words, statistics: functions, indexes, views.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from workbench.db.migrate import statements

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

READABLE = "project_id = ANY ((SELECT wb.readable_projects())::uuid[])"
VIEWS = ("v_latest_prompts", "v_stats")
SEARCH = (
    "wb.keep_words(integer)",
    "wb.search_ids(tsquery, text, integer, uuid[], text, text, text, text, timestamptz, timestamptz, boolean, boolean)",
    "wb.search_output_ids(tsquery, integer, uuid[], uuid[], uuid[], timestamptz, timestamptz, text)",
)
LEARN = "wb_priv.learn_words()"
WORDS = "wb.distinct_words(text)"
READ = ("prompts", "prompt_labels", "executions")

# What separates words in titles, paths and names also does so in a query: "a/b", "a.b" and "a_b" are two words each.
# The bounds keep a text of any size below the megabyte that a tsvector can hold.
PROMPT_WORDS = """
setweight(to_tsvector('english', translate(title, '/._', '   ')), 'A') ||
setweight(to_tsvector('english', translate(wb.tag_words(tags), '/._', '   ')), 'B') ||
setweight(to_tsvector('english', translate(left(note, 20000), '/._', '   ')), 'C') ||
to_tsvector('english', translate(left(content, 60000), '/._', '   ')) ||
to_tsvector('english', translate(left(coalesce(system_prompt, ''), 20000), '/._', '   '))
"""
EARLIER_WORDS = (
    "to_tsvector('english', coalesce(title, '') || ' ' || content || ' ' || coalesce(system_prompt, ''))"
)


def upgrade() -> None:
    op.execute(
        "SELECT public.similarity('a', 'a')"
    )  # until pg_trgm is loaded, its settings are not ours to set
    op.create_table(
        "prompt_words",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("word", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_prompt_words_project_id"), ondelete="CASCADE"
        ),
        schema="wb",
    )
    op.create_index(
        "ix_prompt_words_project_id_word", "prompt_words", ["project_id", "word"], unique=False, schema="wb"
    )
    _index_executions()
    functions, views = _functions_and_views()
    for statement in functions:
        op.execute(statement)
    _index_prompts()
    _learn_earlier_words()
    _give_rights()
    for statement in views:
        op.execute(statement)
    for view in VIEWS:
        op.execute(f"GRANT SELECT ON wb.{view} TO wb_user")
    op.execute(
        "CREATE TRIGGER learn_words AFTER INSERT OR UPDATE OF title, tags, note ON wb.prompts"
        f" FOR EACH ROW EXECUTE FUNCTION {LEARN}"
    )


def _functions_and_views() -> tuple[list[str], list[str]]:
    every = statements("0006_search.sql")
    views = [statement for statement in every if "\nCREATE VIEW" in f"\n{statement}"]
    return [statement for statement in every if statement not in views], views


def _index_prompts() -> None:
    # Texts and their words stand beside the row, not in it: what a search reads of a row is then a third as long.
    op.execute("ALTER TABLE wb.prompts SET (toast_tuple_target = 640)")
    op.drop_index("ix_prompts_search", table_name="prompts", schema="wb")
    op.drop_column("prompts", "search", schema="wb")
    op.add_column(
        "prompts",
        sa.Column("search", postgresql.TSVECTOR(), sa.Computed(PROMPT_WORDS, persisted=True), nullable=True),
        schema="wb",
    )
    op.create_index("ix_prompts_search", "prompts", ["search"], schema="wb", postgresql_using="gin")
    op.create_index(
        "ix_prompts_title_words",
        "prompts",
        [sa.literal_column("to_tsvector('english', translate(title, '/._', '   '))")],
        schema="wb",
        postgresql_using="gin",
    )


def _index_executions() -> None:
    op.create_table(
        "execution_words",
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("model_config_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("search", postgresql.TSVECTOR(), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id", "run_at"],
            ["wb.executions.id", "wb.executions.run_at"],
            name=op.f("fk_execution_words_execution_id_run_at"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("execution_id", "run_at", name=op.f("pk_execution_words")),
        schema="wb",
    )
    for column in ("project_id", "prompt_id"):
        op.create_index(f"ix_execution_words_{column}", "execution_words", [column], schema="wb")
    op.create_index(
        "ix_execution_words_created_at",
        "execution_words",
        [sa.literal_column("created_at DESC")],
        schema="wb",
    )
    op.create_index(
        "ix_execution_words_search", "execution_words", ["search"], schema="wb", postgresql_using="gin"
    )
    # No index more than before on the table that the ledger writes: two have one column more each.
    for first, second in (("prompt_id", "model_config_id"), ("project_id", "finished_at")):
        op.create_index(f"ix_executions_{first}_{second}", "executions", [first, second], schema="wb")
        op.drop_index(f"ix_executions_{first}", table_name="executions", schema="wb")


def _learn_earlier_words() -> None:
    """Under FORCE not even the owner sees a row: so without it, in this one transaction."""
    op.execute("ALTER TABLE wb.prompts NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "INSERT INTO wb.prompt_words (project_id, word) SELECT DISTINCT p.project_id, w FROM wb.prompts p,"
        " LATERAL wb.distinct_words(concat_ws(' ', p.title, wb.tag_words(p.tags), p.note, left(p.content, 100000),"
        " left(p.system_prompt, 100000))) w"
    )
    op.execute("ALTER TABLE wb.prompts FORCE ROW LEVEL SECURITY")


def _give_rights() -> None:
    for table in ("prompt_words", "execution_words"):
        op.execute(f"ALTER TABLE wb.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE wb.{table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY person_read ON wb.{table} FOR SELECT TO wb_user USING ({READABLE})")
        op.execute(
            f"CREATE POLICY definer_all ON wb.{table} FOR ALL TO wb_definer USING (true) WITH CHECK (true)"
        )
        op.execute(f"GRANT SELECT ON wb.{table} TO wb_user")
        op.execute(f"GRANT SELECT, INSERT ON wb.{table} TO wb_definer")
    op.execute("GRANT SELECT, INSERT, UPDATE ON wb_priv.kept_words TO wb_definer")
    for table in READ:
        op.execute(f"CREATE POLICY definer_read ON wb.{table} FOR SELECT TO wb_definer USING (true)")
        op.execute(f"GRANT SELECT ON wb.{table} TO wb_definer")
    op.execute(f"GRANT EXECUTE ON FUNCTION {WORDS} TO wb_definer")
    op.execute("GRANT CREATE, USAGE ON SCHEMA wb, wb_priv TO wb_definer")
    for function in (*SEARCH, LEARN):
        op.execute(f"ALTER FUNCTION {function} OWNER TO wb_definer")
    op.execute("SET ROLE wb_definer")  # an owner's grants to itself do not outlive a change of owner
    for function in SEARCH:
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO wb_user, wb_owner")
    op.execute(f"GRANT EXECUTE ON FUNCTION {LEARN} TO wb_owner")
    for statement in statements("0006_definer.sql"):
        op.execute(statement)
    op.execute("SET ROLE wb_owner")
    op.execute("REVOKE CREATE ON SCHEMA wb, wb_priv FROM wb_definer")


def _bring_back_functions() -> None:
    op.execute("GRANT CREATE ON SCHEMA wb TO wb_definer")
    op.execute("SET ROLE wb_definer")
    earlier = statements("0002_access.sql")
    for name in ("readable_projects", "editable_projects", "visible_users"):
        statement = next(each for each in earlier if f"CREATE FUNCTION wb.{name}()" in each)
        op.execute(statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    op.execute("SET ROLE wb_owner")
    op.execute("REVOKE CREATE ON SCHEMA wb FROM wb_definer")


def downgrade() -> None:
    _bring_back_functions()
    op.execute("DROP TRIGGER learn_words ON wb.prompts")
    for view in VIEWS:
        op.execute(f"DROP VIEW wb.{view}")
    for function in (*SEARCH, LEARN):
        op.execute(f"DROP FUNCTION {function}")
    for table in READ:
        op.execute(f"DROP POLICY definer_read ON wb.{table}")
        op.execute(f"REVOKE SELECT ON wb.{table} FROM wb_definer")
    for first, second in (("prompt_id", "model_config_id"), ("project_id", "finished_at")):
        op.create_index(f"ix_executions_{first}", "executions", [first], schema="wb")
        op.drop_index(f"ix_executions_{first}_{second}", table_name="executions", schema="wb")
    op.drop_table("execution_words", schema="wb")
    op.execute("DROP TABLE wb_priv.kept_words")
    op.drop_index("ix_prompts_title_words", table_name="prompts", schema="wb")
    op.drop_index("ix_prompts_search", table_name="prompts", schema="wb")
    op.drop_column("prompts", "search", schema="wb")
    op.add_column(
        "prompts",
        sa.Column("search", postgresql.TSVECTOR(), sa.Computed(EARLIER_WORDS, persisted=True), nullable=True),
        schema="wb",
    )
    op.create_index("ix_prompts_search", "prompts", ["search"], schema="wb", postgresql_using="gin")
    op.execute("ALTER TABLE wb.prompts RESET (toast_tuple_target)")
    op.execute(f"DROP FUNCTION {WORDS}")
    op.execute("DROP FUNCTION wb.tag_words(text[])")
    op.drop_table("prompt_words", schema="wb")
