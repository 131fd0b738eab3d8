"""Cells, on a real database: everything is checked before a text is saved, a label moved, or a model called."""

from __future__ import annotations

import pandas as pd
import pytest

from workbench.core.refs import parse_ref
from workbench.errors import (
    ConfirmationNeededError,
    DataError,
    InputError,
    NoModelError,
    TemplateError,
    UndefinedVariableError,
    UnknownModelError,
    UnknownReferenceError,
)
from workbench.services.cells import Cell, perform
from workbench.services.estimating import Plan

ROWS = pd.DataFrame({"text": ["a", "b"], "label": ["good a", "good b"]})


@pytest.fixture
def cell(wb):
    """Do what a cell over ``tone`` asks for."""

    def run(text=None, *, ref="tone", **asked):
        return perform(wb, Cell(ref=parse_ref(ref), text=text, progress=False, **asked))

    return run


@pytest.fixture
def good(cell):
    """The version that is called, and the only one with a label."""
    return cell("good {{ text }}", label="prod", parameters={"text": "x"})


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize(
    ("text", "asked", "kind"),
    [
        ("worse {{ text }}", {"models": ["fake/nosuch"], "parameters": {"text": "x"}}, UnknownModelError),
        ("worse {{ text }}", {"scorers": ["equls:x"], "parameters": {"text": "x"}}, InputError),
        ("worse {{ text }}", {"data": ROWS, "versus": "nosuch"}, UnknownReferenceError),
        ("worse {{ text }}", {"versus": "prod", "parameters": {"text": "x"}}, InputError),
        ("worse {{ text }}", {}, UndefinedVariableError),
        ("worse {{ text }}", {"samples": 2}, UndefinedVariableError),
        ("worse {{ txt }}", {"data": ROWS}, UndefinedVariableError),
        ("worse {{ txt }}", {"data": ROWS, "versus": "prod"}, UndefinedVariableError),
        ("worse {{ text }}", {"data": ROWS, "scorers": ["equals:@lable"]}, DataError),
        ("worse {{ text }}", {"data": ROWS, "scorers": ["equals:@lable"], "versus": "prod"}, DataError),
        ("worse {{ text }}", {"data": ROWS, "models": ["fake/nosuch"], "versus": "prod"}, UnknownModelError),
        ("worse {{ text }}", {"data": ROWS, "cache": "some"}, InputError),
        ("worse {{ text.title }}", {"parameters": {"text": {}}}, UndefinedVariableError),
        ("---\nmodel: fake/nosuch\nlabel: prod\n---\nworse", {}, UnknownModelError),
        ("---\nlabel: 3\n---\nworse", {}, TemplateError),
    ],
)
def test_a_cell_that_cannot_work_saves_nothing_and_moves_no_label(cell, wb, text, asked, kind):
    with pytest.raises(kind):
        cell(text, label="prod", **asked)
    assert [wb.prompts.get(ref).version for ref in ("tone", "tone@prod")] == [1, 1]
    assert len(wb.prompts.history("tone")) == 1
    assert len(wb.frames.executions()) == 1
    assert wb.ab.list() == []


@pytest.mark.usefixtures("good")
def test_without_a_model_nothing_is_saved(cell, wb):
    wb.default_model = None
    with pytest.raises(NoModelError, match=r"none is configured\n→ .*fake/echo answers by script"):
        cell("worse", label="prod")
    assert wb.prompts.get("tone@prod").version == wb.prompts.get("tone").version == 1


@pytest.mark.usefixtures("good")
def test_a_label_of_a_saved_version_moves_only_when_it_can_be_called(cell, wb):
    cell("worse {{ text }}", execute=False)
    with pytest.raises(UndefinedVariableError):
        cell(ref="tone@2", label="prod")
    assert wb.prompts.get("tone@prod").version == 1
    cell(ref="tone@2", label="prod", parameters={"text": "x"})
    assert wb.prompts.get("tone@prod").version == 2


@pytest.mark.usefixtures("good")
def test_a_plan_that_is_too_dear_or_only_looked_at_saves_nothing(cell, wb):
    wb.confirm_over = -1.0
    for versus in (None, "prod"):
        with pytest.raises(ConfirmationNeededError):
            cell("worse {{ text }}", data=ROWS, label="prod", versus=versus)
        planned = cell("worse {{ text }}", data=ROWS, label="prod", versus=versus, dry_run=True)
        assert isinstance(planned, Plan)
        assert any("tone on fake/echo" in arm for arm in planned.arms)
    assert wb.prompts.get("tone@prod").version == wb.prompts.get("tone").version == 1
    assert wb.ab.list() == []


@pytest.mark.usefixtures("good")
def test_a_cell_that_works_saves_moves_the_label_and_calls(cell, wb):
    run = cell("new {{ text }}", data=ROWS, label="prod", scorers=["contains:new"])
    assert (run.counts.done, run.counts.passed) == (2, 2)
    assert run.plan["arms"][0]["prompt"] == "tone@2"
    assert wb.prompts.get("tone@prod").version == 2
    comparison = cell("newer {{ text }}", data=ROWS, label="prod", versus="1", scorers=["equals:@label"])
    assert comparison.n_cases == 2
    assert wb.prompts.get("tone@prod").version == 3


def test_a_file_that_cannot_be_called_is_not_saved(wb, tmp_path):
    path = tmp_path / "mood.md"
    path.write_text("Mood of {{ text }}")
    with pytest.raises(UndefinedVariableError):
        perform(wb, Cell(source=path))
    assert wb.prompts.list() == []
    assert perform(wb, Cell(source=path, parameters={"text": "x"})).text == "Mood of x"
    assert wb.prompts.get("mood").note == str(path)
