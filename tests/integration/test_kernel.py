"""The faces in a real kernel: what a front end is sent, also after a cell has returned, and when nobody looks on."""

from __future__ import annotations

import os
import queue
import sys
import time
from pathlib import Path

import psycopg
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
SET_UP = """
import pandas as pd
%load_ext workbench
df = pd.DataFrame({"text": [f"review {n}" for n in range(12)], "label": ["review 0"] * 12})
"""


class Kernel:
    """A kernel and a client that keeps what it is sent."""

    def __init__(self, environment):
        self.manager = KernelManager(kernel_name="")
        self.manager._kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        )
        self.manager.start_kernel(env=environment)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.displays = {}

    def run(self, code, *, attended=True):
        """Run a cell; return its outputs, displays by their ids, up to the moment when it is idle."""
        asked = self.client.execute(code, allow_stdin=attended)
        outputs = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            kind, content = message["header"]["msg_type"], message["content"]
            self._keep(kind, content)
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind == "status" and content["execution_state"] == "idle":
                return outputs
            if kind in {"display_data", "execute_result", "stream", "error"}:
                outputs.append((kind, content))
            if kind == "clear_output":
                outputs.clear()

    def listen(self, seconds):
        """Return the displays that were updated within some seconds, in order."""
        end, heard = time.monotonic() + seconds, []
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            if message["header"]["msg_type"] == "update_display_data":
                heard.append(message["content"])
            self._keep(message["header"]["msg_type"], message["content"])
        return heard

    def _keep(self, kind, content):
        name = content.get("transient", {}).get("display_id")
        if kind in {"display_data", "update_display_data"} and name:
            self.displays[name] = content["data"]

    def end(self):
        if self.manager.has_kernel:
            self.client.stop_channels()
            self.manager.shutdown_kernel()


@pytest.fixture
def kernel(wb, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    ours = {
        "PYTHONPATH": str(CHECKOUT),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }
    kernel = Kernel({**wb.environment(), **kept, **ours, "DATABASE_URL": wb.environment()["DATABASE_URL"]})
    yield kernel
    kernel.end()


def text(content):
    return content["data"]["text/plain"]


def test_a_background_run_is_shown_after_its_cell_and_in_every_cell_that_shows_it(kernel, wb):
    kernel.run(SET_UP)
    kernel.run("%%prompt tone -N\n{{ text }}")
    ((kind, shown),) = kernel.run("%prompt run1 << tone -d df --bg -m fake/slow -j 4")
    assert kind == "display_data"
    assert "running" in text(shown)
    first = shown["transient"]["display_id"]
    ((kind, again),) = kernel.run("run1")
    second = again["transient"]["display_id"]
    assert (kind, second != first) == ("display_data", True)
    heard = kernel.listen(6)
    assert {content["transient"]["display_id"] for content in heard} == {first, second}
    bars = [content for content in heard if "wb-bar" in content["data"]["text/html"]]
    assert len(bars) >= 4
    assert any("/12" in text(content) and "tok/s" in text(content) for content in bars)
    for name in (first, second):
        assert "finished" in kernel.displays[name]["text/plain"]
        assert "12 of 12 done" in kernel.displays[name]["text/html"]
    ((kind, ended),) = kernel.run("run1")
    assert kind == "execute_result"
    assert "12 of 12 done" in text(ended)
    assert len(wb.runs.list(status="finished")) == 1


def test_the_error_of_a_background_run_is_shown_with_its_cure(kernel):
    kernel.run(SET_UP)
    kernel.run("%%prompt tone -N\n{{ text }}")
    kernel.run("wb.models.endpoint('away', 'http://127.0.0.1:9/v1')")
    ((_, shown),) = kernel.run("%prompt tone -d df --bg -m away/model")
    kernel.listen(8)
    last = kernel.displays[shown["transient"]["display_id"]]
    assert "ProviderUnavailableError" in last["text/html"]
    assert "PARTIAL" in last["text/html"]
    outputs = kernel.run("wb.last.wait()")
    assert [content["ename"] for kind, content in outputs if kind == "error"] == ["ProviderUnavailableError"]


def test_a_kernel_that_is_shut_down_leaves_a_run_that_can_be_resumed(kernel, wb, ann_url):
    kernel.run(SET_UP)
    kernel.run("%%prompt tone -N\n{{ text }}")
    kernel.run("%prompt run1 << tone -d df --bg -m fake/slow -j 2")
    kernel.listen(1.5)
    kernel.end()
    (run_id,) = wb.runs.list()["run_id"]
    run = wb.runs.get(run_id)
    assert (run.status, run.counts.in_flight) == ("stopped", 0)
    assert 0 < run.counts.done < 12
    with psycopg.connect(ann_url.reveal()) as connection:
        assert connection.execute("SELECT count(*) FROM wb.executions WHERE status = 'sent'").fetchone() == (
            0,
        )
    assert run.resume().counts.done == 12


def test_unattended_there_is_one_line_and_background_waits(kernel, wb):
    kernel.run(SET_UP, attended=False)
    kernel.run("%%prompt tone -N\n{{ text }}", attended=False)
    outputs = kernel.run("%prompt run1 << tone -d df -m fake/slow -j 12", attended=False)
    assert [kind for kind, _ in outputs] == ["display_data"]
    assert "12/12" in text(outputs[0][1])
    assert "wb-bar" not in outputs[0][1]["data"]["text/html"]
    kernel.run("%prompt run2 << tone -d df -m fake/slow -j 12 --bg", attended=False)
    assert wb.runs.list(status="running").empty
    assert len(wb.runs.list(status="finished")) == 2


def test_unattended_a_run_that_costs_something_needs_a_budget(kernel, wb):
    kernel.run(SET_UP, attended=False)
    kernel.run("%%prompt tone -N\n{{ text }}", attended=False)
    kernel.run("wb.models.endpoint('dear', 'http://127.0.0.1:9/v1')", attended=False)
    outputs = kernel.run("%prompt tone -d df -m dear/m", attended=False)
    (error,) = [content for kind, content in outputs if kind == "error"]
    assert error["ename"] == "ConfirmationNeededError"
    assert "add --budget USD, or --yes" in error["evalue"]
    assert wb.frames.executions().empty
