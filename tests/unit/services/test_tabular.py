"""Files of rows: what is read is what stands there, and what is written runs nowhere."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from workbench.errors import DataError
from workbench.services.tabular import is_file_name, read_rows, write_rows


def test_csv_and_tsv_are_read_and_only_an_empty_cell_is_missing(tmp_path):
    (tmp_path / "a.csv").write_text('\ufefftext,label,n\nNone,NA,1\n"x, y",,2\n', encoding="utf-8")
    (tmp_path / "a.tsv").write_text("text\tlabel\na\tnull\n")
    frame = read_rows(tmp_path / "a.csv")
    assert frame["text"].tolist() == ["None", "x, y"]
    assert frame["label"].isna().tolist() == [False, True]
    assert frame["n"].tolist() == [1, 2]
    assert read_rows(tmp_path / "a.tsv")["label"].tolist() == ["null"]


def test_json_and_json_lines_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1, "b": {"c": 2}}\n\n{"a": 3}\n')
    (tmp_path / "a.json").write_text('[{"a": 1}]')
    assert read_rows(tmp_path / "a.jsonl")["a"].tolist() == [1, 3]
    assert read_rows(tmp_path / "a.json").to_dict(orient="records") == [{"a": 1}]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", None, "cannot be read"),
        ("a.csv", b"", "does not parse"),
        ("a.csv", b'a,b\n"1', "does not parse"),
        ("a.csv", b"\xff\xfe\x00", "not UTF-8"),
        ("a.jsonl", b'{"a": 1}\n{', "line 2 is not JSON"),
        ("a.jsonl", b"[1]", "holds no objects"),
        ("a.json", b"{}", "holds no objects"),
        ("a.xlsx", b"PK", "no file of rows"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_rows(tmp_path / name)


def test_what_a_spreadsheet_would_run_is_written_as_text(tmp_path):
    bad = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "fine", "a=b"]
    frame = pd.DataFrame({"answer": bad, "n": [-1.5] * len(bad), "=x": ["a"] * len(bad)})
    text = write_rows(frame, tmp_path / "a.csv").read_text()
    again = pd.read_csv(tmp_path / "a.csv", keep_default_na=False)
    assert again["answer"].tolist()[:4] == ["'=1+1", "'+1", "'-1", "'@x"]
    assert again["answer"].tolist()[-2:] == ["fine", "a=b"]
    assert text.splitlines()[0] == "answer,n,'=x"
    assert again["n"].tolist() == [-1.5] * len(bad)


def test_json_lines_hold_values_as_they_are(tmp_path):
    frame = pd.DataFrame(
        {"a": ["=x\ud800", None], "n": pd.array([1, None], dtype="Int64"), "d": [{"k": [1]}, None]}
    )
    lines = write_rows(frame, tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [1, None]
    assert json.loads(lines[0])["d"] == {"k": [1]}


def test_where_nothing_can_be_written_it_is_said(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        write_rows(pd.DataFrame({"a": [1]}), tmp_path / "no" / "a.csv")
    with pytest.raises(DataError, match=r"\.csv, \.tsv or \.jsonl"):
        write_rows(pd.DataFrame({"a": [1]}), tmp_path / "a.xlsx")


def test_which_names_are_files():
    assert is_file_name("data/Reviews.CSV")
    assert not is_file_name("@reviews")
