"""What is typed to find something is read in one way, whatever it is."""

from __future__ import annotations

import datetime as dt
import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core import search as module
from workbench.core.search import (
    CLOSE,
    OPEN,
    check_limit,
    clean_query,
    moment,
    near_words,
    shown_marks,
    typed_words,
    without_marks,
)
from workbench.errors import InputError


def test_the_examples_are_true():
    assert doctest.testmod(module).failed == 0


@given(st.text())
def test_a_clean_query_is_one_line_with_a_word_or_a_typed_error(text):
    if not any(letter.isalnum() for letter in text):
        with pytest.raises(InputError):
            clean_query(text)
        return
    cleaned = clean_query(text)
    assert cleaned.isprintable()
    assert cleaned == clean_query(cleaned)
    assert any(letter.isalnum() for letter in cleaned)


@given(st.text(st.characters(categories=["Ll"]), min_size=3, max_size=12), st.data())
def test_one_slip_of_the_keys_is_near(word, data):
    place = data.draw(st.integers(0, len(word) - 2))
    swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    assert word in near_words(swapped)
    assert word in near_words(word[:place] + "q" + word[place:])
    assert near_words(word)[0] == word


@given(st.text())
def test_words_that_may_be_misspelt_are_words(text):
    assert all(3 <= len(word) <= 30 and word.isalpha() for word in typed_words(text))
    assert len(typed_words(text)) <= 6


def test_times_have_a_zone_and_a_day_is_whole():
    since, until = moment("2026-11-25", "since"), moment(dt.date(2026, 11, 25), "until", end=True)
    assert since.tzinfo
    assert until.tzinfo
    assert (until - since).total_seconds() in {82_800, 86_400, 90_000}
    exact = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    assert moment(exact, "since") == moment("2026-01-02T03:04:00+00:00", "since") == exact
    assert moment(None, "since") is None


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", "", 5, 1.5, dt.time(3), dt.date.max])
def test_what_is_no_time_is_refused(value):
    with pytest.raises(InputError, match="until"):
        moment(value, "until", end=True)


@pytest.mark.parametrize("limit", [0, -1, 1001, 2.0, "5", None, True])
def test_what_is_no_limit_is_refused(limit):
    with pytest.raises(InputError, match="limit"):
        check_limit(limit)


@given(st.text())
def test_marks_can_be_shown_and_taken_away(text):
    plain = without_marks(text)
    marked = f"{plain}{OPEN}{plain}{CLOSE}"
    assert without_marks(marked) == plain * 2
    assert shown_marks(marked) == f"{plain}«{plain}»"
