"""Variables that are given by name: one that nothing reads is a slip, and a missing one is told with its cure."""

from __future__ import annotations

import asyncio

import pandas as pd
import pytest

from workbench.core.refs import parse_ref
from workbench.errors import InputError, UndefinedVariableError
from workbench.services.cells import Cell, perform

ROWS = pd.DataFrame({"text": ["a", "b"], "more": [1, 2]})


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda wb: wb.prompts.get("mo")(nmae="Ann"), "mo does not read 'nmae'\n→ did you mean 'name'?"),
        (lambda wb: wb.prompts.get("tone")(text="x", tex="y"), "did you mean 'text'?"),
        (lambda wb: asyncio.run(wb.prompts.get("tone").acall(text="x", zz="y")), "it reads text; leave 'zz' out"),
        (lambda wb: wb.ask("tone", variables={"text": "x", "tex": "y"}), "did you mean 'text'?"),
        (lambda wb: wb.run("mo", variables={"nmae": "x"}, progress=False), "did you mean 'name'?"),
        (lambda wb: wb.run(["mo", "tone"], variables={"zz": 1, "text": "x"}, progress=False), "none of the prompts reads 'zz'"),
        (lambda wb: wb.run("tone", data=ROWS, variables={"zz": 1}, progress=False), "tone does not read 'zz'"),
        (lambda wb: wb.plan("mo", variables={"nmae": "x"}), "did you mean 'name'?"),
        (lambda wb: perform(wb, Cell(ref=parse_ref("mo"), parameters={"name": "x", "nme": "y"})), "did you mean 'name'?"),
        (lambda wb: perform(wb, Cell(ref=parse_ref("tone"), data=ROWS, parameters={"zz": "y"})), "does not read 'zz'"),
    ],
)  # fmt: skip
def test_a_value_that_nothing_reads_is_told(wb, call, says):
    wb.prompts.save("mo", "hi {{ name | default('nobody') }}")
    wb.prompts.save("tone", "Tone of {{ text }}")
    with pytest.raises(InputError) as caught:
        call(wb)
    assert says in str(caught.value)
    assert wb.frames.executions().empty


def test_columns_scorers_and_the_notebook_may_hold_more(wb):
    wb.prompts.save("tone", "Tone of {{ text }}")
    assert wb.run("tone", data=ROWS, progress=False).counts.done == 2
    given = {"text": "a", "label": "Tone of a"}
    run = wb.run("tone", variables=given, scorers=["equals:@label"], progress=False)
    assert run.counts.passed == 1
    assert wb.plan("tone", variables=given, scorers=["equals:@label"]).n_calls == 1
    scope = {"text": "mine", "other": 1}
    assert perform(wb, Cell(ref=parse_ref("tone"), look_up=scope.__getitem__)).text == "Tone of mine"


def test_a_missing_value_is_told_with_how_it_is_given(wb):
    wb.prompts.save("greet", "Hello {{ name }}")
    with pytest.raises(UndefinedVariableError, match=r"give it with name=…; or write {{ name"):
        wb.prompts.get("greet")()
    with pytest.raises(UndefinedVariableError, match=r"give it with -p name=…; or write {{ name"):
        perform(wb, Cell(ref=parse_ref("greet")))


def test_variables_may_be_called_self_and_model(wb):
    assert wb.prompts.save("me", "I am {{ self }}")(self="Ann").text == "I am Ann"
    which = wb.prompts.save("which", "Best of {{ model }}")
    with pytest.raises(UndefinedVariableError, match="names the model to ask") as caught:
        which(model="fake/echo")
    assert "wb.ask(p, variables={'model'" in caught.value.cure
    assert wb.ask(which, variables={"model": "T"}).text == "Best of T"
