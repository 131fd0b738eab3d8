"""A run against itself or another one: the same honest comparison as a test's, never of a part of the answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench import analysis
from workbench.db import frames
from workbench.errors import InputError
from workbench.services.outcome import partial

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis import Comparison
    from workbench.services.run import Run

__all__ = ["METRICS", "compare_runs", "metric_column", "whole"]

#: Metrics that are not a scorer's name, and whether more of it is better.
METRICS = {"pass": True, "score": True, "cost": False, "latency": False, "tokens": False}

_KEPT = ["case_id", "cluster_id", "variant", "sample", "value", "status", "unparsed"]


def compare_runs(
    run: Run, other: Run | None, *, metric: str | None, margin: float | None, alpha: float
) -> Comparison:
    """Compare the two arms of a run, or two runs of one arm each; see ``Run.compare``."""
    runs = [run.refresh()] if other is None else [run.refresh(), other.refresh()]
    chosen = metric or ("pass" if all(each.counts.scored for each in runs) else "latency")
    if chosen not in METRICS:
        raise InputError(f"{chosen!r} is no metric of a run", cure=f"use one of {', '.join(METRICS)}")
    parts = _two_arms(run) if other is None else [_one_arm(run, "A"), _one_arm(other, "B")]
    import pandas as pd

    answers = pd.concat(parts, ignore_index=True)
    rows = answers.assign(value=metric_column(answers, chosen))
    missing = next((partial(each.counts) for each in runs if partial(each.counts)), "")
    found = analysis.compare(
        rows[_KEPT],
        metric=chosen,
        higher_is_better=METRICS[chosen],
        alpha=alpha,
        margin=margin,
        complete=not missing,
    )
    run.workbench.last = found = whole(found, missing)
    return found


def whole(comparison: Comparison, missing: str) -> Comparison:
    """Return a comparison that says first what is missing of its run; ``missing`` is :func:`outcome.partial`'s."""
    if not missing:
        return comparison
    note = f"PARTIAL: {missing}. There is no verdict before all of them are answered."
    return dataclasses.replace(comparison, notes=(note, *comparison.notes))


def metric_column(answers: pd.DataFrame, metric: str) -> pd.Series[Any]:
    """Return the numbers of a metric, one a row of :data:`db.frames.ARMS`."""
    column = {"pass": "passed", "cost": "cost", "latency": "latency", "tokens": "tokens"}.get(metric, "score")
    if column == "passed":
        return answers[column].astype("boolean").astype("Float64").astype("float64")
    return answers[column].astype("float64")


def _two_arms(run: Run) -> Sequence[pd.DataFrame]:
    arms = run.plan["arms"]
    if len(arms) != 2:
        raise InputError(
            f"run {run.short_id} has {len(arms)} arm{'s' * (len(arms) != 1)}, and two are compared",
            cure="run.compare(other) compares it with another run; wb.ab compares two versions",
        )
    database = run.workbench.database
    if all(arm["variant"] for arm in arms):
        return [frames.arms(database, [run.id])]
    return [
        frames.arms(database, [run.id], prompt_id=arm["prompt_id"], model=arm["model"]).assign(variant=name)
        for name, arm in zip("AB", arms, strict=True)
    ]


def _one_arm(run: Run, name: str) -> pd.DataFrame:
    if len(run.plan["arms"]) != 1:
        raise InputError(
            f"run {run.short_id} has {len(run.plan['arms'])} arms; of two runs each must have one",
            cure="run the two versions or models apart, or compare the two arms of one run: run.compare()",
        )
    return frames.arms(run.workbench.database, [run.id]).assign(variant=name)
