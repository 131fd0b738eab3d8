"""Every table, its keys and indexes; rights come with 0002.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("resource_type", sa.String(length=50), nullable=True),
        sa.Column("resource_id", sa.Uuid(), nullable=True),
        sa.Column(
            "details",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("ip_address", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_logs")),
        sa.UniqueConstraint("user_id", "seq", name=op.f("uq_audit_logs_user_id_seq")),
        schema="wb",
    )
    op.create_index(
        "ix_audit_logs_created_at",
        "audit_logs",
        [sa.literal_column("created_at DESC")],
        unique=False,
        schema="wb",
    )
    op.create_index(
        op.f("ix_audit_logs_resource_type_resource_id"),
        "audit_logs",
        ["resource_type", "resource_id"],
        unique=False,
        schema="wb",
    )
    op.create_table(
        "model_configs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("model_id", sa.String(length=255), nullable=False),
        sa.Column("model_name", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=100), nullable=False),
        sa.Column("context_length", sa.Integer(), nullable=True),
        sa.Column("max_tokens", sa.Integer(), nullable=True),
        sa.Column("supports_streaming", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("supports_functions", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "pricing",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "best_practices",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_configs")),
        sa.UniqueConstraint("model_id", name=op.f("uq_model_configs_model_id")),
        schema="wb",
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_superuser", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
        schema="wb",
    )
    op.create_index(
        "ix_users_settings",
        "users",
        ["settings"],
        unique=False,
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"settings": "jsonb_path_ops"},
    )
    op.create_table(
        "evaluation_templates",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "criteria",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "scoring_rubric",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("is_public", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_evaluation_templates_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_templates")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_evaluation_templates_user_id_name")),
        schema="wb",
    )
    op.create_index(
        op.f("ix_evaluation_templates_user_id"),
        "evaluation_templates",
        ["user_id"],
        unique=False,
        schema="wb",
    )
    op.create_table(
        "model_prices",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("model_config_id", sa.Uuid(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("price_prompt", sa.Numeric(precision=18, scale=10), nullable=False),
        sa.Column("price_completion", sa.Numeric(precision=18, scale=10), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "price_prompt >= 0 AND price_completion >= 0", name=op.f("ck_model_prices_positive")
        ),
        sa.ForeignKeyConstraint(
            ["model_config_id"],
            ["wb.model_configs.id"],
            name=op.f("fk_model_prices_model_config_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_model_prices_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("user_id", "model_config_id", "valid_from", name=op.f("pk_model_prices")),
        schema="wb",
    )
    op.create_index(
        op.f("ix_model_prices_model_config_id"),
        "model_prices",
        ["model_config_id"],
        unique=False,
        schema="wb",
    )
    op.create_index(op.f("ix_model_prices_user_id"), "model_prices", ["user_id"], unique=False, schema="wb")
    op.create_table(
        "projects",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("is_public", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_projects_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_projects_user_id_name")),
        schema="wb",
    )
    op.create_index(
        "ix_projects_created_at",
        "projects",
        [sa.literal_column("created_at DESC")],
        unique=False,
        schema="wb",
    )
    op.create_index(op.f("ix_projects_user_id"), "projects", ["user_id"], unique=False, schema="wb")
    op.create_table(
        "prompt_library",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("category", sa.String(length=100), nullable=False),
        sa.Column("subcategory", sa.String(length=100), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column(
            "variables",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False
        ),
        sa.Column("model_recommendations", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("use_cases", sa.Text(), nullable=True),
        sa.Column("is_official", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["created_by"], ["wb.users.id"], name=op.f("fk_prompt_library_created_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt_library")),
        sa.UniqueConstraint(
            "category",
            "name",
            "created_by",
            name=op.f("uq_prompt_library_category_name_created_by"),
            postgresql_nulls_not_distinct=True,
        ),
        schema="wb",
    )
    op.create_index(
        op.f("ix_prompt_library_created_by"), "prompt_library", ["created_by"], unique=False, schema="wb"
    )
    op.create_index(
        op.f("ix_prompt_library_tags"),
        "prompt_library",
        ["tags"],
        unique=False,
        schema="wb",
        postgresql_using="gin",
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "columns",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("n_cases", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_datasets_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_datasets_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint(
            "project_id", "name", "content_hash", name=op.f("uq_datasets_project_id_name_content_hash")
        ),
        sa.UniqueConstraint(
            "project_id", "name", "version", name=op.f("uq_datasets_project_id_name_version")
        ),
        schema="wb",
    )
    op.create_index(op.f("ix_datasets_project_id"), "datasets", ["project_id"], unique=False, schema="wb")
    op.create_index(op.f("ix_datasets_user_id"), "datasets", ["user_id"], unique=False, schema="wb")
    op.create_table(
        "project_members",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('reader', 'editor')", name=op.f("ck_project_members_role")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_project_members_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_project_members_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_project_members")),
        schema="wb",
    )
    op.create_index(
        op.f("ix_project_members_user_id"), "project_members", ["user_id"], unique=False, schema="wb"
    )
    op.create_table(
        "prompts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("root_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("kind", sa.Text(), server_default=sa.text("'prompt'"), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=True),
        sa.Column(
            "variables",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column(
            "tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False
        ),
        sa.Column("note", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("is_template", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed(
                "to_tsvector('english', coalesce(title, '') || ' ' || content || ' ' || coalesce(system_prompt, ''))",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('prompt', 'rubric')", name=op.f("ck_prompts_kind")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_prompts_version")),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["wb.prompts.id"], name=op.f("fk_prompts_parent_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_prompts_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["root_id"], ["wb.prompts.id"], name=op.f("fk_prompts_root_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_prompts_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompts")),
        sa.UniqueConstraint(
            "project_id", "title", "version", name=op.f("uq_prompts_project_id_title_version")
        ),
        sa.UniqueConstraint("root_id", "content_hash", name=op.f("uq_prompts_root_id_content_hash")),
        sa.UniqueConstraint("root_id", "id", name=op.f("uq_prompts_root_id_id")),
        sa.UniqueConstraint("root_id", "version", name=op.f("uq_prompts_root_id_version")),
        schema="wb",
    )
    op.create_index(
        "ix_prompts_created_at", "prompts", [sa.literal_column("created_at DESC")], unique=False, schema="wb"
    )
    op.create_index(op.f("ix_prompts_parent_id"), "prompts", ["parent_id"], unique=False, schema="wb")
    op.create_index(op.f("ix_prompts_project_id"), "prompts", ["project_id"], unique=False, schema="wb")
    op.create_index(
        "ix_prompts_search", "prompts", ["search"], unique=False, schema="wb", postgresql_using="gin"
    )
    op.create_index("ix_prompts_tags", "prompts", ["tags"], unique=False, schema="wb", postgresql_using="gin")
    op.create_index(
        "ix_prompts_title_trgm",
        "prompts",
        ["title"],
        unique=False,
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
    )
    op.create_index(op.f("ix_prompts_user_id"), "prompts", ["user_id"], unique=False, schema="wb")
    op.create_index(
        "ix_prompts_variables",
        "prompts",
        ["variables"],
        unique=False,
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"variables": "jsonb_path_ops"},
    )
    op.create_table(
        "reports",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'running'"), nullable=False),
        sa.Column(
            "parameters",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("notebook_path", sa.Text(), nullable=True),
        sa.Column("html_path", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('running', 'complete', 'failed')", name=op.f("ck_reports_status")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_reports_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_reports_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        schema="wb",
    )
    op.create_index(op.f("ix_reports_project_id"), "reports", ["project_id"], unique=False, schema="wb")
    op.create_index(op.f("ix_reports_user_id"), "reports", ["user_id"], unique=False, schema="wb")
    op.create_table(
        "ab_tests",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("variant_a_prompt_id", sa.Uuid(), nullable=False),
        sa.Column("variant_b_prompt_id", sa.Uuid(), nullable=False),
        sa.Column("model_config_id", sa.Uuid(), nullable=True),
        sa.Column("evaluation_template_id", sa.Uuid(), nullable=True),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("sample_size", sa.Integer(), server_default=sa.text("100"), nullable=False),
        sa.Column("samples", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("design", sa.Text(), server_default=sa.text("'fixed'"), nullable=False),
        sa.Column("metric", sa.Text(), server_default=sa.text("'pass'"), nullable=False),
        sa.Column(
            "scorers",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "guards",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("alpha", sa.Double(), server_default=sa.text("0.05"), nullable=False),
        sa.Column("power", sa.Double(), server_default=sa.text("0.8"), nullable=False),
        sa.Column("mde", sa.Double(), nullable=True),
        sa.Column("margin", sa.Double(), nullable=True),
        sa.Column("seed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.String(length=50), server_default=sa.text("'draft'"), nullable=False),
        sa.Column(
            "results",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "design IN ('fixed', 'anytime', 'group_sequential')", name=op.f("ck_ab_tests_design")
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'running', 'completed', 'stopped')", name=op.f("ck_ab_tests_status")
        ),
        sa.CheckConstraint(
            "alpha > 0 AND alpha < 1 AND power > 0 AND power < 1", name=op.f("ck_ab_tests_rates")
        ),
        sa.ForeignKeyConstraint(["dataset_id"], ["wb.datasets.id"], name=op.f("fk_ab_tests_dataset_id")),
        sa.ForeignKeyConstraint(
            ["evaluation_template_id"],
            ["wb.evaluation_templates.id"],
            name=op.f("fk_ab_tests_evaluation_template_id"),
        ),
        sa.ForeignKeyConstraint(
            ["model_config_id"], ["wb.model_configs.id"], name=op.f("fk_ab_tests_model_config_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_ab_tests_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_ab_tests_user_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["variant_a_prompt_id"], ["wb.prompts.id"], name=op.f("fk_ab_tests_variant_a_prompt_id")
        ),
        sa.ForeignKeyConstraint(
            ["variant_b_prompt_id"], ["wb.prompts.id"], name=op.f("fk_ab_tests_variant_b_prompt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ab_tests")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_ab_tests_project_id_name")),
        schema="wb",
    )
    op.create_index(op.f("ix_ab_tests_dataset_id"), "ab_tests", ["dataset_id"], unique=False, schema="wb")
    op.create_index(
        op.f("ix_ab_tests_evaluation_template_id"),
        "ab_tests",
        ["evaluation_template_id"],
        unique=False,
        schema="wb",
    )
    op.create_index(
        op.f("ix_ab_tests_model_config_id"), "ab_tests", ["model_config_id"], unique=False, schema="wb"
    )
    op.create_index(op.f("ix_ab_tests_project_id"), "ab_tests", ["project_id"], unique=False, schema="wb")
    op.create_index(op.f("ix_ab_tests_user_id"), "ab_tests", ["user_id"], unique=False, schema="wb")
    op.create_index(
        op.f("ix_ab_tests_variant_a_prompt_id"),
        "ab_tests",
        ["variant_a_prompt_id"],
        unique=False,
        schema="wb",
    )
    op.create_index(
        op.f("ix_ab_tests_variant_b_prompt_id"),
        "ab_tests",
        ["variant_b_prompt_id"],
        unique=False,
        schema="wb",
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("case_key", sa.Text(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("expected", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("cluster_id", sa.Text(), nullable=True),
        sa.Column("split", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["wb.datasets.id"], name=op.f("fk_cases_dataset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_cases_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("dataset_id", "case_key", name=op.f("uq_cases_dataset_id_case_key")),
        sa.UniqueConstraint("dataset_id", "position", name=op.f("uq_cases_dataset_id_position")),
        schema="wb",
    )
    op.create_index(op.f("ix_cases_project_id"), "cases", ["project_id"], unique=False, schema="wb")
    op.create_table(
        "prompt_labels",
        sa.Column("root_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_prompt_labels_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["root_id", "prompt_id"],
            ["wb.prompts.root_id", "wb.prompts.id"],
            name=op.f("fk_prompt_labels_root_id_prompt_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_prompt_labels_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("root_id", "name", name=op.f("pk_prompt_labels")),
        schema="wb",
    )
    op.create_index(
        op.f("ix_prompt_labels_project_id"), "prompt_labels", ["project_id"], unique=False, schema="wb"
    )
    op.create_index(
        op.f("ix_prompt_labels_root_id_prompt_id"),
        "prompt_labels",
        ["root_id", "prompt_id"],
        unique=False,
        schema="wb",
    )
    op.create_index(op.f("ix_prompt_labels_user_id"), "prompt_labels", ["user_id"], unique=False, schema="wb")
    op.create_table(
        "ab_arms",
        sa.Column("ab_test_id", sa.Uuid(), nullable=False),
        sa.Column("variant", sa.String(length=1), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("model_config_id", sa.Uuid(), nullable=False),
        sa.Column(
            "options",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.CheckConstraint("variant ~ '^[A-Z]$'", name=op.f("ck_ab_arms_variant")),
        sa.ForeignKeyConstraint(
            ["ab_test_id"], ["wb.ab_tests.id"], name=op.f("fk_ab_arms_ab_test_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["model_config_id"], ["wb.model_configs.id"], name=op.f("fk_ab_arms_model_config_id")
        ),
        sa.ForeignKeyConstraint(["prompt_id"], ["wb.prompts.id"], name=op.f("fk_ab_arms_prompt_id")),
        sa.PrimaryKeyConstraint("ab_test_id", "variant", name=op.f("pk_ab_arms")),
        schema="wb",
    )
    op.create_index(
        op.f("ix_ab_arms_model_config_id"), "ab_arms", ["model_config_id"], unique=False, schema="wb"
    )
    op.create_index(op.f("ix_ab_arms_prompt_id"), "ab_arms", ["prompt_id"], unique=False, schema="wb")
    op.create_table(
        "ab_looks",
        sa.Column("ab_test_id", sa.Uuid(), nullable=False),
        sa.Column("look", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("n_cases", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["ab_test_id"], ["wb.ab_tests.id"], name=op.f("fk_ab_looks_ab_test_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_ab_looks_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("ab_test_id", "look", name=op.f("pk_ab_looks")),
        schema="wb",
    )
    op.create_index(op.f("ix_ab_looks_user_id"), "ab_looks", ["user_id"], unique=False, schema="wb")
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=True),
        sa.Column("ab_test_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'running'"), nullable=False),
        sa.Column(
            "plan",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("plan_digest", sa.Text(), nullable=False),
        sa.Column("n_planned", sa.Integer(), nullable=False),
        sa.Column("budget", sa.Numeric(precision=18, scale=10), nullable=True),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('running', 'finished', 'stopped')", name=op.f("ck_runs_status")),
        sa.ForeignKeyConstraint(["ab_test_id"], ["wb.ab_tests.id"], name=op.f("fk_runs_ab_test_id")),
        sa.ForeignKeyConstraint(["dataset_id"], ["wb.datasets.id"], name=op.f("fk_runs_dataset_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_runs_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_runs_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        schema="wb",
    )
    op.create_index(op.f("ix_runs_ab_test_id"), "runs", ["ab_test_id"], unique=False, schema="wb")
    op.create_index(op.f("ix_runs_dataset_id"), "runs", ["dataset_id"], unique=False, schema="wb")
    op.create_index(op.f("ix_runs_project_id"), "runs", ["project_id"], unique=False, schema="wb")
    op.create_index(
        "ix_runs_unfinished",
        "runs",
        ["project_id", "plan_digest"],
        unique=False,
        schema="wb",
        postgresql_where=sa.text("status <> 'finished'"),
    )
    op.create_index(op.f("ix_runs_user_id"), "runs", ["user_id"], unique=False, schema="wb")
    op.create_table(
        "executions",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("model_config_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=True),
        sa.Column("case_key", sa.Text(), nullable=True),
        sa.Column("variant", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("sample", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("purpose", sa.Text(), server_default=sa.text("'run'"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'planned'"), nullable=False),
        sa.Column(
            "input_variables",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("request_payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("request_digest", sa.Text(), nullable=False),
        sa.Column("response_data", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answer_json", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("tokens_prompt", sa.Integer(), nullable=True),
        sa.Column("tokens_completion", sa.Integer(), nullable=True),
        sa.Column("tokens_total", sa.Integer(), nullable=True),
        sa.Column("tokens_cached", sa.Integer(), nullable=True),
        sa.Column("tokens_reasoning", sa.Integer(), nullable=True),
        sa.Column("cost_estimate", sa.Numeric(precision=18, scale=10), nullable=True),
        sa.Column("cost_source", sa.Text(), nullable=True),
        sa.Column("execution_time_ms", sa.Integer(), nullable=True),
        sa.Column("ttft_ms", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("cached_from", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "cost_source IN ('provider', 'price', 'cache')", name=op.f("ck_executions_cost_source")
        ),
        sa.CheckConstraint(
            "purpose IN ('run', 'judge', 'embed', 'synthetic', 'ablation')",
            name=op.f("ck_executions_purpose"),
        ),
        sa.CheckConstraint(
            "status IN ('planned', 'sent', 'done', 'failed', 'lost', 'unknown', 'late')",
            name=op.f("ck_executions_status"),
        ),
        sa.CheckConstraint("cost_estimate >= 0", name=op.f("ck_executions_cost")),
        sa.ForeignKeyConstraint(["case_id"], ["wb.cases.id"], name=op.f("fk_executions_case_id")),
        sa.ForeignKeyConstraint(
            ["model_config_id"], ["wb.model_configs.id"], name=op.f("fk_executions_model_config_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_executions_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["prompt_id"], ["wb.prompts.id"], name=op.f("fk_executions_prompt_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["wb.runs.id"], name=op.f("fk_executions_run_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_executions_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", "run_at", name=op.f("pk_executions")),
        schema="wb",
    )
    op.create_index(op.f("ix_executions_case_id"), "executions", ["case_id"], unique=False, schema="wb")
    op.create_index(
        "ix_executions_created_at",
        "executions",
        [sa.literal_column("created_at DESC")],
        unique=False,
        schema="wb",
    )
    op.create_index(
        "ix_executions_digest",
        "executions",
        ["request_digest"],
        unique=False,
        schema="wb",
        postgresql_where=sa.text("status = 'done'"),
    )
    op.create_index(
        op.f("ix_executions_model_config_id"), "executions", ["model_config_id"], unique=False, schema="wb"
    )
    op.create_index(op.f("ix_executions_project_id"), "executions", ["project_id"], unique=False, schema="wb")
    op.create_index(op.f("ix_executions_prompt_id"), "executions", ["prompt_id"], unique=False, schema="wb")
    op.create_index(
        "ix_executions_response_data",
        "executions",
        ["response_data"],
        unique=False,
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"response_data": "jsonb_path_ops"},
    )
    op.create_index(op.f("ix_executions_run_id"), "executions", ["run_id"], unique=False, schema="wb")
    op.create_index(op.f("ix_executions_user_id"), "executions", ["user_id"], unique=False, schema="wb")
    op.create_index(
        "uq_executions_ledger",
        "executions",
        ["run_at", "run_id", "case_key", "prompt_id", "model_config_id", "variant", "sample"],
        unique=True,
        schema="wb",
        postgresql_where=sa.text("status IN ('planned', 'sent', 'done')"),
    )
    op.create_table(
        "attempts",
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("retry_after_ms", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["execution_id", "run_at"],
            ["wb.executions.id", "wb.executions.run_at"],
            name=op.f("fk_attempts_execution_id_run_at"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("execution_id", "run_at", "n", name=op.f("pk_attempts")),
        schema="wb",
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("evaluation_template_id", sa.Uuid(), nullable=True),
        sa.Column("judge_execution_id", sa.Uuid(), nullable=True),
        sa.Column("judge_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scorer", sa.Text(), nullable=False),
        sa.Column("rater", sa.Text(), server_default=sa.text("'rule'"), nullable=False),
        sa.Column("vote", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("evaluation_criteria", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("scores", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "automated_feedback",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("human_feedback", sa.Text(), nullable=True),
        sa.Column("overall_score", sa.Numeric(precision=12, scale=6), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(judge_execution_id IS NULL) = (judge_run_at IS NULL)", name=op.f("ck_evaluations_judge")
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_template_id"],
            ["wb.evaluation_templates.id"],
            name=op.f("fk_evaluations_evaluation_template_id"),
        ),
        sa.ForeignKeyConstraint(
            ["execution_id", "run_at"],
            ["wb.executions.id", "wb.executions.run_at"],
            name=op.f("fk_evaluations_execution_id_run_at"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["judge_execution_id", "judge_run_at"],
            ["wb.executions.id", "wb.executions.run_at"],
            name=op.f("fk_evaluations_judge_execution_id_judge_run_at"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["wb.projects.id"], name=op.f("fk_evaluations_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["wb.users.id"], name=op.f("fk_evaluations_user_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint(
            "execution_id",
            "run_at",
            "scorer",
            "rater",
            "vote",
            name=op.f("uq_evaluations_execution_id_run_at_scorer_rater_vote"),
        ),
        schema="wb",
    )
    op.create_index(
        op.f("ix_evaluations_evaluation_template_id"),
        "evaluations",
        ["evaluation_template_id"],
        unique=False,
        schema="wb",
    )
    op.create_index(
        "ix_evaluations_judge",
        "evaluations",
        ["judge_execution_id", "judge_run_at"],
        unique=False,
        schema="wb",
        postgresql_where=sa.text("judge_execution_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_evaluations_overall_score"), "evaluations", ["overall_score"], unique=False, schema="wb"
    )
    op.create_index(
        op.f("ix_evaluations_project_id"), "evaluations", ["project_id"], unique=False, schema="wb"
    )
    op.create_index(op.f("ix_evaluations_user_id"), "evaluations", ["user_id"], unique=False, schema="wb")


def downgrade() -> None:
    op.drop_index(op.f("ix_evaluations_user_id"), table_name="evaluations", schema="wb")
    op.drop_index(op.f("ix_evaluations_project_id"), table_name="evaluations", schema="wb")
    op.drop_index(op.f("ix_evaluations_overall_score"), table_name="evaluations", schema="wb")
    op.drop_index(
        "ix_evaluations_judge",
        table_name="evaluations",
        schema="wb",
        postgresql_where=sa.text("judge_execution_id IS NOT NULL"),
    )
    op.drop_index(op.f("ix_evaluations_evaluation_template_id"), table_name="evaluations", schema="wb")
    op.drop_table("evaluations", schema="wb")
    op.drop_table("attempts", schema="wb")
    op.drop_index(
        "uq_executions_ledger",
        table_name="executions",
        schema="wb",
        postgresql_where=sa.text("status IN ('planned', 'sent', 'done')"),
    )
    op.drop_index(op.f("ix_executions_user_id"), table_name="executions", schema="wb")
    op.drop_index(op.f("ix_executions_run_id"), table_name="executions", schema="wb")
    op.drop_index(
        "ix_executions_response_data",
        table_name="executions",
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"response_data": "jsonb_path_ops"},
    )
    op.drop_index(op.f("ix_executions_prompt_id"), table_name="executions", schema="wb")
    op.drop_index(op.f("ix_executions_project_id"), table_name="executions", schema="wb")
    op.drop_index(op.f("ix_executions_model_config_id"), table_name="executions", schema="wb")
    op.drop_index(
        "ix_executions_digest",
        table_name="executions",
        schema="wb",
        postgresql_where=sa.text("status = 'done'"),
    )
    op.drop_index("ix_executions_created_at", table_name="executions", schema="wb")
    op.drop_index(op.f("ix_executions_case_id"), table_name="executions", schema="wb")
    op.drop_table("executions", schema="wb")
    op.drop_index(op.f("ix_runs_user_id"), table_name="runs", schema="wb")
    op.drop_index(
        "ix_runs_unfinished", table_name="runs", schema="wb", postgresql_where=sa.text("status <> 'finished'")
    )
    op.drop_index(op.f("ix_runs_project_id"), table_name="runs", schema="wb")
    op.drop_index(op.f("ix_runs_dataset_id"), table_name="runs", schema="wb")
    op.drop_index(op.f("ix_runs_ab_test_id"), table_name="runs", schema="wb")
    op.drop_table("runs", schema="wb")
    op.drop_index(op.f("ix_ab_looks_user_id"), table_name="ab_looks", schema="wb")
    op.drop_table("ab_looks", schema="wb")
    op.drop_index(op.f("ix_ab_arms_prompt_id"), table_name="ab_arms", schema="wb")
    op.drop_index(op.f("ix_ab_arms_model_config_id"), table_name="ab_arms", schema="wb")
    op.drop_table("ab_arms", schema="wb")
    op.drop_index(op.f("ix_prompt_labels_user_id"), table_name="prompt_labels", schema="wb")
    op.drop_index(op.f("ix_prompt_labels_root_id_prompt_id"), table_name="prompt_labels", schema="wb")
    op.drop_index(op.f("ix_prompt_labels_project_id"), table_name="prompt_labels", schema="wb")
    op.drop_table("prompt_labels", schema="wb")
    op.drop_index(op.f("ix_cases_project_id"), table_name="cases", schema="wb")
    op.drop_table("cases", schema="wb")
    op.drop_index(op.f("ix_ab_tests_variant_b_prompt_id"), table_name="ab_tests", schema="wb")
    op.drop_index(op.f("ix_ab_tests_variant_a_prompt_id"), table_name="ab_tests", schema="wb")
    op.drop_index(op.f("ix_ab_tests_user_id"), table_name="ab_tests", schema="wb")
    op.drop_index(op.f("ix_ab_tests_project_id"), table_name="ab_tests", schema="wb")
    op.drop_index(op.f("ix_ab_tests_model_config_id"), table_name="ab_tests", schema="wb")
    op.drop_index(op.f("ix_ab_tests_evaluation_template_id"), table_name="ab_tests", schema="wb")
    op.drop_index(op.f("ix_ab_tests_dataset_id"), table_name="ab_tests", schema="wb")
    op.drop_table("ab_tests", schema="wb")
    op.drop_index(op.f("ix_reports_user_id"), table_name="reports", schema="wb")
    op.drop_index(op.f("ix_reports_project_id"), table_name="reports", schema="wb")
    op.drop_table("reports", schema="wb")
    op.drop_index(
        "ix_prompts_variables",
        table_name="prompts",
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"variables": "jsonb_path_ops"},
    )
    op.drop_index(op.f("ix_prompts_user_id"), table_name="prompts", schema="wb")
    op.drop_index(
        "ix_prompts_title_trgm",
        table_name="prompts",
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"title": "gin_trgm_ops"},
    )
    op.drop_index("ix_prompts_tags", table_name="prompts", schema="wb", postgresql_using="gin")
    op.drop_index("ix_prompts_search", table_name="prompts", schema="wb", postgresql_using="gin")
    op.drop_index(op.f("ix_prompts_project_id"), table_name="prompts", schema="wb")
    op.drop_index(op.f("ix_prompts_parent_id"), table_name="prompts", schema="wb")
    op.drop_index("ix_prompts_created_at", table_name="prompts", schema="wb")
    op.drop_table("prompts", schema="wb")
    op.drop_index(op.f("ix_project_members_user_id"), table_name="project_members", schema="wb")
    op.drop_table("project_members", schema="wb")
    op.drop_index(op.f("ix_datasets_user_id"), table_name="datasets", schema="wb")
    op.drop_index(op.f("ix_datasets_project_id"), table_name="datasets", schema="wb")
    op.drop_table("datasets", schema="wb")
    op.drop_index(
        op.f("ix_prompt_library_tags"), table_name="prompt_library", schema="wb", postgresql_using="gin"
    )
    op.drop_index(op.f("ix_prompt_library_created_by"), table_name="prompt_library", schema="wb")
    op.drop_table("prompt_library", schema="wb")
    op.drop_index(op.f("ix_projects_user_id"), table_name="projects", schema="wb")
    op.drop_index("ix_projects_created_at", table_name="projects", schema="wb")
    op.drop_table("projects", schema="wb")
    op.drop_index(op.f("ix_model_prices_user_id"), table_name="model_prices", schema="wb")
    op.drop_index(op.f("ix_model_prices_model_config_id"), table_name="model_prices", schema="wb")
    op.drop_table("model_prices", schema="wb")
    op.drop_index(op.f("ix_evaluation_templates_user_id"), table_name="evaluation_templates", schema="wb")
    op.drop_table("evaluation_templates", schema="wb")
    op.drop_index(
        "ix_users_settings",
        table_name="users",
        schema="wb",
        postgresql_using="gin",
        postgresql_ops={"settings": "jsonb_path_ops"},
    )
    op.drop_table("users", schema="wb")
    op.drop_table("model_configs", schema="wb")
    op.drop_index(op.f("ix_audit_logs_resource_type_resource_id"), table_name="audit_logs", schema="wb")
    op.drop_index("ix_audit_logs_created_at", table_name="audit_logs", schema="wb")
    op.drop_table("audit_logs", schema="wb")
