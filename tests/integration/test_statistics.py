"""Statistics and a person's own settings, as views and as verbs."""

from __future__ import annotations

import threading

import psycopg
import pytest

from workbench.db.frames import STATISTICS
from workbench.errors import InputError, UnknownReferenceError
from workbench.secret import Secret
from workbench.services.workbench import connect
from workbench.settings import Settings


@pytest.fixture
def worked(wb):
    """Two prompts in three versions, 14 calls of which some failed; and a second project without calls."""
    wb.use("work")
    wb.prompts.save("tone", "Tone of: {{ text }}")
    wb.prompts.save("tone", "Tone: {{ text }}")
    wb.prompts.save("say", "Say {{ text }}")
    wb.run("tone", data=[{"text": str(n)} for n in range(3)], progress=False)
    wb.ask("say", variables={"text": "hello"})
    wb.run("say", data=[{"text": f"x{n}"} for n in range(10)], model="fake/flaky", progress=False)
    wb.use("empty")
    wb.prompts.save("draft", "x")
    return wb


def test_every_call_counts_once(worked):
    frame = worked.stats().frame.set_index("project")
    assert list(worked.stats().frame.columns) == list(STATISTICS)
    work, empty = frame.loc["work"], frame.loc["empty"]
    assert (work["person"], work["prompts"], work["versions"]) == ("ann", 2, 3)
    called = worked.use("work").frames.executions()
    assert work["executions"] == len(called) == 14
    assert work["failed"] == (called["status"] == "failed").sum() > 0
    tokens = called["tokens_prompt"].fillna(0) + called["tokens_completion"].fillna(0)
    assert work["tokens"] == tokens.sum()
    done = called[called["status"] == "done"]
    assert work["latency_ms"] == pytest.approx(done["latency_ms"].astype(float).mean())
    assert work["models"] == called["model"].nunique()
    assert (empty["prompts"], empty["executions"], empty["models"]) == (1, 0, 0)


def test_one_project_alone_or_an_error_with_its_name(worked):
    assert list(worked.stats("work").frame["project"]) == ["work"]
    with pytest.raises(UnknownReferenceError, match="did you mean 'work'"):
        worked.stats("wrk")


def test_statistics_show_themselves(worked):
    found = worked.stats()
    assert str(found).splitlines()[0].startswith("3 prompts in 4 versions, 14 calls")
    assert "ann in work: 2 prompts" in str(found)
    assert "<table" in found._repr_mimebundle_()["text/html"]
    assert worked.last is found


def test_nobody_sees_the_work_of_a_project_that_they_may_not_read(worked, bobs_wb):
    assert len(bobs_wb.stats().frame) == 0
    assert str(bobs_wb.stats()) == "0 prompts in 0 versions, 0 calls, no known cost"


def test_the_latest_version_of_each_prompt_is_one_row(worked, ann_url):
    with psycopg.connect(ann_url.reveal()) as ann:
        rows = ann.execute(
            "SELECT prompt, version, versions, label FROM v_latest_prompts ORDER BY prompt"
        ).fetchall()
    assert rows == [("draft", 1, 1, "latest"), ("say", 1, 1, "latest"), ("tone", 2, 2, "latest")]


# --- settings ---


def test_settings_are_the_persons_own(wb, bobs_wb, ann_url, tmp_path):
    wb.settings.set("theme", "dark")
    wb.settings.set("panes", {"left": [1, 2.5, None, True], "ünï": "🙂"})
    assert wb.settings.get("theme") == "dark"
    assert wb.settings.get("nothing") is None
    assert wb.settings.get("nothing", 3) == 3
    assert wb.settings.all() == {"theme": "dark", "panes": {"left": [1, 2.5, None, True], "ünï": "🙂"}}
    assert bobs_wb.settings.all() == {}
    with connect(ann_url.reveal(), settings=Settings(home=tmp_path)) as elsewhere:
        assert elsewhere.settings.get("theme") == "dark"
        elsewhere.settings.set("theme", None)
    assert wb.settings.get("theme", "light") is None


def test_two_who_write_at_once_both_leave_theirs(wb):
    threads = [threading.Thread(target=wb.settings.set, args=(f"name{n}", n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wb.settings.all() == {f"name{n}": n for n in range(8)}


def test_endpoints_stay_beside_settings(wb):
    wb.settings.set("theme", "dark")
    wb.models.endpoint("lab", "http://127.0.0.1:9/v1")
    wb.models.endpoint("lab2", "http://127.0.0.1:9/v1")
    assert wb.settings.all() == {
        "theme": "dark",
        "endpoints": {"lab": "http://127.0.0.1:9/v1", "lab2": "http://127.0.0.1:9/v1"},
    }
    with pytest.raises(InputError, match="workbench models endpoint add"):
        wb.settings.set("endpoints", {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", 1), (" ", 1), ("a\x00", 1), ("x" * 101, 1), (3, 1), ("nan", float("nan")), ("set", {1, 2}), ("nul", "a\x00b"),
        ("half", "\ud800"), ("long", "x" * 100_001), ("key", "sk-or-v1-0123456789abcdef0123456789"), ("secret", Secret("x")),
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_and_changes_nothing(wb, name, value):
    with pytest.raises(InputError) as raised:
        wb.settings.set(name, value)
    assert raised.value.cure
    assert wb.settings.all() == {}


def test_a_backslash_is_no_nul(wb):
    wb.settings.set("path", "C:\\u0000")
    assert wb.settings.get("path") == "C:\\u0000"
