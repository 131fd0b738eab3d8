"""The schema as it is in a database: equal to the models, indexed, protected, and reversible."""

from __future__ import annotations

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

import workbench.db.tables  # noqa: F401 - registers the tables
from workbench.db import migrate
from workbench.db.base import Base
from workbench.db.urls import driver_url

#: In schema wb, but not ours to protect: Alembic's own table holds one public word.
UNPROTECTED = {"alembic_version"}


@pytest.fixture
def admin(admin_url):
    with psycopg.connect(admin_url.reveal()) as connection:
        yield connection


def rows(connection, query):
    return connection.execute(query).fetchall()


def test_models_equal_migrations(admin_url):
    engine = create_engine(driver_url(admin_url))
    with engine.connect() as connection:
        connection.execute(text("SET search_path = public"))
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: (
                    name == "wb" if kind == "schema" else name != "alembic_version"
                ),
            },
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_head_is_the_newest_migration(admin_url):
    script = ScriptDirectory.from_config(migrate._config(admin_url))
    assert script.get_heads() == [migrate.HEAD]


def test_downgrade_leaves_nothing_and_upgrade_makes_it_again(admin_url, admin):
    config = migrate._config(admin_url)
    command.downgrade(config, "base")
    left = rows(
        admin,
        "SELECT relname FROM pg_class WHERE relnamespace = ANY (ARRAY['wb', 'wb_priv']::regnamespace[])"
        " AND relname NOT LIKE 'alembic%'"
        " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = ANY (ARRAY['wb', 'wb_priv']::regnamespace[])",
    )
    assert left == []
    admin.rollback()
    command.upgrade(config, "head")
    assert rows(admin, "SELECT version_num FROM wb.alembic_version") == [(migrate.HEAD,)]


def test_every_foreign_key_is_indexed(admin):
    missing = rows(
        admin,
        """
        SELECT c.conrelid::regclass::text, c.conname
        FROM pg_constraint c
        WHERE c.contype = 'f' AND c.connamespace = ANY (ARRAY['wb', 'wb_priv']::regnamespace[])
          AND NOT EXISTS (
              SELECT FROM pg_index i
              WHERE i.indrelid = c.conrelid
                AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
                AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] <@ c.conkey)
        """,
    )
    assert missing == []


def test_every_table_has_forced_row_level_security_and_a_policy(admin):
    found = rows(
        admin,
        """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
               EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
        FROM pg_class c WHERE c.relnamespace = 'wb'::regnamespace AND c.relkind IN ('r', 'p')
        """,
    )
    unprotected = {name for name, forced, policy in found if not (forced and policy)}
    assert unprotected == UNPROTECTED
    assert len(found) == len(Base.metadata.tables) + len(UNPROTECTED)


def test_every_view_runs_with_its_readers_rights(admin):
    found = rows(
        admin,
        "SELECT relname, coalesce(reloptions::text, '') FROM pg_class WHERE relnamespace = 'wb'::regnamespace AND relkind = 'v'",
    )
    assert len(found) >= 8
    assert [name for name, options in found if "security_invoker=true" not in options] == []


def test_definer_functions_fix_their_search_path_and_are_not_for_everybody(admin):
    found = rows(
        admin,
        """
        SELECT p.proname, pg_get_userbyid(p.proowner), coalesce(p.proconfig::text, ''),
               has_function_privilege('public', p.oid, 'EXECUTE')
        FROM pg_proc p WHERE p.pronamespace = ANY (ARRAY['wb', 'wb_priv']::regnamespace[])
        """,
    )
    assert len(found) >= 13
    for name, owner, config, public in found:
        assert "search_path=pg_catalog, pg_temp" in config, name
        assert not public, name
        definer = rows(admin, f"SELECT prosecdef FROM pg_proc WHERE proname = '{name}'")[0][0]
        assert owner == ("wb_definer" if definer else "wb_owner"), name


def test_people_own_nothing_and_have_no_power(admin):
    found = rows(
        admin,
        "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname LIKE 'wb\\_%'"
        " AND rolname <> 'wb_admin'",
    )
    assert [name for name, powerful in found if powerful] == []
    assert rows(
        admin,
        "SELECT has_schema_privilege('wb_user', 'wb_priv', 'USAGE'), has_schema_privilege('wb_user', 'wb', 'CREATE')",
    ) == [(False, False)]


def test_the_seeds_tables_and_columns_are_there(admin):
    columns = {
        (table, column)
        for table, column in rows(
            admin, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'wb'"
        )
    }
    for table, names in SEED.items():
        missing = {name for name in names.split() if (table, name) not in columns}
        assert missing == set(), table


#: The document's tables; without users.password_hash and users.openrouter_api_key, which PostgreSQL and a key ring replace.
SEED = {
    "users": "id email username is_active is_superuser settings created_at updated_at",
    "projects": "id user_id name description settings is_public created_at updated_at",
    "model_configs": (
        "id model_id model_name provider context_length max_tokens supports_streaming supports_functions pricing settings"
        " best_practices created_at updated_at"
    ),
    "prompts": (
        "id project_id user_id title content system_prompt variables tags version parent_id is_template metadata created_at updated_at"
    ),
    "executions": (
        "id prompt_id model_config_id user_id input_variables request_payload response_data tokens_prompt tokens_completion"
        " tokens_total cost_estimate execution_time_ms status error_message created_at"
    ),
    "evaluations": (
        "id execution_id user_id evaluation_template_id evaluation_criteria scores automated_feedback human_feedback"
        " overall_score passed created_at"
    ),
    "evaluation_templates": "id user_id name description criteria scoring_rubric is_public created_at updated_at",
    "ab_tests": (
        "id project_id name description variant_a_prompt_id variant_b_prompt_id model_config_id evaluation_template_id"
        " sample_size status results created_at completed_at"
    ),
    "prompt_library": (
        "id category subcategory name description content variables tags model_recommendations use_cases is_official"
        " created_by created_at"
    ),
    "audit_logs": "id user_id action resource_type resource_id details ip_address user_agent created_at",
}
