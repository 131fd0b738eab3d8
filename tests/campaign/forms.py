"""The campaigns in their full form, for ``make campaign``, and in a short one of a minute in all, for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import workbench.services.running
from tests.campaign.files import nth_write
from tests.campaign.harness import CHECKOUT, Verdict
from tests.campaign.kills import kills
from tests.campaign.nth import Place, nth_answer, nth_statement
from tests.campaign.servers import clones, own_server
from tests.campaign.stops import stops
from workbench.db.connect import embedded_admin_url

__all__ = ["FULL", "SHORT"]


def _kills(**size: Any) -> Verdict:
    with own_server() as (server, url, folder):
        return kills(url, embedded_admin_url(server), folder, **size)


def _stops(**size: Any) -> Verdict:
    with own_server() as (server, url, folder):
        return stops(server, url, folder, **size)


def _nth(
    campaign: Callable[..., Verdict], *, patience: float = workbench.services.running.PATIENCE, **size: Any
) -> Verdict:
    """Run one of those that copy a small batch; ``patience`` is what a run has for a database that is away."""
    usual, workbench.services.running.PATIENCE = workbench.services.running.PATIENCE, patience
    try:
        with own_server(durable=False) as (server, url, folder):
            place: Place = clones(url, embedded_admin_url(server), folder)
            return campaign(place, folder, **size)
    finally:
        workbench.services.running.PATIENCE = usual


def _migrations() -> Verdict:
    """The test of the newest migration, of which every statement is broken."""
    began = time.monotonic()
    test = Path("tests", "faults", "test_migration_faults.py")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-m", "not postgres16", "-k", "newest", test]
    environment = {**os.environ, "CAMPAIGN_EVERY": "1", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=CHECKOUT, check=False)
    said = [line for line in done.stdout.splitlines() if "statements" in line or "passed" in line]
    facts = {"said": " · ".join(said), "seconds": round(time.monotonic() - began, 1)}
    broken = [] if done.returncode == 0 else [done.stdout[-2000:]]
    return Verdict("every statement of a migration", facts, broken=broken)


FULL: Mapping[str, Callable[[], Verdict]] = {
    "kills": _kills,
    "stops": _stops,
    "statements": partial(_nth, nth_statement),
    "answers": partial(_nth, nth_answer),
    "writes": partial(_nth, nth_write),
    "migrations": _migrations,
}

#: The short form of breaking migrations is their test.
SHORT: Mapping[str, Callable[[], Verdict]] = {
    "kills": partial(_kills, cases=300, times=4, patience=120),
    "stops": partial(_stops, cases=150, times=3, away=0.3, patience=120),
    "statements": partial(_nth, nth_statement, every=29, patience=1.0),
    "answers": partial(_nth, nth_answer, every=19, workers=8),
    "writes": partial(_nth, nth_write, every=3),
}
