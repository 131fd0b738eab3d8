"""The interpreter's settings are a run's only while it goes on."""

from __future__ import annotations

import gc
import sys

import pytest

from workbench.services.pace import Pace


@pytest.fixture(autouse=True)
def settings():
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    yield interval, threshold
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)


def now():
    return sys.getswitchinterval(), gc.get_threshold()


def test_two_runs_at_once_share_one_pace_and_the_last_one_puts_it_back(settings):
    pace = Pace()
    with pace:
        inside = now()
        assert inside[0] < settings[0]
        assert inside[1][0] > settings[1][0]
        with pace:
            assert now() == inside
        assert now() == inside
    assert now() == settings


def test_it_is_put_back_after_an_error(settings):
    with pytest.raises(KeyboardInterrupt), Pace():
        raise KeyboardInterrupt
    assert now() == settings


def test_what_somebody_set_meanwhile_stays():
    with Pace():
        sys.setswitchinterval(0.01)
        gc.set_threshold(5000, 5, 5)
    assert now() == (0.01, (5000, 5, 5))


def test_a_collector_that_is_switched_off_stays_off():
    gc.set_threshold(0, 10, 10)
    with Pace():
        assert gc.get_threshold()[0] == 0
    assert gc.get_threshold()[0] == 0
