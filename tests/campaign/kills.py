"""Kernels are killed with -9 again and again in the middle of a batch, and started anew."""

from __future__ import annotations

import random
import time
from pathlib import Path

import psycopg

from tests.campaign.harness import Verdict, kernel, prepare, said, told, tracebacks, until, witness
from tests.invariants import balance
from workbench.secret import Secret
from workbench.services.workbench import connect
from workbench.settings import Settings

__all__ = ["kills"]


def kills(
    url: Secret,
    admin_url: Secret,
    folder: Path,
    *,
    cases: int = 10_000,
    times: int = 50,
    kernels: int = 2,
    concurrency: int = 4,
    seconds: float = 0.03,
    patience: float = 1_800,
    seed: int = 1,
) -> Verdict:
    """Kill a kernel after each ``cases / times`` answers; the lease of the dead one is aged, not waited for.

    Args:
        url: a person's.
        admin_url: an administrator's of the same database.
        folder: for the bill and for what kernels said.
        cases: calls in all, shared evenly among the kernels.
        times: kills.
        kernels: at work at the same time, each on a batch of its own.
        concurrency: calls in flight in each.
        seconds: what an answer takes on the average.
        patience: seconds for the whole campaign.
        seed: of who is killed when.

    """
    draw, began = random.Random(seed), time.monotonic()
    batches = prepare(url, folder, cases=cases, kernels=kernels)
    bill = folder / "bill"
    killed = 0
    with (
        witness(bill, seconds=seconds, refused=0.03, broken=0.02, seed=seed) as server,
        psycopg.connect(admin_url.reveal(), autocommit=True) as admin,
    ):
        working = {batch: kernel(url, folder, server.url, batch, concurrency) for batch in batches}
        try:
            while working:
                goal = min(cases - 1, (killed + draw.uniform(0.5, 1.0)) * cases / (times + 1))
                until(
                    lambda goal=goal, killed=killed: (
                        (killed < times and server.billed >= goal)
                        or any(process.poll() is not None for process in working.values())
                    ),
                    seconds=began + patience - time.monotonic(),
                )
                ended = [batch for batch, process in working.items() if process.poll() is not None]
                for batch in ended:
                    del working[batch]
                if ended or not working:
                    continue
                batch = draw.choice(list(working))
                working[batch].kill()
                working[batch].wait()
                killed += 1
                admin.execute(
                    "UPDATE wb.runs SET heartbeat_at = now() - interval '2 min' WHERE status = 'running'"
                    " AND dataset_id = (SELECT id FROM wb.datasets WHERE name = %s)",
                    [batch.dataset],
                )
                working[batch] = kernel(url, folder, server.url, batch, concurrency)
        finally:
            for process in working.values():
                process.kill()
        requests = len(server.asked)
        found = balance(
            bill,
            admin_url,
            kills=killed,
            in_flight=concurrency,
            told=told(batches),
            home=folder,
            planned=cases,
        )
        settings = Settings(home=folder, endpoints={"mine": server.url}, model="mine/m")
        with connect(
            url.reveal(), settings=settings
        ) as wb:  # what was twice unknown is asked when a person says so
            unfinished = "SELECT id::text FROM wb.runs WHERE status <> 'finished'"
            for (run_id,) in admin.execute(unfinished).fetchall():
                wb.runs.resume(run_id, retry_errors=True)
        answered = "SELECT count(DISTINCT (run_id, case_key)) FROM wb.executions WHERE status = 'done'"
        done = admin.execute(answered).fetchone()
    facts = {
        "cases": cases,
        "kills": killed,
        "kernels": f"{kernels} × {concurrency} in flight",
        "requests": requests,
        "said": dict(said(batches)),
        "answered in the end": f"{done[0] if done else 0:,}, {found.open} of them only when asked for",
        "seconds": round(time.monotonic() - began, 1),
    }
    verdict = Verdict("kill -9", facts, found)
    if killed < times:
        verdict.broken.append(f"only {killed} of {times} kills: the batches were finished before")
    if found.done + found.open != cases or done != (cases,):
        verdict.broken.append(f"{cases - found.done} cases have no answer")
    verdict.broken += tracebacks(batches)
    return verdict
