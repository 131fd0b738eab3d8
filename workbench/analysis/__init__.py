"""Numbers in, a frozen result out: NumPy, SciPy and pandas only; no database, no drawing.

Importing this package loads none of the three; its names do, at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.analysis.clusters import cluster_mean
    from workbench.analysis.comparison import compare
    from workbench.analysis.frames import AnalysisTypeError
    from workbench.analysis.means import paired_t, sign_flip_test, welch_t
    from workbench.analysis.multiplicity import benjamini_hochberg, holm, sample_ratio_mismatch
    from workbench.analysis.paired_binary import agresti_min_interval, mcnemar, tango_interval
    from workbench.analysis.peeking import asymptotic_confidence_sequence, e_value_paired_binary
    from workbench.analysis.power import required_pairs, required_pairs_binary
    from workbench.analysis.results import Comparison
    from workbench.analysis.unpaired_binary import (
        miettinen_nurminen_interval,
        newcombe_interval,
        wilson_interval,
    )

__all__ = [
    "AnalysisTypeError",
    "Comparison",
    "agresti_min_interval",
    "asymptotic_confidence_sequence",
    "benjamini_hochberg",
    "cluster_mean",
    "compare",
    "e_value_paired_binary",
    "holm",
    "mcnemar",
    "miettinen_nurminen_interval",
    "newcombe_interval",
    "paired_t",
    "required_pairs",
    "required_pairs_binary",
    "sample_ratio_mismatch",
    "sign_flip_test",
    "tango_interval",
    "welch_t",
    "wilson_interval",
]

_HOMES = {
    "clusters": ("cluster_mean",),
    "comparison": ("compare",),
    "frames": ("AnalysisTypeError",),
    "means": ("paired_t", "sign_flip_test", "welch_t"),
    "multiplicity": ("benjamini_hochberg", "holm", "sample_ratio_mismatch"),
    "paired_binary": ("agresti_min_interval", "mcnemar", "tango_interval"),
    "peeking": ("asymptotic_confidence_sequence", "e_value_paired_binary"),
    "power": ("required_pairs", "required_pairs_binary"),
    "results": ("Comparison",),
    "unpaired_binary": ("miettinen_nurminen_interval", "newcombe_interval", "wilson_interval"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
