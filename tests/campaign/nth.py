"""Every database statement and every HTTP answer of a small batch fails once, for a moment and for good."""

from __future__ import annotations

import secrets
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psycopg

from tests.campaign.harness import FINE, Verdict
from tests.invariants import balance
from tests.proxy import DatabaseProxy, Fault
from tests.servers import Asked, Reply, ScriptedServer
from workbench.errors import WorkbenchError
from workbench.providers.base import Retry
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.registry import Registry
from workbench.secret import Secret
from workbench.services.workbench import connect
from workbench.settings import Settings

__all__ = [
    "CASES",
    "HTTP_FAULTS",
    "IN_FLIGHT",
    "STATEMENT_FAULTS",
    "Place",
    "Trial",
    "attempt",
    "judge",
    "nth_answer",
    "nth_statement",
    "placed",
    "verdict_of",
]

CASES = 20
IN_FLIGHT = 4
STATEMENT_FAULTS: tuple[Literal["before", "after", "torn", "error"], ...] = (
    "before",
    "after",
    "torn",
    "error",
)
HTTP_FAULTS = {
    "no reply": Reply(status=0, end="reset"),
    "500": Reply(status=500),
    "429": Reply(status=429, headers={"Retry-After": "0.01"}),
    "no JSON": Reply(body=b"<html>sorry</html>"),
    "cut": Reply(body=FINE[:40], length=len(FINE), end="reset"),
    "silence": Reply(status=0, end="hang"),
}
_QUICK = Retry(base=0.001, cap=0.02, total_timeout=10, connect_timeout=2, read_timeout=2)

#: Gives a person's and an administrator's URL of a database with the prompt ``say`` and the dataset ``rows``, and removes it.
Place = Callable[[], AbstractContextManager[tuple[Secret, Secret]]]


@dataclass
class Trial:
    what: str
    ended: str = ""
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)


def nth_statement(
    place: Place, folder: Path, *, every: int = 1, kinds: tuple[str, ...] = STATEMENT_FAULTS, workers: int = 8
) -> Verdict:
    """Break each of the statements from connecting to the run's end, or one of ``every`` so many."""

    def count() -> int:
        with placed(place, folder) as (url, _, home), DatabaseProxy(url) as proxy:
            with ScriptedServer(Reply(body=FINE)) as provider:
                ended, _ = attempt(proxy.url, home, provider.url)
            assert ended == "finished", ended
            return len(proxy.statements)

    def trial(n: int, kind: str, *, for_good: bool) -> Trial:
        found = Trial(f"statement {n} {kind}{' for good' if for_good else ''}")
        with placed(place, folder) as (url, admin_url, home), DatabaseProxy(url) as proxy:
            # A conflict for good makes no sense; a server without space does.
            fault = Fault(kind=kind, sqlstate="53100" if for_good else "40001", for_good=for_good)  # type: ignore[arg-type]
            proxy.break_at(n, fault)

            def mend() -> None:
                proxy.mend()
                proxy.up()

            with ScriptedServer(Reply(body=FINE, delay=0.005), bill=home / "bill") as provider:
                judge(found, proxy.url, admin_url, home, provider, mend)
        return found

    statements = count()
    chosen = [
        (n, kind, for_good)
        for n in range(1, statements + 1, every)
        for kind in kinds
        for for_good in (False, True)
    ]
    return verdict_of("every Nth statement", {"statements": statements}, trial, chosen, workers)


