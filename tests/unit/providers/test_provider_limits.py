"""Limits in the headers of replies: what they say, and what nonsense they may hold."""

from __future__ import annotations

import pytest

from workbench.providers.limits import Quota, heard, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12ms", 0.012), ("1s", 1), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("2m59.56s", 179.56), ("1.5", 1.5), ("0", 0),
        ("1d", 86400), ("", None), (None, None), ("soon", None), ("1s later", None), ("-3", None), ("nan", None),
        ("٣s", None), ("9" * 400, None), ("1e400s", None), ("s", None),
    ],
)  # fmt: skip
def test_durations_as_providers_write_them(text, expected):
    assert seconds(text) == (None if expected is None else pytest.approx(expected))


def test_what_is_missing_comes_back_steadily():
    assert Quota(left=1, reset=60, limit=60).wait(1) == 0
    assert Quota(left=0, reset=60, limit=60).wait(1) == 1
    assert Quota(left=500, reset=30, limit=2000).wait(1000) == 10
    assert Quota(left=0, reset=20).wait(1) == 20  # how large the whole is, nobody said
    assert Quota(left=0, reset=20, limit=100).wait(1_000_000) == 20
    assert Quota(left=0, reset=86_400).wait(1) == 60
    assert Quota(left=5, reset=10, limit=5).wait(6) == 10


def test_the_head_of_a_reply_is_read():
    reply = heard(
        "lab",
        "m",
        429,
        {
            "Retry-After": "7",
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1m0s",
            "x-ratelimit-remaining-tokens": "150000",
        },
        1.0,
    )
    assert (reply.retry_after, reply.requests, reply.tokens) == (7, Quota(0, 60, 60), None)
    assert reply.repeated
    assert not heard("lab", "m", 200, {}, 1.0).repeated
