"""The decision table: which test and which interval belong to which data.

======  ==================================================  ===========================
row     data                                                test and interval
======  ==================================================  ===========================
2       paired, fewer clusters than cases                   CR2 t
3       paired, yes/no, one sample                          McNemar mid-p, Tango
5       paired, everything else                             paired t
6       unpaired, clusters or cases in both arms            CR2 t
7       unpaired, yes/no, one sample                        Miettinen-Nurminen
8       unpaired, everything else                           Welch t
======  ==================================================  ===========================

The first row that fits is taken. Skewed paired data are computed by row 5 and say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from workbench.analysis.clusters import ClusterMean, cluster_difference, cluster_mean
from workbench.analysis.distributions import Bounds, FloatArray, clip_p, distinct, t_p_value, t_quantile
from workbench.analysis.frames import Cases, Kind
from workbench.analysis.means import is_constant, paired_t, sign_flip_test, skewness, welch_t
from workbench.analysis.paired_binary import mcnemar, tango_interval
from workbench.analysis.unpaired_binary import (
    fisher_exact,
    miettinen_nurminen_interval,
    miettinen_nurminen_p,
)

__all__ = ["FEW_DISCORDANT", "Estimate", "estimate", "is_paired", "unpaired_estimate"]

SMALL_N = 30
FEW_DISCORDANT = 10
SKEW_FACTOR = 355
HOPELESS_SKEW = 3.0
HOPELESS_BELOW = 100


def _no_interval(_alpha: float) -> Bounds | None:
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What one row of the decision table says.

    Attributes:
        row: number of the row.
        effect: B - A in the metric's own unit.
        n: cases that entered it.
        units: independent units among them: clusters where there are any, the smaller arm's where
            the arms are unpaired.
        at: gives the interval at any alpha; None where there is none.
        se: standard error of the effect.
        df: degrees of freedom of a t.
        p_value: None where no test can be computed.
        test: name of the test.
        interval: name of the interval.
        effect_size: standardised effect.
        discordant: (b, c) of paired yes/no data.
        sequence_from: cases from which a confidence sequence may be shown; None where never.
        warnings: codes.
        note: one sentence on a special case.
        details: secondary numbers by name.

    """

    row: int
    effect: float
    n: int
    units: int
    at: Callable[[float], Bounds | None] = _no_interval
    se: float | None = None
    df: float | None = None
    p_value: float | None = None
    test: str = ""
    interval: str = ""
    effect_size: float | None = None
    discordant: tuple[int, int] | None = None
    sequence_from: int | None = None
    warnings: tuple[str, ...] = ()
    note: str = ""
    details: dict[str, float] = field(default_factory=dict)


def is_paired(cases: Cases) -> bool:
    """Whether the design is paired: at least two pairs, and half the smaller arm; or one lone pair."""
    pairs = int(cases.has_both.sum())
    smaller = min(int(cases.has_a.sum()), int(cases.has_b.sum()))
    lone = pairs == 1 and int((cases.has_a | cases.has_b).sum()) == 1
    return lone or (pairs >= 2 and 2 * pairs >= smaller)


def estimate(cases: Cases, kind: Kind, *, seed: int) -> Estimate | None:
    """Return the first row of the table that fits, or None where an arm has no value."""
    if not cases.has_a.any() or not cases.has_b.any():
        return None
    if is_paired(cases):
        return _paired(cases.where(cases.has_both), kind, seed)
    return unpaired_estimate(cases, kind)


# paired


def _paired(pairs: Cases, kind: Kind, seed: int) -> Estimate:
    d = pairs.b - pairs.a
    scale = float(np.maximum(np.abs(pairs.a), np.abs(pairs.b)).max())
    clusters = distinct(pairs.cluster)
    binary = kind == "binary" and _single_sample(pairs)
    base = Estimate(
        row=2 if clusters < d.size else 3 if binary else 5,
        effect=float(d.mean()),
        n=d.size,
        units=clusters,
        discordant=(int((d > 0).sum()), int((d < 0).sum())) if binary else None,
        warnings=("W_SMALL_N",) if clusters < SMALL_N else (),
    )
    if clusters == 1:
        return replace(base, note="one pair" if d.size == 1 else "one cluster")
    if is_constant(d, scale):
        return _constant_difference(base, scale)
    base = replace(
        base,
        effect_size=base.effect / float(d.std(ddof=1)),
        sequence_from=SMALL_N,
        details=_pairing(pairs, d),
        warnings=(*base.warnings, *_discordant_warning(base)),
    )
    if base.row == 3:
        return _mcnemar_row(base, d)
    result = _cluster_row(base, d, pairs) if base.row == 2 else _t_row(base, d)
    return _look_at_shape(result, d, seed)


