"""The files that are not Python are found, and the demo data are what their page says."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import workbench
from workbench.resources import migrations_dir, notebooks_dir

PACKAGE = Path(workbench.__file__).parent


def test_a_checkout_uses_its_own_files():
    assert (migrations_dir() / "env.py").is_file()
    assert (notebooks_dir() / "reports" / "ab_report.ipynb").is_file()


def test_a_wheel_uses_the_files_inside_the_package_and_a_broken_one_says_the_cure(tmp_path):
    package = tmp_path / "workbench"
    package.mkdir()
    for name in ("__init__.py", "errors.py", "resources.py"):
        shutil.copy(PACKAGE / name, package / name)
    shutil.copytree(PACKAGE / "core", package / "core")
    (package / "_resources" / "migrations").mkdir(parents=True)
    code = """
from workbench.errors import ConfigError
from workbench.resources import migrations_dir, notebooks_dir
print(migrations_dir())
try:
    notebooks_dir()
except ConfigError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found, broken, cure = done.stdout.splitlines()
    assert found == str(package / "_resources" / "migrations")
    assert broken.startswith("the notebooks that belong to the workbench are missing")
    assert "pip install" in cure


@pytest.mark.parametrize(("name", "rows"), [("amazon_reviews", 294), ("movie_reviews", 400)])
def test_the_demo_data_are_balanced_clear_and_one_row_a_review(name, rows):
    with (notebooks_dir() / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        reviews = list(csv.DictReader(file))
    assert list(reviews[0]) == ["review_id", "text", "label", "mean_rating"]
    assert Counter(review["label"] for review in reviews) == {"positive": rows // 2, "negative": rows // 2}
    assert Counter(review["label"] for review in reviews[:60]) == {"positive": 30, "negative": 30}
    assert len({review["review_id"] for review in reviews}) == rows
    assert len({review["text"] for review in reviews}) == rows
    for review in reviews:
        rating = float(review["mean_rating"])
        assert abs(rating) >= 1.5
        assert (rating > 0) == (review["label"] == "positive")
