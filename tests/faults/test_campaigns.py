"""The short forms of the campaigns, a minute in all; ``make campaign`` runs the full ones."""

from __future__ import annotations

import pytest

from tests.campaign.forms import SHORT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SHORT)
def test_the_short_form_of_a_campaign_holds(name):
    verdict = SHORT[name]()
    assert verdict.held, verdict
