"""How long ``workbench.analysis.compare`` takes, and how much memory, on 10,000 pairs.

python benchmarks/compare.py [PAIRS]; figure to reach: 20 ms for every analytical row, 64 MB.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import tracemalloc
from decimal import Decimal
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from workbench.analysis import compare

ROUNDS = 31


def frames(pairs: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(7)
    half = pairs // 2

    def long(a: np.ndarray, b: np.ndarray, **columns: Any) -> pd.DataFrame:
        cases = [f"case-{i:06d}" for i in range(pairs)] * 2
        return pd.DataFrame(
            {"case_id": cases, "variant": ["A"] * pairs + ["B"] * pairs, "value": [*a, *b], **columns}
        )

    score = rng.normal(3, 1, (2, pairs))
    passed = (rng.random((2, pairs)) < [[0.70], [0.72]]).astype(int)
    ledger: dict[str, Any] = {
        "sample": 0,
        "status": "done",
        "cluster_id": [f"doc-{i % half}" for i in range(pairs)] * 2,
    }
    unpaired = long(*passed)
    unpaired.loc[pairs:, "case_id"] = "other-" + unpaired.loc[pairs:, "case_id"]
    skewed = score.copy()
    skewed[1, : pairs // 100] += 40
    return {
        "paired pass rate (row 3)": long(*passed),
        "paired pass rate, Decimal from JSONB": long(*passed).map(_as_decimal),
        "paired score (row 5)": long(*score),
        "paired score, every column, clusters (row 2)": long(*score, **ledger),
        "unpaired pass rate (row 7)": unpaired,
        "unpaired score (row 8)": unpaired.assign(value=score.ravel()),
        "paired score, skewed: with 10,000 sign flips": long(*skewed),
    }


def _as_decimal(value: object) -> object:
    return Decimal(value) if isinstance(value, int) else value


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{pairs:,} pairs, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
    print(f"{'data':<48}{'median ms':>10}{'fastest':>9}{'peak MB':>9}")
    for name, frame in frames(pairs).items():
        compare(frame)
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            compare(frame)
            times.append(1000 * (time.perf_counter() - start))
        gc.collect()
        tracemalloc.start()
        compare(frame)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        print(f"{name:<48}{median(times):>10.1f}{min(times):>9.1f}{peak:>9.1f}")


if __name__ == "__main__":
    main()