def nth_answer(
    place: Place,
    folder: Path,
    *,
    every: int = 1,
    kinds: tuple[str, ...] = tuple(HTTP_FAULTS),
    workers: int = 4,
) -> Verdict:
    """Spoil each of the provider's answers, once or from then on."""

    def trial(n: int, kind: str, *, for_good: bool) -> Trial:
        found = Trial(f"answer {n} {kind}{' for good' if for_good else ''}")
        mended: list[bool] = []

        def script(asked: Asked) -> Reply:
            spoilt = not mended and (asked.n >= n - 1 if for_good else asked.n == n - 1)
            return HTTP_FAULTS[kind] if spoilt else Reply(body=FINE, delay=0.005)

        with (
            placed(place, folder) as (url, admin_url, home),
            ScriptedServer(script, bill=home / "bill") as provider,
        ):
            judge(found, url, admin_url, home, provider, lambda: mended.append(True))
        return found

    chosen = [
        (n, kind, for_good)
        for n in range(1, CASES + 1, every)
        for kind in kinds
        for for_good in (False, True)
    ]
    return verdict_of("every Nth answer", {"answers": CASES}, trial, chosen, workers)


@contextmanager
def placed(place: Place, folder: Path) -> Iterator[tuple[Secret, Secret, Path]]:
    home = folder / secrets.token_hex(6)
    home.mkdir()
    with place() as (url, admin_url):
        yield url, admin_url, home


def judge(
    found: Trial,
    url: Secret,
    admin_url: Secret,
    home: Path,
    provider: ScriptedServer,
    mend: Callable[[], None],
    *,
    may_lose: int = 0,
) -> None:
    """Run the batch into its fault, mend what broke, finish the batch, and hold the bill against the rows."""
    began = time.monotonic()
    found.ended, told = attempt(url, home, provider.url)
    found.seconds = time.monotonic() - began
    asked = len(provider.asked)
    time.sleep(0.02)
    if len(provider.asked) != asked:
        found.broken.append("calls went on after the run had ended")
    mend()
    ended, done = found.ended, told
    for _ in range(3):
        if ended == "finished" and done == CASES:
            break
        with psycopg.connect(admin_url.reveal()) as admin:  # as if a minute had passed
            admin.execute(
                "UPDATE wb.runs SET heartbeat_at = now() - interval '2 min' WHERE status = 'running'"
            )
        ended, done = attempt(url, home, provider.url)
    if (ended, done) != ("finished", CASES):
        found.broken.append(f"after it was mended the batch is {ended} with {done} answers")
    for name in (found.ended, ended):
        if " " in name:
            found.broken.append(f"an error that is none of ours: {name}")
    found.broken += balance(
        home / "bill", admin_url, told=told, home=home, kills=may_lose, in_flight=IN_FLIGHT
    ).broken


def attempt(url: Secret, home: Path, endpoint: str) -> tuple[str, int]:
    """Connect and run; gives the run's status or the error's name, and the answers that were reported."""
    try:
        with connect(url.reveal(), settings=Settings(home=home, model="mine/m")) as wb:
            mine = OpenAICompatible(name="mine", base_url=endpoint, retry=_QUICK)
            wb.models._registry = Registry(wb.config, providers={"mine": mine})
            run = wb.run(
                "say", data="rows", concurrency=IN_FLIGHT, cache="off", progress=False, retry_errors=True
            )
            return run.status, run.counts.done
    except WorkbenchError as error:
        return type(error).__name__ if error.cure else f"{type(error).__name__} without a cure: {error}", 0
    except Exception as error:  # noqa: BLE001 - finding it is what the campaign is for
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error!s:.200}", 0


def verdict_of(
    name: str,
    facts: dict[str, object],
    trial: Callable[..., Trial],
    chosen: list[tuple[int, str, bool]],
    workers: int,
) -> Verdict:
    began = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        trials = list(pool.map(lambda one: trial(one[0], one[1], for_good=one[2]), chosen))
    verdict = Verdict(
        name,
        {
            **facts,
            "trials": len(trials),
            "ended": dict(Counter(each.ended for each in trials).most_common()),
            "slowest end": f"{max(each.seconds for each in trials):.1f} s",
            "seconds": round(time.monotonic() - began, 1),
        },
    )
    verdict.broken += [f"{each.what} ({each.ended}): {broken}" for each in trials for broken in each.broken]
    return verdict
