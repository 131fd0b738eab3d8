from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ContextTooLongError, ProviderError, RequestRejectedError
from workbench.providers.address import parse_address
from workbench.providers.failures import Peer, excerpt, rejected, reported, retry_after, retryable

PEER = Peer(name="test", address=parse_address("https://api.example.com"), key_cure="set KEY")


@given(st.text() | st.none())
def test_any_retry_after_is_a_short_wait_or_none(header):
    found = retry_after(header, cap=60.0)
    assert found is None or 0 <= found <= 60


@given(st.text(max_size=2000))
def test_an_excerpt_is_one_short_printable_line(text):
    line = excerpt(text)
    assert len(line) <= 300
    assert line.isprintable()


@given(st.integers(100, 599).filter(lambda status: status != 200), st.binary(max_size=300))
def test_any_status_and_body_give_a_typed_error_with_a_cure(status, body):
    error = rejected(PEER, status, body)
    assert isinstance(error, ProviderError)
    assert error.http_status == status
    assert str(status) in error.message
    assert error.cure
    assert not re.search(r"[\x00-\x08\x1b]", error.message)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x) | st.dictionaries(st.text() | st.sampled_from(["code", "message", "metadata"]), x)
        ),
        max_leaves=6,
    )
)
def test_any_error_object_gives_a_typed_error(value):
    assert isinstance(reported(PEER, value), ProviderError)


def test_which_statuses_are_tried_again():
    again = {status for status in range(100, 600) if retryable(status)}
    assert again == {408, 409, 425, 429, *range(500, 600)}


@pytest.mark.parametrize(
    ("status", "record"),
    [
        (400, {"code": "context_length_exceeded", "message": "too long"}),
        (500, {"code": 500, "type": "exceed_context_size_error", "message": "the request exceeds"}),
        (400, {"code": 400, "message": "This endpoint's maximum context length is 8192 tokens."}),
        (413, {"message": "request (4390 tokens) exceeds the available context size (4096 tokens)"}),
        (
            400,
            {"message": "Provider returned error", "metadata": {"raw": "prompt is too long: 210000 tokens"}},
        ),
    ],
)
def test_a_context_that_is_too_long_is_an_error_of_its_own(status, record):
    error = rejected(PEER, status, json.dumps({"error": record}).encode())
    assert isinstance(error, ContextTooLongError)
    assert (error.code, error.http_status) == ("context", status)


def test_other_refusals_are_not_taken_for_it():
    assert (
        type(rejected(PEER, 400, b'{"error": {"message": "max_tokens is too large"}}'))
        is RequestRejectedError
    )
    assert not isinstance(rejected(PEER, 503, b"the context length service is down"), ContextTooLongError)