def _constant_difference(base: Estimate, scale: float) -> Estimate:
    """Every case moved by the same amount: there is no spread to compute a t from."""
    n, units = base.n, base.units
    moved = abs(base.effect) > 1e-12 * scale
    if base.discordant is not None:
        b = units if moved and base.effect > 0 else 0
        c = units if moved and base.effect < 0 else 0
        note = f"all {n} cases changed the same way" if moved else f"identical on all {n} cases"
        return replace(
            base,
            at=lambda alpha: tango_interval(b, c, units, alpha),
            p_value=mcnemar(b, c),
            test="McNemar mid-p",
            interval="Tango score",
            warnings=(*base.warnings, *_discordant_warning(base)),
            note=note,
        )
    if not moved:
        return replace(
            base, effect=0.0, p_value=1.0, test="exact sign-flip", note=f"identical on all {n} cases"
        )
    p = clip_p(2.0 ** (1 - units))
    return replace(base, p_value=p, test="exact sign-flip", note=f"the same difference on all {n} cases")


def _mcnemar_row(base: Estimate, d: FloatArray) -> Estimate:
    b, c = base.discordant or (0, 0)
    return replace(
        base,
        se=float(d.std(ddof=1)) / math.sqrt(d.size),
        p_value=mcnemar(b, c),
        test="McNemar mid-p",
        interval="Tango score",
        at=lambda alpha: tango_interval(b, c, d.size, alpha),
        sequence_from=SMALL_N if b + c >= FEW_DISCORDANT else None,
        details={**base.details, "b": b, "c": c},
    )


def _t_row(base: Estimate, d: FloatArray) -> Estimate:
    t = paired_t(d)
    return replace(
        base,
        se=t.se,
        df=t.df,
        p_value=t.p,
        test="paired t",
        interval="paired t",
        at=_t_at(t.effect, t.se, t.df),
    )


def _cluster_row(base: Estimate, d: FloatArray, pairs: Cases) -> Estimate:
    robust = cluster_mean(d, pairs.cluster)
    if robust.se <= 1e-12 * float(np.abs(d).max()):
        return replace(base, note="the clusters' means do not differ", sequence_from=None)
    result = _with_robust(base, robust)
    plain = float(d.var(ddof=1)) / d.size
    result = replace(result, details={**result.details, "deff": robust.se**2 / plain})
    if base.discordant is None:
        return result
    b, c = base.discordant
    midp = mcnemar(b, c)
    if b + c >= FEW_DISCORDANT:
        return result
    if result.p_value is not None and midp > result.p_value:
        result = replace(result, p_value=midp, test="McNemar mid-p")
    return replace(result, sequence_from=None)


def _with_robust(base: Estimate, robust: ClusterMean) -> Estimate:
    few = ("W_FEW_CLUSTERS",) if robust.df < 10 else ()
    return replace(
        base,
        se=robust.se,
        df=robust.df,
        p_value=t_p_value(robust.mean / robust.se, robust.df) if robust.df >= 4 else None,
        test="CR2 t",
        interval="CR2 t",
        at=_t_at(robust.mean, robust.se, robust.df),
        warnings=(*base.warnings, *few),
        note=f"{robust.df:.1f} degrees of freedom are too few for a test" if robust.df < 4 else "",
    )


def _look_at_shape(result: Estimate, d: FloatArray, seed: int) -> Estimate:
    """Warn of skew and of ties in numbers; refuse a verdict where skew breaks every method."""
    if result.discordant is not None:
        return result
    warnings = list(result.warnings)
    if np.count_nonzero(d == 0) > d.size / 2:
        warnings.append("W_TIES")
    g1 = skewness(d)
    details = {**result.details, "skewness": g1}
    skewed = result.row == 5 and 10 <= d.size < SKEW_FACTOR * g1**2 and np.unique(d).size > 10
    if not skewed and abs(g1) <= HOPELESS_SKEW:
        return replace(result, warnings=tuple(warnings), details=details)
    warnings.append("W_SKEW")
    if result.row == 5:
        details |= {"sign_flip_p": sign_flip_test(d, seed=seed), "seed": seed}
    result = replace(
        result,
        warnings=tuple(warnings),
        details=details,
        sequence_from=None if result.sequence_from is None else 200,
    )
    if abs(g1) > HOPELESS_SKEW and result.units < HOPELESS_BELOW:
        note = f"the differences are so skewed (g₁ = {g1:.1f}) that at n = {result.units} no method keeps its level"
        return replace(result, p_value=None, at=_no_interval, note=note)
    return result


