"""What the campaigns share: kernels that go on until their batch is finished, a witness, and a verdict that can be kept."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.invariants import Balance
from tests.servers import Asked, Reply, ScriptedServer, completion
from workbench.secret import Secret
from workbench.services.workbench import connect
from workbench.settings import Settings

__all__ = [
    "CHECKOUT",
    "FINE",
    "Batch",
    "Verdict",
    "kernel",
    "prepare",
    "said",
    "told",
    "tracebacks",
    "until",
    "witness",
]

CHECKOUT = Path(__file__).parents[2]
FINE = completion("fine").body

# A kernel that wants its batch finished, whatever happens: after an error it says its name, and tries again.
_KERNEL = """
import os, sys, time
from pathlib import Path
import workbench
from workbench.errors import WorkbenchError
from workbench.settings import Settings

url, home, endpoint, told, dataset, concurrency = sys.argv[1:]

class Told:  # what a person would have seen
    def __init__(self):
        self.file = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.done = 0
    def update(self, progress):
        if progress.done > self.done:
            os.write(self.file, b"+%d\\n" % (progress.done - self.done))
            self.done = progress.done
    close = update

def say(word):
    print(word, flush=True)

settings = Settings(home=Path(home), endpoints={"mine": endpoint}, model="mine/m")
left = -1
while True:
    try:
        with workbench.connect(url, settings=settings) as wb:
            wb.reporter = Told
            while True:
                try:
                    run = wb.run("say", data=dataset, concurrency=int(concurrency), cache="off")
                    say(run.status)
                    # What is left after that was asked twice, and nobody knows how it ended: it is not asked a third time.
                    if run.status == "finished" or run.counts.lost == run.counts.open == left:
                        sys.exit(0)
                    left = run.counts.open
                except WorkbenchError as error:
                    say(type(error).__name__ if error.cure else type(error).__name__ + "-without-a-cure")
                    time.sleep(0.3)
    except WorkbenchError as error:
        say(type(error).__name__)
        time.sleep(0.3)
"""


@dataclass(frozen=True)
class Batch:
    """What one kernel shall finish."""

    dataset: str
    told: Path
    said: Path


@dataclass
class Verdict:
    """How a campaign ended; ``broken`` is empty where everything held."""

    name: str
    facts: dict[str, Any]
    balance: Balance | None = None
    broken: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.broken and not (self.balance and self.balance.broken)

    def record(self) -> dict[str, Any]:
        found = {} if self.balance is None else {"balance": self.balance.record()}
        return {"campaign": self.name, "held": self.held, **self.facts, **found, "broken": self.broken}

    def __str__(self) -> str:
        lines = [f"{self.name}: {'held' if self.held else 'BROKEN'}"]
        lines += [f"  {name:<24} {value}" for name, value in self.facts.items()]
        lines += [f"  {self.balance}"] if self.balance is not None else []
        return "\n".join([*lines, *(f"  BROKEN {each}" for each in self.broken[:20])])


def prepare(url: Secret, home: Path, *, cases: int, kernels: int) -> list[Batch]:
    """Save the prompt, and a dataset for each kernel."""
    with connect(url.reveal(), settings=Settings(home=home)) as wb:
        wb.prompts.save("say", "Say {{ n }}")
        for part in range(kernels):
            wb.datasets.save(f"part{part}", [{"n": n} for n in range(part, cases, kernels)])
    return [Batch(f"part{part}", home / f"told{part}", home / f"said{part}") for part in range(kernels)]


@contextmanager
def witness(
    bill: Path, *, seconds: float, refused: float, broken: float, seed: int
) -> Iterator[ScriptedServer]:
    """A provider that answers after a while, keeps a bill, and now and then answers 429 or 500."""
    draw = random.Random(seed)

    def script(_: Asked) -> Reply:
        chance = draw.random()
        if chance < refused:
            return Reply(status=429, headers={"Retry-After": "0.05"}, delay=0.002)
        if chance < refused + broken:
            return Reply(status=500, delay=0.002)
        return Reply(body=FINE, delay=seconds * draw.uniform(0.5, 1.5))

    with ScriptedServer(script, bill=bill) as server:
        yield server


def kernel(url: Secret, home: Path, endpoint: str, batch: Batch, concurrency: int) -> subprocess.Popen[bytes]:
    """Start a kernel on its batch."""
    words = [url.reveal(), str(home), endpoint, str(batch.told), batch.dataset, str(concurrency)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    with batch.said.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-c", _KERNEL, *words],
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,
        )


def told(batches: list[Batch]) -> int:
    """Return how many answers people were told are finished; a line that a kill cut short counts for nothing."""
    texts = [batch.told.read_text() for batch in batches if batch.told.exists()]
    return sum(int(line) for text in texts for line in text.split("\n")[:-1])


def said(batches: list[Batch]) -> Counter[str]:
    """Return what the kernels said: how runs ended, and the names of errors; a traceback is an untyped one."""
    lines = [line for batch in batches if batch.said.exists() for line in batch.said.read_text().splitlines()]
    return Counter(
        line
        for line in lines
        if line.isidentifier() or line.startswith(("Traceback", "sqlalchemy", "psycopg"))
    )


def tracebacks(batches: list[Batch]) -> list[str]:
    """Return the ends of the tracebacks that kernels showed."""
    texts = [batch.said.read_text() for batch in batches if batch.said.exists()]
    shown = [part for text in texts for part in text.split("Traceback (most recent call last)")[1:]]
    return [f"a kernel showed a traceback: …{part[-1500:]}" for part in shown]


def until(condition: Any, *, seconds: float) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not after {seconds:g} s")
        time.sleep(0.005)
