"""What the ledger has of answers that were none, or only half: the text, the failure, no score, and no invented cost."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.servers import Reply, ScriptedServer, completion, record
from workbench.services.workbench import connect
from workbench.settings import Settings

FINE = completion("fine").body
WITHOUT_USAGE = json.dumps(
    {name: value for name, value in record("fine").items() if name != "usage"}
).encode()
NAN = json.dumps(record("fine", usage={"prompt_tokens": 3, "cost": float("nan")})).encode()

# What is answered; the row's status and error; its text; whether its cost is known.
ANSWERS = {
    "truncated": (completion("half an ans", finish="length"), "failed", "incomplete", "half an ans", True),
    "cut in the middle": (Reply(body=FINE[:50], length=len(FINE), end="close"), "failed", "incomplete", "", False),
    "an error with 200": (Reply(body=b'{"error": {"code": 502, "message": "no"}}'), "failed", "unavailable", "", False),
    "no JSON": (Reply(body=b"<html>sign in</html>"), "failed", "bad_response", "", False),
    "no choices": (Reply(body=json.dumps(record(choices=[])).encode()), "failed", "bad_response", "", True),
    "no text": (completion(None), "failed", "bad_response", "", True),
    "no usage": (Reply(body=WITHOUT_USAGE), "done", None, "fine", False),
    "NaN for a cost": (Reply(body=NAN), "done", None, "fine", False),
    "NUL": (completion("a\0b"), "done", None, "a␀b", True),
    "half a character": (completion("a\ud800b"), "done", None, "a?b", True),
}  # fmt: skip


@pytest.fixture
def found(ann_url, tmp_path):
    """Ask for each of them in one run, scored; gives the rows."""

    def script(asked):
        return ANSWERS[asked.json["messages"][0]["content"]][0]

    with ScriptedServer(script) as server:
        settings = Settings(home=tmp_path / "home", endpoints={"mine": server.url}, model="mine/m")
        with connect(ann_url.reveal(), settings=settings) as wb:
            wb.prompts.save("say", "{{ what }}")
            data = [{"what": what} for what in ANSWERS]
            run = wb.run("say", data=data, scorers=["contains:fine"], progress=False)
            assert len(server.asked) == len(ANSWERS)  # nothing of this is asked again
            shown = str(run)
    with psycopg.connect(ann_url.reveal()) as connection:
        query = "SELECT input_variables ->> 'what', status, error_code, answer, cost_estimate IS NOT NULL, passed FROM wb.executions"
        return shown, {row[0]: row[1:] for row in connection.execute(query)}


def test_each_is_stored_as_what_it_is(found):
    _, rows = found
    stored = {what: row[:4] for what, row in rows.items()}
    assert stored == {what: expected[1:] for what, expected in ANSWERS.items()}


def test_only_whole_answers_are_scored_and_a_part_of_a_run_says_that_it_is_one(found):
    shown, rows = found
    assert {what for what, row in rows.items() if row[4] is not None} == {
        what for what, expected in ANSWERS.items() if expected[1] == "done"
    }
    assert "4 of 10 done" in shown
    assert "6 failed" in shown
    assert "unknown cost" in shown
