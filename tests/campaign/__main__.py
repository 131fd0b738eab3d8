"""``python -m tests.campaign [NAME…] [--json FILE]``: run the campaigns, print what was found, fail where something broke."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.campaign.files import nth_write
from tests.campaign.harness import CHECKOUT, Verdict
from tests.campaign.kills import kills
from tests.campaign.nth import Place, nth_answer, nth_statement
from tests.campaign.servers import clones, own_server
from tests.campaign.stops import stops
from workbench.db.connect import embedded_admin_url


def _kills() -> Verdict:
    with own_server() as (server, url, folder):
        return kills(url, embedded_admin_url(server), folder)


def _stops() -> Verdict:
    with own_server() as (server, url, folder):
        return stops(server, url, folder)


def _migrations() -> Verdict:
    """The test of the newest migration, of which every statement is broken."""
    began = time.monotonic()
    test = f"{CHECKOUT}/tests/faults/test_migration_faults.py"
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-m", "not postgres16", "-k", "newest", test]
    environment = {**os.environ, "CAMPAIGN_EVERY": "1", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=CHECKOUT, check=False)
    said = [line for line in done.stdout.splitlines() if "statements" in line or "passed" in line]
    facts = {"said": " · ".join(said), "seconds": round(time.monotonic() - began, 1)}
    broken = [] if done.returncode == 0 else [done.stdout[-2000:]]
    return Verdict("every statement of a migration", facts, broken=broken)


def _nth(campaign: Callable[[Place, Path], Verdict]) -> Callable[[], Verdict]:
    def run() -> Verdict:
        with own_server(durable=False) as (server, url, folder):
            return campaign(clones(url, embedded_admin_url(server), folder), folder)

    return run


CAMPAIGNS: dict[str, Callable[[], Verdict]] = {
    "kills": _kills,
    "stops": _stops,
    "statements": _nth(nth_statement),
    "answers": _nth(nth_answer),
    "writes": _nth(nth_write),
    "migrations": _migrations,
}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *CAMPAIGNS], metavar="NAME", help=", ".join(CAMPAIGNS)
    )
    parser.add_argument("--json", type=Path, help="write what was found into this file too")
    asked = parser.parse_args()
    verdicts = []
    for name in asked.names or CAMPAIGNS:
        verdicts.append(CAMPAIGNS[name]())
        print(verdicts[-1], flush=True)  # noqa: T201 - a command's output
    if asked.json:
        found = {"python": platform.python_version(), "campaigns": [each.record() for each in verdicts]}
        asked.json.write_text(json.dumps(found, indent=2, default=str) + "\n")
    return 0 if all(each.held for each in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