def _pairing(pairs: Cases, d: FloatArray) -> dict[str, float]:
    """Return how alike the arms answer, and what share of the variance pairing takes away."""
    var_a, var_b = float(pairs.a.var(ddof=1)), float(pairs.b.var(ddof=1))
    if is_constant(pairs.a) or is_constant(pairs.b):
        return {}
    covariance = float(((pairs.a - pairs.a.mean()) * (pairs.b - pairs.b.mean())).sum()) / (d.size - 1)
    gain = 1 - float(d.var(ddof=1)) / (var_a + var_b)
    return {"correlation": covariance / math.sqrt(var_a * var_b), "pairing_gain": gain}


# unpaired


def unpaired_estimate(cases: Cases, kind: Kind) -> Estimate:
    """Compare every case of arm A with every case of arm B (rows 6 to 8)."""
    in_a, in_b = cases.has_a, cases.has_b
    a, b = cases.a[in_a], cases.b[in_b]
    cluster_a, cluster_b = cases.cluster[in_a], cases.cluster[in_b]
    units = min(distinct(cluster_a), distinct(cluster_b))
    n = int((in_a | in_b).sum())
    clusters = distinct(cases.cluster[in_a | in_b])
    binary = kind == "binary" and _single_sample(cases)
    row = 6 if clusters < n or bool(cases.has_both.any()) else 7 if binary else 8
    base = Estimate(
        row=row,
        effect=float(b.mean() - a.mean()),
        n=n,
        units=units,
        warnings=("W_SMALL_N",) if units < SMALL_N else (),
    )
    if units == 1:
        return replace(base, note="an arm has one cluster" if clusters < n else "an arm has one case")
    if is_constant(a) and is_constant(b):
        return replace(base, note="each arm gives the same value on every case")
    base = replace(base, effect_size=_standardised(a, b, binary=row == 7), sequence_from=SMALL_N)
    if row == 7:
        return _score_row(base, a, b)
    result = (
        _with_robust(base, cluster_difference(a, cluster_a, b, cluster_b))
        if row == 6
        else _welch_row(base, a, b)
    )
    if max(abs(skewness(a)), abs(skewness(b))) > HOPELESS_SKEW and not binary:
        return replace(result, warnings=(*result.warnings, "W_SKEW"), sequence_from=200)
    return result


def _score_row(base: Estimate, a: FloatArray, b: FloatArray) -> Estimate:
    x_a, x_b = int(a.sum()), int(b.sum())
    n_a, n_b, successes = a.size, b.size, int(a.sum() + b.sum())
    rarer = min(successes, n_a + n_b - successes)
    details: dict[str, float] = {}
    if rarer * min(n_a, n_b) / (n_a + n_b) < 5:
        details = {"fisher_p": fisher_exact(x_b, n_b, x_a, n_a)}
    variance = float(a.var(ddof=1)) / n_a + float(b.var(ddof=1)) / n_b
    return replace(
        base,
        se=math.sqrt(variance),
        p_value=miettinen_nurminen_p(x_b, n_b, x_a, n_a),
        test="Miettinen–Nurminen score",
        interval="Miettinen–Nurminen score",
        at=lambda alpha: miettinen_nurminen_interval(x_b, n_b, x_a, n_a, alpha),
        sequence_from=SMALL_N if rarer >= FEW_DISCORDANT else None,
        details=details,
    )


def _welch_row(base: Estimate, a: FloatArray, b: FloatArray) -> Estimate:
    t = welch_t(a, b)
    return replace(
        base,
        se=t.se,
        df=t.df,
        p_value=t.p,
        test="Welch t",
        interval="Welch t",
        at=_t_at(t.effect, t.se, t.df),
    )


def _standardised(a: FloatArray, b: FloatArray, *, binary: bool) -> float:
    """Return Cohen's h of two rates, else Cohen's d on the mean of both variances."""
    if binary:
        return 2 * (math.asin(math.sqrt(float(b.mean()))) - math.asin(math.sqrt(float(a.mean()))))
    spread = math.sqrt((float(a.var(ddof=1)) + float(b.var(ddof=1))) / 2)
    return float(b.mean() - a.mean()) / spread


# both


def _t_at(effect: float, se: float, df: float) -> Callable[[float], Bounds | None]:
    def at(alpha: float) -> Bounds:
        half = t_quantile(1 - alpha / 2, df) * se
        return effect - half, effect + half

    return at


def _single_sample(cases: Cases) -> bool:
    return int(max(cases.k_a.max(initial=0), cases.k_b.max(initial=0))) <= 1


def _discordant_warning(base: Estimate) -> tuple[str, ...]:
    few = base.discordant is not None and sum(base.discordant) < FEW_DISCORDANT
    return ("W_DISCORDANT",) if few else ()
