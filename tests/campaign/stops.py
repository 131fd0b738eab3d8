"""The database is stopped at once, again and again, under a kernel that has paid calls in flight."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from tests.campaign.harness import Verdict, kernel, prepare, said, told, tracebacks, until, witness
from tests.invariants import balance
from workbench.db.connect import embedded_admin_url
from workbench.db.embedded import EmbeddedServer
from workbench.secret import Secret

__all__ = ["stops"]


def stops(
    server: EmbeddedServer,
    url: Secret,
    folder: Path,
    *,
    cases: int = 5_000,
    times: int = 20,
    concurrency: int = 8,
    seconds: float = 0.03,
    away: float = 2.0,
    patience: float = 1_800,
    seed: int = 1,
) -> Verdict:
    """Stop the server at once (as ``pg_ctl stop -m immediate``) after each ``cases / times`` answers.

    The kernel lives on, so nothing that was billed may be missing: what could not be stored waits in its files.

    Args:
        server: an embedded server of the campaign's own.
        url: a person's, of a prepared database on it.
        folder: for the bill and for what the kernel said.
        cases: calls in all.
        times: stops.
        concurrency: calls in flight.
        seconds: what an answer takes on the average.
        away: the server stays away for up to so many seconds; every fifth time for ten times as long.
        patience: seconds for the whole campaign.
        seed: of when it is stopped and for how long.

    """
    draw, began = random.Random(seed), time.monotonic()
    batches = prepare(url, folder, cases=cases, kernels=1)
    bill = folder / "bill"
    stopped, gone = 0, 0.0
    with witness(bill, seconds=seconds, refused=0.03, broken=0.02, seed=seed) as provider:
        process = kernel(url, folder, provider.url, batches[0], concurrency)
        try:
            while stopped < times and process.poll() is None:
                goal = (stopped + draw.uniform(0.5, 1.0)) * cases / (times + 1)
                until(
                    lambda goal=goal: provider.billed >= goal or process.poll() is not None,
                    seconds=began + patience - time.monotonic(),
                )
                running = server.status()
                if process.poll() is not None or running is None:
                    continue
                os.kill(running.pid, signal.SIGQUIT)
                stopped += 1
                pause = draw.uniform(0, away) * (10 if stopped % 5 == 0 else 1)
                gone += pause
                time.sleep(pause)
                server.ensure()
            process.wait(timeout=began + patience - time.monotonic())
        finally:
            process.kill()
        server.ensure()
        facts = {
            "cases": cases,
            "stops": stopped,
            "in flight": concurrency,
            "seconds away": round(gone, 1),
            "requests": len(provider.asked),
            "said": dict(said(batches)),
            "seconds": round(time.monotonic() - began, 1),
        }
    found = balance(bill, embedded_admin_url(server), told=told(batches), home=folder, planned=cases)
    verdict = Verdict("immediate stops of the database", facts, found)
    if stopped < times:
        verdict.broken.append(f"only {stopped} of {times} stops: the batch was finished before")
    if found.done != cases:
        verdict.broken.append(f"{cases - found.done} cases have no answer")
    verdict.broken += tracebacks(batches)
    return verdict
