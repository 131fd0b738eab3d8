"""Whether a run of 100,000 cases needs more memory, or claims more slowly, as it goes on.

python benchmarks/long_run.py [CASES]: one run over a DataFrame of CASES rows (100,000), 64 calls in flight, a server of
50 ms. Prints for each tenth of the run how many calls a second were stored, how long a group of claims and one of results
took to commit (median, ms), and the memory above what the process had once the DataFrame was there.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

import pandas as pd
import psutil

import workbench
from workbench.db import ledger_writer
from workbench.db.embedded import EmbeddedServer
from workbench.services.workbench import Workbench
from workbench.settings import Settings

IN_FLIGHT, PORT, PARTS = 64, 18733, 10
MB = 2**20


class Watch:
    """Notes when groups were committed and how large the process was."""

    def __init__(self) -> None:
        self.groups: list[tuple[float, str, float, int]] = []  # when, kind, seconds, rows
        self.memory: list[tuple[float, int]] = []
        self._ended = threading.Event()
        for name in ("claim", "finish_documents"):
            setattr(ledger_writer, name, self._timed(name, getattr(ledger_writer, name)))

    def _timed(self, name: str, work: Any) -> Any:
        def timed(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            found = work(*given, **named)
            self.groups.append((time.perf_counter(), name, time.perf_counter() - started, len(found)))
            return found

        return timed

    def __enter__(self) -> Self:
        def look() -> None:
            while not self._ended.wait(0.2):
                self.memory.append((time.perf_counter(), psutil.Process().memory_info().rss))

        self._thread = threading.Thread(target=look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def show(watch: Watch, cases: int, before: int) -> None:
    stored, part, start = 0, 0, watch.groups[0][0]
    print("| calls | calls/s | claims, ms a group | results, ms a group | MB above the frame |")
    print("|---|---|---|---|---|")
    times: dict[str, list[float]] = {"claim": [], "finish_documents": []}
    for when, name, seconds, rows in watch.groups:
        times[name].append(1000 * seconds)
        stored += rows if name == "finish_documents" else 0
        if stored >= (part + 1) * cases // PARTS:
            sizes = [size for at, size in watch.memory if start <= at <= when] or [before]
            medians = [statistics.median(times[each] or [0.0]) for each in times]
            print(
                f"| {stored:,} | {cases / PARTS / (when - start):,.0f} | {medians[0]:.1f} | {medians[1]:.1f} | {(max(sizes) - before) / MB:.0f} |"
            )
            part, start, times = part + 1, when, {"claim": [], "finish_documents": []}
    print(f"\nat most {(max(size for _, size in watch.memory) - before) / MB:.0f} MB above the frame")


def measure(wb: Workbench, cases: int) -> None:
    frame = pd.DataFrame({"n": range(cases), "text": [f"case {n} " + "word " * 20 for n in range(cases)]})
    wb.prompts.save("say", "Say {{ text }}")
    wb.run("say", model="fast/m", data=frame.head(64), progress=False, cache="off")
    before = psutil.Process().memory_info().rss
    with Watch() as watch:
        run = wb.run(
            "say",
            model="fast/m",
            data=frame,
            concurrency=IN_FLIGHT,
            progress=False,
            cache="off",
            resume=False,
        )
    assert run.counts.done == cases
    show(watch, cases, before)


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    program = str(Path(__file__).with_name("fast_server.py"))
    server = subprocess.Popen([sys.executable, program, str(PORT), "50"], stdout=subprocess.DEVNULL)
    try:
        with tempfile.TemporaryDirectory() as home:
            settings = Settings(home=Path(home), endpoints={"fast": f"http://127.0.0.1:{PORT}/v1"})
            print(
                f"{cases:,} cases, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {platform.python_version()}\n"
            )
            with workbench.connect(settings=settings) as wb:
                measure(wb, cases)
            EmbeddedServer(Path(home)).stop(force=True)
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
