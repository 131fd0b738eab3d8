"""A token of a run's process tells whether that process has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from workbench.services import holders
from workbench.services.holders import has_ended, new_holder

MAKE = "import time; from workbench.services.holders import new_holder; print(new_holder(), flush=True); time.sleep(60)"


def test_a_token_is_of_one_run_and_its_process_lives():
    one, other = new_holder(), new_holder()
    assert one != other
    assert not has_ended(one)


def test_a_process_that_was_killed_has_ended_even_before_it_is_reaped():
    process = subprocess.Popen([sys.executable, "-c", MAKE], stdout=subprocess.PIPE, text=True)
    token = process.stdout.readline().strip()
    assert not has_ended(token)
    process.send_signal(signal.SIGSTOP)
    assert not has_ended(token)  # it may wake up
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(token)
    process.wait()
    assert has_ended(token)


def test_a_recycled_number_is_another_process():
    secret, machine, process, born = new_holder().split(".")
    assert has_ended(".".join([secret, machine, process, str(int(born) - 1)]))


def test_nothing_is_told_of_another_machine_or_without_a_process(monkeypatch, tmp_path):
    secret, machine, process, born = new_holder().split(".")
    for token in ("", secret, f"{secret}.{machine}", f"{secret}.0123456789ab.1.1", f"{secret}.{machine}.x.1"):
        assert not has_ended(token)
    monkeypatch.setattr(holders, "_PROC", tmp_path)
    assert "." not in new_holder()
    assert not has_ended(f"{secret}.{machine}.{process}.{born}")
