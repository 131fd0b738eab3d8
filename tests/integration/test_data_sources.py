"""``-d NAME``: one thing has the name, or it is an error that says what to write."""

from __future__ import annotations

import pandas as pd
import pytest

from workbench.errors import DataError, OptionError, UnknownReferenceError


@pytest.fixture
def tone(cell):
    return cell("%%prompt tone -N\nTone of {{ text }}")


def answers(run):
    return sorted(run.frame()["answer"])


def test_a_dataframe_a_list_of_dicts_and_a_dataset(cell, shell, wb, tone):
    shell.user_ns["df"] = pd.DataFrame({"text": ["a"]})
    shell.user_ns["rows"] = [{"text": "b"}]
    shell.user_ns["saved"] = wb.datasets.save("reviews", [{"text": "c"}])
    wb.datasets.save("reviews", [{"text": "d"}])
    assert answers(cell("%prompt tone -d df -q")) == ["Tone of a"]
    assert answers(cell("%prompt tone -d rows -q")) == ["Tone of b"]
    assert answers(cell("%prompt tone -d saved -q")) == ["Tone of c"]
    assert answers(cell("%prompt tone -d reviews -q")) == ["Tone of d"]
    assert answers(cell("%prompt tone -d reviews@1 -q")) == ["Tone of c"]
    assert answers(cell("%prompt tone -d @reviews -q")) == ["Tone of d"]


def test_rows_of_a_query_and_a_saved_query_by_the_persons_own_connection(cell, tone, wb):
    cell("%sql found << SELECT 'from a result' AS text")
    assert answers(cell("%prompt tone -d found -q")) == ["Tone of from a result"]
    cell("%%sql --save words\nSELECT 'first' AS text UNION ALL SELECT 'second'")
    assert answers(cell("%prompt tone -d words -q")) == ["Tone of first", "Tone of second"]
    cell("%%sql --with words --save fewer\nSELECT * FROM words WHERE text LIKE 'f%'")
    assert answers(cell("%prompt tone -d fewer -q")) == ["Tone of first"]
    cell("%sql sqlite://")
    cell("%%sql --save lite\nSELECT sqlite_version() AS text")
    assert answers(cell("%prompt tone -d lite -q"))[0].startswith("Tone of 3.")


def test_two_matches_are_an_error(cell, shell, wb, tone):
    shell.user_ns["reviews"] = pd.DataFrame({"text": ["a"]})
    wb.datasets.save("reviews", [{"text": "b"}])
    with pytest.raises(OptionError, match="a variable and a dataset have that name") as caught:
        cell("%prompt tone -d reviews")
    assert "-d @reviews" in caught.value.cure
    assert answers(cell("%prompt tone -d @reviews -q")) == ["Tone of b"]
    cell("%%sql --save both\nSELECT 'x' AS text")
    shell.user_ns["both"] = pd.DataFrame({"text": ["a"]})
    with pytest.raises(OptionError, match="a variable and a saved query have that name"):
        cell("%prompt tone -d both")
    shell.user_ns["reviews"] = 3  # no rows: it is not in the way
    assert answers(cell("%prompt tone -d reviews -q")) == ["Tone of b"]


@pytest.mark.parametrize(
    "query", ["SELECT * FROM reviews", " with x as (select 1) select * from x", "table reviews"]
)
def test_sql_is_refused_with_the_cure(cell, wb, tone, query):
    with pytest.raises(OptionError, match="not SQL") as caught:
        cell(f"%prompt tone -d {query!r}")
    assert "%%sql --save rows" in caught.value.cure
    with pytest.raises(DataError, match="not SQL") as caught:
        wb.run("tone", data=query)
    assert "pd.read_sql" in caught.value.cure
    assert wb.frames.executions().empty


def test_nothing_of_that_name_and_what_holds_no_rows(cell, shell, wb, tone):
    shell.user_ns["reviews"] = pd.DataFrame({"text": ["a"]})
    with pytest.raises(
        UnknownReferenceError, match="no DataFrame, saved query or dataset 'revews'"
    ) as caught:
        cell("%prompt tone -d revews")
    assert caught.value.cure == "did you mean 'reviews'?"
    shell.user_ns["n"] = "SELECT 1"
    with pytest.raises(UnknownReferenceError, match="'n' is a str, not a DataFrame"):
        cell("%prompt tone -d n")
    with pytest.raises(UnknownReferenceError, match="no dataset 'n'"):
        cell("%prompt tone -d @n")


def test_a_saved_query_that_fails_is_told_in_two_lines(cell, tone):
    cell("%%sql --save broken --no-execute\nSELECT * FROM nowhere_at_all")
    with pytest.raises(DataError, match="-d broken: the saved query fails") as caught:
        cell("%prompt tone -d broken")
    assert "%sqlcmd snippets broken" in caught.value.cure
    assert "Traceback" not in cell.out.out + cell.out.err
