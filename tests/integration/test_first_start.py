"""The embedded database of a person: prepared once, found again, mended when half of it is gone."""

from __future__ import annotations

import shutil

import pytest
from embedded_help import cleaned

from workbench.services.workbench import connect
from workbench.settings import Settings


@pytest.fixture
def settings(tmp_path):
    home = tmp_path / "home"
    with cleaned(home):
        yield Settings(home=home, model="fake/echo")


def test_a_second_start_finds_the_same_person_and_rows(settings):
    with connect(settings=settings, project="mine") as wb:
        person = wb.database.user_id
        wb.prompts.save("tone", "x")
    with connect(settings=settings, project="mine") as wb:
        assert wb.database.user_id == person
        assert wb.prompts.list() == ["tone"]


def test_a_lost_connection_file_gives_the_same_person_another_login(settings):
    with connect(settings=settings, project="mine") as wb:
        person = wb.database.user_id
    shutil.rmtree(settings.home / "embedded")
    with connect(settings=settings, project="mine") as wb:
        assert wb.database.user_id == person


def test_a_removed_database_is_prepared_anew(settings):
    from workbench.db.embedded import EmbeddedServer

    with connect(settings=settings) as wb:
        wb.prompts.save("tone", "x")
    server = EmbeddedServer(settings.home)
    server.stop(force=True)
    shutil.rmtree(server.data.parent)
    with connect(settings=settings) as wb:
        assert wb.prompts.list() == []
