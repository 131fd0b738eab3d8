"""The database decides: what one person writes another one neither sees nor changes, unless it is shared."""

from __future__ import annotations

import itertools
import uuid

import psycopg
import pytest

from workbench.errors import AccessDeniedError, DatabaseUrlError
from workbench.services.workbench import connect
from workbench.settings import Settings

TABLES = (
    "projects",
    "prompts",
    "prompt_labels",
    "prompt_words",
    "v_latest_prompts",
    "v_stats",
    "runs",
    "executions",
    "attempts",
    "datasets",
    "cases",
    "evaluations",
    "ab_tests",
    "ab_arms",
    "ab_looks",
    "budgets",
    "v_budgets",
    "rate_limits",
    "conversations",
    "v_conversations",
    "audit_logs",
)

#: What no verb of the fixture writes.
OTHER_ROWS = (
    "INSERT INTO wb.budgets (user_id, project_id, per, amount) VALUES (wb.me(), %(project)s, 'day', 1), (wb.me(), NULL, 'total', 2)",
    "INSERT INTO wb.rate_limits (user_id, provider, requests_per_minute) VALUES (wb.me(), 'fake', 60)",
    "INSERT INTO wb.conversations (project_id, user_id, prompt_id, title) VALUES (%(project)s, wb.me(), %(prompt)s, 'talk')",
)


@pytest.fixture
def filled(wb):
    wb.use("secret")
    wb.prompts.save("tone", "Tone of: {{ text }}")
    wb.prompts.save("tone", "Tone: {{ text }}")
    wb.datasets.save(
        "rows", [{"text": "a", "label": "Tone of: a"}, {"text": "b", "label": "x"}], expected="label"
    )
    test = wb.ab.create("first", "tone@1", "tone@2", data="rows", scorers=["equals"])
    test.run(progress=False)
    test.analyze()
    with wb.database.driver() as connection:
        for statement in OTHER_ROWS:
            connection.execute(statement, {"project": wb.project_id, "prompt": wb.prompts.get("tone@1").id})
    return wb


@pytest.fixture
def bob(bob_url):
    with psycopg.connect(bob_url.reveal(), autocommit=True) as connection:
        yield connection


def test_every_table_holds_something_of_anns_and_bob_sees_none_of_it(filled, bob, ann_url):
    with psycopg.connect(ann_url.reveal()) as ann:
        seen = {table: ann.execute(f"SELECT count(*) FROM wb.{table}").fetchone()[0] for table in TABLES}
    assert all(seen.values()), seen
    assert {
        table: bob.execute(f"SELECT count(*) FROM wb.{table}").fetchone()[0] for table in TABLES
    } == dict.fromkeys(TABLES, 0)
    for view in ("v_prompts", "v_executions", "v_runs", "v_scores", "v_costs", "v_ab"):
        assert bob.execute(f"SELECT count(*) FROM wb.{view}").fetchone() == (0,)


