from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.providers.sse import SseParser

STREAM = (
    "\ufeff: OPENROUTER PROCESSING\r\n\r\n"
    'data: {"text": "naïve 😀 \\n"}\n\n'
    "event: message\rid: 7\rretry: 10\rdata:no space\r\r"
    "data: first\r\ndata: second\r\n\r\n"
    "data\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = ['{"text": "naïve 😀 \\n"}'.encode(), b"no space", b"first\nsecond", b"", b"[DONE]"]


def parse(pieces: list[bytes]) -> list[bytes]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


def cut(data: bytes, points: list[int]) -> list[bytes]:
    ends = sorted({point % (len(data) + 1) for point in points})
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def test_the_example_stream_gives_its_events():
    assert parse([STREAM]) == EVENTS


def test_each_single_cut_and_each_byte_alone_give_the_same_events():
    for at in range(len(STREAM)):
        assert parse([STREAM[:at], STREAM[at:]]) == EVENTS
    assert parse([bytes([byte]) for byte in STREAM]) == EVENTS


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM))))
def test_any_cuts_give_the_same_events(points):
    assert parse(cut(STREAM, points)) == EVENTS


line = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=20)
fields = st.builds(
    "{}{}".format, st.sampled_from(["data: ", "data:", "data", ": ", "event: ", "", "x"]), line
)


streams = st.lists(st.tuples(fields, st.sampled_from(["\n", "\r\n", "\r"])))


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 2000)))
def test_any_stream_gives_the_same_events_however_it_is_cut(lines, points):
    data = "".join(text + end for text, end in lines).encode()
    assert parse(cut(data, points)) == parse([data])


test_ten_thousand_streams = pytest.mark.slow(
    settings(max_examples=10_000, deadline=None)(
        given(streams, st.lists(st.integers(0, 2000)))(
            test_any_stream_gives_the_same_events_however_it_is_cut.hypothesis.inner_test
        )
    )
)


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_any_bytes_are_parsed_without_an_error(data, points):
    assert parse(cut(data, points)) == parse([data])


def test_an_event_without_its_empty_line_is_given_at_the_end():
    parser = SseParser()
    assert parser.feed(b"data: 1") == []
    assert parser.close() == [b"1"]
    assert parser.close() == []


def test_a_line_in_many_pieces_is_joined_once_not_at_each_piece():
    parser = SseParser()
    piece = b"x" * 100
    parser.feed(b"data: ")
    for _ in range(100_000):  # 10 MB: joining at each piece would copy 500 GB
        parser.feed(piece)
    (event,) = parser.feed(b"\n\n")
    assert len(event) == 10_000_000
