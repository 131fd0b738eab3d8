"""``python -m tests.campaign [NAME…] [--short] [--json FILE]``: run the campaigns, print what was found, fail where something broke."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from tests.campaign.forms import FULL, SHORT


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"some of {', '.join(FULL)}; all without one"
    )
    parser.add_argument("--short", action="store_true", help="a minute in all, as in the tests")
    parser.add_argument("--json", type=Path, help="write what was found into this file too")
    asked = parser.parse_args()
    known = SHORT if asked.short else FULL
    if unknown := set(asked.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    verdicts = []
    for name in asked.names or known:
        verdicts.append(known[name]())
        print(verdicts[-1], flush=True)  # noqa: T201 - a command's output
        if asked.json:  # after each, so that a long evening leaves something behind
            found = {
                "python": platform.python_version(),
                "load": os.getloadavg(),
                "campaigns": [each.record() for each in verdicts],
            }
            asked.json.write_text(json.dumps(found, indent=2, default=str) + "\n")
    return 0 if all(each.held for each in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
