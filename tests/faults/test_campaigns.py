"""The short forms of the campaigns, a minute in all; ``make campaign`` runs the long ones."""

from __future__ import annotations

import pytest

from tests.campaign.files import nth_write
from tests.campaign.kills import kills
from tests.campaign.nth import nth_answer, nth_statement
from tests.campaign.servers import clones, own_server
from tests.campaign.stops import stops
from workbench.db.connect import embedded_admin_url

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place():
    """Copies of one small batch, on a server that need not survive anything."""
    with own_server(durable=False) as (server, url, folder):
        yield clones(url, embedded_admin_url(server), folder)


def test_kernels_that_are_killed_lose_no_more_than_the_bound_and_pay_nothing_twice():
    with own_server() as (server, url, folder):
        verdict = kills(url, embedded_admin_url(server), folder, cases=300, times=4, patience=120)
    assert verdict.held, verdict


def test_a_database_that_stops_again_and_again_loses_nothing_at_all():
    with own_server() as (server, url, folder):
        verdict = stops(server, url, folder, cases=150, times=3, away=0.3, patience=120)
    assert verdict.held, verdict


def test_of_every_few_statements_one_breaks(place, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.services.running.PATIENCE", 1.0)
    verdict = nth_statement(place, tmp_path, every=19)
    assert verdict.held, verdict


def test_of_every_few_answers_one_is_spoilt(place, tmp_path):
    verdict = nth_answer(place, tmp_path, every=13, workers=8)
    assert verdict.held, verdict


def test_of_every_few_writes_one_fails_while_the_database_is_away(place, tmp_path):
    verdict = nth_write(place, tmp_path, every=2)
    assert verdict.held, verdict