def test_settings_and_roles_do_not_make_another_person(filled, bob, ann_url):
    with psycopg.connect(ann_url.reveal()) as ann:
        annas = ann.execute("SELECT wb.me()").fetchone()[0]
    bobs = bob.execute("SELECT wb.me()").fetchone()[0]
    assert annas != bobs
    for attack in (
        f"SET wb.user_id = '{annas}'",
        f"SELECT set_config('wb.user_id', '{annas}', false)",
        f"SET app.current_user_id = '{annas}'",
    ):
        bob.execute(attack)
        assert bob.execute("SELECT wb.me()").fetchone()[0] == bobs
        assert bob.execute("SELECT count(*) FROM wb.prompts").fetchone() == (0,)
    for attack in (
        "SET ROLE wb_owner",
        "SET ROLE wb_definer",
        "SELECT * FROM wb_priv.logins",
        "ALTER TABLE wb.prompts DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON wb.prompts USING (true)",
        "DELETE FROM wb.executions",
        "TRUNCATE wb.executions",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bob.execute(attack)


def test_bob_cannot_write_into_anns_project_or_in_her_name(filled, bob, bobs_wb):
    project, me = filled.project_id, bobs_wb.database.user_id
    prompt = filled.prompts.get("tone@1").id
    run_id = filled.ab.get("first").run(progress=False).id
    statements = [
        (
            "INSERT INTO wb.prompts (project_id, user_id, root_id, title, content, content_hash) VALUES (%s, %s, %s, 't', 'c', 'h')",
            [project, me, prompt],
        ),
        (
            "INSERT INTO wb.runs (project_id, user_id, plan_digest, n_planned) VALUES (%s, %s, 'd', 1)",
            [project, me],
        ),
        (
            "INSERT INTO wb.runs (project_id, user_id, plan_digest, n_planned) VALUES (%s, %s, 'd', 1)",
            [bobs_wb.project_id, filled.database.user_id],
        ),
        (
            "INSERT INTO wb.project_members (project_id, user_id, role) VALUES (%s, %s, 'editor')",
            [project, me],
        ),
        (
            (
                "INSERT INTO wb.executions (run_at, run_id, project_id, user_id, prompt_id, model_config_id, request_payload, request_digest, status)"
                " SELECT now(), %s, %s, %s, %s, (SELECT id FROM wb.model_configs LIMIT 1), '{}', 'd', 'sent'"
            ),
            [run_id, bobs_wb.project_id, me, prompt],
        ),
        (
            "INSERT INTO wb.budgets (user_id, project_id, per, amount) VALUES (%s, %s, 'month', 1)",
            [me, project],
        ),
        (
            "INSERT INTO wb.budgets (user_id, per, amount) VALUES (%s, 'month', 1)",
            [filled.database.user_id],
        ),
        ("INSERT INTO wb.budgets (user_id, per, amount, spent) VALUES (%s, 'month', 1, -5)", [me]),
        (
            "INSERT INTO wb.rate_limits (user_id, provider) VALUES (%s, 'openrouter')",
            [filled.database.user_id],
        ),
        (
            "INSERT INTO wb.conversations (project_id, user_id, prompt_id, title) VALUES (%s, %s, %s, 't')",
            [project, me, prompt],
        ),
        (
            "INSERT INTO wb.conversations (project_id, user_id, prompt_id, title) VALUES (%s, %s, %s, 't')",
            [bobs_wb.project_id, me, prompt],
        ),
    ]
    for statement, values in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bob.execute(statement, values)
    assert bob.execute("UPDATE wb.projects SET is_public = true WHERE id = %s", [project]).rowcount == 0
    assert bob.execute("UPDATE wb.prompts SET title = 'mine'").rowcount == 0
    assert bob.execute("UPDATE wb.budgets SET amount = 0").rowcount == 0
    assert bob.execute("UPDATE wb.rate_limits SET requests_per_minute = 1").rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        bob.execute("UPDATE wb.budgets SET spent = 0")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        bob.execute("UPDATE wb.runs SET spent = 0")


def test_an_execution_joins_only_ones_own_conversation(filled, ann_url, bob_url, bobs_wb):
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        talk = ann.execute("SELECT id FROM wb.conversations").fetchone()[0]
    prompt = bobs_wb.prompts.save("mine", "x")
    bobs_wb.ask("mine", variables={}, model="fake/echo")
    with (
        psycopg.connect(bob_url.reveal(), autocommit=True) as bob,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        bob.execute(
            "INSERT INTO wb.executions (run_at, project_id, user_id, prompt_id, model_config_id, request_payload, request_digest, status, conversation_id)"
            " SELECT now(), project_id, user_id, %s, model_config_id, '{}', 'd', 'sent', %s FROM wb.executions",
            [prompt.id, talk],
        )


def test_a_reader_reads_an_editor_writes_and_an_ex_member_is_out_at_once(filled, bobs_wb, ann_url, bob):
    member = [filled.project_id, bobs_wb.database.user_id]
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        ann.execute(
            "INSERT INTO wb.project_members (project_id, user_id, role) VALUES (%s, %s, 'reader')", member
        )
        bobs_wb.use("secret")
        assert bobs_wb.project_id == filled.project_id
        assert bobs_wb.prompts.get("tone@1").content == "Tone of: {{ text }}"
        with pytest.raises(AccessDeniedError):
            bobs_wb.prompts.save("tone", "Bob's")
        for change in (
            lambda: bobs_wb.prompts.rename("tone", "mine"),
            lambda: bobs_wb.prompts.archive("tone"),
            lambda: bobs_wb.prompts.note("tone", "mine"),
            lambda: bobs_wb.prompts.tag("tone", "mine"),
            lambda: bobs_wb.prompts.label("tone@1", "mine"),
            lambda: bobs_wb.prompts.rollback("tone", 1),
            lambda: bobs_wb.prompts.fork("tone", "mine"),
        ):
            with pytest.raises(AccessDeniedError):
                change()
        ann.execute(
            "UPDATE wb.project_members SET role = 'editor' WHERE project_id = %s AND user_id = %s", member
        )
        assert bobs_wb.prompts.save("tone", "Bob's").version == 3
        ann.execute("DELETE FROM wb.project_members WHERE project_id = %s AND user_id = %s", member)
        assert bob.execute("SELECT count(*) FROM wb.prompts").fetchone() == (0,)


def test_a_public_project_is_read_by_everybody_and_written_by_nobody_else(filled, bob, ann_url):
    with psycopg.connect(ann_url.reveal()) as ann:
        ann.execute("UPDATE wb.projects SET is_public = true WHERE id = %s", [filled.project_id])
    assert bob.execute("SELECT count(*) FROM wb.executions").fetchone()[0] == 4
    assert bob.execute("UPDATE wb.prompts SET title = 'mine'").rowcount == 0


def test_an_execution_moves_forward_only(filled, ann_url):
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        done = ann.execute("SELECT id FROM wb.executions WHERE status = 'done' LIMIT 1").fetchone()[0]
        for change in ("status = 'sent'", "answer = 'better'", "cost_estimate = 0.5", "error_code = 'x'"):
            with pytest.raises(psycopg.errors.RestrictViolation):
                ann.execute(f"UPDATE wb.executions SET {change} WHERE id = %s", [done])
        ann.execute("UPDATE wb.executions SET score = 0.5 WHERE id = %s", [done])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ann.execute("UPDATE wb.executions SET prompt_id = prompt_id WHERE id = %s", [done])
        with pytest.raises(psycopg.errors.RestrictViolation, match="begins as"):
            ann.execute(
                "INSERT INTO wb.executions (run_at, project_id, user_id, prompt_id, model_config_id, request_payload, request_digest, status)"
                " SELECT now(), project_id, user_id, prompt_id, model_config_id, '{}', 'd', 'done' FROM wb.executions WHERE id = %s",
                [done],
            )


def test_the_audit_chain_tells_who_did_what_and_every_link_holds(filled, ann_url, admin_url):
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        entries = ann.execute(
            "SELECT seq, action, prev_hash, hash FROM wb.audit_logs ORDER BY seq"
        ).fetchall()
        assert [entry[0] for entry in entries] == list(range(1, len(entries) + 1))
        assert {
            "project.save",
            "prompt.save",
            "label.move",
            "dataset.save",
            "ab.status",
            "ab.look",
            "run.status",
        } <= {entry[1] for entry in entries}
        for before, after in itertools.pairwise(entries):
            assert after[2] == before[3]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ann.execute("UPDATE wb.audit_logs SET action = 'x'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ann.execute(
                "INSERT INTO wb.audit_logs (user_id, seq, action, prev_hash, hash) VALUES (wb.me(), 99, 'x', '', '')"
            )
    recomputed = """
        SELECT count(*) FROM wb.audit_logs WHERE hash <> sha256(prev_hash || convert_to(
            jsonb_build_array(id, user_id, seq, action, resource_type, resource_id, details, ip_address, user_agent,
                              extract(epoch FROM created_at))::text, 'UTF8'))"""
    with psycopg.connect(admin_url.reveal()) as admin:
        assert admin.execute(recomputed).fetchone() == (0,)


def test_an_administrators_url_is_refused_with_the_way_out(admin_url, tmp_path):
    with pytest.raises(DatabaseUrlError, match="workbench db init"):
        connect(admin_url.reveal(), settings=Settings(home=tmp_path))


def test_a_login_without_a_person_is_refused(admin_url, ann_url, tmp_path, wb):
    with psycopg.connect(admin_url.reveal()) as admin:
        admin.execute("DELETE FROM wb_priv.logins WHERE user_id = %s", [wb.database.user_id])
    with pytest.raises(DatabaseUrlError, match="no person"):
        connect(ann_url.reveal(), settings=Settings(home=tmp_path))


def test_ids_are_random(wb):
    assert uuid.UUID(str(wb.prompts.save("tone", "x").id)).version == 4
