"""What ``%%prompt`` adds to the model: claim and result committed, against the bare call. And what ``%load_ext`` costs.

python benchmarks/prompt_overhead.py [CALLS]: a server of 50 ms, bare calls and cells in turn; prints medians and p95.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from IPython.core.interactiveshell import InteractiveShell

import workbench
from workbench.db.embedded import EmbeddedServer
from workbench.settings import Settings

PORT = 18733
URL = f"http://127.0.0.1:{PORT}/v1"

_LOAD = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = time.process_time()
shell.run_line_magic("load_ext", "workbench")
print(time.process_time() - before)
"""


async def bare(session: aiohttp.ClientSession, number: int) -> None:
    """Make one call with nothing around it, streamed as a cell does."""
    body = {"model": "m", "messages": [{"role": "user", "content": f"Say {number}"}], "stream": True}
    async with session.post(f"{URL}/chat/completions", json=body) as answer:
        async for line in answer.content:
            if line.startswith(b"data: {"):
                json.loads(line[6:])


def measure(calls: int, home: Path) -> tuple[list[float], list[float]]:
    """Return the milliseconds of bare calls and of cells, made in turn."""
    loop = asyncio.new_event_loop()
    session = aiohttp.ClientSession(loop=loop)
    floor, cells = [], []
    shell = InteractiveShell.instance()
    with workbench.connect(settings=Settings(home=home, endpoints={"fast": URL})) as wb:
        shell.user_ns["wb"] = wb
        shell.run_line_magic("load_ext", "workbench")
        for number in range(calls + 5):
            started = time.perf_counter()
            loop.run_until_complete(bare(session, number))
            middle = time.perf_counter()
            shell.run_cell_magic("prompt", f"say -m fast/m -p n={number}", "Say {{ n }}")
            ended = time.perf_counter()
            if number >= 5:
                floor.append(1000 * (middle - started))
                cells.append(1000 * (ended - middle))
    loop.run_until_complete(session.close())
    EmbeddedServer(home).stop(force=True)
    return floor, cells


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fast_server.py")), str(PORT), "50"]
    )
    try:
        with tempfile.TemporaryDirectory() as home:
            floor, cells = measure(calls, Path(home))
    finally:
        server.terminate()
    added = [cell - bare_call for cell, bare_call in zip(cells, floor, strict=True)]
    loads = [
        float(
            subprocess.run(
                [sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True
            ).stdout.split()[-1]
        )
        for _ in range(5)
    ]
    print(
        f"load {os.getloadavg()[0]:.1f}; bare call {statistics.median(floor):.1f} ms, %%prompt {statistics.median(cells):.1f} ms"
    )
    print(
        f"added: median {statistics.median(added):.1f} ms, p95 {statistics.quantiles(added, n=20)[-1]:.1f} ms"
    )
    print(f"%load_ext workbench: {statistics.median(loads):.3f} s CPU on top of IPython")


if __name__ == "__main__":
    main()
