"""What our OpenAI-compatible client costs above bare aiohttp.

python benchmarks/provider_overhead.py [--calls 2000] [--in-flight 64] [--rounds 10] [--latency-ms 50] [--stream]

Rounds are interleaved (ours, bare, ours, bare …) against one server process, so that a busy machine slows
both; the ratio is the median of the paired rounds. CPU is this process's own, user and system.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson

from workbench.core.chat import ChatRequest, Message
from workbench.providers.openai_compatible import OpenAICompatible

PROMPT = "Summarise the following review in one word, positive or negative. " * 12
REQUEST = ChatRequest(
    model="dummy",
    messages=(Message("system", "You answer briefly."), Message("user", PROMPT)),
    options={"temperature": 0, "max_tokens": 64},
)

Call = Callable[[], Awaitable[object]]


class Round(NamedTuple):
    """What one round of calls came to."""

    rate: float  # calls per second
    cpu_ms: float  # CPU milliseconds per call


async def measure(call: Call, *, calls: int, in_flight: int) -> Round:
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await call()

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return Round(calls / (time.perf_counter() - wall), (time.process_time() - cpu) * 1000 / calls)


def bare(session: aiohttp.ClientSession, url: str, *, stream: bool) -> Call:
    async def whole() -> Any:
        async with session.post(url, data=orjson.dumps(REQUEST.body())) as response:
            return orjson.loads(await response.read())["choices"][0]["message"]["content"]

    async def streamed() -> str:
        text: list[str] = []
        body = {**REQUEST.body(), "stream": True, "stream_options": {"include_usage": True}}
        async with session.post(url, data=orjson.dumps(body)) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    choices = orjson.loads(line[6:])["choices"]
                    text.extend(choice["delta"].get("content", "") for choice in choices)
        return "".join(text)

    return streamed if stream else whole


async def compare(url: str, options: argparse.Namespace) -> list[tuple[Round, Round]]:
    client = OpenAICompatible(name="bench", base_url=url)
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    pieces: deque[str] = deque(maxlen=1)

    async def ours() -> object:
        return await client.chat(REQUEST, on_text=pieces.append if options.stream else None)

    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        floor = bare(session, f"{url}/chat/completions", stream=options.stream)
        size = {"calls": options.calls, "in_flight": options.in_flight}
        for call in (ours, floor):  # connections and code paths are warm before the first round
            await measure(call, calls=options.in_flight * 2, in_flight=options.in_flight)
        rounds = [(await measure(ours, **size), await measure(floor, **size)) for _ in range(options.rounds)]
    await client.aclose()
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--stream", action="store_true")
    options = parser.parse_args()
    command = [sys.executable, str(Path(__file__).with_name("fast_server.py")), "0", str(options.latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            rounds = asyncio.run(compare(f"http://127.0.0.1:{port}/v1", options))
        finally:
            server.terminate()
    ours, floor = zip(*rounds, strict=True)
    ratio = statistics.median(mine.rate / base.rate for mine, base in rounds)
    print(
        f"load {os.getloadavg()[0]:.1f}; {options.rounds} rounds of {options.calls} calls, {options.in_flight} in flight"
    )
    for name, side in (("ours", ours), ("aiohttp", floor)):
        rate = statistics.median(one.rate for one in side)
        cpu = statistics.median(one.cpu_ms for one in side)
        print(f"{name:8} {rate:7.0f} calls/s  {cpu:.3f} CPU ms per call")
    extra = statistics.median(mine.cpu_ms - base.cpu_ms for mine, base in rounds)
    print(f"ratio    {ratio:.3f} of the floor's rate; {extra:+.3f} CPU ms per call of our own")


if __name__ == "__main__":
    main()
