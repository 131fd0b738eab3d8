"""Calls per second with the whole ledger, against a bare aiohttp client and against peers, in one run.

python benchmarks/calls.py [--rounds 10] [--peers DIR]: 2,000 calls, 64 in flight, a server of 50 ms. In each round the bare
client and ``wb.run`` take turns; prints the paired median of their rates, and CPU seconds per 1,000 calls. With
``--peers``, a directory that ``make bench-peers`` fills, the openai SDK, promptfoo and Inspect take turns too, in their own
processes and with fewer calls where they are slow; promptfoo, Inspect and a third kind of ours score each answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

import workbench
from workbench.db.embedded import EmbeddedServer
from workbench.services.workbench import Workbench
from workbench.settings import Settings

CALLS, IN_FLIGHT, PORT = 2000, 64, 18732
URL = f"http://127.0.0.1:{PORT}/v1"
#: Calls of the peers that would take minutes for all of them.
PROMPTFOO_CALLS, INSPECT_CALLS = 500, 250

_OPENAI = """
import asyncio, sys
from openai import AsyncOpenAI
calls, in_flight = map(int, sys.argv[1:3])
async def main():
    client = AsyncOpenAI(base_url=sys.argv[3], api_key="none", max_retries=0)
    queue = iter(range(calls))
    async def work():
        for number in queue:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": f"Say {number}"}])
    import time
    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    print(time.perf_counter() - started)
asyncio.run(main())
"""
_INSPECT = """
import sys, time
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate
calls, in_flight = map(int, sys.argv[1:3])
task = Task(dataset=[Sample(input=f"Say {n}", target="fox") for n in range(calls)], solver=generate(), scorer=includes())
started = time.perf_counter()
logs = eval(task, model="openai-api/fast/m", max_connections=in_flight, max_samples=in_flight, display="none", log_dir=sys.argv[3])
assert logs[0].status == "success", logs[0].error
print(time.perf_counter() - started)
"""


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
    """Return calls per second, and CPU seconds per 1,000 calls."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return CALLS / (time.perf_counter() - wall), (time.process_time() - cpu) / CALLS * 1000


def elsewhere(command: list[str], calls: int, **options: object) -> tuple[float, float]:
    """Time a program of its own: it prints the seconds that its calls took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return calls / float(done.stdout.split()[-1]), cpu / calls * 1000


def openai_sdk(peers: Path) -> tuple[float, float]:
    return elsewhere([str(peers / "venv/bin/python"), "-c", _OPENAI, str(CALLS), str(IN_FLIGHT), URL], CALLS)


def inspect(peers: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as logs:
        environment = {**os.environ, "FAST_API_KEY": "none", "FAST_BASE_URL": URL}
        command = [
            str(peers / "venv/bin/python"),
            "-c",
            _INSPECT,
            str(INSPECT_CALLS),
            str(IN_FLIGHT),
            logs,
        ]
        return elsewhere(command, INSPECT_CALLS, env=environment)


def promptfoo(peers: Path) -> tuple[float, float]:
    config = {
        "prompts": ["Say {{n}}"],
        "providers": [{"id": "openai:chat:m", "config": {"apiBaseUrl": URL, "apiKey": "none"}}],
        "tests": [
            {"vars": {"n": str(n)}, "assert": [{"type": "contains", "value": "fox"}]}
            for n in range(PROMPTFOO_CALLS)
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        environment = {
            **os.environ,
            "PROMPTFOO_CONFIG_DIR": folder,
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
        }
        program = f"{peers}/node/node_modules/.bin/promptfoo eval -c config.json -j {IN_FLIGHT} --no-cache --no-progress-bar --no-table"
        script = f's=$(date +%s.%N); {program} >/dev/null 2>&1; e=$(date +%s.%N); python3 -c "print($e-$s)"'
        return elsewhere(["bash", "-c", script], PROMPTFOO_CALLS, env=environment, cwd=folder)


def ours(wb: Workbench, *, scored: bool) -> None:
    """Run with every row claimed and committed, the answers scored if that is asked for."""
    run = wb.run(
        "say",
        model="fast/m",
        data="numbers",
        concurrency=IN_FLIGHT,
        progress=False,
        cache="off",
        resume=False,
        scorers=["contains:fox"] if scored else [],
    )
    assert run.counts.done == CALLS


def line(name: str, figures: list[tuple[float, float]], floor: list[tuple[float, float]]) -> None:
    ratios = [ours / bare for (ours, _), (bare, _) in zip(figures, floor, strict=False)]
    rate = statistics.median(rate for rate, _ in figures)
    cpu = statistics.median(cpu for _, cpu in figures)
    print(
        f"| {name} | {rate:,.0f} | {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | {cpu:.2f} | {len(figures)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--peers", type=Path)
    chosen = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fast_server.py")), str(PORT), "50"],
        stdout=subprocess.DEVNULL,
    )
    loop = asyncio.new_event_loop()
    work: dict[str, Callable[[], tuple[float, float]]] = {
        "bare aiohttp": lambda: timed(lambda: loop.run_until_complete(bare()))
    }
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), endpoints={"fast": URL})
        with workbench.connect(settings=settings) as wb:
            wb.prompts.save("say", "Say {{ n }}")
            wb.datasets.save("numbers", [{"n": n} for n in range(CALLS)])
            work["wb.run, whole ledger"] = lambda: timed(lambda: ours(wb, scored=False))
            if chosen.peers:
                peers = chosen.peers.absolute()
                work["wb.run, scored"] = lambda: timed(lambda: ours(wb, scored=True))
                work["openai SDK"] = lambda: openai_sdk(peers)
                work["promptfoo, scored"] = lambda: promptfoo(peers)
                work["Inspect, scored"] = lambda: inspect(peers)
            figures: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
            for number in range(chosen.rounds + 1):
                for name, once in work.items():
                    found = once()
                    if number:  # the first round warms up
                        figures[name].append(found)
            wb.close()
            EmbeddedServer(Path(home)).stop(force=True)
    server.terminate()
    print(
        f"{CALLS:,} calls, {IN_FLIGHT} in flight, a server of 50 ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print(
        "| client | calls/s | of the bare rate in the same round (least–most) | CPU s per 1,000 calls | rounds |"
    )
    print("|---|---|---|---|---|")
    for name, each in figures.items():
        line(name, each, figures["bare aiohttp"])


if __name__ == "__main__":
    main()
