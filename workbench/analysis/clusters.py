"""Cluster-robust standard errors of a mean and of a difference of two means.

Cases that come from one document, one conversation or one author are no independent witnesses;
treating them as such raises far more false alarms than the nominal level. Both estimators are
the small-sample CR2 with Satterthwaite degrees of freedom, in closed form and linear time.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from workbench.analysis.distributions import FloatArray, IntArray
from workbench.errors import AnalysisInputError, did_you_mean

__all__ = ["ClusterKind", "ClusterMean", "cluster_difference", "cluster_mean"]

ClusterKind = Literal["CR0", "CR1", "CR2", "CR3"]


class ClusterMean(NamedTuple):
    """A mean (or a difference of means), its standard error and degrees of freedom."""

    mean: float
    se: float
    df: float


def cluster_mean(y: npt.ArrayLike, cluster: npt.ArrayLike, kind: ClusterKind = "CR2") -> ClusterMean:
    """Return a mean with a standard error that is robust to clusters.

    Args:
        y: one finite value per case.
        cluster: the cluster of each case.
        kind: ``CR2`` (default), or ``CR0``, ``CR1`` = G/(G - 1) times CR0, ``CR3``.

    Returns:
        The mean over cases, its standard error and Satterthwaite degrees of freedom.

    Raises:
        AnalysisInputError: lengths differ, there are fewer than two clusters, or the kind is
            unknown.

    Source: Bell and McCaffrey 2002; Pustejovsky and Tipton 2018, JBES 36:672.

    >>> cluster_mean([1, 2, 3, 4], ["x", "x", "y", "y"]).df
    1.0
    """
    if kind not in get_args(ClusterKind):
        known = get_args(ClusterKind)
        cure = did_you_mean(str(kind), known) or f"use one of {', '.join(known)}"
        raise AnalysisInputError(f"there is no cluster-robust kind {kind!r}", cure=cure)
    values = np.asarray(y, dtype=np.float64)
    codes = _codes(cluster)
    if values.shape != codes.shape or values.ndim != 1:
        raise AnalysisInputError(f"y has shape {values.shape} but cluster has shape {codes.shape}")
    groups = int(codes.max(initial=-1)) + 1
    if groups < 2:
        raise AnalysisInputError(f"there are {groups} clusters", cure="a standard error needs at least two")
    arm = _Arm.of(values, codes, groups, power={"CR2": -0.5, "CR3": -1.0}.get(kind, 0.0))
    variance = float(np.sum(arm.score**2)) * (groups / (groups - 1) if kind == "CR1" else 1.0)
    return ClusterMean(arm.mean, math.sqrt(variance), _satterthwaite(arm.diagonal, [arm.outer]))


def cluster_difference(a: FloatArray, cluster_a: IntArray, b: FloatArray, cluster_b: IntArray) -> ClusterMean:
    """Return mean(b) - mean(a) with the CR2 standard error of ``y ~ variant``.

    A cluster may hold cases of both arms; a case that was answered by both arms is a cluster of
    its own. In cell-means coding the hat matrix of a cluster is block diagonal with equal entries
    in each arm's block, so its inverse square root acts on an arm's sum of residuals as one number.

    Args:
        a: one finite value per case of arm A.
        cluster_a: whole number that names the cluster of each of them.
        b: the same for arm B.
        cluster_b: numbered as in ``cluster_a``.

    Raises:
        AnalysisInputError: an arm has fewer than two clusters.

    """
    codes, groups = _shared_codes(cluster_a, cluster_b)
    arms = [
        _Arm.of(a, codes[: a.size], groups, power=-0.5),
        _Arm.of(b, codes[a.size :], groups, power=-0.5),
    ]
    for name, arm in zip("AB", arms, strict=True):
        if np.count_nonzero(arm.outer) < 2:
            raise AnalysisInputError(
                f"arm {name} has one cluster", cure="a standard error needs at least two"
            )
    variance = float(np.sum((arms[1].score - arms[0].score) ** 2))
    df = _satterthwaite(arms[0].diagonal + arms[1].diagonal, [arms[0].outer, arms[1].outer])
    return ClusterMean(arms[1].mean - arms[0].mean, math.sqrt(variance), df)


class _Arm(NamedTuple):
    """Per-cluster pieces of one mean: P = diag(diagonal) - outer·outerᵀ is the variance's quadratic form."""

    mean: float
    score: FloatArray
    diagonal: FloatArray
    outer: FloatArray

    @classmethod
    def of(cls, values: FloatArray, codes: IntArray, groups: int, *, power: float) -> _Arm:
        n, mean = values.size, float(values.mean())
        sizes = np.bincount(codes, minlength=groups).astype(np.float64)
        residuals = np.bincount(codes, weights=values - mean, minlength=groups)
        rest = 1 - sizes / n
        adjust = np.zeros(groups)
        np.power(rest, power, out=adjust, where=rest > 0)
        return cls(mean, adjust * residuals / n, adjust**2 * sizes / n**2, adjust * sizes / n**1.5)


def _satterthwaite(diagonal: FloatArray, outers: list[FloatArray]) -> float:
    """Return tr(P)² / ΣP² for P = diag(diagonal) - Σ outer·outerᵀ without building P."""
    trace = float(diagonal.sum() - sum(float(v @ v) for v in outers))
    squares = float(diagonal @ diagonal) - 2 * sum(float(diagonal @ v**2) for v in outers)
    squares += sum(float(v @ w) ** 2 for v in outers for w in outers)
    return trace**2 / squares


def _codes(cluster: npt.ArrayLike) -> IntArray:
    import pandas as pd

    codes, _ = pd.factorize(np.asarray(cluster), use_na_sentinel=False)
    return codes.astype(np.int64)


def _shared_codes(first: IntArray, second: IntArray) -> tuple[IntArray, int]:
    codes = _codes(np.concatenate([first, second]))
    return codes, int(codes.max(initial=-1)) + 1
