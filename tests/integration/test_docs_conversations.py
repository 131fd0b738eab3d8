"""The page about conversations: its code runs as it stands, and gives what it says."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import workbench

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "conversations.md").read_text()


@pytest.fixture
def shell(wb, monkeypatch, tmp_path):
    monkeypatch.delattr(builtins, "_", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workbench, "connect", lambda: wb, raising=False)
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    InteractiveShell.clear_instance()


def test_the_code_of_the_how_to_runs_as_it_stands(shell, wb):
    shown = []
    for cell in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        result = shell.run_cell(cell, store_history=True)
        result.raise_error()
        shown.append(result.result)
    assert len(shown) == 11
    assert [message.role for message in shell.user_ns["chat"].history][:3] == ["system", "user", "assistant"]
    assert shown[3] == "A CUSTOMER ASKS: ARE YOU OPEN?"
    assert shown[6] == 0
    assert shown[8]["answer"].tolist() == ["dot.gif (image/gif, 14 bytes)"]
    assert shown[9][0].name == "weather"
    assert shown[10] == '{"celsius": 21}'
    assert wb.chats.list()["turns"].tolist() == [2, 3, 3]


def test_the_page_names_every_field_that_the_table_promises():
    for name in ("choices", "logprobs", "tokens_reasoning", "tokens_cached"):
        assert name in workbench.core.versions.PromptResult.__slots__
        assert f"`{name}`" in PAGE
