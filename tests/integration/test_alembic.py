"""The plain ``alembic`` command works in a checkout, with an administrator's URL and with nothing set at all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from embedded_help import cleaned, open_home

from workbench.db import bootstrap
from workbench.db.migrate import HEAD
from workbench.services.workbench import connect
from workbench.settings import Settings

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def alembic(tmp_path):
    """Run ``alembic`` in a copy of the checkout, where a new revision does no harm; gives its output."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    shutil.copy(CHECKOUT / "pyproject.toml", copy)
    shutil.copytree(CHECKOUT / "migrations", copy / "migrations")

    def run(*words, code=0, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *words],
            capture_output=True,
            text=True,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    run.versions = copy / "migrations" / "versions"
    return run


def revision(url):
    with psycopg.connect(url.reveal()) as connection:
        return connection.execute("SELECT version_num FROM wb.alembic_version").fetchone()[0]


def test_an_administrators_url_downgrades_and_upgrades_and_a_new_revision_is_empty(alembic, admin_url):
    admin = {"WORKBENCH_ADMIN_URL": admin_url.reveal()}
    alembic("downgrade", "-1", **admin)
    assert revision(admin_url) < HEAD
    alembic("upgrade", "head", **admin)
    assert revision(admin_url) == HEAD
    alembic("revision", "--autogenerate", "-m", "nothing", "--rev-id", "9999", **admin)
    (script,) = alembic.versions.glob("9999*.py")
    bodies = re.findall(r"def \w+\(\) -> None:\n(.*?)(?=\n\n|\Z)", script.read_text(), re.DOTALL)
    assert [
        [line.strip() for line in body.splitlines() if not line.strip().startswith("#")] for body in bodies
    ] == [["pass"]] * 2


def test_a_new_database_is_prepared_by_the_first_upgrade(alembic, server, new_database):
    bootstrap.create_database(server.admin_url("postgres"), urlsplit(new_database.reveal()).path.strip("/"))
    alembic("upgrade", "head", WORKBENCH_ADMIN_URL=new_database.reveal())
    assert revision(new_database) == HEAD


def test_with_nothing_set_it_is_the_embedded_database(alembic):
    with open_home() as home, cleaned(home):
        alembic("upgrade", "head", WORKBENCH_HOME=str(home))
        with connect(settings=Settings(home=home, model="fake/echo")) as wb:
            wb.prompts.save("kept", "Say {{ n }}")
        alembic("downgrade", "-1", WORKBENCH_HOME=str(home))
        with connect(settings=Settings(home=home, model="fake/echo")) as wb:  # migrates by itself
            assert wb.prompts.list() == ["kept"]


def test_an_external_database_needs_an_administrator(alembic, ann_url):
    said = alembic("upgrade", "head", code=1, DATABASE_URL=ann_url.reveal())
    assert "set WORKBENCH_ADMIN_URL" in said
    assert ann_url.reveal() not in said
