"""How long the embedded server takes: the first start, a warm start, and finding it running.

Each round makes a home of its own and removes it. Prints medians, and the cost of one fdatasync,
which the first start depends on.

    python benchmarks/embedded_start.py --rounds 5
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from workbench.db.embedded import EmbeddedServer


def one_round(pg_bin: Path | None) -> tuple[float, float, float, str]:
    """Return the seconds of a first start, a warm start and a look at the running server."""
    home = Path(tempfile.mkdtemp(prefix="wb-bench-"))
    home.chmod(0o755)
    server = EmbeddedServer(home, pg_bin=pg_bin)
    try:
        first = server.ensure()
        running = statistics.median(server.ensure().seconds for _ in range(20))
        server.stop(force=True)
        warm = server.ensure()
        return first.seconds, warm.seconds, running, first.version
    finally:
        server.stop(force=True)
        shutil.rmtree(server.data.parent)
        shutil.rmtree(home, ignore_errors=True)


def fdatasync_ms() -> float:
    with tempfile.TemporaryFile() as file:
        times = []
        for _ in range(50):
            file.write(bytes(8192))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pg-bin", type=Path, default=None, help="directory of PostgreSQL's programs")
    options = parser.parse_args()
    rounds = [one_round(options.pg_bin) for _ in range(options.rounds)]
    print(
        f"PostgreSQL {rounds[0][3]}, {options.rounds} rounds, fdatasync {fdatasync_ms():.2f} ms, load {os.getloadavg()[0]:.1f}"
    )
    for name, times in zip(
        ("first start", "warm start", "already running"), list(zip(*rounds, strict=True))[:3], strict=True
    ):
        values = [float(value) * 1000 for value in times]
        print(f"{name:<16} median {statistics.median(values):8.2f} ms   worst {max(values):8.2f} ms")


if __name__ == "__main__":
    main()
