"""Rows of a query, as text."""

from __future__ import annotations

from decimal import Decimal

from workbench.views.rows import rows_html


def test_markup_in_a_cell_or_a_heading_is_text():
    html = rows_html(["<i>a</i>"], [["<img src=x onerror='x()'>"]])
    assert "&lt;img src=x onerror=" in html
    assert "&lt;i&gt;a&lt;/i&gt;" in html
    assert "<img" not in html
    assert "<i>" not in html


def test_numbers_are_plain_and_stand_to_the_right():
    html = rows_html(
        ["usd", "n", "who"], [[Decimal("0.0003120000"), 100, "ann"], [Decimal("1E+2"), None, "bob"]]
    )
    assert ">0.000312</td>" in html
    assert ">100</td>" in html
    assert html.count("text-align:right") == 6  # two columns: the heading and two rows
    assert ">NULL</span>" in html


def test_a_statement_without_rows_shows_nothing():
    assert "table" not in rows_html([], [])


def test_a_table_that_was_cut_says_so():
    assert rows_html(["a"], [[1]], note="the first 10 rows").count("the first 10 rows") == 1
