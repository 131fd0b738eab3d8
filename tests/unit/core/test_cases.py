"""Keys of cases depend on what a row says, never on where it stands or how pandas holds it."""

from __future__ import annotations

import random
import time
from datetime import datetime

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from workbench.core.cases import Case, content_key, make_cases
from workbench.core.values import plain
from workbench.errors import DataError

ROWS = [
    {"text": "good", "label": "positive"},
    {"text": "bad", "label": "negative"},
    {"text": "good", "label": "positive"},
]


def test_without_a_key_equal_rows_get_different_keys_and_share_a_cluster():
    first, second, third = make_cases(ROWS)
    assert first.key == content_key(ROWS[0], 0)
    assert third.key == content_key(ROWS[0], 1)
    assert len({first.key, second.key, third.key}) == 3
    assert first.cluster == third.cluster == first.key
    assert second.cluster == second.key


def test_with_a_key_it_is_the_key_and_every_case_its_own_cluster():
    cases = make_cases([{"id": 7.0, "text": "a"}, {"id": "x", "text": "a"}], key="id", expected="text")
    assert [(case.key, case.cluster, case.expected) for case in cases] == [("7", "7", "a"), ("x", "x", "a")]
    assert cases[0] == Case("7", {"id": 7.0, "text": "a"}, "a", "7", None)


def test_a_corrected_label_leaves_the_case_the_same_case():
    before = make_cases([{"text": "a", "label": "x", "fold": 1}], expected="label", split="fold")[0]
    after = make_cases([{"text": "a", "label": "y", "fold": 2}], expected="label", split="fold")[0]
    assert before.key == after.key
    assert (after.expected, after.split) == ("y", "2")
    assert after.inputs["label"] == "y"


def test_the_cluster_column_decides_and_a_gap_stands_alone():
    cases = make_cases([{"t": "a", "doc": 1}, {"t": "b", "doc": 1}, {"t": "c", "doc": None}], cluster="doc")
    assert [case.cluster for case in cases] == ["1", "1", cases[2].key]


def test_order_of_rows_and_columns_and_the_kind_of_number_change_no_key():
    frame = pd.DataFrame({"n": [1, 2], "t": ["a", "b"]})
    floats = frame.astype({"n": float})[["t", "n"]].iloc[::-1]
    assert {case.key for case in make_cases(frame.to_dict("records"))} == {
        case.key for case in make_cases(floats.to_dict("records"))
    }


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({"a": st.text(max_size=2), "b": st.integers(0, 2) | st.none()}),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 2**32),
)
def test_shuffling_keeps_the_set_of_keys_and_keys_are_unique(rows, seed):
    rows = [row for row in rows if "\x00" not in row["a"]] or [{"a": "x", "b": None}]
    shuffled = random.Random(seed).sample(rows, len(rows))
    keys = [case.key for case in make_cases(rows)]
    assert len(set(keys)) == len(rows)
    assert set(keys) == {case.key for case in make_cases(shuffled)}


def test_missing_values_are_none_and_foreign_scalars_plain():
    row = {"a": float("nan"), "b": pd.NA, "c": pd.NaT, "d": np.int64(3), "e": datetime(2024, 1, 2), "f": None}  # noqa: DTZ001 - rows hold naive times
    assert make_cases([row])[0].inputs == {
        "a": None,
        "b": None,
        "c": None,
        "d": 3,
        "e": "2024-01-02T00:00:00",
        "f": None,
    }


@pytest.mark.parametrize(
    ("rows", "options", "message", "cure"),
    [
        ([], {}, "no rows", "at least one"),
        (ROWS, {"expected": "lable"}, "no column 'lable'", "did you mean 'label'?"),
        (ROWS, {"key": "id"}, "no column 'id'", "the columns are: text, label"),
        (ROWS, {"key": "text"}, r"value 'good' in rows 0 and 2 \(the first is 0\)", "unique"),
        ([{"id": 1}, {"id": None}], {"key": "id"}, "key 'id' is missing in row 1", "fill it"),
        ([{"a": 1}, {"a": {2}}], {}, r"row 1 \(the first is 0\), column a holds a set", "list"),
        ([{"a": "x\0"}], {}, "column a holds a NUL", "replace"),
        ([{"a": "\ud800"}], {}, "column a holds half a surrogate pair", "encoding"),
        ([{1: "a"}], {}, "column name 1 is no text", "columns"),
        ([{"a": float("inf")}], {}, "infinite", "replace"),
    ],
)
def test_data_that_cannot_be_used_is_named(rows, options, message, cure):
    with pytest.raises(DataError, match=message) as caught:
        make_cases(rows, **options)
    assert cure in caught.value.cure


def test_twenty_thousand_rows_take_seconds_not_minutes():
    rows = [
        {"id": i, "text": f"review number {i} " * 10, "label": "positive", "score": i / 2}
        for i in range(20_000)
    ]
    start = time.process_time()
    cases = make_cases(rows, expected="label")
    assert len(cases) == 20_000
    assert time.process_time() - start < 5  # 0.3 s on a quiet machine


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.longdouble(1.5), 1.5),
        (
            np.array([np.datetime64("2024-01-02", "ns"), np.datetime64("NaT", "ns")]),
            ["2024-01-02T00:00:00.000000000", None],
        ),
        (pd.Series([1.0, None]), [1.0, None]),
        (pd.Timedelta("1h"), "P0DT1H0M0S"),
        ({1: ("a", {"b": np.float32(0.5)})}, {"1": ["a", {"b": 0.5}]}),
        (True, True),
    ],
)
def test_values_of_other_libraries_become_plain(value, expected):
    found = plain(value, what="it")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "value", [object(), b"x", 2**2_000, {1.5: 1}, {"a": {1}}, 1j, range(3), np.complex64(1j)]
)
def test_a_value_without_a_json_form_is_named_and_cured(value):
    with pytest.raises(DataError, match=r"^it holds") as caught:
        plain(value, what="it")
    assert caught.value.cure
