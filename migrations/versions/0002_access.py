"""Roles' rights: functions, triggers, row-level security, grants.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

from workbench.db.migrate import statements

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

READABLE = "project_id = ANY ((SELECT wb.readable_projects())::uuid[])"
EDITABLE = "project_id = ANY ((SELECT wb.editable_projects())::uuid[])"
MINE = "user_id = (SELECT wb.me())"
SEES_PROMPT = "EXISTS (SELECT FROM wb.prompts p WHERE p.id = {0})"
SEES_DATASET = "EXISTS (SELECT FROM wb.datasets d WHERE d.id = {0})"
SEES_TEMPLATE = "EXISTS (SELECT FROM wb.evaluation_templates t WHERE t.id = {0})"
EDITS_TEST = "EXISTS (SELECT FROM wb.ab_tests t WHERE t.id = ab_test_id AND t.project_id = ANY ((SELECT wb.editable_projects())::uuid[]))"
SEES_TEST = "EXISTS (SELECT FROM wb.ab_tests t WHERE t.id = ab_test_id)"

# table → (who may read, who may insert, who may update a row); None where nobody may.
POLICIES: dict[str, tuple[str, str | None, str | None]] = {
    "users": ("id = ANY ((SELECT wb.visible_users())::uuid[])", None, "id = (SELECT wb.me())"),
    "projects": ("id = ANY ((SELECT wb.readable_projects())::uuid[]) OR " + MINE, MINE, MINE),
    "project_members": (
        READABLE,
        "project_id IN (SELECT p.id FROM wb.projects p WHERE p.user_id = (SELECT wb.me())) AND user_id <> (SELECT wb.me())",
        "project_id IN (SELECT p.id FROM wb.projects p WHERE p.user_id = (SELECT wb.me()))",
    ),
    "model_configs": ("true", None, None),
    "model_prices": (MINE, MINE, None),
    "prompts": (
        READABLE,
        f"{MINE} AND {EDITABLE}"
        " AND (root_id = id OR wb.sees_prompt(root_id, project_id, root_id))"
        " AND (parent_id IS NULL OR wb.sees_prompt(parent_id, NULL, NULL))",
        EDITABLE,
    ),
    "prompt_labels": (
        READABLE,
        f"{MINE} AND {EDITABLE} AND wb.sees_prompt(prompt_id, project_id, root_id)",
        f"{EDITABLE} AND wb.sees_prompt(prompt_id, project_id, root_id)",
    ),
    "prompt_library": (
        "is_official OR created_by = (SELECT wb.me())",
        "NOT is_official AND created_by = (SELECT wb.me())",
        None,
    ),
    "datasets": (READABLE, f"{MINE} AND {EDITABLE}", None),
    "cases": (
        READABLE,
        f"{EDITABLE} AND EXISTS (SELECT FROM wb.datasets d WHERE d.id = dataset_id AND d.project_id = cases.project_id AND d.user_id = (SELECT wb.me()))",
        None,
    ),
    "runs": (
        READABLE,
        f"{MINE} AND {EDITABLE} AND (dataset_id IS NULL OR {SEES_DATASET.format('dataset_id')})"
        " AND (ab_test_id IS NULL OR EXISTS (SELECT FROM wb.ab_tests t WHERE t.id = ab_test_id AND t.project_id = runs.project_id))",
        f"{MINE} AND {EDITABLE}",
    ),
    "executions": (
        READABLE,
        f"{MINE} AND {EDITABLE} AND {SEES_PROMPT.format('prompt_id')}"
        " AND (run_id IS NULL OR EXISTS (SELECT FROM wb.runs r WHERE r.id = run_id AND r.project_id = executions.project_id"
        " AND r.user_id = (SELECT wb.me()) AND r.run_at = executions.run_at))"
        " AND (case_id IS NULL OR EXISTS (SELECT FROM wb.cases c WHERE c.id = case_id))",
        EDITABLE,
    ),
    "attempts": (
        "EXISTS (SELECT FROM wb.executions e WHERE e.id = execution_id AND e.run_at = attempts.run_at)",
        "EXISTS (SELECT FROM wb.executions e WHERE e.id = execution_id AND e.run_at = attempts.run_at AND e.user_id = (SELECT wb.me()))",
        None,
    ),
    "evaluation_templates": (f"{MINE} OR is_public", MINE, MINE),
    "evaluations": (
        READABLE,
        f"{MINE} AND {EDITABLE}"
        " AND EXISTS (SELECT FROM wb.executions e WHERE e.id = execution_id AND e.run_at = evaluations.run_at AND e.project_id = evaluations.project_id)"
        f" AND (evaluation_template_id IS NULL OR {SEES_TEMPLATE.format('evaluation_template_id')})"
        " AND (judge_execution_id IS NULL OR EXISTS (SELECT FROM wb.executions e WHERE e.id = judge_execution_id AND e.run_at = judge_run_at))",
        f"{MINE} AND {EDITABLE}",
    ),
    "ab_tests": (
        READABLE,
        f"{MINE} AND {EDITABLE} AND {SEES_PROMPT.format('variant_a_prompt_id')} AND {SEES_PROMPT.format('variant_b_prompt_id')}"
        f" AND {SEES_DATASET.format('dataset_id')}"
        f" AND (evaluation_template_id IS NULL OR {SEES_TEMPLATE.format('evaluation_template_id')})",
        EDITABLE,
    ),
    "ab_arms": (SEES_TEST, f"{EDITS_TEST} AND {SEES_PROMPT.format('prompt_id')}", None),
    "ab_looks": (SEES_TEST, f"{MINE} AND {EDITS_TEST}", None),
    "reports": (READABLE, f"{MINE} AND {EDITABLE}", f"{MINE} AND {EDITABLE}"),
    "audit_logs": (MINE, None, None),
}

# The columns that a person may change; everything else stays as it was written.
UPDATABLE = {
    "users": "username, settings",
    "projects": "name, description, settings, is_public",
    "project_members": "role",
    "prompts": "title, tags, note, is_template, archived_at",
    "prompt_labels": "prompt_id, user_id",
    "runs": "status, holder, heartbeat_at, finished_at",
    "executions": (
        "status, response_data, answer, answer_json, finish_reason, provider, tokens_prompt, tokens_completion, tokens_total,"
        " tokens_cached, tokens_reasoning, cost_estimate, cost_source, execution_time_ms, ttft_ms, error_code, error_message,"
        " score, passed, cached_from, finished_at"
    ),
    "evaluation_templates": "description, criteria, scoring_rubric, is_public",
    "evaluations": "evaluation_criteria, scores, automated_feedback, human_feedback, overall_score, passed",
    "ab_tests": "description, status, results, completed_at",
    "reports": "status, notebook_path, html_path, error, finished_at",
}
DELETABLE = {
    "project_members": "project_id IN (SELECT p.id FROM wb.projects p WHERE p.user_id = (SELECT wb.me()))"
}
DEFINER_READS = ("users", "projects", "project_members")
TOUCHED = ("users", "projects", "model_configs", "prompts", "prompt_labels", "evaluation_templates")

# table → (events, action, columns kept in the entry)
AUDITED = {
    "projects": ("INSERT OR UPDATE", "project.save", "name,is_public"),
    "project_members": ("INSERT OR UPDATE OR DELETE", "member.change", "user_id,role"),
    "prompts": ("INSERT", "prompt.save", "title,version,content_hash"),
    "prompt_labels": ("INSERT OR UPDATE", "label.move", "name,root_id"),
    "datasets": ("INSERT", "dataset.save", "name,version,n_cases,content_hash"),
    "runs": ("INSERT OR UPDATE OF status", "run.status", "status,plan_digest,n_planned"),
    "ab_tests": (
        "INSERT OR UPDATE OF status",
        "ab.status",
        "name,status,design,metric,alpha,margin,sample_size",
    ),
    "ab_looks": ("INSERT", "ab.look", "look,n_cases,verdict"),
    "reports": ("INSERT OR UPDATE OF status", "report.status", "name,status"),
}
DEFINER_FUNCTIONS = (
    "wb.me()", "wb.readable_projects()", "wb.editable_projects()", "wb.visible_users()",
    "wb.register_model(text, text, text, integer, integer, boolean)",
    "wb_priv.register_user(name, text, text)", "wb_priv.audit()",
)  # fmt: skip


def upgrade() -> None:
    op.execute("REVOKE ALL ON SCHEMA wb, wb_priv FROM PUBLIC")
    op.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    for statement in statements("0002_access.sql"):
        op.execute(statement)
    op.execute("GRANT USAGE ON SCHEMA wb TO wb_user")
    op.execute("GRANT SELECT ON wb.alembic_version TO wb_user")
    _give_to_definer()
    for table, (read, insert, update) in POLICIES.items():
        _protect(table, read, insert, update)
    for table in DEFINER_READS:
        op.execute(f"CREATE POLICY definer_read ON wb.{table} FOR SELECT TO wb_definer USING (true)")
    op.execute("CREATE POLICY definer_write ON wb.users FOR INSERT TO wb_definer WITH CHECK (true)")
    op.execute(
        "CREATE POLICY definer_all ON wb.model_configs FOR ALL TO wb_definer USING (true) WITH CHECK (true)"
    )
    op.execute(
        "CREATE POLICY definer_all ON wb.audit_logs FOR ALL TO wb_definer USING (true) WITH CHECK (true)"
    )
    for table in TOUCHED:
        op.execute(
            f"CREATE TRIGGER touch BEFORE UPDATE ON wb.{table} FOR EACH ROW EXECUTE FUNCTION wb.touch()"
        )
    op.execute(
        "CREATE TRIGGER freeze_content BEFORE UPDATE ON wb.prompts FOR EACH ROW EXECUTE FUNCTION wb.freeze_prompt()"
    )
    op.execute(
        "CREATE TRIGGER guard_ledger BEFORE INSERT OR UPDATE ON wb.executions FOR EACH ROW EXECUTE FUNCTION wb.guard_execution()"
    )
    for table, (events, action, kept) in AUDITED.items():
        op.execute(
            f"CREATE TRIGGER audit AFTER {events} ON wb.{table} FOR EACH ROW EXECUTE FUNCTION wb_priv.audit('{action}', '{kept}')"
        )


def _give_to_definer() -> None:
    """Hand the SECURITY DEFINER functions to a role that owns no table and that nobody can log in as."""
    op.execute("GRANT CREATE, USAGE ON SCHEMA wb, wb_priv TO wb_definer")
    for function in DEFINER_FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} OWNER TO wb_definer")
    op.execute("REVOKE CREATE ON SCHEMA wb, wb_priv FROM wb_definer")
    op.execute("GRANT EXECUTE ON FUNCTION wb.sees_prompt(uuid, uuid, uuid) TO wb_user")
    op.execute("SET ROLE wb_definer")  # an owner's grants to itself do not outlive a change of owner
    for function in DEFINER_FUNCTIONS:
        group = "wb_owner" if function.startswith("wb_priv.") else "wb_user, wb_owner"
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {group}")
    op.execute("SET ROLE wb_owner")
    op.execute("GRANT SELECT ON wb.projects, wb.project_members TO wb_definer")
    op.execute("GRANT SELECT, INSERT ON wb.users, wb.audit_logs TO wb_definer")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE ON wb.model_configs, wb_priv.logins, wb_priv.audit_heads TO wb_definer"
    )


def _protect(table: str, read: str, insert: str | None, update: str | None) -> None:
    op.execute(f"ALTER TABLE wb.{table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE wb.{table} FORCE ROW LEVEL SECURITY")
    op.execute(f"GRANT SELECT ON wb.{table} TO wb_user")
    op.execute(f"CREATE POLICY person_read ON wb.{table} FOR SELECT TO wb_user USING ({read})")
    if insert is not None:
        op.execute(f"GRANT INSERT ON wb.{table} TO wb_user")
        op.execute(f"CREATE POLICY person_insert ON wb.{table} FOR INSERT TO wb_user WITH CHECK ({insert})")
    if update is not None:
        op.execute(f"GRANT UPDATE ({UPDATABLE[table]}) ON wb.{table} TO wb_user")
        op.execute(
            f"CREATE POLICY person_update ON wb.{table} FOR UPDATE TO wb_user USING ({update}) WITH CHECK ({update})"
        )
    if table in DELETABLE:
        op.execute(f"GRANT DELETE ON wb.{table} TO wb_user")
        op.execute(
            f"CREATE POLICY person_delete ON wb.{table} FOR DELETE TO wb_user USING ({DELETABLE[table]})"
        )


def downgrade() -> None:
    for table in AUDITED:
        op.execute(f"DROP TRIGGER audit ON wb.{table}")
    op.execute("DROP TRIGGER guard_ledger ON wb.executions")
    op.execute("DROP TRIGGER freeze_content ON wb.prompts")
    for table in TOUCHED:
        op.execute(f"DROP TRIGGER touch ON wb.{table}")
    op.execute("DROP POLICY definer_all ON wb.audit_logs")
    op.execute("DROP POLICY definer_all ON wb.model_configs")
    op.execute("DROP POLICY definer_write ON wb.users")
    for table in DEFINER_READS:
        op.execute(f"DROP POLICY definer_read ON wb.{table}")
    for table, (_, insert, update) in POLICIES.items():
        wanted = {
            "person_read": True,
            "person_insert": insert,
            "person_update": update,
            "person_delete": table in DELETABLE,
        }
        for policy in (name for name, present in wanted.items() if present):
            op.execute(f"DROP POLICY {policy} ON wb.{table}")
        op.execute(f"REVOKE ALL ON wb.{table} FROM wb_user")
        op.execute(f"ALTER TABLE wb.{table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE wb.{table} DISABLE ROW LEVEL SECURITY")
    op.execute(
        "REVOKE ALL ON wb.users, wb.projects, wb.project_members, wb.model_configs, wb.audit_logs FROM wb_definer"
    )
    # The schema's owner may drop what wb_definer owns in it.
    for function in (
        *DEFINER_FUNCTIONS,
        "wb.sees_prompt(uuid, uuid, uuid)",
        "wb.touch()",
        "wb.freeze_prompt()",
        "wb.guard_execution()",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP TABLE wb_priv.audit_heads")
    op.execute("DROP TABLE wb_priv.logins")
    op.execute("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
