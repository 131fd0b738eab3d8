"""The local model's server is killed under a run: the run goes on or says so, and a resume asks nothing twice."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import psutil
import psycopg
import pytest

from tests.local_model import home_with_weights
from workbench.errors import ProviderError
from workbench.services.workbench import connect
from workbench.settings import Settings

pytestmark = pytest.mark.model


def model_servers():
    mine = psutil.Process().children(recursive=True)
    return [each for each in mine if "workbench.providers.local_server" in " ".join(each.cmdline())]


def statuses(url):
    with psycopg.connect(url.reveal()) as connection:
        return dict(connection.execute("SELECT status, count(*) FROM wb.executions GROUP BY 1").fetchall())


def test_a_model_server_that_is_killed_is_survived(ann_url, tmp_path):
    settings = Settings(home=home_with_weights(tmp_path / "home"), model="local/smollm2")
    data = [{"n": n} for n in range(16)]
    options = {"temperature": 0, "max_tokens": 4}

    def kill():
        deadline = time.monotonic() + 120
        while statuses(ann_url).get("done", 0) + statuses(ann_url).get("failed", 0) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for server in model_servers():
            server.kill()

    with connect(ann_url.reveal(), settings=settings) as wb:
        wb.prompts.save("say", "Say {{ n }}")
        thread = threading.Thread(target=kill)
        thread.start()
        with suppress(ProviderError):
            wb.run("say", data=data, options=options, concurrency=2, progress=False)
        thread.join()
        before = statuses(ann_url)
        assert "sent" not in before
        wb.run("say", data=data, options=options, concurrency=2, progress=False, retry_errors=True)
        with psycopg.connect(ann_url.reveal()) as connection:
            twice = connection.execute(
                "SELECT count(*) FROM (SELECT FROM wb.executions WHERE status = 'done' AND cost_source IS DISTINCT FROM 'cache'"
                " GROUP BY run_id, case_key HAVING count(*) > 1) twice"
            ).fetchone()
            answered = connection.execute(
                "SELECT count(DISTINCT input_variables) FROM wb.executions WHERE status IN ('done', 'failed') AND answer <> ''"
            ).fetchone()
    assert twice == (0,)
    assert answered == (16,)
