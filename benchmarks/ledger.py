"""What the ledger costs: ``wb.run`` with every row claimed and committed, against a bare aiohttp client.

python benchmarks/ledger.py [ROUNDS]: 2,000 calls, 64 in flight, a server of 50 ms, rounds interleaved; prints the paired
median of the rates, and CPU seconds per 1,000 calls.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

import workbench
from workbench.settings import Settings

CALLS, IN_FLIGHT, PORT = 2000, 64, 18732
URL = f"http://127.0.0.1:{PORT}/v1"


async def bare() -> None:
    """Send the same bodies with nothing around them."""
    queue = iter(range(CALLS))
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work() -> None:
            for number in queue:
                body = {"model": "m", "messages": [{"role": "user", "content": f"Say {number}"}]}
                async with session.post(f"{URL}/chat/completions", json=body) as answer:
                    await answer.json()

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fast_server.py")), str(PORT), "50"]
    )
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), endpoints={"fast": URL})
        with workbench.connect(settings=settings) as wb:
            prompt = wb.prompts.save("say", "Say {{ n }}")
            data = wb.datasets.save("numbers", [{"n": n} for n in range(CALLS)])
            ratios, rates, cpus = [], [], []
            for number in range(rounds + 1):
                floor, _ = timed(lambda: loop.run_until_complete(bare()))
                ours, cpu = timed(
                    lambda: wb.run(
                        prompt,
                        model="fast/m",
                        data=data,
                        concurrency=IN_FLIGHT,
                        progress=False,
                        cache="off",
                        resume=False,
                    )
                )
                if number:  # the first round warms up
                    ratios.append(floor / ours)
                    rates.append((CALLS / floor, CALLS / ours))
                    cpus.append(cpu / CALLS * 1000)
            from workbench.db.embedded import EmbeddedServer

            wb.close()
            EmbeddedServer(Path(home)).stop(force=True)
    server.terminate()
    print(
        f"load {os.getloadavg()[0]:.1f}; bare {statistics.median(r[0] for r in rates):.0f}/s, with ledger {statistics.median(r[1] for r in rates):.0f}/s"
    )
    print(
        f"paired ratio {statistics.median(ratios):.2f} (min {min(ratios):.2f}, max {max(ratios):.2f}); {statistics.median(cpus):.2f} s CPU per 1,000 calls"
    )


if __name__ == "__main__":
    main()
