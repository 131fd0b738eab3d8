"""The installed wheel, away from the checkout: everything is in it, and one call goes all the way.

    cd /somewhere/else && VENV/bin/python …/tests/acceptance/wheel_smoke.py HOME_FOR_STATE

Not a pytest module: it runs in an environment that has only the wheel.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGED = [
    "py.typed",
    "_resources/migrations/env.py",
    "_resources/migrations/data/families.yaml",
    "_resources/migrations/data/library/judging.yaml",
    "_resources/notebooks/reports/ab_report.ipynb",
    "_resources/notebooks/data/amazon_reviews.csv",
    "services/report_template/page.html",
    "services/report_template/page.css",
    "services/report_template/figures.js",
]


def main(home: Path) -> None:
    """Check one thing after the other and stop at the first that fails."""
    os.environ.update(WORKBENCH_HOME=str(home), WORKBENCH_MODEL="fake/sentiment")
    os.environ.pop("DATABASE_URL", None)
    found = Path(importlib.util.find_spec("workbench").origin).parent
    check("the package is the installed one", "site-packages" in found.parts, found)
    for name in PACKAGED:
        check(f"the wheel holds {name}", (found / name).is_file())
    strays = [
        each for each in ("tests", "benchmarks", "migrations", "notebooks") if (found.parent / each).exists()
    ]
    check("nothing else is installed beside it", not strays, strays)

    program = Path(sys.executable).parent / "workbench"
    version = run(program, "--version")
    import workbench
    from workbench.resources import migrations_dir, notebooks_dir
    from workbench.services.reporting import execute, export_html
    from workbench.views.clean import clean

    check("the program says its version", workbench.__version__ in version, version.strip())
    check("the resources are those of the wheel", migrations_dir().is_relative_to(found), migrations_dir())

    with workbench.connect() as wb:
        result = wb.prompts.save("smoke", "Is this good or bad? {{ text }}")(text="wonderful")
        check("a call is answered", result.text == "positive", result.text)
        rows = wb.frames.executions(prompt="smoke")
        check("and stored", list(rows["status"]) == ["done"], rows["status"].tolist())

    doctor = json.loads(run(sys.executable, "-m", "workbench", "doctor", "--json"))
    check("the doctor answers in JSON", isinstance(doctor, dict | list), type(doctor).__name__)

    tutorial = notebooks_dir() / "reports" / "ab_report.ipynb"
    outcome = execute(tutorial, home / "failed.ipynb", {"test": "no such test"}, cwd=home)
    check(
        "a report's kernel runs and its failure is told",
        "no such test" in (outcome.error or ""),
        outcome.error,
    )
    page = export_html(outcome.path, home / "failed.html", title="Smoke", clean=clean)
    check("its page is written", "did not run to its end" in page.read_text())
    run(program, "db", "stop")


def check(what: str, fine: object, seen: object = "") -> None:
    """Print what holds; leave when it does not."""
    sys.stdout.write(f"{'ok' if fine else 'FAILED':7} {what} {seen}".rstrip() + "\n")
    if not fine:
        sys.exit(1)


def run(*command: str | Path) -> str:
    """Return what a command prints; leave when it fails."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300, check=False
    )
    check(" ".join(Path(part).name for part in map(str, command)), done.returncode == 0, done.stderr[-500:])
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
