"""The short forms of the campaigns; ``make campaign`` runs the long ones."""

from __future__ import annotations

import pytest

from tests.campaign.kills import kills
from tests.campaign.servers import own_server
from tests.campaign.stops import stops

pytestmark = pytest.mark.slow


def test_kernels_that_are_killed_lose_no_more_than_the_bound_and_pay_nothing_twice(
    ann_url, admin_url, tmp_path
):
    verdict = kills(ann_url, admin_url, tmp_path, cases=500, times=5, patience=120)
    assert verdict.held, verdict


def test_a_database_that_stops_again_and_again_loses_nothing_at_all():
    with own_server() as (server, url, folder):
        verdict = stops(server, url, folder, cases=200, times=3, away=0.5, patience=120)
    assert verdict.held, verdict
