"""From a long frame of answers to one honest answer about B against A."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis.distributions import Bounds, FloatArray, IntArray, check_count, distinct
from workbench.analysis.estimates import FEW_DISCORDANT, Estimate, estimate, is_paired, unpaired_estimate
from workbench.analysis.frames import BoolArray, Cases, Rows, infer_kind, per_case, read_rows
from workbench.analysis.peeking import asymptotic_confidence_sequence, e_value_paired_binary
from workbench.analysis.power import detectable, detectable_binary, required_pairs, required_pairs_binary
from workbench.analysis.quality import attempted, data_warnings
from workbench.analysis.results import Arm, Comparison, Question, Verdict
from workbench.analysis.wording import (
    WARNINGS,
    digits,
    interval_phrase,
    p_phrase,
    p_value,
    unit_of,
    verdict_words,
)
from workbench.errors import AnalysisInputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare"]

#: More of these is never better, whatever a caller leaves at its default.
_LOWER_IS_BETTER = frozenset({"cost", "latency", "tokens"})


def compare(
    df: pd.DataFrame,
    *,
    metric: str = "value",
    kind: str = "auto",
    higher_is_better: bool = True,
    worst: float | None = None,
    alpha: float = 0.05,
    margin: float | None = None,
    design: str = "fixed",
    n_planned: int | None = None,
    power: float = 0.8,
    mde: float | None = None,
    seed: int = 0,
    complete: bool = True,
) -> Comparison:
    """Compare arm B with arm A on one metric; the unit of analysis is the case.

    Args:
        df: one row per answer: ``case_id``, ``variant`` ('A' or 'B'), the metric's column;
            optionally ``cluster_id`` (missing: the case itself), ``sample`` (missing: 0) and
            ``status`` (missing: 'ok'; 'ok' and 'done' are good answers, 'planned' and 'sent' are
            not answered yet, everything else failed).
        metric: the metric's column; the workbench's own names (``pass``, ``score``, ``cost``,
            ``latency``, ``tokens``) also find ``passed``, ``latency_ms`` or ``value``. Where the
            frame holds only keys and ``value``, any name is taken as what ``value`` means.
        kind: ``auto`` infers it; or binary, ordinal, score, cost, latency, tokens.
        higher_is_better: decides the verdict, never a sign; cost, latency and tokens are always
            better when lower.
        worst: value that a failed execution counts as. By default a failure does not pass, and
            is dropped from every other metric.
        alpha: two-sided level.
        margin: a difference too small to matter, in the metric's unit; allows EQUIVALENT.
        design: ``fixed``.
        n_planned: planned number of cases (of both arms together where they are unpaired). Below
            it the answer is INTERIM with p hidden; without it the verdict is exploratory.
        power: power for ``required_n`` and ``mde``.
        mde: the difference to plan for; ``margin`` by default.
        seed: seed of whatever is drawn; stored in the details.
        complete: False where planned answers are missing from the rows, which the number of cases need
            not show (one of three samples, a call without an answer): the answer is then INTERIM.

    Raises:
        AnalysisInputError: rows or arguments that no honest test can be computed from.
        AnalysisTypeError: a value is not a number (also a TypeError).

    >>> import pandas as pd
    >>> rows = [(i, v, float(i % 2 or v == "B")) for i in range(40) for v in "AB"]
    >>> compare(pd.DataFrame(rows, columns=["case_id", "variant", "value"])).verdict
    'B_BETTER'
    """
    rows = read_rows(df, metric)
    resolved = infer_kind(rows, metric, kind)
    question = Question(
        metric=metric,
        kind=resolved,
        higher_is_better=higher_is_better and resolved not in _LOWER_IS_BETTER,
        worst=worst,
        alpha=alpha,
        margin=margin,
        design=design,
        n_planned=n_planned,
        power=power,
        target=margin if mde is None else mde,
        seed=seed,
        complete=complete,
    )
    _check(question)
    cases = per_case(rows, failed_as=_failed_as(question))
    answer = _answer(rows, cases, question)
    notes = (*_secondary(answer), *_failures(rows, answer), *_unread(answer), *_every_case(cases, answer))
    return dataclasses.replace(answer, notes=(*answer.notes, *notes))


def _check(question: Question) -> None:
    if not 0 < question.alpha < 0.5:
        raise AnalysisInputError(
            f"alpha is {question.alpha!r}", cure="use a level below one half, such as 0.05"
        )
    if not question.alpha < question.power < 1:
        raise AnalysisInputError(
            f"power is {question.power!r}", cure="use a probability above alpha, such as 0.8"
        )
    if question.design != "fixed":
        raise AnalysisInputError(
            f"there is no design {question.design!r} here yet", cure="use design='fixed'"
        )
    if question.n_planned is not None:
        check_count("n_planned", question.n_planned, at_least=2)
    if question.kind == "binary" and question.worst not in {None, 0, 1}:
        raise AnalysisInputError(f"worst is {question.worst!r} for a yes/no metric", cure="use 0 or 1")
    for name, value in (("margin", question.margin), ("mde", question.target)):
        if value is not None and not 0 < value < math.inf:
            raise AnalysisInputError(
                f"{name} is {value!r}", cure="use a positive number in the metric's unit"
            )
        if value is not None and question.kind == "binary" and value >= 1:
            raise AnalysisInputError(
                f"{name} is {value!r}, but a pass rate is a share", cure="write 3 percentage points as 0.03"
            )


def _failed_as(question: Question) -> float | None:
    """Return the value that a failed execution counts as; None drops it."""
    if question.worst is not None or question.kind != "binary":
        return question.worst
    return 0.0 if question.higher_is_better else 1.0


def _answer(rows: Rows, cases: Cases, question: Question) -> Comparison:
    found = estimate(cases, question.kind, seed=question.seed)
    paired = is_paired(cases)
    used = cases.where(cases.has_both if paired else cases.has_a | cases.has_b)
    n_done = _done(rows, paired=paired)
    base = Comparison(
        effect=None, low=None, high=None, p_value=None, verdict="NO_DATA", test="", interval="",
        df=None, se=None, effect_size=None, equivalent=None, required_n=None, mde=None, warnings=(),
        n_cases=int((cases.has_a | cases.has_b).sum()),
        n_pairs=len(used.case_ids) if paired else 0,
        n_clusters=distinct(used.cluster),
        n_done=n_done,
        arms=_arms(rows, cases, used),
        rows=_tidy(used),
        question=question,
    )  # fmt: skip
    if found is None:
        return base
    base = dataclasses.replace(
        base,
        effect=found.effect,
        se=found.se,
        df=found.df,
        effect_size=found.effect_size,
        required_n=_required(found, question),
        mde=_mde(found, question),
        warnings=_warnings(rows, cases, found, question, paired=paired),
        notes=(f"{found.note[0].upper()}{found.note[1:]}.",) if found.note else (),
    )
    if not question.complete or (question.n_planned is not None and n_done < question.n_planned):
        return _interim(base, found, question.n_planned or found.n)
    return _final(base, found)


def _interim(base: Comparison, found: Estimate, n_planned: int) -> Comparison:
    """Below the planned size: no verdict, p hidden, and an interval that bears being looked at."""
    details = {name: value for name, value in found.details.items() if not name.endswith("_p")}
    if found.row == 3 and found.discordant is not None:
        details["e_value"] = e_value_paired_binary(*found.discordant)
    base = dataclasses.replace(base, verdict="INTERIM", details={"row": found.row, **details})
    if found.se is None or found.sequence_from is None or found.n < found.sequence_from:
        return base
    low, high = asymptotic_confidence_sequence(
        found.effect, found.se * math.sqrt(found.n), found.n, alpha=base.question.alpha, n_plan=n_planned
    )
    if base.question.kind == "binary":
        low, high = max(-1.0, low), min(1.0, high)
    return dataclasses.replace(base, low=low, high=high, interval="asymptotic confidence sequence")


def _final(base: Comparison, found: Estimate) -> Comparison:
    question = base.question
    bounds = found.at(question.alpha)
    within = None if question.margin is None else found.at(2 * question.alpha)
    details: dict[str, float | None] = {"row": found.row, **found.details}
    equivalent = None
    if within is not None and question.margin is not None:
        details |= {"equivalence_low": within[0], "equivalence_high": within[1]}
        equivalent = -question.margin < within[0] and within[1] < question.margin
    return dataclasses.replace(
        base,
        low=bounds[0] if bounds else None,
        high=bounds[1] if bounds else None,
        p_value=found.p_value,
        verdict=_verdict(found, bounds, question, equivalent=bool(equivalent)),
        test=found.test,
        interval=found.interval if bounds else "",
        equivalent=equivalent,
        details=details,
    )


def _verdict(found: Estimate, bounds: Bounds | None, question: Question, *, equivalent: bool) -> Verdict:
    if found.p_value is None:
        return "NO_INFERENCE"
    # where every case moved by the same amount, the inverted sign-flip test is that one point
    low, high = bounds or (found.effect, found.effect)
    if found.p_value < question.alpha and (low > 0 or high < 0):
        return "B_BETTER" if (found.effect > 0) == question.higher_is_better else "A_BETTER"
    return "EQUIVALENT" if equivalent else "INCONCLUSIVE"


def _required(found: Estimate, question: Question) -> int | None:
    """Return the cases needed for the target at the spread (or rate of change) that was seen."""
    if question.target is None:
        return None
    target, alpha, power = question.target, question.alpha, question.power
    if found.row == 3 and found.discordant is not None:
        share = _discordant_share(found)
        return required_pairs_binary(share, target, alpha, power) if target <= share else None
    if found.se is None:
        return None
    return required_pairs(found.se**2 * found.n, 0, 0, target, alpha=alpha, power=power)


def _mde(found: Estimate, question: Question) -> float | None:
    """Return the smallest difference that the cases at hand would detect."""
    levels = {"alpha": question.alpha, "power": question.power}
    if found.row == 3 and found.discordant is not None:
        return detectable_binary(_discordant_share(found), found.n, **levels)
    return None if found.se is None else detectable(found.se, **levels)


def _discordant_share(found: Estimate) -> float:
    """Return the share of cases that change; smoothed where there are few, so that it is never 0."""
    changed = sum(found.discordant or (0, 0))
    return changed / found.n if changed >= FEW_DISCORDANT else (changed + 1) / (found.n + 2)


def _warnings(
    rows: Rows, cases: Cases, found: Estimate, question: Question, *, paired: bool
) -> tuple[str, ...]:
    about_data = data_warnings(
        rows, cases, question.kind, paired=paired, higher_is_better=question.higher_is_better
    )
    codes = {*about_data, *found.warnings}
    return tuple(code for code in WARNINGS if code in codes)


def _done(rows: Rows, *, paired: bool) -> int:
    in_a, in_b = attempted(rows)
    return int((in_a & in_b).sum() if paired else (in_a | in_b).sum())


def _arms(rows: Rows, cases: Cases, used: Cases) -> dict[str, Arm]:
    return {
        "A": _arm(~rows.is_b, rows, used.a[used.has_a], used.k_a, missing=cases.has_b & ~cases.has_a),
        "B": _arm(rows.is_b, rows, used.b[used.has_b], used.k_b, missing=cases.has_a & ~cases.has_b),
    }


def _arm(mine: BoolArray, rows: Rows, values: FloatArray, samples: IntArray, *, missing: BoolArray) -> Arm:
    dropped = np.isnan(rows.value) & ~rows.failed & ~rows.pending
    return Arm(
        n=values.size,
        n_rows=int(samples.sum()),
        mean=float(values.mean()) if values.size else None,
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
        n_failed=int((mine & rows.failed).sum()),
        n_unparsed=int((mine & rows.unparsed).sum()),
        n_dropped=int((mine & dropped).sum()),
        n_pending=int((mine & rows.pending).sum()),
        n_missing=int(missing.sum()),
    )


def _tidy(used: Cases) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"case_id": used.case_ids, "a": used.a, "b": used.b, "d": used.b - used.a})


def _secondary(answer: Comparison) -> tuple[str, ...]:
    """Print the test that small counts or skew ask for beside the first one."""
    names = (("fisher_p", "Fisher's exact"), ("sign_flip_p", "Sign-flip"))
    found = ((name, answer.details.get(key)) for key, name in names)
    return tuple(f"{name} test: p {p_value(p)}." for name, p in found if p is not None)


def _unread(answer: Comparison) -> tuple[str, ...]:
    said = []
    for field, words in (
        ("n_unparsed", "Unparsed answers: {} in A, {} in B."),
        ("n_dropped", "Missing or not finite: {} in A, {} in B, dropped."),
    ):
        in_a, in_b = (getattr(answer.arms[name], field) for name in "AB")
        if in_a or in_b:
            said.append(words.format(f"{in_a:,}", f"{in_b:,}"))
    return tuple(said)


def _failures(rows: Rows, answer: Comparison) -> tuple[str, ...]:
    """Say how failures were counted, and print the other way too where it would change the verdict."""
    arms, question = answer.arms, answer.question
    if not rows.failed.any():
        return ()
    counted = _failed_as(question)
    how = "dropped" if counted is None else _counted_as(question, counted)
    text = f"Failed executions: {arms['A'].n_failed:,} in A, {arms['B'].n_failed:,} in B, {how}."
    if answer.verdict in {"INTERIM", "NO_DATA"}:
        return (text,)
    other = _worst_seen(rows, question) if counted is None else None
    if counted is None and other is None:
        return (text,)
    again = _answer(rows, per_case(rows, failed_as=other), question)
    if again.verdict == answer.verdict:
        return (text,)
    manner = "dropped" if other is None else _counted_as(question, other)
    return (text, f"With failures {manner} instead: {_in_short(again)}.")


def _counted_as(question: Question, value: float) -> str:
    if question.kind == "binary":
        return "counted as not passed" if value == 0 else "counted as passed"
    return f"counted as {unit_of(question).size(value)}"


def _worst_seen(rows: Rows, question: Question) -> float | None:
    if np.isnan(rows.value).all():
        return None
    return float(np.nanmin(rows.value) if question.higher_is_better else np.nanmax(rows.value))


def _every_case(cases: Cases, answer: Comparison) -> tuple[str, ...]:
    """Print the unpaired result too where more than a fifth of the cases stand in one arm only."""
    if not answer.paired or answer.verdict == "INTERIM" or answer.n_pairs >= 0.8 * answer.n_cases:
        return ()
    found = unpaired_estimate(cases, answer.question.kind)
    blank = dataclasses.replace(answer, effect=found.effect, se=found.se, df=found.df)
    single = answer.n_cases - answer.n_pairs
    left_out = f"{single:,} of {answer.n_cases:,} cases stand in one arm only and were left out"
    return (f"{left_out}; with them, unpaired: {_in_short(_final(blank, found))}.",)


def _in_short(answer: Comparison) -> str:
    if answer.effect is None:
        return verdict_words(answer.verdict)
    change = unit_of(answer.question).change(answer.effect, digits(answer))
    interval = interval_phrase(answer)
    parts = [
        f"{change} ({interval})" if interval else change,
        p_phrase(answer),
        verdict_words(answer.verdict),
    ]
    return ", ".join(part for part in parts if part)
