"""What is wrong with the data behind a comparison: missing answers, uneven arms, ceilings."""

from __future__ import annotations

import numpy as np

from workbench.analysis.frames import BoolArray, Cases, Kind, Rows
from workbench.analysis.multiplicity import sample_ratio_mismatch
from workbench.analysis.paired_binary import mcnemar
from workbench.analysis.unpaired_binary import miettinen_nurminen_p

__all__ = ["attempted", "data_warnings"]

_SRM_ALARM = 0.001
_MISSING_SHARE = 0.05


def attempted(rows: Rows) -> tuple[BoolArray, BoolArray]:
    """Return which cases were answered, well or badly, by arm A and by arm B."""
    settled = ~rows.pending
    n = len(rows.case_ids)
    count = np.bincount(rows.case[settled] + n * rows.is_b[settled], minlength=2 * n)
    return count[:n] > 0, count[n:] > 0


def data_warnings(
    rows: Rows, cases: Cases, kind: Kind, *, paired: bool, higher_is_better: bool
) -> tuple[str, ...]:
    """Return the warnings that do not depend on the test."""
    codes = _missing_warnings(rows, cases, paired=paired)
    used = cases.where(cases.has_both) if paired else cases
    if kind == "binary":
        means = np.array([used.a[used.has_a].mean(), used.b[used.has_b].mean()])
        if ((means if higher_is_better else 1 - means) > 0.95).all():
            codes.append("W_CEILING")
    samples = np.concatenate([used.k_a[used.has_a], used.k_b[used.has_b]])
    if np.ptp(samples) > 0:
        codes.append("W_K_UNEQUAL")
    return tuple(codes)


def _missing_warnings(rows: Rows, cases: Cases, *, paired: bool) -> list[str]:
    in_a, in_b = attempted(rows)
    if not paired:
        assigned = int(in_b.sum()), int(in_a.sum())
        lost = int((in_b & ~cases.has_b).sum()), int((in_a & ~cases.has_a).sum())
        mismatch = sample_ratio_mismatch(assigned)
        differential = miettinen_nurminen_p(lost[0], assigned[0], lost[1], assigned[1])
        share = sum(lost) / sum(assigned)
    else:
        waiting = np.zeros(len(rows.case_ids), dtype=np.bool_)
        waiting[rows.case[rows.pending]] = True
        lacks_a, lacks_b = ~cases.has_a & ~waiting, ~cases.has_b & ~waiting
        mismatch = differential = mcnemar(int((lacks_a & ~lacks_b).sum()), int((lacks_b & ~lacks_a).sum()))
        share = float((lacks_a | lacks_b).sum()) / max(1, int((~waiting).sum()))
    codes = ["W_SRM"] if mismatch < _SRM_ALARM else []
    used_rows = int(cases.k_a.sum() + cases.k_b.sum())
    settled_rows = int((~rows.pending).sum())
    if max(share, 1 - used_rows / settled_rows) > _MISSING_SHARE or differential < _MISSING_SHARE:
        codes.append("W_MISSING")
    return codes
