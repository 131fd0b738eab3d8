"""PgBouncer between the kernel and the database is killed and started again in the middle of paid work."""

from __future__ import annotations

import threading
import time

import pytest

from tests.bouncer import Bouncer
from tests.invariants import balance
from tests.servers import Reply, ScriptedServer, completion
from workbench.db.engine import Database
from workbench.services.workbench import Workbench
from workbench.settings import Settings

pytestmark = pytest.mark.slow

ROWS = [{"n": n} for n in range(60)]


@pytest.fixture(params=["session", "transaction"])
def bouncer(request, embedded, ann_url):
    with Bouncer(ann_url, mode=request.param, account=embedded._layout.account) as bouncer:
        yield bouncer


@pytest.fixture
def provider(tmp_path):
    with ScriptedServer(Reply(body=completion("fine").body, delay=0.1), bill=tmp_path / "bill") as provider:
        yield provider


@pytest.fixture
def wb(bouncer, provider, tmp_path):
    home = tmp_path / "home"
    settings = Settings(home=home, endpoints={"mine": provider.url}, model="mine/m")
    database = Database(bouncer.url, pooled=False, spool=home / "spool")
    with Workbench(settings, database) as wb:
        wb.prompts.save("say", "Say {{ n }}")
        yield wb


def test_a_bouncer_that_restarts_twice_is_waited_for_and_nothing_is_asked_twice(
    wb, bouncer, provider, admin_url, tmp_path
):
    def restart():
        for least in (10, 30):
            while provider.billed < least:
                time.sleep(0.005)
            bouncer.kill()
            time.sleep(1)
            bouncer.start()

    thread = threading.Thread(target=restart)
    thread.start()
    run = wb.run("say", data=ROWS, concurrency=4, progress=False)
    thread.join()
    assert (run.status, run.counts.done) == ("finished", 60)
    assert len(provider.asked) == 60
    found = balance(tmp_path / "bill", admin_url, told=60, planned=60, home=tmp_path / "home")
    assert found.broken == []
